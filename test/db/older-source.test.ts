// deadline 120
/* The source is another one than in the last run, of an older release: the link leads there as well. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migrate, rowsWritten } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  newer: TestPair;
  older: TestPair;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('older source');

test.before(async (context) => {
  context.project = tinyProject({
    'sql/1-people/10_people.sql': entityFile('people', 'person', ['t.name']),
  });
  const empty = { name: 'older', source: 'empty', target: 'empty' } as const;
  context.newer = await testPair({ ...empty, sourceMajor: 17 });
  context.older = await testPair({ ...empty, sourceMajor: 10 });
  for (const { sourceAdminUrl } of [context.newer, context.older]) {
    const source = open(sourceAdminUrl);
    await source.unsafe(`
      create table person (id integer primary key, name text);
      insert into person values (1, 'Ada'), (2, 'Bob');
      grant select on person to legacy_reader`);
    await source.end();
  }
  context.target = open(context.newer.targetUrl);
  await context.target`create table public.people (id uuid primary key, name text)`;
});

test.after(async ({ newer, older, target, project }) => {
  project.remove();
  await target.end();
  await newer.drop();
  await older.drop();
});

test('a source of an older release than that of the last run is read, and one of a newer again', async ({
  newer,
  older,
  target,
  project,
}) => {
  const { root } = project;
  await migrate(newer, { root, phases: 1 });
  assert.match(await settings(target), /tcp_user_timeout/);
  const moved = { ...newer, sourceUrl: older.sourceUrl };
  for (const args of [['verify'], ['check', 'source_drift'], ['report']])
    await succeed(moved, args, { root });
  assert.equal(await rowsWritten(target, await migrate(moved, { root, phases: 1 })), {});
  assert.not.match(await settings(target), /tcp_user_timeout/);
  assert.match(await settings(target), / -c idle_in_transaction_session_timeout=0$/);
  assert.equal(await rowsWritten(target, await migrate(newer, { root, phases: 1 })), {});
  assert.match(
    await settings(target),
    / -c tcp_user_timeout=30000 -c idle_in_transaction_session_timeout=0$/,
  );
});

/** What the sessions in the source run with. */
async function settings(target: Sql): Promise<string> {
  const [row] = await target<{ settings: string }[]>`
    select o.option_value as settings
    from pg_foreign_server as f cross join lateral pg_options_to_table(f.srvoptions) as o
    where f.srvname = 'legacy_source' and o.option_name = 'options'`;
  return row?.settings ?? '';
}

test.run();
