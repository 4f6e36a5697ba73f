// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  changeSchema,
  type Dump,
  dumpCatalog,
  dumpRows,
  lastLine,
  open,
  ROOT,
  runner,
  sameDump,
  succeed,
  touches,
  up,
} from '../runner.ts';

/* One migration of the sample, from the first run to the last row taken back: in this order. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** After the additive schema changes, before the first row. */
  before: { rows: Dump; catalog: Dump };
}

const OURS = ['public', 'ids', 'legacy_archive'];
const LATER = ['3-operations', '4-financial', '5-clinical', '6-supporting', '7-state'];

const catalog = readCatalog(ROOT);
const entities = catalog.phases.flatMap((phase) => phase.entities);
const all = [...entities, ...catalog.archive];

const test = suite<Context>('up');

test.before(async (context) => {
  context.pair = await testPair({ name: 'up', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await changeSchema(context.pair);
  context.before = {
    rows: await dumpRows(context.target, { clock: true }),
    catalog: await dumpCatalog(context.target),
  };
});

test.after(async ({ pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
});

test('a dry run on a fresh target shows what would be and leaves nothing', async (context) => {
  const { pair, target, before } = context;
  const { code, stdout, stderr } = await runner(pair, ['up', '--dry-run']);
  assert.is(code, 0, stderr);
  assert.match(stdout, 'nothing is changed');
  sameDump(await dumpRows(target, { clock: true }), before.rows);
  sameDump(await dumpCatalog(target), before.catalog);
});

test('one phase only', async ({ pair, target }) => {
  const summary = await up(pair, '1-foundation');
  const states = Object.fromEntries(summary.phases.map(({ phase, status }) => [phase, status]));
  assert.equal(states, {
    '1-foundation': 'complete',
    '2-core': 'new',
    ...Object.fromEntries(LATER.map((name) => [name, 'new'])),
    archive: 'new',
  });
  const [rows] = await target<{ offices: number; patients: number; archive: number }[]>`
    select (select count(*)::integer from public.offices) as offices,
      (select count(*)::integer from public.patients) as patients,
      (select count(*)::integer from pg_class
       where relnamespace = 'legacy_archive'::regnamespace) as archive`;
  assert.is(rows?.offices, 13);
  assert.is(rows?.patients, 0);
  assert.is(rows?.archive, 0);
});

test('the whole sample: exit 0, a last line of JSON in the promised shape, every entity balanced', async ({
  pair,
  source,
}) => {
  const ended = await succeed(pair, ['up', '--json']);
  for (const line of ended.stdout.trimEnd().split('\n')) JSON.parse(line);
  const summary = lastLine(ended);
  assert.match(summary.verdict, 'All 8 phases are complete');
  assert.equal(
    summary.phases.map(({ phase, status }) => `${phase} ${status}`),
    [...catalog.phases.map(({ name }) => `${name} complete`), 'archive complete'],
  );
  assert.equal(
    summary.entities.map(({ entity, phase, target }) => [entity, phase, target]),
    all.map((e) => [e.name, e.phase, `${e.target.schema}.${e.target.table}`]),
  );
  for (const e of summary.entities) {
    const driving = all.find(({ name }) => name === e.entity)?.source ?? null;
    const [there] =
      driving === null
        ? [{ rows: 1 }]
        : await source<{ rows: number }[]>`
            select count(*)::integer as rows from ${source(driving)}`;
    assert.is(e.source, there?.rows, e.entity);
    const counts = [e.inserted, e.updated, e.unchanged, e.kept, e.rejected, e.filtered];
    assert.ok(counts.every(Number.isInteger), `${e.entity}: ${JSON.stringify(counts)}`);
    assert.is(
      counts.reduce<number>((sum, count) => sum + (count ?? 0), 0),
      e.source,
      e.entity,
    );
    assert.is(e.balanced, true);
    assert.type(e.seconds, 'number');
  }
  const rejected = summary.entities.reduce((sum, e) => sum + (e.rejected ?? 0), 0);
  assert.ok(rejected > 0);
  assert.is(
    summary.rejects.reduce((sum, { count }) => sum + count, 0),
    rejected,
  );
  assert.equal(Object.keys(summary.rejects[0] ?? {}), ['entity', 'reason', 'count']);
});

test('status says the same as the run', async ({ pair }) => {
  const { verdict, phases, rejects, entities: found } = await statusOf(pair);
  assert.match(verdict, 'All 8 phases are complete');
  assert.ok(phases.every(({ status }) => status === 'complete'));
  assert.ok(rejects.length > 0);
  assert.ok(found.every(({ balanced }) => balanced === true));
});

test('a second run inserts, updates and touches nothing, and reads nothing', async (context) => {
  const { pair, target } = context;
  const before = await touches(target, OURS, { locks: true });
  const summary = await up(pair);
  assert.equal(changed(summary), []);
  sameDump(await touches(target, OURS, { locks: true }), before);
  assert.equal(await read(target), []);
});

test('--full reads every row and changes nothing', async ({ pair, target }) => {
  const before = await touches(target, ['public', 'legacy_archive']);
  const summary = await up(pair, '--full');
  assert.equal(changed(summary), []);
  sameDump(await touches(target, ['public', 'legacy_archive']), before);
  const rows = await target<{ entity: string }[]>`
    select entity from migration.control
    where run = (select max(run) from migration.control)
      and rows_read is distinct from source - filtered - rejected`;
  const archived = catalog.archive.map(({ name }) => name);
  assert.equal(
    rows.map(({ entity }) => entity).filter((entity) => !archived.includes(entity)),
    [],
  );
});

test('a dry run counts what changed in the source and changes nothing', async (context) => {
  const { pair, source, target } = context;
  await source`update dispatch_office set name = 'moved' where id = (
    select min(id) from dispatch_office)`;
  await source.unsafe(`
    create temporary table one as select * from dispatch_office order by id limit 1;
    update one set id = 100000, name = 'new';
    insert into dispatch_office select * from one`);
  const before = await touches(target, [...OURS, 'migration']);
  const { code, stdout, stderr } = await runner(pair, ['up', '--dry-run']);
  assert.is(code, 0, stderr);
  assert.match(stderr, /✓ 1-foundation +\d of 9 +1 new +1 changed/);
  assert.match(stdout, 'nothing is changed');
  sameDump(await touches(target, [...OURS, 'migration']), before);
});

test('the next run brings just that', async ({ pair, target }) => {
  const summary = await up(pair);
  assert.equal(changed(summary), ['offices 1 1']);
  const rows = await target`
    select o.name from public.offices as o join ids.offices as m on m.id = o.id
    where m.legacy_id = 100000 or o.name = 'moved' order by 1`;
  assert.equal(
    rows.map(({ name }) => name as string),
    ['moved', 'new'],
  );
});

test('a phase with others on top of it is not taken down, and they are named', async (context) => {
  const { pair, target } = context;
  const before = await touches(target, [...OURS, 'migration']);
  const { code, stderr } = await runner(pair, ['down', '2-core', '--yes']);
  assert.is(code, 1);
  for (const phase of LATER) assert.match(stderr, phase);
  assert.not.match(stderr, '1-foundation');
  assert.match(stderr, '--cascade');
  sameDump(await touches(target, [...OURS, 'migration']), before);
});

test('down --dry-run shows the rows and changes nothing', async ({ pair, target }) => {
  const before = await touches(target, [...OURS, 'migration']);
  const triggers = await dumpCatalog(target);
  const shown = await succeed(pair, ['down', '2-core', '--cascade', '--dry-run']);
  assert.match(shown.stdout, /2-core +orders +231\b/);
  assert.match(shown.stdout, 'nothing was changed');
  sameDump(await touches(target, [...OURS, 'migration']), before);
  sameDump(await dumpCatalog(target), triggers);
});

test('down --cascade, then up: the same rows with the same ids', async ({ pair, target }) => {
  const before = await dumpRows(target, { clock: false });
  const ids = await mapped(target);
  await succeed(pair, ['down', '2-core', '--cascade', '--yes']);
  const [rows] = await target<{ patients: number; tasks: number; offices: number }[]>`
    select (select count(*)::integer from public.patients) as patients,
      (select count(*)::integer from public.tasks) as tasks,
      (select count(*)::integer from public.offices) as offices`;
  assert.equal({ ...rows }, { patients: 0, tasks: 0, offices: 14 });
  const { phases } = await statusOf(pair);
  assert.equal(
    phases.filter(({ status }) => status === 'complete').map(({ phase }) => phase),
    ['1-foundation', 'archive'],
  );
  await up(pair);
  sameDump(await dumpRows(target, { clock: false }), before);
  assert.equal(await mapped(target), ids);
});

test('down refuses where the application changed our rows, and lists them; --force does it', async ({
  pair,
  target,
}) => {
  const changedRows = await target`
    update public.case_states set metadata = '{}'
    where id = (select id from ids.case_states order by legacy_id limit 1) returning id`;
  assert.is(changedRows.length, 1);
  const before = await touches(target);
  const refused = await runner(pair, ['down', '7-state', '--yes', '--json']);
  assert.is(refused.code, 1);
  const { verdict, entities: steps } = lastLine<{
    verdict: string;
    entities: { entity: string; touched: number }[];
  }>(refused);
  assert.is(verdict, 'stopped');
  assert.equal(
    steps.filter(({ touched }) => touched > 0).map(({ entity }) => entity),
    ['case_states'],
  );
  sameDump(await touches(target), before);
  await succeed(pair, ['down', '7-state', '--force', '--yes']);
  const [rows] = await target<{ count: number }[]>`
    select count(*)::integer as count from public.case_states`;
  assert.is(rows?.count, 0);
});

test('down of everything: rows and schema are those after the schema changes', async (context) => {
  const { pair, target, before } = context;
  await succeed(pair, ['down', '1-foundation', '--cascade', '--yes']);
  await succeed(pair, ['down', 'archive', '--yes']);
  sameDump(await dumpRows(target, { clock: true }), before.rows);
  sameDump(await dumpCatalog(target), before.catalog);
  assert.is((await statusOf(pair)).verdict, 'Nothing is migrated yet.');
  const archive = await target`
    select relname from pg_class where relnamespace = 'legacy_archive'::regnamespace`;
  assert.equal([...archive], []);
});

async function statusOf(pair: TestPair): Promise<Awaited<ReturnType<typeof up>>> {
  return lastLine(await succeed(pair, ['status', '--json']));
}

/** Entities that a run changed: `name inserted updated`. */
function changed({ entities: found }: Awaited<ReturnType<typeof up>>): string[] {
  return found
    .filter(({ inserted, updated }) => inserted !== 0 || updated !== 0)
    .map(({ entity, inserted, updated }) => `${entity} ${inserted} ${updated}`);
}

/** Entities of which the last run read rows. */
async function read(target: Sql): Promise<string[]> {
  const rows = await target<{ entity: string }[]>`
    select entity from migration.control
    where run = (select max(run) from migration.control) and rows_read > 0 order by 1`;
  return rows.map(({ entity }) => entity);
}

async function mapped(target: Sql): Promise<string[]> {
  const lists = await Promise.all(
    entities.map(
      ({ name }) => target<{ line: string }[]>`
        select concat_ws(' ', ${name}::text, legacy_id, id, adopted) as line
        from ids.${target(name)} order by legacy_id`,
    ),
  );
  return lists.flat().map(({ line }) => line);
}

test.run();
