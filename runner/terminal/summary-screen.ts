import type { EntitySummary, Summary } from '../engine/summary.ts';
import type { Told } from './run-screen.ts';
import { say, table, words } from './terminal.ts';
import { counted, duration, number } from './text.ts';

/* What became of the rows: the end of `up`, and `status`. */

/** How a phase stands, as one sign. */
export function markOf(status: EntitySummary['status']): string {
  if (status === 'complete') return words.good('✓');
  if (status === 'failed') return words.bad('✗');
  return status === 'partial' ? '▸' : '·';
}

/** Rows of entities, of what is committed. */
function rowsOf(entities: readonly EntitySummary[]) {
  const sum = (...keys: ('inserted' | 'updated' | 'unchanged' | 'kept' | Rest)[]) =>
    entities.reduce((all, e) => all + keys.reduce((part, key) => part + (e[key] ?? 0), 0), 0);
  return {
    source: sum('source'),
    stored: sum('inserted', 'updated', 'unchanged', 'kept'),
    rejected: sum('rejected'),
    leftOut: sum('filtered'),
  };
}
type Rest = 'source' | 'rejected' | 'filtered';

/** A line per phase, and their sum; the times are those of the run that has just ended. */
export function showPhases({ phases, entities }: Summary, told?: Told): void {
  const timeOf = (phase: string) => {
    const ms = told?.phases.get(phase);
    return ms === undefined ? '·' : duration(ms / 1000);
  };
  const line = (first: string, of: readonly EntitySummary[], time: string) => {
    const { source, stored, rejected, leftOut } = rowsOf(of);
    const cells = [of.length, source, stored, rejected, leftOut];
    return [first, ...cells, ...(told === undefined ? [] : [time.padStart(WIDEST_TIME)])];
  };
  const rows = phases.map(({ phase, status }) =>
    line(
      `${markOf(status)} ${phase}`,
      entities.filter((entity) => entity.phase === phase),
      timeOf(phase),
    ),
  );
  const all = line('', entities, duration(told?.seconds() ?? 0));
  const times = told === undefined ? [] : ['time'.padStart(WIDEST_TIME)];
  const head = ['  phase', 'entities', 'source', 'stored', 'rejected', 'left out', ...times];
  say();
  table(head, [...rows, all], ['entities', 'left out']);
}

const WIDEST_TIME = '9 min 59 s'.length;

/** A line per entity that has something to tell, or of all. */
export function showEntities(entities: readonly EntitySummary[], all: boolean): void {
  const told = entities.filter(
    (e) =>
      all ||
      e.status !== 'complete' ||
      [e.inserted, e.updated, e.kept, e.rejected, e.gone].some((count) => (count ?? 0) > 0),
  );
  if (told.length === 0) return;
  say();
  table(
    ['', 'entity', 'source', 'new', 'changed', 'same', 'kept', 'rejected', 'left out', 'gone'],
    told.map((e) => [
      markOf(e.status),
      e.entity,
      e.source,
      e.inserted,
      e.updated,
      e.unchanged,
      e.kept,
      e.rejected,
      e.filtered,
      e.gone,
    ]),
    ['source', 'same', 'left out'],
  );
}

/** Reasons that are named before the rest is counted. */
const NAMED = 2;

/** What is rejected, and what both sides had changed: a line each, where there is any. */
export function showOpen({ rejects, conflicts, entities }: Summary): void {
  const reasons = new Map<string, number>();
  for (const { reason, count } of rejects) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  const sorted = [...reasons].toSorted((a, b) => b[1] - a[1]);
  const rejected = sorted.reduce((sum, [, count]) => sum + count, 0);
  const { source, leftOut } = rowsOf(entities);
  if (rejected > 0) {
    const wanted = source - leftOut;
    const share = wanted > 0 ? `, ${((100 * rejected) / wanted).toFixed(2)} %` : '';
    const named = sorted.slice(0, NAMED).map(([reason, count]) => `${reason} ${number(count)}`);
    const more = sorted.length - named.length;
    if (more > 0) named.push(counted(more, 'more reason'));
    say(`${number(rejected)} rejected${share}: ${named.join(' · ')}`);
  }
  const of = (side: string) => conflicts.find(({ resolution }) => resolution === side)?.count ?? 0;
  const won = [
    [of('source'), 'now as the source has them, an image is kept'],
    [of('target'), 'left as the application has them'],
  ] as const;
  const said = won
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${number(count)} ${what}`);
  if (said.length === 0) return;
  say(`changed on both sides: ${said.join(' · ')}`);
}

/** What a person may want to see next, of what there is. */
export function nextOf({ rejects, conflicts }: Summary): string {
  return [
    'runner verify',
    ...(rejects.length > 0 ? ['runner rejects'] : []),
    ...(conflicts.length > 0 ? ['runner conflicts'] : []),
    'runner report',
  ].join(' · ');
}
