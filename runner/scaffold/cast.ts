import { isText, unmodified } from '../engine/render.ts';
import { named } from '../quote.ts';
import type { TableColumn } from './tables.ts';

const WHOLE = new Set(['smallint', 'integer', 'bigint']);
const NUMBERS = new Set([...WHOLE, 'numeric', 'real', 'double precision']);
const TIMES = new Set(['timestamp without time zone', 'timestamp with time zone', 'date']);

/** True for the types of keys that are used as they are. */
export function isWhole({ type }: TableColumn): boolean {
  return WHOLE.has(type);
}

/** True for dates and times. */
export function isTime({ type }: TableColumn): boolean {
  return TIMES.has(unmodified(type) ?? type);
}

/** Whether a value of the one finds its row by the other, a key: numbers do, and texts; others by the same type. */
export function isComparable(one: TableColumn, key: TableColumn): boolean {
  const [a, b] = [one, key].map(({ type }) => unmodified(type) ?? type) as [string, string];
  return a === b || (WHOLE.has(a) && WHOLE.has(b)) || (isText(a) && isText(b));
}

/**
 * The expression that gives a source column the type of a target column, so that it fits, cuts nothing and rounds
 * nothing; undefined where no value of the one can be one of the other. `value` is the column as a view reads it,
 * `read` the type it has there, where that is another (keys are bigint).
 */
export function castTo(
  value: string,
  from: TableColumn,
  to: TableColumn,
  read = from.type,
): string | undefined {
  const wanted = unmodified(to.type) ?? to.type;
  const given = unmodified(read) ?? read;
  if (to.labels !== null) return `${value}::text::${quotedType(to)}`;
  // an enum, or a type that only the source has
  if (from.type_schema !== 'pg_catalog') return viaText(value, to, wanted);
  if (given === wanted || (isText(given) && isText(wanted))) return value;
  if (isText(wanted)) return `${value}::text`;
  if (wanted === 'bigint' && WHOLE.has(given)) return value;
  if (isText(given) || given.startsWith('character(')) return viaText(value, to, wanted);
  if (NUMBERS.has(given) && NUMBERS.has(wanted)) return `${value}::${wanted}`;
  if (WHOLE.has(given) && wanted === 'boolean') return `${value}::integer::boolean`;
  if (given === 'boolean' && WHOLE.has(wanted)) return `${value}::integer`;
  if (given === 'boolean' && wanted === 'numeric') return `${value}::integer::numeric`;
  if (given === 'money' && wanted === 'numeric') return `${value}::numeric`;
  if (TIMES.has(given) && TIMES.has(wanted)) return timeOf(value, given, wanted);
  if (/^jsonb?$/.test(given) && /^jsonb?$/.test(wanted)) return `${value}::${wanted}`;
  if (wanted === 'jsonb' && given.endsWith('[]')) return `to_jsonb(${value})`;
  if (given.endsWith('[]') && wanted.endsWith('[]')) return `${value}::${wanted}`;
  return undefined;
}

/** By its text: what is not a value of the type is an error of its row. */
function viaText(value: string, to: TableColumn, wanted: string): string | undefined {
  const text = `${value}::text`;
  if (isText(wanted)) return text;
  // a cast to char(n) cuts
  if (wanted.includes('(')) return undefined;
  if (to.type_schema === 'pg_catalog') return `${text}::${wanted}`;
  return `${text}::${quotedType(to)}`;
}

/** Times without a zone are UTC, as everywhere in a run. */
function timeOf(value: string, given: string, wanted: string): string {
  if (given === 'timestamp with time zone') {
    const local = `${value} at time zone 'UTC'`;
    return wanted === 'date' ? `(${local})::date` : local;
  }
  if (wanted === 'date') return `${value}::date`;
  if (wanted === 'timestamp without time zone') return `${value}::timestamp`;
  return `${value}${given === 'date' ? '::timestamp' : ''} at time zone 'UTC'`;
}

function quotedType({ type_schema: schema, type_name: name }: TableColumn): string {
  return `${named(schema)}.${named(name)}`;
}
