/* Two sessions of `up` read at the same time, each by a way of its own; where there is one way, both by that. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  noResidue,
  open,
  type Scratch,
  startRunner,
  tinyProject,
  waitFor,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const ENTITIES = ['ones', 'twos'];
/** So many that they are read in chunks of their own. */
const ROWS = 6000;
// a view that takes its time
const NAP = 'cross join (select 1 as one from pg_sleep(0.5)) as nap';

const test = suite<Context>('two ways');

test.before(async (context) => {
  context.project = tinyProject(
    Object.fromEntries(
      ENTITIES.map((name, index) => [
        `sql/1-things/${index}0_${name}.sql`,
        entityFile(name, 'thing', ['t.note as note'], {
          header: '-- commit   batch\n',
          joins: [NAP],
        }),
      ]),
    ),
  );
  context.pair = await testPair({ name: 'two_ways', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table thing (id integer primary key, note text);
    insert into thing select g, concat('note ', g) from generate_series(1, ${ROWS}) as g;
    grant select on thing to legacy_reader`);
  for (const name of ENTITIES) {
    await context.target.unsafe(`
      create table public.${name} (id uuid primary key, note text);
      alter table public.${name} owner to postgres`);
  }
});

test.before.each(async ({ source }) => {
  await source`update thing set note = concat(note, '.')`;
});

test.after(async ({ pair, source, target, project }) => {
  project.remove();
  await source.end();
  await target.end();
  await pair.drop();
});

/** The rows of both targets are those of the source, and nothing is left of a run. */
async function allThere({ source, target }: Context): Promise<void> {
  const wanted = await source`select id::integer, note from thing order by id`;
  for (const name of ENTITIES) {
    const rows = await target`
      select m.legacy_id::integer as id, t.note
      from ${target(name)} as t join ${target(`ids.${name}`)} as m on m.id = t.id order by 1`;
    assert.equal([...rows], [...wanted], name);
  }
  await noResidue(target, source);
}

function up({ pair, project }: Context) {
  return startRunner(pair, ['up', '--yes'], { root: project.root }).ended;
}

test('both read at the same time', async (context) => {
  const ended = up(context);
  await waitFor(
    'two sessions read, each by its own way',
    () => context.target`
      select from pg_locks where locktype = 'advisory' and granted
        and classid = 20250401 and objid in (2, 3)
        and pid in (select pid from pg_stat_activity where application_name like 'runner%')
        and database = (select oid from pg_database where datname = current_database())
      having count(*) = 2`,
  );
  assert.is((await ended).code, 0);
  await allThere(context);
});

test('a source that allows one connection is read by one at a time', async (context) => {
  const { source } = context;
  const [{ database } = { database: '' }] = await source<{ database: string }[]>`
    select current_database() as database`;
  const allow = (limit: number) =>
    source.unsafe(`alter database ${database} connection limit ${limit}`);
  try {
    // with that of this test
    await allow(1 + 1);
    assert.is((await up(context)).code, 0);
  } finally {
    await allow(-1);
  }
  await allThere(context);
});

test('where somebody else reads by the second way, the first one is enough', async (context) => {
  await context.target.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(20250401, 3)`;
    assert.is((await up(context)).code, 0);
  });
  await allThere(context);
});

test.run();
