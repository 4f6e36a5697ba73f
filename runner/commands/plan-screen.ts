import { type EntityForecast, movesRows, type Plan } from '../engine/plan.ts';
import { columns, markdownTable, type Table } from '../terminal/columns.ts';
import type { Cell } from '../terminal/table.ts';
import { counted, number, wrap } from '../terminal/text.ts';

/** A line, or a table. */
type Shown = string | Table;

/** When and between what a plan was made: `host/database`. */
export interface Made {
  target: string;
  source: string;
  made: Date;
}

/** More entities than this are shown by phase, unless all are asked for. */
const SHOWN = 20;
/** Columns of a screen that nobody has measured. */
const WIDTH = 80;

/** The screen of `plan`: what a person approves. */
export function planLines(plan: Plan, options: Made & { all: boolean }): string[] {
  return shownOf(plan, options).flatMap((line) =>
    typeof line === 'string' ? line : columns(line),
  );
}

function shownOf(plan: Plan, { all, ...made }: Made & { all: boolean }): Shown[] {
  const working = plan.entities.filter(isNews);
  const lines: Shown[] = titleOf(made);
  const stands = plan.rights.every(({ state }) => state !== 'error');
  if (plan.problems.length > 0 || !stands) {
    return [...lines, ...schemaLines(plan), ...rightsLines(plan)];
  }
  if (working.length > 0) {
    lines.push(forecastTable(working, working.length > SHOWN && !all));
    if (working.some((e) => e.at_most)) {
      lines.push('≤ at most: only reading can tell, and that is much: runner plan --exact');
    }
  }
  lines.push(...idleLines(plan, working), '');
  if (working.length === 0 && plan.archive.length === 0 && plan.schemaChanges.length === 0) {
    lines.push('nothing to do', ...rightsLines(plan));
    return lines;
  }
  lines.push(...sumLines(plan, working), ...rightsLines(plan));
  return lines;
}

/** The same for a pull request, or the summary of a workflow. */
export function planMarkdown(plan: Plan, made: Made): string {
  const found = plan.problems.map((p) => `- \`${p.file}:${p.line}:${p.column}\` ${p.message}`);
  const title = titleOf(made);
  const lines = shownOf(plan, { ...made, all: true });
  const parts = lines
    .slice(1)
    .map((line) =>
      typeof line === 'string' ? (line === '' ? '' : `    ${line}`) : markdownTable(line),
    );
  return [`### ${title.join(' · ')}`, ...found, '', ...parts].join('\n');
}

function titleOf({ target, source, made }: Made): string[] {
  const at = made.toISOString().slice(0, 16).replace('T', ' ');
  const lines: string[] = [];
  for (const part of [`plan for ${target}`, `source ${source}`, `${at} UTC`]) {
    const longer = [...lines.slice(-1), part].join(' · ');
    if (longer.length <= WIDTH) lines.splice(-1, 1, longer);
    else lines.push(part);
  }
  return lines;
}

/** Something a person wants to know of: rows are read or gone, or its file is another. */
function isNews(each: EntityForecast): boolean {
  return each.work && (each.file !== 'same' || movesRows(each));
}

function forecastTable(working: EntityForecast[], byPhase: boolean): Table {
  const parts = byPhase
    ? [...new Set(working.map(({ phase }) => phase))].map((phase) =>
        working.filter((each) => each.phase === phase),
      )
    : working.map((each) => [each]);
  const named = parts.map((part) => {
    const [first] = part;
    if (byPhase) return `${first?.phase} (${part.length})`;
    return `${first?.phase}/${first?.entity}`;
  });
  // the phase is said where there is room for it
  const names = named.some((name) => name.length > 28)
    ? named.map((name, i) => (byPhase ? name : (parts[i]?.[0]?.entity ?? name)))
    : named;
  const all: [string, (part: EntityForecast[]) => Cell][] = [
    ['read', (part) => total(part, 'read')],
    ['new', (part) => limited(part, 'new')],
    ['adopted', (part) => limited(part, 'recognised')],
    ['changed', (part) => limited(part, 'changed')],
    ['gone', (part) => limited(part, 'gone')],
    ['rejects', rejectsOf],
    ['time', (part) => seconds(part.reduce((sum, each) => sum + each.seconds, 0))],
    ['file', (part) => (part.every(({ file }) => file === 'changed') ? 'changed' : '')],
  ];
  const shown = all.filter(([, cell]) => parts.some((part) => !isNothing(cell(part))));
  return {
    head: ['', ...shown.map(([title]) => title)],
    rows: parts.map((part, i) => [names[i] ?? '', ...shown.map(([, cell]) => cell(part))]),
  };
}

function isNothing(cell: Cell): boolean {
  return cell === '' || cell === '·' || cell === null || cell === 0;
}

function total(part: EntityForecast[], what: 'read' | 'new' | 'recognised' | 'changed' | 'gone') {
  return part.reduce((sum, each) => sum + each[what], 0);
}

function limited(part: EntityForecast[], what: 'new' | 'recognised' | 'changed' | 'gone'): Cell {
  const count = total(part, what);
  if (count === 0) return '·';
  return part.some((each) => each.at_most) ? `≤ ${number(count)}` : number(count);
}

function opened(part: EntityForecast[]): number {
  return part.reduce((sum, each) => sum + each.opened, 0);
}

