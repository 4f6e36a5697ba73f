import { named } from '../quote.ts';
import type { Draft } from './draft.ts';
import type { Files } from './project.ts';
import { isText } from '../engine/render.ts';
import { literal } from '../quote.ts';
import type { TableColumn } from './tables.ts';

/** A value as a statement has it, and as to_jsonb shows what becomes of it; null = NULL. */
type Value = { literal: string; json: unknown };

const UUID = '00000000-0000-0000-0000-000000000001';

/**
 * A case for a drafted entity: one row with a value in every column whose conversion is plain. None where the
 * row would need one of another table, a value nobody can make up, or a key that is no whole number.
 */
export function caseFiles(draft: Draft): Files | undefined {
  const { source, target, key, columns, joins } = draft;
  const isPlain = key.length === 1 && !draft.legacyKey.includes('(') && joins.length === 0;
  const refers = new Set(source.foreign_keys.flatMap((each) => each.columns));
  const given = new Map<string, Value>();
  for (const column of source.columns) {
    const partners = columns.filter(({ from }) => from === column.name);
    const stored = partners.flatMap(
      ({ name }) => target.columns.find((each) => each.name === name) ?? [],
    );
    const value = refers.has(column.name) ? undefined : valueOf(column);
    const isKept = value !== undefined && stored.every((each) => isAlike(column, each));
    if (key.includes(column.name) ? value : isKept && (stored.length > 0 || column.required)) {
      if (value !== undefined) given.set(column.name, value);
    } else if (column.required && !column.has_default) return undefined;
  }
  if (!isPlain) return undefined;
  const row = Object.fromEntries(
    columns.map(({ name, from = '' }) => {
      const stored = target.columns.find((each) => each.name === name);
      return [name, stored === undefined ? null : shown(given.get(from), stored)] as const;
    }),
  );
  if (target.columns.some(({ name, required }) => required && row[name] === null)) return undefined;
  const names = [...given.keys()].map(named).join(', ');
  const values = [...given.values()].map((each) => each.literal).join(', ');
  const table = `${named(source.schema)}.${named(source.name)}`;
  return new Map([
    [
      `test/cases/${draft.name}/source.sql`,
      `insert into ${table} (${names}) values\n  (${values});\n`,
    ],
    [
      `test/cases/${draft.name}/expected.json`,
      `${JSON.stringify({ rows: { 1: row } }, null, 2)}\n`,
    ],
  ]);
}

function valueOf({ type, labels, generated }: TableColumn): Value | undefined {
  if (generated) return undefined;
  if (labels !== null) return { literal: literal(labels[0] ?? ''), json: labels[0] };
  if (isText(type)) return { literal: `'a'`, json: 'a' };
  if (/^(smallint|integer|bigint|numeric.*|real|double precision)$/.test(type)) {
    return { literal: '1', json: 1 };
  }
  if (type === 'boolean') return { literal: 'true', json: true };
  if (type === 'date') return { literal: `'2024-05-06'`, json: '2024-05-06' };
  if (/^timestamp(\(\d\))? with/.test(type)) {
    const zone = type.endsWith('without time zone') ? '' : '+00:00';
    const json = `2024-05-06T07:08:09${zone}`;
    return { literal: literal(json), json };
  }
  if (type === 'uuid') return { literal: literal(UUID), json: UUID };
  if (/^jsonb?$/.test(type)) return { literal: `'{}'`, json: {} };
  return undefined;
}

/** A value of the one is shown as one of the other. */
function isAlike(from: TableColumn, to: TableColumn): boolean {
  const kind = ({ type, labels }: TableColumn) =>
    labels !== null || isText(type)
      ? 'text'
      : type.replace(/^(smallint|integer|bigint|numeric|real|double precision)\b.*/, 'number');
  const isPossible =
    to.labels === null || from.labels?.[0] === undefined || to.labels.includes(from.labels[0]);
  return kind(from) === kind(to) && isPossible && (to.labels === null || from.labels !== null);
}

/** A numeric is a string, with the digits of its column. */
function shown(value: Value | undefined, { type }: TableColumn): unknown {
  if (value === undefined) return null;
  if (!type.startsWith('numeric') || typeof value.json !== 'number') return value.json;
  const digits = Number(/,(\d+)\)/.exec(type)?.[1] ?? 0);
  return value.json.toFixed(digits);
}
