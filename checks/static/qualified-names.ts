import type { Problem } from '../../runner/engine/text.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { problem, type ViewFile } from './sql.ts';

const BUILT_IN = new Set(
  `bool boolean bytea date float4 float8 inet int2 int4 int8 interval json jsonb name numeric oid text
   time timestamp timestamptz timetz uuid varchar xml`.split(/\s+/),
);

/**
 * Problem: a name without its schema means whatever the search_path says, and a view may read only the
 * source (legacy) and the id maps (ids): anything else is not in the balance or in the lineage.
 * Fix: write legacy.<table>, ids.<entity>, and types of a schema that entities write to (public.<type>), or of the
 * source's enums (legacy.<type>).
 */
export function qualifiedNames(file: ViewFile, schemas: readonly string[]): Problem[] {
  const report = (offset: number | undefined, message: string, fix: string) =>
    problem('qualified-names', file, offset ?? 0, message, fix);
  const ctes = new Set(all(file.statements, 'CommonTableExpr').map((cte) => cte.ctename));

  const relations = all({ query: file.view?.query }, 'RangeVar').flatMap((relation) => {
    const { schemaname: schema, relname: name = '', location } = relation;
    if (schema === 'legacy' || schema === 'ids' || (!schema && ctes.has(name))) return [];
    const fix = 'read from legacy.<table> and ids.<entity> only';
    return [
      schema
        ? report(location, `${schema}.${name} is neither the source nor an id map`, fix)
        : report(location, `${name} has no schema`, fix),
    ];
  });

  const types = all(file.statements, 'TypeName').flatMap((type) => {
    const [schema, name] =
      type.names?.length === 1 ? [null, ...words(type.names)] : words(type.names);
    if (schema !== null && [...schemas, 'pg_catalog', 'public', 'legacy'].includes(schema ?? '')) {
      return [];
    }
    if (schema === null && BUILT_IN.has(name ?? '')) return [];
    const message =
      schema === null
        ? `the type ${name ?? ''} is not built in and has no schema`
        : `the type ${schema ?? ''}.${name ?? ''} is not the application's`;
    return [report(type.location, message, 'write public.<type>')];
  });
  return [...relations, ...types];
}
