import type { Sql } from 'postgres';
import type { Catalog } from '../../runner/engine/catalog.ts';
import type { Entity } from '../../runner/engine/entity-file.ts';

/* What a case has become, against what it must become; one finding per place. */

type Text = Record<string, string>;

/** By key and column; values are jsonb as text, in the form of expected.json. */
export type Rows = Map<string, Map<string, string>>;

type Expected = { rows: Rows; rejected: Text; filtered: Text; missing: Text };

const PARTS = ['rows', 'each', 'rejected', 'filtered', 'missing'];
const OWN_COLUMNS = ['legacy_key', 'filter', 'missing', 'reject'];

/** A case of one entity, in the two databases it was played in. */
export interface Played {
  source: Sql;
  target: Sql;
  catalog: Catalog;
  entity: Entity;
}

/** Rows, rejects, filtered rows and missing references that are not as expected.json, `text`, says. */
export async function differences(
  { target, catalog, entity }: Played,
  text: string,
): Promise<string[]> {
  const expected = await readExpected(target, text);
  const supplied = await suppliedColumns(target, entity);
  const map = target`ids.${target(entity.name)}`;
  const found = {
    rejected: await target<{ key: string; value: string }[]>`
      select legacy_id::text as key, reason as value from migration.rejects
      where entity = ${entity.name} and resolved_run is null`,
    filtered: await target<{ key: string; value: string }[]>`
      select legacy_id::text as key, reason as value from migration.filtered
      where entity = ${entity.name}`,
    missing: await target<{ key: string; value: string }[]>`
      select legacy_id::text as key, missing as value from ${map} where missing is not null`,
  };
  const lines = compareRows(
    await resolved(target, catalog, expected.rows),
    await actualRows(target, entity),
    supplied,
  );
  for (const part of ['rejected', 'filtered', 'missing'] as const) {
    const actual = Object.fromEntries(found[part].map(({ key, value }) => [key, value]));
    for (const key of sortedKeys([...Object.keys(actual), ...Object.keys(expected[part])])) {
      lines.push(...compare(key, part, expected[part][key], actual[key]));
    }
  }
  return lines;
}

function compareRows(expected: Rows, actual: Rows, supplied: string[]): string[] {
  const lines: string[] = [];
  for (const key of sortedKeys([...expected.keys(), ...actual.keys()])) {
    const [wanted, stored] = [expected.get(key), actual.get(key)];
    if (wanted === undefined || stored === undefined) {
      lines.push(...compare(key, 'row', wanted && 'a row', stored && 'a row'));
      continue;
    }
    const columns = [...new Set([...supplied, ...wanted.keys()])].toSorted();
    for (const column of columns) {
      if (!supplied.includes(column) && column !== 'id') {
        lines.push(`${key}  ${column}\n    expected, but the view does not supply it`);
      } else if (!wanted.has(column)) {
        lines.push(`${key}  ${column}\n    supplied by the view, but not expected`);
      } else {
        lines.push(...compare(key, column, wanted.get(column), stored.get(column)));
      }
    }
  }
  return lines;
}

/** One entry per differing place; of an object only the places that differ. */
function compare(key: string, place: string, expected?: string, actual?: string): string[] {
  if (expected === actual) return [];
  if (expected?.startsWith('{') && actual?.startsWith('{')) {
    const wanted = JSON.parse(expected) as Record<string, unknown>;
    const stored = JSON.parse(actual) as Record<string, unknown>;
    const lines = [...new Set([...Object.keys(wanted), ...Object.keys(stored)])].flatMap((name) =>
      compare(key, `${place}.${name}`, shown(wanted[name]), shown(stored[name])),
    );
    // none: numbers that JSON.parse cannot tell apart
    if (lines.length > 0) return lines;
  }
  return [
    `${key}  ${place}\n    expected  ${expected ?? 'nothing'}\n    actual    ${actual ?? 'nothing'}`,
  ];
}

