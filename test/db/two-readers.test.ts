// deadline 120
/* `verify` and `check` in two sessions: what they find, and what happens where there is only one. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migrate } from '../migrate.ts';
import { type Ended, lastLine, noResidue, runner, startRunner, waitFor } from '../runner.ts';
import { onThings, type Things } from './things.ts';

const ENTITIES = ['ones', 'twos', 'threes', 'fours', 'fives', 'sixes'];

const CHECKS = {
  'checks/id_maps.sql':
    '-- Id maps.\n--\n-- severity  error\n\nselect * from migration.id_map_faults()',
  'checks/slow.sql':
    '-- Slow.\n--\n-- severity  warning\n\nselect 1 where pg_sleep(300)::text is null',
  'checks/texts.sql':
    '-- Texts.\n--\n-- severity  error\n-- reads     source\n\n' +
    `select * from migration.differing_values('sixes', array[['s.note', 't.note']])`,
};

const test = suite<Things>('two readers');

onThings(test, 'two_readers', { entities: ENTITIES, rows: 30, nap: 0.3, files: CHECKS });

test.before(async (context) => {
  await migrate(context.pair, { root: context.project.root });
  await context.target.unsafe(
    ENTITIES.map((name) => `update public.${name} set note = 'planted' where note = 'note 7'`).join(
      ';',
    ),
  );
});

const verdict = ({ code, stdout }: Ended) => [
  code,
  lastLine<{ entities: { entity: string; counts: object; rows: object[] }[] }>({
    stdout,
  } as Ended).entities.map(({ entity, counts, rows }) => [entity, counts, rows]),
];

const EXPECTED = [
  1,
  ENTITIES.map((entity) => [
    entity,
    { changed: 1 },
    [{ entity, legacyKey: 7, kind: 'changed', columns: ['note'], values: [] }],
  ]),
];

function start({ pair, project }: Things, env: Record<string, string> = {}) {
  return startRunner(pair, ['verify', '--json'], { root: project.root, env });
}

/** The second session is at work in the target, and reads. */
function secondAtWork({ target }: Things) {
  return waitFor(
    'the second session',
    () => target<{ pid: number }[]>`
      select pid from pg_stat_activity
      where datname = current_database() and application_name = 'runner verify 2'
        and state = 'active' and query like '%verify_piece%'`,
  );
}

test('two sessions verify, and find what one finds', async (context) => {
  const alone = await start(context, { JOBS: '1' }).ended;
  assert.equal(verdict(alone), EXPECTED);
  const { ended } = start(context);
  await secondAtWork(context);
  assert.equal(verdict(await ended), EXPECTED);
  await noResidue(context.target, context.source);
});

test('a source that allows no further connection is read by one session', async (context) => {
  const { source, target } = context;
  const [{ database } = { database: '' }] = await source<{ database: string }[]>`
    select current_database() as database`;
  const allow = (limit: number) =>
    source.unsafe(`alter database ${database} connection limit ${limit}`);
  try {
    // with that of this test
    await allow(1 + 2);
    assert.equal(verdict(await start(context).ended), EXPECTED);
    // the second session gets in, and is refused when it reads
    await allow(1 + 3);
    assert.equal(verdict(await start(context).ended), EXPECTED);
  } finally {
    await allow(-1);
  }
  await noResidue(target, source);
});

test('where a second session reads already, one is enough', async (context) => {
  const { target } = context;
  await target.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(20250401, 3)`;
    assert.equal(verdict(await start(context).ended), EXPECTED);
  });
});

test('files that are not those of the last run are compared by one session', async (context) => {
  const { project } = context;
  const file = 'sql/1-things/00_ones.sql';
  project.edit(file, (text) => text.replace('t.note as note', 'upper(t.note) as note'));
  const { code, stdout } = await start(context).ended;
  project.edit(file, (text) => text.replace('upper(t.note) as note', 't.note as note'));
  const { entities } = lastLine<{ entities: { counts: object }[] }>({ stdout } as Ended);
  assert.equal([code, entities[0]?.counts], [1, { differs: 30 }]);
});

test('a second session that is lost ends the command, and nothing is left of either', async (context) => {
  const { source, target } = context;
  const { ended } = start(context);
  const { pid } = await secondAtWork(context);
  await target`select pg_terminate_backend(${pid})`;
  assert.is((await ended).code, 4);
  await noResidue(target, source);
});

test('Ctrl-C stops both', async (context) => {
  const { source, target } = context;
  const { child, ended } = start(context);
  await secondAtWork(context);
  child.kill('SIGINT');
  assert.is((await ended).code, 130);
  await noResidue(target, source);
});

test('Ctrl-C stops a check that would take minutes', async (context) => {
  const { source, target, pair, project } = context;
  const { child, ended } = startRunner(pair, ['check', 'slow'], { root: project.root });
  await waitFor(
    'the check',
    () => target`
      select from pg_stat_activity
      where datname = current_database() and application_name = 'runner check 2'
        and wait_event = 'PgSleep'`,
  );
  child.kill('SIGINT');
  assert.is((await ended).code, 130);
  await noResidue(target, source);
});

test('checks of both sessions find what was planted', async (context) => {
  const { pair, project, target } = context;
  await target`
    update ids.ones set id = gen_random_uuid() where legacy_id = 9`;
  for (const JOBS of ['1', '2']) {
    const ended = await runner(pair, ['check', 'id_maps', 'texts', '--json'], {
      root: project.root,
      env: { JOBS },
    });
    const { checks } = lastLine<{ checks: { name: string; findings: number }[] }>(ended);
    assert.equal(
      [ended.code, ...checks.map(({ name, findings }) => [name, findings])],
      [1, ['id_maps', 2], ['texts', 1]],
      `JOBS=${JOBS}`,
    );
  }
});

test.run();
