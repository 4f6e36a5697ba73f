import type { Node } from 'libpg-query';
import { all } from '../../runner/engine/grammar.ts';
import type { Problem } from '../../runner/engine/text.ts';
import { problem, type SqlFile, startOf } from './sql.ts';

const ADDITIVE = /^schema-changes\/additive\//;
// the marker that node-pg-migrate looks for
const DOWN = /^\s*--[\s-]*down\s+migration/im;

/**
 * Problem: an additive change that fails where its result is there already. After `uninstall` the ledger no
 * longer knows which changes were made, and the next `up` makes all of them again; so does one on a target that
 * a former migration prepared.
 * Fix: IF NOT EXISTS, IF EXISTS, OR REPLACE, ON CONFLICT; or drop it by the same name first, with IF EXISTS; or a
 * DO block that looks before.
 */
export function repeatable(sql: SqlFile): Problem[] {
  if (!ADDITIVE.test(sql.file)) return [];
  const down = DOWN.exec(sql.text)?.index ?? sql.text.length;
  const end = Buffer.byteLength(sql.text.slice(0, down));
  const dropped = new Set<string>();
  return sql.statements.flatMap((statement) => {
    const { stmt } = statement;
    const start = startOf(sql, statement);
    if (stmt === undefined || start >= end) return [];
    const fixes = fixesOf(stmt, dropped);
    return fixes.map((fix) =>
      problem('repeatable', sql, start, 'fails where it was made before', fix),
    );
  });
}

/** What each part of a statement lacks; notes what is dropped with IF EXISTS. */
function fixesOf(stmt: Node, dropped: Set<string>): string[] {
  const [kind, node] = (Object.entries(stmt) as [string, Row][])[0] ?? ['', {}];
  const lacks = (is: unknown, words: string) => (is === true ? [] : [`say ${words}`]);
  switch (kind) {
    case 'CreateStmt':
    case 'IndexStmt':
    case 'CreateSeqStmt':
    case 'CreateSchemaStmt':
    case 'CreateExtensionStmt':
      return lacks(node['if_not_exists'], 'IF NOT EXISTS');
    case 'ViewStmt':
    case 'CreateFunctionStmt':
      return lacks(node['replace'], 'OR REPLACE');
    case 'InsertStmt':
      return lacks(node['onConflictClause'] !== undefined, 'ON CONFLICT');
    case 'AlterEnumStmt':
      return lacks(node['skipIfNewValExists'], 'IF NOT EXISTS');
    case 'RenameStmt':
      return ['look before it, in a DO block'];
    case 'DropStmt':
      if (node['missing_ok'] === true) for (const name of namesOf(node)) dropped.add(name);
      return lacks(node['missing_ok'], 'IF EXISTS');
    case 'CreatePolicyStmt':
      return afterDrop(node['policy_name'], dropped);
    case 'CreateTrigStmt':
      return node['replace'] === true ? [] : afterDrop(node['trigname'], dropped);
    case 'CreateEnumStmt':
    case 'CreateDomainStmt':
      return afterDrop(
        namesOf({ objects: node['typeName'] ?? node['domainname'] }).at(-1),
        dropped,
      );
    case 'AlterTableStmt':
      return all(node, 'AlterTableCmd').flatMap((command) => ofTable({ ...command }, dropped));
    default:
      return [];
  }
}

type Row = Record<string, unknown>;

function ofTable(command: Row, dropped: Set<string>): string[] {
  const { subtype, missing_ok: said, name } = command;
  if (subtype === 'AT_AddColumn') return said === true ? [] : ['say ADD COLUMN IF NOT EXISTS'];
  if (subtype === 'AT_DropColumn') return said === true ? [] : ['say DROP COLUMN IF EXISTS'];
  if (subtype === 'AT_DropConstraint') {
    if (said === true) dropped.add(String(name));
    return said === true ? [] : ['say DROP CONSTRAINT IF EXISTS'];
  }
  if (subtype !== 'AT_AddConstraint') return [];
  return afterDrop(all(command, 'Constraint')[0]?.conname, dropped);
}

function afterDrop(name: unknown, dropped: Set<string>): string[] {
  if (dropped.has(String(name))) return [];
  return ['drop it first, with IF EXISTS, or look before it in a DO block'];
}

/** The names in a list of objects, without their schemas and tables. */
function namesOf({ objects }: Row): string[] {
  const list = Array.isArray(objects) ? (objects as unknown[]) : [];
  const last = list.map((object) => all(object, 'String').at(-1)?.sval);
  return last.filter((name) => name !== undefined);
}
