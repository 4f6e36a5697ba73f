import type { JoinExpr, Node, RangeVar, SelectStmt } from 'libpg-query';
import type { Problem } from '../../runner/engine/text.ts';
import { selectOf, words } from '../../runner/engine/grammar.ts';
import { problem, type SqlFile } from '../static/sql.ts';
import { nodesIn, partsOf } from './carries.ts';

/**
 * How a source column reaches an output column: as its value (possibly transformed), through an id map
 * (`ids.x.id` where `ids.x.legacy_id` equals it), or only by deciding which value stands there.
 */
export type How = 'value' | 'reference' | 'decides';

/** One source column of an output column. */
export interface Origin {
  /** Without its schema, which is always legacy. */
  table: string;
  column: string;
  how: How;
  /** Keys of the JSON object in which it stands: `['legacy', 'sex']`; empty for a plain column. */
  path: string[];
}

/** An output column of a select, with everything its value comes from. */
export interface OutputColumn {
  /** null where it has no name of its own. */
  name: string | null;
  origins: Origin[];
}

/** What a view says about the source. */
export interface ViewLineage {
  columns: OutputColumn[];
  /** Every source column mentioned anywhere in the view, as `table.column`: what pg_depend knows, too. */
  reads: Set<string>;
  /** Places that cannot be followed. */
  problems: Problem[];
}

type Relation =
  | { kind: 'table'; table: string }
  | { kind: 'id map'; keys: () => Origin[] }
  | { kind: 'derived'; columns: OutputColumn[] }
  | { kind: 'opaque'; origins: Origin[] };

interface Scope {
  relations: Map<string, Relation>;
  ctes: Map<string, OutputColumn[]>;
  outer: Scope | undefined;
}

interface Reader {
  reads: Set<string>;
  lost(node: unknown, what: string): void;
}

const STRENGTH: How[] = ['value', 'reference', 'decides'];

/** Follows every output column of a select back to the columns of `legacy.*` it comes from. Pure. */
export function lineageOf(sql: SqlFile, select: SelectStmt): ViewLineage {
  const problems = new Map<number, Problem>();
  const reader: Reader = {
    reads: new Set(),
    lost(node, what) {
      const offset = placeOf(node);
      const message = `${what}: its source columns cannot be followed`;
      const fix = 'write `alias.column` over tables, sub-selects and CTEs of this file';
      problems.set(offset, problem('coverage', sql, offset, message, fix));
    },
  };
  const columns = columnsOf(select, undefined, reader);
  return { columns, reads: reader.reads, problems: [...problems.values()] };
}

/** Columns of a select, a set operation or a VALUES list; notes all it reads on the way. */
function columnsOf(select: SelectStmt, outer: Scope | undefined, reader: Reader): OutputColumn[] {
  const ctes = new Map(outer?.ctes);
  const scope: Scope = { relations: new Map(), ctes, outer };
  for (const node of select.withClause?.ctes ?? []) {
    if (!('CommonTableExpr' in node)) continue;
    const { ctename = '', ctequery, aliascolnames } = node.CommonTableExpr;
    const query = selectOf(ctequery);
    if (query !== undefined) {
      ctes.set(ctename, renamed(columnsOf(query, scope, reader), words(aliascolnames)));
    }
  }
  if (select.larg !== undefined && select.rarg !== undefined) {
    const rest = columnsOf(select.rarg, scope, reader);
    return columnsOf(select.larg, scope, reader).map(({ name, origins }, index) => ({
      name,
      origins: distinct([...origins, ...(rest[index]?.origins ?? [])]),
    }));
  }
  if (select.valuesLists !== undefined) return columnsOfValues(select.valuesLists, scope, reader);

  const conditions = [...(select.fromClause ?? []).flatMap(joinConditions), select.whereClause];
  const equalities = conditions.flatMap(conjuncts);
  for (const item of select.fromClause ?? []) enter(item, scope, equalities, reader);
  const columns = (select.targetList ?? []).map((target): OutputColumn => {
    const { name, val } = 'ResTarget' in target ? target.ResTarget : {};
    if (val === undefined) return { name: null, origins: [] };
    return { name: name ?? nameOf(val), origins: distinct(originsOf(val, scope, reader)) };
  });

  const names = new Set(columns.map(({ name }) => name));
  const { groupClause, sortClause, distinctClause, windowClause, havingClause } = select;
  const { limitCount, limitOffset } = select;
  look(conditions, scope, reader);
  // GROUP BY and ORDER BY may name an output column, whose own expression is read already
  const rest = [groupClause, sortClause, distinctClause, windowClause, havingClause];
  look([...rest, limitCount, limitOffset], scope, reader, names);
  return columns;
}