function rejectsOf(part: EntityForecast[]): Cell {
  const more = opened(part);
  const closed = part.reduce((sum, each) => sum + each.closed, 0);
  // it could be any row: that says nothing
  if (part.some((each) => each.at_most)) return '?';
  const text = `${more > 0 ? `+${number(more)}` : ''}${closed > 0 ? `-${number(closed)}` : ''}`;
  return text === '' ? '·' : text;
}

function idleLines({ entities }: Plan, working: EntityForecast[]): string[] {
  const idle = entities.filter((each) => !working.includes(each));
  const rows = idle.reduce((sum, each) => sum + each.rows, 0);
  if (idle.length === 0) return [];
  return [
    `${idle.length} ${plural(idle.length, 'entity', 'entities')} unchanged: ` +
      `${number(rows)} rows in unchanged versions, not read`,
  ];
}

function sumLines(plan: Plan, working: EntityForecast[]): string[] {
  const { exact, runs, bytes } = plan;
  const all = bytes.rows + bytes.ids + bytes.ledger;
  const removed = working.filter((each) => each.removals_allowed !== null);
  const gone = total(working, 'gone') - total(removed, 'gone');
  const most = exact ? '' : 'at most ';
  const rows = [
    `${most}${number(total(working, 'new'))} to insert`,
    `${most}${number(total(working, 'changed'))} to update`,
    ...ifAny(total(working, 'recognised'), (n) => `${most}${n} adopted (there before)`),
    ...ifAny(gone, (n) => `${most}${n} gone (kept)`),
    ...ifAny(total(removed, 'gone'), (n) => `${most}${n} removed`),
    ...(exact ? ifAny(opened(working), (n) => `${n} new rejects`) : []),
  ];
  const measured = working.every((each) => each.measured);
  const basis =
    runs === 0 || !measured
      ? `by rows, ± 50 %${runs === 0 ? '' : '; not all of it was ever measured'}`
      : `from ${runs} earlier ${plural(runs, 'run', 'runs')}`;
  return [
    ...block('rows', rows.join(', ')),
    ...limitLines(working),
    ...block('time', `about ${seconds(plan.seconds)}, ${basis}`),
    ...block(
      'space',
      `about + ${megabytes(all)} (rows ${megabytes(bytes.rows)}, id maps ` +
        `${megabytes(bytes.ids)}, ledger ${megabytes(bytes.ledger)})`,
    ),
    ...(plan.archive.length === 0
      ? []
      : block('archive', `${counted(plan.archive.length, 'table')} to copy or compare`)),
    ...lockLines(plan),
    ...schemaLines(plan),
  ];
}

/** What `up` would stop at, as far as rows say so. */
function limitLines(working: EntityForecast[]): string[] {
  return working.flatMap((each) => {
    if (each.at_most) return [];
    const { entity, gone, rejects_after: after, rejects_allowed: allowed } = each;
    const may = each.removals_allowed;
    return [
      ...(each.opened > 0 && after > allowed
        ? block(
            'STOP',
            `${entity}: ${number(after)} rejects, ${number(allowed)} are allowed: \`up\` would fail`,
          )
        : []),
      ...(may !== null && gone > may
        ? block('STOP', `${entity}: ${number(gone)} rows to remove, ${number(may)} without --yes`)
        : []),
    ];
  });
}

function lockLines({ locks }: Plan): string[] {
  if (locks.length === 0) return [];
  const tables = locks.flatMap((each) => each.tables);
  const some = tables.slice(0, 6).join(', ');
  const rest = tables.length > 6 ? ` and ${tables.length - 6} more` : '';
  const waits = locks.filter((each) => each.waits > 0);
  const waiting =
    waits.length === 0
      ? 'no row that is there is written: nobody waits'
      : `writers of the same rows wait up to ${waits
          .map((each) => `${seconds(each.waits)} (${each.phase})`)
          .join(', ')}`;
  return block('locks', `${some}${rest}: ROW EXCLUSIVE, reads go on; ${waiting}`);
}

function schemaLines({ schemaChanges: names }: Plan): string[] {
  return block(
    'schema',
    names.length === 0
      ? 'no changes pending, no ACCESS EXCLUSIVE lock'
      : `${names.length} ${plural(names.length, 'change', 'changes')} pending, each with an ACCESS ` +
          `EXCLUSIVE lock on its tables, taken within 0.5 s or tried again: ${names.join(', ')}`,
  );
}

function rightsLines({ rights }: Plan): string[] {
  const bad = rights.filter(({ state }) => state === 'error');
  const notes = rights.filter(({ state }) => state === 'warning');
  if (bad.length > 0) {
    return bad.flatMap(({ what, found, fix }) => block('ERROR', `${what}: ${found}; fix: ${fix}`));
  }
  const noted = ifAny(notes.length, (n) => `, ${n} ${plural(notes.length, 'note', 'notes')}`).join(
    '',
  );
  return block('rights', `all there (${rights.length - notes.length} ok${noted}: runner doctor)`);
}

/** A word and what belongs to it. */
function block(word: string, text: string): string[] {
  return wrap(text, WIDTH - 10).map((line, i) => `${(i === 0 ? word : '').padEnd(10)}${line}`);
}

function ifAny(count: number, text: (count: string) => string): string[] {
  return count === 0 ? [] : [text(number(count))];
}

function plural(count: number, one: string, many: string): string {
  return count === 1 ? one : many;
}

function seconds(value: number): string {
  if (value < 100) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

function megabytes(bytes: number): string {
  const mb = bytes / 1e6;
  return mb >= 1000
    ? `${(mb / 1000).toFixed(1)} GB`
    : `${mb < 10 ? mb.toFixed(1) : mb.toFixed(0)} MB`;
}
