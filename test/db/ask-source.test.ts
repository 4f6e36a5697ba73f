// deadline 240
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { open, startRunner, waitFor } from '../runner.ts';
import { again, type Neutral, onNeutral } from './neutral.ts';

/* The source is asked for its sums, but never longer than a person wants. */

const test = suite<Neutral>('ask-source');

onNeutral(test, 'asking');

test('a run that waits for an answer of the source ends with a signal at once, and leaves no session there', async ({
  pair,
  source,
  target,
  project,
}) => {
  const locking = open(pair.sourceAdminUrl);
  const held = await locking.reserve();
  await held.unsafe('begin; lock table public.film in access exclusive mode');
  const started = startRunner(pair, ['up'], { root: project.root });
  try {
    await waitFor(
      'a question waits for its answer',
      () => source`
        select from pg_locks as l where not l.granted and l.relation = 'public.film'::regclass`,
    );
    const sent = performance.now();
    started.child.kill('SIGINT');
    const { code, stderr } = await started.ended;
    assert.is(code, 130, stderr);
    // the lock is held all the time: only the runner can end this
    assert.ok(performance.now() - sent < 20_000, 'it waited for the source');
  } finally {
    started.child.kill('SIGKILL');
    await held.unsafe('rollback');
    held.release();
    await locking.end();
  }
  await waitFor('no session of the link is left', async () =>
    (
      await source<{ left: number }[]>`
          select count(*)::integer as left from pg_stat_activity
          where datname = current_database() and usename = 'legacy_reader'`
    ).filter(({ left }) => left === 0),
  );
  const [run] = await target`select status from migration.runs order by run desc limit 1`;
  assert.is(run?.['status'], 'interrupted');
  await again({ pair, project });
});

test('a key that is far from all others is not looked for on the way to it', async (context) => {
  const { source, target } = context;
  const scans = async () => {
    // counted when the sessions of the link have ended
    await source`select pg_stat_clear_snapshot()`;
    const [row] = await source<{ scans: number }[]>`
      select (seq_scan + coalesce(idx_scan, 0))::integer as scans
      from pg_stat_user_tables where relid = 'public.film'::regclass`;
    return row?.scans ?? 0;
  };
  await source`
    insert into film (film_id, title, language_id, changed_at)
    values (2000000000, 'far away', 2, '2024-01-02')`;
  await again(context);
  const [row] = await target`
    select t.title from public.films as t join ids.films as m on m.id = t.id
    where m.legacy_id = 2000000000`;
  assert.is(row?.['title'], 'far away');
  const before = await scans();
  await again(context);
  const asked = (await scans()) - before;
  assert.ok(asked > 0 && asked < 100, `${asked} scans of 301 rows`);
});

test.run();