function columnsOfValues(lists: Node[], scope: Scope, reader: Reader): OutputColumn[] {
  const columns: OutputColumn[] = [];
  for (const list of lists) {
    for (const [index, item] of ('List' in list ? (list.List.items ?? []) : []).entries()) {
      const column = (columns[index] ??= { name: `column${index + 1}`, origins: [] });
      column.origins = distinct([...column.origins, ...originsOf(item, scope, reader)]);
    }
  }
  return columns;
}

/** Adds what a FROM item makes visible to the scope. */
function enter(item: Node, scope: Scope, equalities: Node[], reader: Reader): void {
  if ('JoinExpr' in item) {
    const { larg, rarg, usingClause, isNatural } = item.JoinExpr;
    for (const side of [larg, rarg]) {
      if (side !== undefined) enter(side, scope, equalities, reader);
    }
    if (usingClause !== undefined || isNatural === true) reader.lost(rarg, 'a join without ON');
  } else if ('RangeVar' in item) {
    const alias = item.RangeVar.alias?.aliasname ?? item.RangeVar.relname ?? '';
    scope.relations.set(alias, relationOf(item.RangeVar, alias, scope, equalities, reader));
  } else if ('RangeSubselect' in item) {
    const { subquery, alias, lateral } = item.RangeSubselect;
    const query = selectOf(subquery);
    if (query === undefined) return;
    // what stands beside a sub-select is visible in it with LATERAL only
    const visible = lateral === true ? scope : { ...scope, relations: new Map<string, Relation>() };
    const columns = renamed(columnsOf(query, visible, reader), words(alias?.colnames));
    scope.relations.set(alias?.aliasname ?? '', { kind: 'derived', columns });
  } else if ('RangeFunction' in item) {
    const { functions, alias } = item.RangeFunction;
    const origins = distinct((functions ?? []).flatMap((call) => originsOf(call, scope, reader)));
    scope.relations.set(alias?.aliasname ?? '', { kind: 'opaque', origins });
  } else reader.lost(item, 'this item of FROM');
}

function relationOf(
  { schemaname, relname = '', alias: named, location }: RangeVar,
  alias: string,
  scope: Scope,
  equalities: Node[],
  reader: Reader,
): Relation {
  if (schemaname === 'legacy') return { kind: 'table', table: relname };
  if (schemaname === 'ids') return idMap(alias, scope, equalities, reader);
  if (schemaname !== undefined) return { kind: 'opaque', origins: [] };
  const columns = scope.ctes.get(relname);
  if (columns === undefined) reader.lost({ location }, `${relname} is no table of legacy or ids`);
  return { kind: 'derived', columns: renamed(columns ?? [], words(named?.colnames)) };
}

