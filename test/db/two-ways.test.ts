/* Two sessions of `up` read at the same time, each by a way of its own; where there is one way, both by that. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { noResidue, startRunner, waitFor } from '../runner.ts';
import { onThings, type Things } from './things.ts';

const ENTITIES = ['ones', 'twos'];
/** So many that they are read in chunks of their own. */
const ROWS = 6000;

const test = suite<Things>('two ways');

onThings(test, 'two_ways', {
  entities: ENTITIES,
  rows: ROWS,
  nap: 0.5,
  header: '-- commit   batch\n',
});

test.before.each(async ({ source }) => {
  await source`update thing set note = concat(note, '.')`;
});

/** The rows of both targets are those of the source, and nothing is left of a run. */
async function allThere({ source, target }: Things): Promise<void> {
  const wanted = await source`select id::integer, note from thing order by id`;
  for (const name of ENTITIES) {
    const rows = await target`
      select m.legacy_id::integer as id, t.note
      from ${target(name)} as t join ${target(`ids.${name}`)} as m on m.id = t.id order by 1`;
    assert.equal([...rows], [...wanted], name);
  }
  await noResidue(target, source);
}

function up({ pair, project }: Things) {
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
