import {
  loadModule,
  parseSync,
  type Node,
  type RawStmt,
  type SelectStmt,
  type ViewStmt,
} from 'libpg-query';

/*
 * SQL as the grammar of PostgreSQL reads it: the one parser of this project, used by the reader of
 * views and by the static checks. All offsets are UTF-8 bytes. It costs 35 MB, so what runs for long
 * does not import it.
 */

export type Kind = Node extends infer N ? (N extends unknown ? keyof N & string : never) : never;
export type NodeOf<K extends Kind> = Extract<Node, Record<K, unknown>>[K];

// Fields whose node comes without the object that names its kind.
const BARE: Record<string, string> = {
  typeName: 'TypeName',
  argType: 'TypeName',
  returnType: 'TypeName',
  view: 'RangeVar',
  relation: 'RangeVar',
  over: 'WindowDef',
  withClause: 'WithClause',
  larg: 'SelectStmt',
  rarg: 'SelectStmt',
};

/** To be awaited once, before anything is parsed. */
export const loadGrammar = loadModule;

/** The statements of a text. Throws SqlError of libpg-query where it does not parse. */
export function statementsOf(text: string): RawStmt[] {
  return text.trim() === '' ? [] : (parseSync(text).stmts ?? []);
}

/** The view that the first statement creates, if it does. */
export function viewOf(statements: readonly RawStmt[]): ViewStmt | undefined {
  const statement = statements[0]?.stmt;
  return statement !== undefined && 'ViewStmt' in statement ? statement.ViewStmt : undefined;
}

/** Every node of one kind below `tree`, in no promised order; `skip` says which nodes not to enter. */
export function all<K extends Kind>(
  tree: unknown,
  kind: K,
  skip: (kind: string, node: object) => boolean = () => false,
): NodeOf<K>[] {
  const found: NodeOf<K>[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (isObject(value)) {
      for (const [key, child] of Object.entries(value)) {
        if (!isObject(child)) continue;
        const name = isKind(key) ? key : bareKind(key, child);
        if (name !== undefined && skip(name, child)) continue;
        if (name === kind) found.push(child as NodeOf<K>);
        visit(child);
      }
    }
  };
  visit(tree);
  return found;
}

/** The texts of a list of String nodes: `['pg_catalog', 'btrim']`. */
export function words(nodes: readonly Node[] | undefined): string[] {
  return (nodes ?? []).map((node) => ('String' in node ? (node.String.sval ?? '') : ''));
}

/** The select a node is, if it is one. */
export function selectOf(node: Node | undefined): SelectStmt | undefined {
  return node !== undefined && 'SelectStmt' in node ? node.SelectStmt : undefined;
}

/** The leftmost item of a FROM clause, joins opened. */
export function firstFrom(select: SelectStmt | undefined): Node | undefined {
  let item = select?.fromClause?.[0];
  while (item !== undefined && 'JoinExpr' in item) item = item.JoinExpr.larg;
  return item;
}

/** The names of the output columns of a select, in order; null where a column has none of its own. */
export function targetsOf(
  select: SelectStmt | undefined,
): { name: string | null; target: NodeOf<'ResTarget'>; value: Node | undefined }[] {
  return all({ list: select?.targetList }, 'ResTarget', (kind) => kind === 'SelectStmt').map(
    (target) => {
      const value = target.val;
      const fields =
        value !== undefined && 'ColumnRef' in value ? words(value.ColumnRef.fields) : [];
      return { name: target.name ?? fields.at(-1) ?? null, target, value };
    },
  );
}

/**
 * The selects that decide which rows a select has: itself and, as long as the first thing in FROM is
 * a sub-select or a CTE, that one.
 */
export function spineOf(top: SelectStmt): SelectStmt[] {
  const spine = [top];
  const used = new Set<string>();
  const ctes = all({ top }, 'CommonTableExpr');
  for (let select: SelectStmt | undefined = top; select !== undefined;) {
    const first = firstFrom(select);
    select = undefined;
    if (first !== undefined && 'RangeSubselect' in first) {
      select = selectOf(first.RangeSubselect.subquery);
    } else if (first !== undefined && 'RangeVar' in first && !first.RangeVar.schemaname) {
      const name = first.RangeVar.relname ?? '';
      if (!used.has(name)) select = selectOf(ctes.find((cte) => cte.ctename === name)?.ctequery);
      used.add(name);
    }
    if (select?.valuesLists !== undefined) return spine;
    if (select !== undefined) spine.push(select);
  }
  return spine;
}

const AGGREGATES = new Set(
  'array_agg avg bool_and bool_or count jsonb_agg jsonb_object_agg max min string_agg sum'.split(
    ' ',
  ),
);

/** Calls of aggregates in the select list itself, not in selects below it. */
export function aggregatesOf(select: SelectStmt): NodeOf<'FuncCall'>[] {
  return all({ list: select.targetList }, 'FuncCall', (kind) => kind === 'SelectStmt').filter(
    (call) => call.over === undefined && AGGREGATES.has(words(call.funcname).at(-1) ?? ''),
  );
}

/** The clauses of a select that can lose, double or sort rows, each by the words that begin it. */
export function rowClauses(select: SelectStmt): [string[], unknown][] {
  const found: [string[], unknown][] = [
    [['where'], select.whereClause],
    [['group'], select.groupClause],
    [['having'], select.havingClause],
    [['order'], select.sortClause],
    [['limit', 'fetch'], select.limitCount],
    [['offset'], isZero(select.limitOffset) ? undefined : select.limitOffset],
    [['for'], select.lockingClause],
    // DISTINCT stands before the select list and, unless it is DISTINCT ON, has no place of its own.
    [['distinct'], select.distinctClause === undefined ? undefined : select.targetList],
    [['union', 'intersect', 'except'], select.rarg],
  ];
  return found.filter(([, node]) => node !== undefined);
}

function bareKind(key: string, child: object): string | undefined {
  return Object.keys(child).some(isKind) ? undefined : BARE[key];
}

function isKind(key: string): boolean {
  return /^[A-Z]/.test(key);
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** `offset 0` leaves no row out: it keeps the planner from computing an expression where it is used, twice. */
function isZero(node: Node | undefined): boolean {
  return (
    node !== undefined &&
    'A_Const' in node &&
    node.A_Const.ival?.ival === undefined &&
    node.A_Const.ival !== undefined
  );
}
