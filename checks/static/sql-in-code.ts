import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { positionAt, type Problem } from '../../runner/engine/text.ts';
import { literalsOf } from './literals.ts';

/** Files that may hold SQL, and why. */
const ALLOWED: Record<string, string> = {
  'runner/engine/render.ts': 'the renderer: what depends on the columns of an entity',
  'runner/scaffold/case.ts': 'the row of a case, as a person would write it',
  'runner/scaffold/text.ts': 'the file of an entity, as a person would write it',
  'runner/connection/unreachable.ts': 'what a person is told to run',
  'runner/engine/doctor.ts': 'what a person is told to run',
  'runner/engine/preflight.ts': 'words of a message',
  'runner/engine/fit.ts': 'words of a message',
};

const STATEMENTS = [
  /\bselect\b[^;]*?\bfrom\b/i,
  /\binsert\s+into\b/i,
  /\bupdate\s+[\w."]+(\s+as\s+\w+)?\s+set\b/i,
  /\bdelete\s+from\b/i,
  /\bwith\s+(recursive\s+)?\w+(\s*\([^)]*\))?\s+as\s+(not\s+materialized\s+|materialized\s+)?\(/i,
  /\b(create|alter|drop)\s+(or\s+replace\s+|temp\w*\s+|unique\s+|materialized\s+|foreign\s+)*(table|view|function|schema|index|trigger|type|domain|sequence|extension|server|user\s+mapping|role|policy|publication)\b/i,
  /\b(grant|revoke)\s+[\w ,]+\s+on\b/i,
  /\btruncate\s+[\w."]+/i,
  /\bdo\s+\$/i,
];
// One call, all of its rows: every column, or some.
const CALL =
  /^\s*select\s+(\*|[\w.]+(\s*,\s*[\w.]+)*)\s+from\s+(migration|merge)\.\w+\((?:(?!\b(from|select)\b)[^;])*\)(\s+as\s+\w+\s+\(\w+\))?\s*;?\s*$/i;

/**
 * Problem: SQL in a string of TypeScript is read by no check, cannot be called from psql and is in no golden file;
 * what is done to data belongs into sql/engine.
 * Fix: make it a function of schema migration, and call it: `select * from migration.f($1)`.
 */
export function sqlInCode(root: string): Problem[] {
  if (!existsSync(join(root, 'runner'))) return [];
  return codeFiles(root).flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const found = literalsOf(text)
      .filter((literal) => holdsSql(literal.text))
      .toSorted((a, b) => a.offset - b.offset);
    const at = (offset: number, message: string, fix: string) => ({
      rule: 'sql-in-code',
      file,
      ...positionAt(text, offset),
      message,
      fix,
    });
    if (Object.hasOwn(ALLOWED, file)) {
      const fix = 'take it off the list in checks/static/sql-in-code.ts';
      return found.length > 0 ? [] : [at(0, 'the file may hold SQL, and holds none any more', fix)];
    }
    const fix = 'make it a function in sql/engine and call that';
    return found.map(({ offset }) => at(offset, 'SQL in a string of TypeScript', fix));
  });
}

function holdsSql(text: string): boolean {
  return !CALL.test(text) && STATEMENTS.some((statement) => statement.test(text));
}

function codeFiles(root: string): string[] {
  return readdirSync(join(root, 'runner'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `runner/${path.replaceAll('\\', '/')}`)
    .toSorted();
}
