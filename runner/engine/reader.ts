import type { JoinExpr, Node, RangeVar, SelectStmt } from 'libpg-query';

import {
  aggregatesOf,
  all,
  firstFrom,
  loadGrammar,
  rowClauses,
  selectOf,
  statementsOf,
  targetsOf,
  viewOf,
  words,
} from './grammar.ts';
import { isKeyOf, keyIn } from './key.ts';
import { NOTHING, type LookUp, type Readable, type Reading, type Step } from './reading.ts';
import { referencesOf } from './references.ts';

/*
 * What a view reads, and which of it can be followed from a change to the rows it changes. Everything
 * is opaque until it is proved to have a form that the engine follows; what is opaque is compared
 * whole when it changes.
 */

type Joint = Pick<LookUp, 'path'> & { by: string };

/** An item of a plain FROM clause: what stands first, and what is joined to it from the left. */
interface Joined {
  alias: string;
  item: Node;
  /** Its left join; undefined for what stands first, and for other joins. */
  left?: JoinExpr;
  join?: JoinExpr;
}

/** Reads views. A text that does not parse reads nothing: the server says what is wrong with it. */
export async function readViews(entities: readonly Readable[]): Promise<Reading[]> {
  await loadGrammar();
  return entities.map(readView);
}

/** Reads a view; the grammar has been loaded. */
export function readView({ name, text, source, key, readWhole }: Readable): Reading {
  const select = selectIn(text);
  if (select === undefined) {
    return NOTHING;
  }
  const tables = all({ select }, 'RangeVar');
  const named = (schema: string) =>
    tables.flatMap(({ schemaname, relname }) =>
      schemaname === schema && relname !== undefined ? [relname] : [],
    );
  const [reads, idMaps] = [named('legacy'), named('ids')];
  const items = isPlain(select) ? itemsOf(select) : undefined;
  const rowWise = source !== null && !readWhole && isRowWise(select, source, reads);
  const paths: Map<string, Joint> =
    rowWise && items !== undefined ? pathsOf(items, source, reads) : new Map();
  const found = keyIn(select);
  const plainMaps = items === undefined ? [] : followedMaps(select, items);
  return {
    reads: sorted(reads),
    idMaps: sorted(idMaps),
    lookups: sorted(reads)
      .filter((table) => table !== source || !rowWise)
      .map((table) => {
        const joint = paths.get(table);
        return joint === undefined
          ? { table, followed: false, path: [] }
          : { table, followed: true, ...joint };
      }),
    // a map that is joined twice has to be plain both times
    opaqueMaps: sorted(idMaps).filter(
      (map) => map !== name && count(plainMaps, map) < count(idMaps, map),
    ),
    references: referencesOf(select),
    keyed: source === null || isKeyOf(found, source, key),
    numbered: found.numbered,
  };
}

function selectIn(text: string): SelectStmt | undefined {
  try {
    return selectOf(viewOf(statementsOf(text))?.query);
  } catch {
    return undefined;
  }
}

/** Each row of the select comes from one row of FROM, and from nothing but that. */
function isPlain(select: SelectStmt): boolean {
  const windows = all(
    { list: select.targetList, from: select.fromClause },
    'FuncCall',
    (kind) => kind === 'SelectStmt',
  ).filter(({ over }) => over !== undefined);
  return (
    rowClauses(select).length === 0 &&
    select.larg === undefined &&
    select.valuesLists === undefined &&
    select.windowClause === undefined &&
    select.fromClause?.length === 1 &&
    windows.length === 0 &&
    aggregatesOf(select).length === 0 &&
    all({ list: select.targetList }, 'A_Star', (kind) => ['SelectStmt', 'FuncCall'].includes(kind))
      .length === 0
  );
}

/**
 * No row of the driving table changes what another one says: it is read once, by the select itself or
 * by one that stands first in it, and all of these are plain.
 */
function isRowWise(top: SelectStmt, source: string, reads: readonly string[]): boolean {
  if (count(reads, source) !== 1) return false;
  const ctes = all({ top }, 'CommonTableExpr');
  const names = all({ top }, 'RangeVar').flatMap((table) =>
    table.schemaname === undefined && table.relname !== undefined ? [table.relname] : [],
  );
  let select: SelectStmt | undefined = top;
  while (select !== undefined && isPlain(select)) {
    const first = firstFrom(select);
    if (first === undefined) return false;
    if ('RangeVar' in first && first.RangeVar.schemaname !== undefined) {
      return first.RangeVar.schemaname === 'legacy' && first.RangeVar.relname === source;
    }
    select = undefined;
    if ('RangeSubselect' in first) select = selectOf(first.RangeSubselect.subquery);
    else if ('RangeVar' in first) {
      const name = first.RangeVar.relname ?? '';
      const found = ctes.filter(({ ctename }) => ctename === name);
      if (found.length === 1 && count(names, name) === 1) select = selectOf(found[0]?.ctequery);
    }
  }
  return false;
}

