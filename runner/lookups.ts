import { blanked, type Entity } from './catalog.ts';

/** A column of the driving table, or of the look-up before, that holds the id of a look-up's row. */
export interface Step {
  table: string;
  column: string;
}

/** A table an entity looks things up in, and how its rows lead to the entity's own, if they do. */
export interface LookUp {
  table: string;
  followed: boolean;
  path: Step[];
}

/** What `migration.take_lookups` has to know of an entity. */
export function lookUpsOf(entity: Entity): LookUp[] {
  const paths = lookupPaths(entity);
  return lookupsOf(entity).map((table) => ({
    table,
    followed: paths.has(table),
    path: paths.get(table) ?? [],
  }));
}

/** Tables whose rows may change what an entity says without a change of its driving row. */
function lookupsOf(entity: Entity): string[] {
  return entity.reads.filter(
    (table) => table !== entity.source || entity.readWhole || mentions(entity, table) > 1,
  );
}

/**
 * Look-ups whose rows lead to the rows of the entity: `left join legacy.x as x on x.id = d.column`,
 * where d is the driving table or such a look-up. The steps lead from the driving table to the
 * column that holds the id. A table mentioned twice, or inside parentheses, is not among them; none
 * is where rows are aggregated or numbered, so that one may change another.
 */
export function lookupPaths(entity: Entity): Map<string, Step[]> {
  const paths = new Map<string, Step[]>();
  const code = blanked(entity.text);
  if (entity.source === null || entity.readWhole) return paths;
  const top = topLevel(code);
  if (/\bover\b/i.test(code) || AMONG_ROWS.test(top)) return paths;
  const driving = /\bfrom\s+legacy\.(\w+)\s+as\s+(\w+)/i.exec(top);
  if (driving?.[1] !== entity.source || driving[2] === undefined) return paths;
  const aliases = new Map([[driving[2], { table: entity.source, path: [] as Step[] }]]);
  for (const [, joined = '', alias = '', left, from = '', column = ''] of top.matchAll(JOIN)) {
    const before = aliases.get(from);
    if (left !== alias || before === undefined || mentions(entity, joined) !== 1) continue;
    const path = [...before.path, { table: before.table, column }];
    aliases.set(alias, { table: joined, path });
    paths.set(joined, path);
  }
  return paths;
}

const AMONG_ROWS = /\b(group\s+by|having|union|intersect|except|limit|offset|select\s+distinct)\b/i;
const JOIN =
  /\bleft\s+join\s+legacy\.(\w+)\s+as\s+(\w+)\s+on\s+(\w+)\.id\s*=\s*(\w+)\.(\w+)\s*(?=;|$|(?:left|cross|inner|join|where)\b)/gi;

/** The text with everything in parentheses blanked. */
function topLevel(code: string): string {
  let depth = 0;
  return code.replace(/[^]/g, (character) => {
    if (character === ')') depth -= 1;
    const shown = depth === 0 ? character : ' ';
    if (character === '(') depth += 1;
    return shown;
  });
}

function mentions(entity: Entity, table: string): number {
  const pattern = new RegExp(`\\blegacy\\s*\\.\\s*"?${table}\\b`, 'gi');
  return blanked(entity.text).match(pattern)?.length ?? 0;
}
