import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import {
  changeSchema,
  dumpCatalog,
  lastLine,
  loadedRunner,
  neutralProject,
  open,
  runner,
  sameDump,
  startRunner,
  succeed,
} from '../runner.ts';

/* What a user types and sees. Only the last tests need databases, and no row is written there. */

interface Context {
  pair: TestPair;
  target: Sql;
}

const OF = { root: NEUTRAL };

const test = suite<Context>('cli');

test.before(async (context) => {
  context.pair = await testPair({ name: 'cli', source: 'neutral', target: 'neutral' });
  context.target = open(context.pair.targetAdminUrl);
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

test('most tests run their commands in one process: each says and ends as in its own', async ({
  pair,
}) => {
  const commands: [typeof pair | null, string[]][] = [
    [null, []],
    [null, ['--help']],
    [null, ['migrate']],
    [null, ['up', '--fast']],
    [null, ['status']],
    [pair, ['status', '--json']],
    [pair, ['verify']],
    [{ ...pair, targetUrl: pair.targetUrl.replace(/:\d+\//, ':1/') }, ['up']],
    [pair, ['plan']],
  ];
  const rather = (text: string) =>
    text.replace(/\d+(\.\d+)? ?(ms|s)\b/g, 'n s').replace(/[-\d]{10} [\d:]{5} UTC/g, 'now');
  for (const [urls, args] of commands) {
    const own = await startRunner(urls, args, OF).ended;
    const loaded = await loadedRunner(urls, args, NEUTRAL);
    assert.is(loaded.code, own.code, args.join(' '));
    assert.is(rather(loaded.stdout), rather(own.stdout), args.join(' '));
    assert.is(rather(loaded.stderr), rather(own.stderr), args.join(' '));
  }
});

const WRONG: [string[], RegExp][] = [
  [['migrate'], /unknown command 'migrate'/],
  [['up', '--fast'], /--fast[^]*usage: runner up/],
  [['up', '9-nowhere'], /there is no phase 9-nowhere; the phases are 1-catalogue, /],
  [['up', '--jobs', '0'], /--jobs takes a number from 1 to 8/],
  [['up', '--jobs', 'two'], /--jobs takes a number from 1 to 8/],
  [['up', '--on-conflict', 'both'], /--on-conflict takes source or target/],
  [['down'], /say one phase: 1-catalogue, .*, archive/],
  [['down', '1-catalogue', '2-customers'], /down takes <phase>: 2-customers is one too many/],
  [['plan', '--sql', 'nothing'], /there is no entity nothing/],
  [['check', 'nothing'], /there is no check nothing; there are /],
  [['schema', 'sideways'], /say up, down or status/],
];

test('a wrong call: exit 2, what is wrong, nothing on standard output', async ({ pair }) => {
  const ends = await Promise.all(WRONG.map(([args]) => runner(pair, args, OF)));
  for (const [i, { code, stdout, stderr }] of ends.entries()) {
    const [args, message] = WRONG[i] ?? [[], /./];
    assert.is(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
    assert.is(stdout, '', args.join(' '));
  }
});

test('missing and wrong settings: exit 2, all of them at once, no value', async () => {
  const values = {
    SOURCE_DATABASE_URL: 'mysql://reader:hunter2@host/db',
    TARGET_DATABASE_URL: '',
    JOBS: 'hunter3',
    REJECT_TOLERANCE: '-17.5',
    SOURCE_PORT_FROM_TARGET: 'hunter4',
  };
  const { code, stdout, stderr } = await runner(null, ['up'], { ...OF, env: values });
  assert.is(code, 2);
  for (const name of ['SOURCE_DATABASE_URL', 'TARGET_DATABASE_URL', 'JOBS', 'REJECT_TOLERANCE']) {
    assert.match(stderr, new RegExp(`- ${name} `));
  }
  assert.not.match(stdout + stderr, /hunter|-17|reader/);
});

test('a database that does not answer: exit 5, without its password', async () => {
  const url = 'postgresql://reader:hunter2@127.0.0.1:1/db';
  const { code, stdout, stderr } = await runner({ sourceUrl: url, targetUrl: url }, ['status'], OF);
  assert.is(code, 5, stderr);
  assert.not.match(stdout + stderr, 'hunter2');
});

test('status before anything exists says so and creates nothing', async ({ pair, target }) => {
  const before = await schemas(target);
  assert.match((await succeed(pair, ['status'], OF)).stdout, 'Nothing is migrated yet.');
  assert.equal(lastLine<object>(await succeed(pair, ['status', '--json'], OF)), {
    verdict: 'Nothing is migrated yet.',
    phases: [],
    entities: [],
    rejects: [],
  });
  assert.equal(await schemas(target), before);
});

test('down before anything exists: nothing to take back', async ({ pair, target }) => {
  const before = await schemas(target);
  const { stdout } = await succeed(pair, ['down', '1-catalogue', '--yes'], OF);
  assert.match(stdout, 'nothing to take back');
  assert.equal(await schemas(target), before);
});

test('plan before anything exists: nothing is wrong, every file is new, nothing is created', async ({
  pair,
  target,
}) => {
  const before = await schemas(target);
  const { code, stdout, stderr } = await runner(pair, ['plan', '--json'], OF);
  assert.equal(await schemas(target), before);
  const plan = JSON.parse(stdout) as {
    schemaChangesPending: boolean;
    problems: { message: string }[];
    entities: { entity: string; file: string }[];
  };
  assert.is(plan.schemaChangesPending, true);
  assert.equal(
    plan.problems.map(({ message }) => message),
    [],
    'what the pending schema changes bring is taken for missing',
  );
  assert.is(code, 0, stderr);
  assert.equal(
    plan.entities.map(({ entity, file }) => `${entity} ${file}`).toSorted(),
    readCatalog(NEUTRAL)
      .phases.flatMap(({ entities }) => entities.map(({ name }) => `${name} new`))
      .toSorted(),
  );
});

test('schema up on a fresh target, and down again', async ({ pair, target }) => {
  const before = await dumpCatalog(target);
  const applied = lastLine<{ files: object[] }>(
    await succeed(pair, ['schema', 'up', '--json'], OF),
  );
  assert.ok(applied.files.length > 0);
  assert.match((await succeed(pair, ['schema', 'up'], OF)).stdout, 'nothing to do');
  await succeed(pair, ['schema', 'down', '--to', '0', '--yes'], OF);
  sameDump(withoutNumbers(await dumpCatalog(target)), withoutNumbers(before));
});

test('plan --sql prints the statements of an entity, one after the other', async ({ pair }) => {
  await changeSchema(pair, NEUTRAL);
  const { stdout } = await succeed(pair, ['plan', '--sql', 'films'], OF);
  for (const part of [
    'create temporary table staged',
    'from transform."films" as e',
    'insert into "public"."films"',
    'update "public"."films" as t',
    'insert into ids."films"',
    'insert into migration.rejects',
    'insert into migration.ranges',
  ]) {
    assert.match(stdout, part);
  }
});

test('check --static: 0 where nothing is found, 1 with file and line where something is', async () => {
  await succeed(null, ['check', '--static'], OF);
  const project = neutralProject();
  project.edit('sql/1-catalogue/40_actors.sql', (text) => text.replace('a.born  ', 'random()'));
  const { code, stdout, stderr } = await runner(null, ['check', '--static'], {
    root: project.root,
  });
  project.remove();
  assert.is(code, 1);
  assert.match(stdout + stderr, /sql\/1-catalogue\/40_actors\.sql:\d+:\d+/);
});

test('no colours where none are wanted, or where no one looks', async ({ pair }) => {
  for (const env of [{ NO_COLOR: '1' }, {}]) {
    const { stdout, stderr } = await runner(pair, ['status'], { ...OF, env });
    assert.not.match(stdout + stderr, '\u001b');
  }
});

async function schemas(target: Sql): Promise<string[]> {
  const rows = await target<{ name: string }[]>`
    select concat_ws('.', n.nspname, c.relname) as name from pg_namespace as n
    left join pg_class as c on c.relnamespace = n.oid
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1`;
  return rows.map(({ name }) => name);
}

/** A column that was dropped and added again has another number. */
function withoutNumbers(dump: Map<string, string[]>): Map<string, string[]> {
  return new Map(
    [...dump].map(([kind, entries]) => [
      kind,
      entries.map((entry) => (kind === 'column' ? entry.replace(/ \d+ /, ' ') : entry)).toSorted(),
    ]),
  );
}

test.run();