/** The items of a FROM clause, from the left; undefined where it has another form. */
function itemsOf(select: SelectStmt): Joined[] | undefined {
  const items: Joined[] = [];
  let item = select.fromClause?.[0];
  while (item !== undefined && 'JoinExpr' in item) {
    const join: JoinExpr = item.JoinExpr;
    const { alias, jointype, larg, rarg } = join;
    const name = aliasOf(rarg);
    if (alias !== undefined || rarg === undefined || name === undefined) return undefined;
    if (jointype !== 'JOIN_LEFT' && jointype !== 'JOIN_INNER') return undefined;
    const isLeft = jointype === 'JOIN_LEFT' && join.isNatural !== true && join.quals !== undefined;
    items.unshift({ alias: name, item: rarg, join, ...(isLeft ? { left: join } : {}) });
    item = larg;
  }
  const name = aliasOf(item);
  if (item === undefined || name === undefined) return undefined;
  return [{ alias: name, item }, ...items];
}

/** By what name columns of an item are read; undefined where it is a join, or renames its columns. */
function aliasOf(item: Node | undefined): string | undefined {
  if (item === undefined) return undefined;
  if ('RangeVar' in item) {
    const { alias, relname } = item.RangeVar;
    return alias?.colnames === undefined ? (alias?.aliasname ?? relname) : undefined;
  }
  if ('RangeSubselect' in item) return item.RangeSubselect.alias?.aliasname;
  if ('RangeFunction' in item) return item.RangeFunction.alias?.aliasname;
  return undefined;
}

/**
 * Look-ups whose rows lead to the rows of the entity: `left join legacy.x as x on x.id = d.column`,
 * where d is the driving table or such a look-up, and `id` may have any name. The steps lead from the driving
 * table to the column that holds the id. A table read twice is not among them.
 */
function pathsOf(
  items: readonly Joined[],
  source: string,
  reads: readonly string[],
): Map<string, Joint> {
  const paths = new Map<string, Joint>();
  const aliases = new Map<string, { table: string; path: Step[] }>();
  for (const { alias, item, left } of items) {
    const table = tableOf(item, 'legacy');
    if (table === undefined) continue;
    if (left === undefined) {
      if (item === items[0]?.item && table === source) aliases.set(alias, { table, path: [] });
      continue;
    }
    const [by, before, column] = columnsOf(left.quals, alias) ?? [];
    const known = aliases.get(before ?? '');
    if (by === undefined || column === undefined || known === undefined) continue;
    if (count(reads, table) !== 1) continue;
    const path = [...known.path, { table: known.table, column }];
    aliases.set(alias, { table, path });
    paths.set(table, { path, by });
  }
  return paths;
}

/**
 * The id maps that are joined by `left join ids.x as x on x.legacy_id = <key>`, so that a row without
 * one says so: by the name of the map in `missing`, or by a reject; both are read again when the map
 * has grown. Filtered rows are not, so the filter may not depend on it. One entry per join.
 */
function followedMaps(select: SelectStmt, items: readonly Joined[]): string[] {
  const targets = targetsOf(select);
  const column = (name: string) => targets.find((target) => target.name === name)?.value;
  return items.flatMap(({ alias, item, left }) => {
    const map = tableOf(item, 'ids');
    if (map === undefined || left === undefined) return [];
    const conditions = conjuncts(left.quals);
    const keys = conditions.flatMap((condition) => {
      const found = equality(condition, `${alias}.legacy_id`);
      return found === undefined ? [] : [{ condition, key: found[1] }];
    });
    const [match] = keys;
    if (match === undefined || keys.length > 1) return [];
    const others = conditions.filter((condition) => condition !== match.condition);
    // true of every row that a new row of the map is going to be joined to
    const given = [isNotNull(match.key), ...others].map(shapeOf);
    const unmatched = [isNull(`${alias}.id`), isNull(`${alias}.legacy_id`)].map(shapeOf);
    const says = (condition: Node | undefined) =>
      disjuncts(condition).some((each) => {
        const parts = conjuncts(each).map(shapeOf);
        return (
          parts.some((part) => unmatched.includes(part)) &&
          parts.every((part) => unmatched.includes(part) || given.includes(part))
        );
      });
    const named = missingCases(column('missing')).some(
      (each) => constantOf(each.result) === map && says(each.condition),
    );
    const rejected = rejectCases(column('reject')).some(({ condition }) => says(condition));
    if (!named && !rejected) return [];
    return dependsOn(column('filter'), alias, items) ? [] : [map];
  });
}

interface Case {
  condition: Node | undefined;
  result: Node | undefined;
}

/**
 * The cases whose word is in `missing` whenever their condition is true: the first one of every `case`
 * among the arguments of concat_ws.
 */
function missingCases(node: Node | undefined): Case[] {
  if (node === undefined) return [];
  if ('CaseExpr' in node) return armsOf(node).slice(0, 1);
  if ('A_Expr' in node && node.A_Expr.kind === 'AEXPR_NULLIF') {
    return constantOf(node.A_Expr.rexpr) === '' ? missingCases(node.A_Expr.lexpr) : [];
  }
  if (!('FuncCall' in node) || words(node.FuncCall.funcname).at(-1) !== 'concat_ws') return [];
  const [separator, ...args] = node.FuncCall.args ?? [];
  return constantOf(separator) === ',' ? args.flatMap(missingCases) : [];
}

