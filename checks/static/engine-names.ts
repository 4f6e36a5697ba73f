import { parsePlPgSQLSync, parseSync, type Node, type RawStmt } from 'libpg-query';
import { positionAt, type Problem } from '../../runner/engine/text.ts';
import { all, isObject, words } from '../../runner/engine/grammar.ts';
import { problem, problemAtLine, startOf, type SqlFile } from './sql.ts';

const FIX = 'write migration.<table>, pg_temp.<table>, public.<type>, extensions.<function>()';
const BUILT_IN = new Set(
  `any bit bool boolean bytea char date float4 float8 inet int2 int4 int8 interval json jsonb name numeric oid
   record regclass regnamespace regproc regprocedure regrole regtype text time timestamp timestamptz timetz
   trigger uuid varbit varchar void xid xml`.split(/\s+/),
);
const EXTENSION = /^(dblink|uuid_generate|uuid_ns|crypt$|gen_salt|digest$|hmac$)/;

/**
 * Problem: the functions of the engine run under `pg_catalog, pg_temp`, and some under the search_path of the
 * application: a table, a type or a function of an extension without its schema is not found there, or is another
 * one. In a golden file it shows that the shape was read under another search_path.
 * Fix: name the schema.
 */
export function engineNames(sql: SqlFile): Problem[] {
  return sql.statements.flatMap((statement) => {
    const { stmt } = statement;
    if (stmt === undefined || !('CreateFunctionStmt' in stmt)) return [];
    const start = startOf(sql, statement);
    const found = new Map<string, Problem>();
    const body = readBody(sql, statement, stmt);
    if (typeof body === 'string') {
      return [
        problem('engine-names', sql, start, `its body cannot be read: ${body}`, 'correct it'),
      ];
    }
    for (const { tree, line } of body) {
      for (const what of withoutSchema(tree)) {
        const text = `${what} has no schema`;
        const place =
          line === undefined
            ? problem('engine-names', sql, start, text, FIX)
            : problemAtLine('engine-names', sql, line, 1, text, FIX);
        found.set(`${place.line} ${what}`, place);
      }
    }
    return [...found.values()];
  });
}

/** What `bodyOf` has, or why the grammar cannot read it. */
function readBody(...parameters: Parameters<typeof bodyOf>): ReturnType<typeof bodyOf> | string {
  try {
    return bodyOf(...parameters);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The statements and expressions of a function, with the line of the file where that is known. */
function bodyOf(
  sql: SqlFile,
  { stmt_location: from = 0, stmt_len: length = sql.bytes.length }: RawStmt,
  statement: Node,
): { tree: unknown; line?: number }[] {
  if (!('CreateFunctionStmt' in statement)) return [];
  const { options, sql_body: inline, parameters, returnType } = statement.CreateFunctionStmt;
  const option = (name: string) =>
    all({ options }, 'DefElem').find(({ defname }) => defname === name)?.arg;
  const signature = [{ tree: { parameters, returnType, inline } }];
  const [body] = all({ body: option('as') }, 'String');
  if (body?.sval === undefined) return signature;
  const [language] = all({ of: option('language') }, 'String');
  if (language?.sval === 'sql') return [...signature, { tree: parseSync(body.sval) }];
  if (language?.sval !== 'plpgsql') return signature;
  const text = sql.bytes.subarray(from, from + length).toString();
  const first = positionAt(sql.text, sql.text.indexOf(body.sval)).line;
  const trees = expressions(parsePlPgSQLSync(text)).map(({ query, mode, line }) => ({
    tree: parsed(query, mode),
    line: first + line - 1,
  }));
  return [...signature, ...trees];
}

/** Every piece of SQL in the body of a PL/pgSQL function; lines from 1, where the body begins. */
function expressions(tree: unknown): { query: string; mode: number; line: number }[] {
  const found: { query: string; mode: number; line: number }[] = [];
  const visit = (value: unknown, line: number): void => {
    if (Array.isArray(value)) for (const each of value) visit(each, line);
    else if (isObject(value)) {
      const { lineno, query, parseMode } = value as Record<string, unknown>;
      const here = typeof lineno === 'number' ? lineno : line;
      if (typeof query === 'string')
        found.push({ query, mode: Number(parseMode ?? 0), line: here });
      for (const each of Object.values(value)) visit(each, here);
    }
  };
  visit(tree, 1);
  return found;
}

/** Statements as they are; of expressions and assignments the expression. */
function parsed(query: string, mode: number): unknown {
  if (mode === 0) return parseSync(query);
  return parseSync(`select ${mode === 2 ? query : query.replace(/^[^:=]*:?=/, '')}`);
}

function withoutSchema(tree: unknown): string[] {
  const ctes = new Set(all({ tree }, 'CommonTableExpr').map(({ ctename }) => ctename));
  // FOR UPDATE OF names an alias
  const locked = new Set(
    all({ tree }, 'LockingClause').flatMap(({ lockedRels = [] }) =>
      all({ lockedRels }, 'RangeVar').map(({ relname }) => relname),
    ),
  );
  const tables = all({ tree }, 'RangeVar').filter(
    ({ schemaname, relname = '', relpersistence }) =>
      schemaname === undefined &&
      relpersistence !== 't' &&
      !relname.startsWith('pg_') &&
      !ctes.has(relname) &&
      !locked.has(relname),
  );
  const types = all({ tree }, 'TypeName').filter(
    ({ names = [] }) => names.length === 1 && !BUILT_IN.has(words(names)[0] ?? ''),
  );
  const functions = all({ tree }, 'FuncCall').filter(
    ({ funcname = [] }) => funcname.length === 1 && EXTENSION.test(words(funcname)[0] ?? ''),
  );
  return [
    ...tables.map(({ relname }) => `the table ${relname ?? ''}`),
    ...types.map(({ names }) => `the type ${words(names)[0] ?? ''}`),
    ...functions.map(({ funcname }) => `the function ${words(funcname)[0] ?? ''}`),
  ];
}
