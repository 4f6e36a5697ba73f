import type { Problem } from '../../runner/engine/text.ts';
import { isVolatile } from './deterministic.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

// Checked: immutable, or stable only by settings that every transaction fixes (TimeZone, DateStyle).
const KNOWN = new Set(
  `abs array_append array_length array_position array_remove array_to_string btrim cardinality ceil
   char_length concat concat_ws floor jsonb_array_length jsonb_build_array jsonb_build_object jsonb_set
   jsonb_strip_nulls jsonb_typeof left length lower lpad ltrim position regexp_replace replace right round
   rpad rtrim split_part string_to_array strpos substring timezone to_jsonb translate trunc upper
   array_agg avg bool_and bool_or count jsonb_agg jsonb_object_agg max min string_agg sum
   dense_rank first_value lag last_value lead rank row_number`
    .split(/\s+/)
    .map((name) => `pg_catalog.${name}`),
)
  .add('migration.try_jsonb')
  .add('migration.key_number');

/**
 * Problem: a function that is not on the list may be volatile, may be missing on one of the two sides, or
 * may return many rows.
 * Fix: use one of the list; or check its volatility (pg_proc.provolatile) and add it to `functions` in
 * sql/settings.json.
 */
export function knownFunctions(file: ViewFile, ours: readonly string[]): Problem[] {
  const known = new Set([...KNOWN, ...ours.map((name) => qualified(name.split('.')))]);
  return all(file.statements, 'FuncCall')
    .map((call) => ({ name: words(call.funcname), offset: call.location ?? 0 }))
    .filter(({ name }) => !known.has(qualified(name)) && !isVolatile(name))
    .map(({ name, offset }) => {
      const message = `${name.join('.')}() is not on the list of known functions`;
      const fix = 'check its volatility (pg_proc.provolatile), then add it to sql/settings.json';
      return problem('known-functions', file, offset, message, fix);
    });
}

function qualified(name: string[]): string {
  return name.length === 1 ? `pg_catalog.${name[0]}` : name.join('.');
}