/** The cases that make `reject` something whenever their condition is true: those before do, too. */
function rejectCases(node: Node | undefined): Case[] {
  if (node === undefined) return [];
  if ('CoalesceExpr' in node) return (node.CoalesceExpr.args ?? []).flatMap(rejectCases);
  if (!('CaseExpr' in node)) return [];
  const arms = armsOf(node);
  const first = arms.findIndex(({ result }) => constantOf(result) === undefined);
  return first === -1 ? arms : arms.slice(0, first);
}

function armsOf(node: Node): Case[] {
  if (!('CaseExpr' in node) || node.CaseExpr.arg !== undefined) return [];
  return (node.CaseExpr.args ?? []).flatMap((arm) =>
    'CaseWhen' in arm ? [{ condition: arm.CaseWhen.expr, result: arm.CaseWhen.result }] : [],
  );
}

/** Whether an expression may change with an item of FROM: by itself, or by what is joined to that. */
function dependsOn(node: Node | undefined, alias: string, items: readonly Joined[]): boolean {
  const tainted = new Set([alias]);
  const touches = (tree: unknown) =>
    all({ tree }, 'ColumnRef').some(
      // a column without its table may be anybody's
      ({ fields = [] }) => fields.length === 1 || tainted.has(words(fields)[0] ?? ''),
    );
  for (const { alias: other, item, join } of items) {
    const inside = 'RangeVar' in item ? undefined : item;
    if (other !== alias && join !== undefined && (touches(join.quals) || reachesOut(inside))) {
      tainted.add(other);
    }
  }
  return touches(node);

  /** A lateral select reads what stands before it, by the name of that. */
  function reachesOut(inside: Node | undefined): boolean {
    return all({ inside }, 'ColumnRef').some(({ fields }) => tainted.has(words(fields)[0] ?? ''));
  }
}

/** `alias.by = other.column`, either way round: by, other, column. */
function columnsOf(node: Node | undefined, alias: string): string[] | undefined {
  if (node === undefined || !('A_Expr' in node)) return undefined;
  for (const side of [node.A_Expr.lexpr, node.A_Expr.rexpr]) {
    const [owner, by = ''] = fieldsOf(side);
    if (owner !== alias) continue;
    const [, other] = equality(node, `${alias}.${by}`) ?? [];
    const found = fieldsOf(other);
    return found.length === 2 ? [by, ...found] : undefined;
  }
  return undefined;
}

/** `alias.column = other`, either way round: both sides, that one first. */
function equality(node: Node | undefined, name: string): [Node, Node] | undefined {
  if (node === undefined || !('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP')
    return undefined;
  const { name: operator, lexpr, rexpr } = node.A_Expr;
  if (words(operator).join('.') !== '=' || lexpr === undefined || rexpr === undefined) {
    return undefined;
  }
  if (fieldsOf(lexpr).join('.') === name) return [lexpr, rexpr];
  return fieldsOf(rexpr).join('.') === name ? [rexpr, lexpr] : undefined;
}

function conjuncts(node: Node | undefined): Node[] {
  return operands(node, 'AND_EXPR');
}

function disjuncts(node: Node | undefined): Node[] {
  return operands(node, 'OR_EXPR');
}

function operands(node: Node | undefined, operator: 'AND_EXPR' | 'OR_EXPR'): Node[] {
  if (node === undefined) return [];
  return 'BoolExpr' in node && node.BoolExpr.boolop === operator
    ? (node.BoolExpr.args ?? []).flatMap((each) => operands(each, operator))
    : [node];
}

/** The parts of `alias.column`, as a list of two; empty for anything else. */
function fieldsOf(node: Node | undefined): string[] {
  if (node === undefined || !('ColumnRef' in node)) return [];
  const fields = words(node.ColumnRef.fields);
  return fields.length === 2 ? fields : [];
}

function tableOf(item: Node, schema: string): string | undefined {
  if (!('RangeVar' in item)) return undefined;
  const table: RangeVar = item.RangeVar;
  return table.schemaname === schema ? table.relname : undefined;
}

function constantOf(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  if ('TypeCast' in node) return constantOf(node.TypeCast.arg);
  return 'A_Const' in node ? node.A_Const.sval?.sval : undefined;
}

function isNull(name: string): Node {
  const fields = name.split('.').map((sval) => ({ String: { sval } }));
  return { NullTest: { arg: { ColumnRef: { fields } }, nulltesttype: 'IS_NULL' } };
}

function isNotNull(arg: Node): Node {
  return { NullTest: { arg, nulltesttype: 'IS_NOT_NULL' } };
}

/** What an expression is, wherever it stands. */
function shapeOf(node: Node): string {
  return JSON.stringify(node, (key, value: unknown) => (key === 'location' ? undefined : value));
}

function count(list: readonly string[], word: string): number {
  return list.filter((each) => each === word).length;
}

function sorted(list: readonly string[]): string[] {
  return [...new Set(list)].toSorted();
}