/** An id map stands for the source columns that its legacy_id is compared with, which are found on demand. */
function idMap(alias: string, scope: Scope, equalities: Node[], reader: Reader): Relation {
  let busy = false;
  const keys = (): Origin[] => {
    if (busy) return []; // two maps joined to each other
    busy = true;
    const origins = equalities.flatMap((node) => {
      if (!('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP') return [];
      const { name, lexpr, rexpr } = node.A_Expr;
      if (words(name).at(-1) !== '=') return [];
      const key = `${alias}.legacy_id`;
      const other = fieldsOf(lexpr) === key ? rexpr : fieldsOf(rexpr) === key ? lexpr : undefined;
      return other === undefined ? [] : originsOf(other, scope, reader);
    });
    busy = false;
    return origins;
  };
  return { kind: 'id map', keys };
}

/** What the value of an expression comes from; see carries.ts for the rule. */
function originsOf(node: Node, scope: Scope, reader: Reader): Origin[] {
  if ('ColumnRef' in node) return resolve(node, scope, reader);
  if ('SubLink' in node) {
    const { subselect, subLinkType, testexpr } = node.SubLink;
    const query = selectOf(subselect);
    const columns = query === undefined ? [] : columnsOf(query, scope, reader);
    const isValue = subLinkType === 'EXPR_SUBLINK' || subLinkType === 'ARRAY_SUBLINK';
    if (isValue) return columns.flatMap(({ origins }) => origins);
    const tested = testexpr === undefined ? [] : originsOf(testexpr, scope, reader);
    return as('decides', [...columns.flatMap(({ origins }) => origins), ...tested]);
  }
  return partsOf(node).flatMap(({ node: part, use, key }) => {
    if (use === 'looked at') {
      look([part], scope, reader);
      return [];
    }
    const origins = originsOf(part, scope, reader);
    if (use === 'decides') return as('decides', origins);
    return key === undefined ? origins : origins.map((o) => ({ ...o, path: [key, ...o.path] }));
  });
}

/** Notes the columns that clauses read which have no part in the value. */
function look(
  trees: unknown[],
  scope: Scope,
  reader: Reader,
  outputs: Set<string | null> = new Set(),
): void {
  for (const tree of trees) {
    for (const node of nodesIn([tree])) {
      const own = outputs.has(fieldsOf(node) ?? '') && 'ColumnRef' in node;
      if (own && find(fieldsOf(node) ?? '', scope) === undefined) continue;
      if ('ColumnRef' in node || 'SubLink' in node) originsOf(node, scope, reader);
      else look([nodesIn(node)], scope, reader, outputs);
    }
  }
}

function resolve(node: Node, scope: Scope, reader: Reader): Origin[] {
  const name = fieldsOf(node);
  const found = name === undefined ? undefined : find(name, scope);
  if (name === undefined || found === undefined) {
    reader.lost(node, name ?? 'a whole row');
    return [];
  }
  const column = name.split('.').at(-1) ?? '';
  if (found.kind === 'table') {
    reader.reads.add(`${found.table}.${column}`);
    return [{ table: found.table, column, how: 'value', path: [] }];
  }
  if (found.kind === 'opaque') return found.origins;
  if (found.kind === 'derived') {
    return found.columns.find((each) => each.name === column)?.origins ?? [];
  }
  if (column === 'legacy_id') return found.keys();
  return as(column === 'id' ? 'reference' : 'decides', found.keys());
}

/** The relation that `alias.column` or a bare `column` belongs to, from the inside outwards. */
function find(name: string, scope: Scope): Relation | undefined {
  const [column, alias] = name.split('.').toReversed();
  for (let each: Scope | undefined = scope; each !== undefined; each = each.outer) {
    const all = [...each.relations.values()];
    const has = (relation: Relation) =>
      relation.kind === 'derived' && relation.columns.some((output) => output.name === column);
    // a bare name: a derived column of this name, or the only relation there is
    const bare = all.find(has) ?? (all.length === 1 ? all[0] : undefined);
    const found = alias === undefined ? bare : each.relations.get(alias);
    if (found === undefined) continue;
    return found.kind === 'derived' && !has(found) ? undefined : found;
  }
  return undefined;
}

/** `alias.column` or `column`; undefined for a star or what is no column. */
function fieldsOf(node: Node | undefined): string | undefined {
  if (node === undefined || !('ColumnRef' in node)) return undefined;
  const fields = words(node.ColumnRef.fields).slice(-2);
  return fields.includes('') ? undefined : fields.join('.');
}

/** The name PostgreSQL gives an output column without AS. */
function nameOf(node: Node): string | null {
  if ('ColumnRef' in node) return words(node.ColumnRef.fields).at(-1) ?? null;
  if ('FuncCall' in node) return words(node.FuncCall.funcname).at(-1) ?? null;
  if ('TypeCast' in node && node.TypeCast.arg !== undefined) return nameOf(node.TypeCast.arg);
  return null;
}

function joinConditions(item: Node): (Node | undefined)[] {
  if (!('JoinExpr' in item)) return [];
  const { larg, rarg, quals }: JoinExpr = item.JoinExpr;
  const below = [larg, rarg].flatMap((side) => (side === undefined ? [] : joinConditions(side)));
  return [quals, ...below];
}

function conjuncts(node: Node | undefined): Node[] {
  if (node === undefined) return [];
  if (!('BoolExpr' in node) || node.BoolExpr.boolop !== 'AND_EXPR') return [node];
  return (node.BoolExpr.args ?? []).flatMap(conjuncts);
}

function renamed(columns: OutputColumn[], names: string[]): OutputColumn[] {
  return columns.map((column, index) => ({ ...column, name: names[index] ?? column.name }));
}

function as(how: How, origins: Origin[]): Origin[] {
  const weaker = (a: How, b: How) => (STRENGTH.indexOf(a) > STRENGTH.indexOf(b) ? a : b);
  return origins.map((origin) => ({ ...origin, how: weaker(origin.how, how) }));
}

/** Each source column once per place, the strongest way first. */
function distinct(origins: Origin[]): Origin[] {
  const found = new Map<string, Origin>();
  for (const how of STRENGTH) {
    for (const origin of origins.filter((each) => each.how === how)) {
      const key = JSON.stringify([origin.table, origin.column, origin.path]);
      if (!found.has(key)) found.set(key, origin);
    }
  }
  return [...found.values()];
}

function placeOf(node: unknown): number {
  const text = /"location":(\d+)/.exec(JSON.stringify(node) ?? '')?.[1];
  return Number(text ?? 0);
}