function shown(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** Counts of the run and of both databases that do not fit, and rejects without their raw row. */
export async function imbalances({ source, target, entity }: Played): Promise<string[]> {
  const [counts] = await target<{ source: number; sum: number; balanced: boolean }[]>`
    select source::integer,
      (inserted + updated + unchanged + kept + rejected + filtered)::integer as sum, balanced
    from migration.control where entity = ${entity.name} order by run desc limit 1`;
  const [kept] = await target<{ sum: number; bare: number }[]>`
    select
      (select count(*) from ids.${target(entity.name)})::integer
        + (select count(*) from migration.rejects where entity = ${entity.name})::integer
        + (select count(*) from migration.filtered where entity = ${entity.name})::integer as sum,
      (select count(*) from migration.rejects
       where entity = ${entity.name} and (source_row is null
         or (source_row ->> 'id' ~ '^-?\\d+$' and source_row ->> 'id' <> legacy_id::text))
      )::integer as bare`;
  const [there] = entity.source
    ? await source<{ rows: number }[]>`
        select count(*)::integer as rows from ${source(entity.source)}`
    : [{ rows: 1 }];
  const sums = [counts?.source, counts?.sum, kept?.sum];
  return [
    ...(sums.every((sum) => sum === there?.rows) && counts?.balanced === true
      ? []
      : [`does not balance: ${there?.rows} source rows, in the ledger ${JSON.stringify(sums)}`]),
    ...(kept?.bare === 0 ? [] : [`${kept?.bare} rejects are without their source row`]),
  ];
}

/** What the run changed in rows that were there before and was not asked to. */
export async function disturbed(
  { target, catalog, entity }: Played,
  before: Rows,
): Promise<string[]> {
  const after = await tableOf(target, entity);
  const supplied = await suppliedColumns(target, entity);
  const siblings = catalog.phases
    .flatMap((phase) => phase.entities)
    .filter(({ target: { schema, table } }) => {
      return schema === entity.target.schema && table === entity.target.table;
    });
  const adopted = new Set<string>();
  for (const { name } of siblings) {
    const ids = await target<{ id: string }[]>`select id::text from ids.${target(name)}`;
    for (const { id } of ids) adopted.add(id);
  }
  const lines: string[] = [];
  for (const [id, row] of after) {
    const old = before.get(id);
    if (old === undefined) {
      if (!adopted.has(id)) lines.push(`${id}  is in the table and in no id map`);
      continue;
    }
    for (const [column, value] of row) {
      if (adopted.has(id) && (supplied.includes(column) || column === 'updated_at')) continue;
      lines.push(...compare(id, column, old.get(column), value));
    }
  }
  for (const id of before.keys()) if (!after.has(id)) lines.push(`${id}  is gone from the table`);
  return lines;
}

async function readExpected(target: Sql, text: string): Promise<Expected> {
  const parsed = JSON.parse(text) as Partial<Expected>;
  const unknown = Object.keys(parsed).filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) {
    throw new Error(`expected.json: ${unknown.join(', ')} is none of ${PARTS.join(', ')}`);
  }
  // jsonb keeps every digit of a number, JSON.parse does not
  const cells = await target<Cell[]>`
    select r.key, c.key as column, c.value::text as value
    from (select ${text}::text::jsonb as file) as e
    cross join lateral jsonb_each(e.file -> 'rows') as r
    cross join lateral jsonb_each(coalesce(e.file -> 'each', '{}') || r.value) as c`;
  const { rejected = {}, filtered = {}, missing = {} } = parsed;
  return { rows: rowsOf(cells), rejected, filtered, missing };
}

async function actualRows(target: Sql, entity: Entity): Promise<Rows> {
  return rowsOf(
    await target<Cell[]>`
      select m.legacy_id::text as key, c.key as column, ${valueText(target, entity)} as value
      from ids.${target(entity.name)} as m
      join ${tableName(target, entity)} as t on t.id = m.id
      cross join lateral jsonb_each(to_jsonb(t)) as c`,
  );
}

/** The rows of the target table by id. */
export async function tableOf(target: Sql, entity: Entity): Promise<Rows> {
  return rowsOf(
    await target<Cell[]>`
      select t.id::text as key, c.key as column, ${valueText(target, entity)} as value
      from ${tableName(target, entity)} as t
      cross join lateral jsonb_each(to_jsonb(t)) as c`,
  );
}

/** A jsonb value as expected.json has it: a numeric column is a string. */
function valueText(target: Sql, { target: { schema, table } }: Entity) {
  return target`
    case
      when jsonb_typeof(c.value) = 'number' and exists (
        select from pg_attribute as a
        where a.attrelid = to_regclass(${`${schema}.${table}`}::text) and a.attname = c.key
          and a.atttypid = 'numeric'::regtype
      ) then to_jsonb(c.value::text)::text
      else c.value::text
    end`;
}

/** `"people:17"` becomes the id of that row; one that is not there stays as it is. */
async function resolved(target: Sql, catalog: Catalog, rows: Rows): Promise<Rows> {
  const names = catalog.phases.flatMap((phase) => phase.entities.map(({ name }) => name));
  const ids = new Map<string, string>();
  for (const row of rows.values()) {
    for (const [column, value] of row) {
      const [, name, key] = /^"([a-z][a-z0-9_]*):(-?\d+)"$/.exec(value) ?? [];
      if (name === undefined || key === undefined || !names.includes(name)) continue;
      if (!ids.has(value)) {
        const [found] = await target<{ id: string }[]>`
          select id::text from ids.${target(name)} where legacy_id = ${key}`;
        ids.set(value, found === undefined ? value : JSON.stringify(found.id));
      }
      row.set(column, ids.get(value) ?? value);
    }
  }
  return rows;
}

type Cell = { key: string; column: string; value: string };

function rowsOf(cells: Cell[]): Rows {
  const rows: Rows = new Map();
  for (const { key, column, value } of cells) {
    const row = rows.get(key) ?? new Map<string, string>();
    rows.set(key, row.set(column, withoutZeros(value)));
  }
  return rows;
}

/** Of numbers that are no strings: prettier takes 10.50 in expected.json for 10.5. */
function withoutZeros(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|\d+\.\d+/g, (token) =>
    token.startsWith('"') ? token : token.replace(/\.?0+$/, ''),
  );
}

async function suppliedColumns(target: Sql, entity: Entity): Promise<string[]> {
  const columns = await target<{ name: string }[]>`
    select a.attname as name from pg_attribute as a
    where a.attrelid = to_regclass(${`transform.${entity.name}`}::text) and a.attnum > 0`;
  return columns.map(({ name }) => name).filter((name) => !OWN_COLUMNS.includes(name));
}

function tableName(target: Sql, { target: { schema, table } }: Entity) {
  return target`${target(schema)}.${target(table)}`;
}

function sortedKeys(keys: string[]): string[] {
  return [...new Set(keys)].toSorted((a, b) => Number(a) - Number(b));
}
