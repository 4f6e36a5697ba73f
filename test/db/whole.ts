/* A project from the first run to the last row taken back: what holds for every project, in this order. */
import type { Sql } from 'postgres';
import type { uvu } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog, targetSchemas } from '../../runner/engine/catalog.ts';
import type { Summary } from '../../runner/engine/summary.ts';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair, TestPairOptions } from '../pair.ts';
import {
  type Dump,
  dumpCatalog,
  dumpRows,
  lastLine,
  sameDump,
  succeed,
  touches,
} from '../runner.ts';

/** A pair with the sample of a project; nothing is migrated at first. */
export interface Whole {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** After the additive schema changes, before the first row. */
  before: { rows: Dump; catalog: Dump };
}

/** Adds the pair to a suite; `plant` fills its target before the first run. */
export function onWhole(
  test: uvu.Test<Whole>,
  root: string,
  options: TestPairOptions,
  plant: (target: Sql) => Promise<unknown> = () => Promise.resolve(),
): void {
  test.before(async (context) => {
    Object.assign(context, await preparePair(options, root));
    const { target } = context;
    await plant(target);
    context.before = {
      rows: await dumpRows(target, { clock: true, root }),
      catalog: await catalogOf(target, root),
    };
  });
  test.after(dropPair);
}

/** Adds what holds of the first run of everything, and of those after it that find nothing to do. */
export function upTests(test: uvu.Test<Whole>, root: string): void {
  const catalog = readCatalog(root);
  const { length: phases } = [...catalog.phases, 'archive'];
  const all = [...catalog.phases.flatMap(({ entities }) => entities), ...catalog.archive];

  test('the whole sample: exit 0, a last line of JSON in the promised shape, every entity balanced', async ({
    pair,
    source,
  }) => {
    const ended = await succeed(pair, ['up', '--json'], { root });
    for (const line of ended.stdout.trimEnd().split('\n')) JSON.parse(line);
    const summary = lastLine(ended);
    assert.match(summary.verdict, `All ${phases} phases are complete`);
    assert.equal(
      summary.phases.map(({ phase, status }) => `${phase} ${status}`),
      [...catalog.phases.map(({ name }) => `${name} complete`), 'archive complete'],
    );
    assert.equal(
      summary.entities.map(({ entity, phase, target }) => [entity, phase, target]),
      all.map((e) => [e.name, e.phase, `${e.target.schema}.${e.target.table}`]),
    );
    await source`
      select set_config('search_path', ${catalog.settings.sourceSchemas.join(', ')}, false)`;
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
    const { verdict, phases: found, rejects, entities } = await statusOf(pair, root);
    assert.match(verdict, `All ${phases} phases are complete`);
    assert.ok(found.every(({ status }) => status === 'complete'));
    assert.ok(rejects.length > 0);
    assert.ok(entities.every(({ balanced }) => balanced === true));
  });

  test('a second run inserts, updates and touches nothing, and reads nothing', async (context) => {
    const { pair, target } = context;
    const before = await touches(target, schemasOf(root), { locks: true });
    const summary = await up(pair, root);
    assert.equal(changed(summary), []);
    sameDump(await touches(target, schemasOf(root), { locks: true }), before);
    const rows = await target`
      select entity from migration.control
      where run = (select max(run) from migration.control) and rows_read > 0`;
    assert.equal([...rows], []);
  });

  test('--full reads every row and changes nothing', async ({ pair, target }) => {
    const schemas = [...targetSchemas(catalog), 'legacy_archive'];
    const before = await touches(target, schemas);
    const summary = await up(pair, root, '--full');
    assert.equal(changed(summary), []);
    sameDump(await touches(target, schemas), before);
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
}

/** Adds what holds of the way back: all phases but the first, and again; then `last`, then everything. */
export function downTests(test: uvu.Test<Whole>, root: string, last: () => void = () => {}): void {
  const { phases, archive } = readCatalog(root);
  const [first = '', second = ''] = phases.map(({ name }) => name);
  const entities = phases.flatMap((phase) => phase.entities.map(({ name }) => name));
  const later = phases.slice(1).flatMap((phase) => phase.entities.map(({ name }) => name));
  const tables = phases.map((phase) => phase.entities.map(({ target }) => tableOf(target)));
  const emptied = new Set(tables.slice(1).flat());
  for (const table of tables[0] ?? []) emptied.delete(table);

  test('down --cascade, then up: the same rows with the same ids', async (context) => {
    const { pair, target } = context;
    const before = await dumpRows(target, { clock: false, root });
    const ids = await mapped(target, entities);
    await succeed(pair, ['down', second, '--cascade', '--yes'], { root });
    const taken = (dump: Dump) => new Map([...dump].filter(([table]) => emptied.has(table)));
    sameDump(taken(await dumpRows(target, { clock: true, root })), taken(context.before.rows));
    assert.equal(
      await mapped(target, entities),
      ids.filter((line) => !later.some((name) => line.startsWith(`${name} `))),
    );
    assert.equal(
      (await statusOf(pair, root)).phases
        .filter(({ status }) => status === 'complete')
        .map(({ phase }) => phase),
      [first, 'archive'],
    );
    await up(pair, root);
    sameDump(await dumpRows(target, { clock: false, root }), before);
    assert.equal(await mapped(target, entities), ids);
  });

  last();

  test('down of everything: rows and schema are those after the schema changes', async (context) => {
    const { pair, target, before } = context;
    await succeed(pair, ['down', first, '--cascade', '--yes'], { root });
    if (archive.length > 0) await succeed(pair, ['down', 'archive', '--yes'], { root });
    sameDump(await dumpRows(target, { clock: true, root }), before.rows);
    sameDump(await catalogOf(target, root), before.catalog);
    assert.is((await statusOf(pair, root)).verdict, 'Nothing is migrated yet.');
    const copies = await target`
      select relname from pg_class where relnamespace = 'legacy_archive'::regnamespace`;
    assert.equal([...copies], []);
  });
}

/** Where a migration of this project writes. */
export function schemasOf(root: string): string[] {
  return [...targetSchemas(readCatalog(root)), 'ids', 'legacy_archive'];
}

/** What the catalog says about every schema that a project writes to. */
export async function catalogOf(target: Sql, root: string): Promise<Dump> {
  const dump: Dump = new Map();
  for (const schema of targetSchemas(readCatalog(root))) {
    for (const [kind, entries] of await dumpCatalog(target, schema)) {
      dump.set(`${schema} ${kind}`, entries);
    }
  }
  return dump;
}

/** `up --json` of a project, which must succeed: its summary. */
export async function up(pair: TestPair, root: string, ...args: string[]): Promise<Summary> {
  return lastLine(await succeed(pair, ['up', '--json', ...args], { root }));
}

async function statusOf(pair: TestPair, root: string): Promise<Summary> {
  return lastLine(await succeed(pair, ['status', '--json'], { root }));
}

/** Entities that a run changed: `name inserted updated`. */
export function changed({ entities }: Summary): string[] {
  return entities
    .filter(({ inserted, updated }) => inserted !== 0 || updated !== 0)
    .map(({ entity, inserted, updated }) => `${entity} ${inserted} ${updated}`);
}

/** A table as dumpRows calls it. */
function tableOf({ schema, table }: { schema: string; table: string }): string {
  return schema === 'public' ? table : `${schema}.${table}`;
}

/** All rows of the id maps of these entities. */
async function mapped(target: Sql, entities: string[]): Promise<string[]> {
  const lists = await Promise.all(
    entities.map(
      (name) => target<{ line: string }[]>`
        select concat_ws(' ', ${name}::text, legacy_id, id, adopted) as line
        from ids.${target(name)} order by legacy_id`,
    ),
  );
  return lists.flat().map(({ line }) => line);
}
