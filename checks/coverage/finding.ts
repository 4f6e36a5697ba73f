import type { Problem } from '../../runner/engine/text.ts';

/** A finding of the coverage proof; `of` where it is said of a column: its table, and what many of them are. */
export interface Finding extends Problem {
  of?: { table: string; column: string; many: string };
}

/** Names enough to see which they are. */
const SHOWN = 12;

/** Findings for a screen: those that say the same of several columns of a table are one line. */
export function byTable(findings: readonly Finding[]): Problem[] {
  const groups = new Map<string, Finding[]>();
  for (const [index, finding] of findings.entries()) {
    const { file, of } = finding;
    const key = of === undefined ? String(index) : [file, of.table, of.many].join('\n');
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first?.of === undefined || group.length === 1) return group;
    const names = group.map(({ of }) => of?.column ?? '');
    const more = names.length - SHOWN;
    const list = `${names.slice(0, SHOWN).join(', ')}${more > 0 ? ` … and ${more} more` : ''}`;
    const { table, many } = first.of;
    return [{ ...first, message: `${table}: ${group.length} columns ${many}: ${list}` }];
  });
}
