import { type Differences, type EntityDifference, isDifferent } from '../engine/diff.ts';
import { columns, markdownTable, type Table } from '../terminal/columns.ts';
import type { Cell } from '../terminal/table.ts';
import { number } from '../terminal/text.ts';
import { oneLine } from '../terminal/terminal.ts';

/** The screen of `diff`; `against` says what the files were compared with. */
export function diffLines(found: Differences, against: string): string[] {
  const { problems, entities } = found;
  const lines = noteLines(found);
  if (problems.length > 0) return lines;
  const same = entities.filter((entity) => !isDifferent(entity));
  for (const entity of entities.filter(isDifferent)) lines.push(...entityLines(entity), '');
  lines.push(verdictOf(found, against));
  if (same.length > 0 && same.length < entities.length) {
    lines.push(`the same in every row: ${same.map(({ entity }) => entity).join(', ')}`);
  }
  return lines;
}

/** The same as Markdown. */
export function diffMarkdown(found: Differences, against: string): string {
  const lines = [`### diff against ${against}`, '', ...noteLines(found)];
  lines.push(...found.problems.map((p) => `- \`${p.file}:${p.line}:${p.column}\` ${p.message}`));
  for (const entity of found.entities.filter(isDifferent)) {
    const { rest, title, table } = partsOf(entity);
    lines.push(`**${title[0]}** \`${title[1]}\` ${title[2]}`);
    if (table !== undefined) lines.push(markdownTable(table));
    lines.push(...rest.map((line) => `- ${line}`), '');
  }
  if (found.problems.length === 0) lines.push(verdictOf(found, against));
  return lines.join('\n');
}

function noteLines({ unreadable, functionsChanged }: Differences): string[] {
  return [
    ...unreadable.map(
      (name) => `${name}: its view of before cannot be made any more; nothing to compare with`,
    ),
    ...(functionsChanged
      ? ['helper functions have changed as well: both sides were read with the new ones']
      : []),
  ];
}

function verdictOf({ entities }: Differences, against: string): string {
  const different = entities.filter(isDifferent);
  if (entities.length === 0) return `no file says anything else than ${against}`;
  if (different.length === 0) {
    return `${names(entities)}: the text is another, every row is the same (${against})`;
  }
  const rows = different.reduce((sum, e) => sum + e.come + e.go + e.change, 0);
  return `${number(rows)} rows of ${different.length} of ${entities.length} changed files (${against})`;
}

function entityLines(entity: EntityDifference): string[] {
  const { title, table, rest } = partsOf(entity);
  const [name, file, compared] = title;
  return [
    fitted(`${name}  ${file}`, compared),
    ...(table === undefined ? [] : columns(table)).map((line) => `  ${line}`),
    ...rest.map((line) => `  ${line}`),
  ];
}

/** Two texts at both ends of a line of 80 columns. */
function fitted(left: string, right: string): string {
  return `${left}${' '.repeat(Math.max(2, 80 - left.length - right.length))}${right}`;
}

function partsOf(entity: EntityDifference) {
  const { come, go, change, follows, stored } = entity;
  const rest = [
    ...(entity.columns.length > 1 ? [`${number(change)} rows change`] : []),
    ...some(come, 'rows come', entity.comeKeys),
    ...some(go, 'rows go', entity.goKeys),
    ...reasonsOf(entity, 'reject', 'rejects'),
    ...reasonsOf(entity, 'filter', 'left out'),
    followsOf(come + go > 0, follows),
    ...valuesOf(entity),
  ];
  const title = [
    entity.entity,
    entity.file,
    `${entity.isNew ? 'new, ' : ''}${number(entity.compared)} rows compared`,
  ] as const;
  return {
    title,
    table: entity.columns.length === 0 ? undefined : columnTable(entity, stored),
    rest,
  };
}

function columnTable({ columns: found }: EntityDifference, stored: number): Table {
  const rows = found.map(({ column, added, dropped, rows: count, keys }): Cell[] => [
    `${column}${added ? ' (new)' : dropped ? ' (no more)' : ''}`,
    count,
    share(count, stored),
    keysOf(keys, count),
  ]);
  return { head: ['column', 'rows', 'share', 'keys'], rows };
}

function share(count: number, of: number): string {
  if (of === 0) return '';
  const percent = (100 * count) / of;
  return `${percent > 0 && percent < 1 ? '< 1' : Math.round(percent)} %`;
}

function some(count: number, what: string, keys: number[]): string[] {
  return count === 0 ? [] : [`${number(count)} ${what}: keys ${keysOf(keys, count)}`];
}

function keysOf(keys: number[], count: number): string {
  return `${keys.join(', ')}${count > keys.length ? ' …' : ''}`;
}

function reasonsOf(
  { reasons }: EntityDifference,
  kind: 'reject' | 'filter',
  title: string,
): string[] {
  const own = reasons.filter((each) => each.kind === kind);
  if (own.length === 0) return [`${title}: unchanged`];
  return own.map(({ reason, come, go, keys }) => {
    const change = [come > 0 ? `+${number(come)}` : '', go > 0 ? `-${number(go)}` : ''];
    return `${title}: ${reason} ${change.join('')}: keys ${keysOf(keys, come + go)}`;
  });
}

function followsOf(movesIds: boolean, follows: string[]): string {
  if (follows.length === 0) return 'follows: nothing looks its ids up';
  if (!movesIds) return 'follows: nothing, no id comes or goes';
  return `follows: ${follows.join(', ')}`;
}

/** Where values may be shown, and were asked for. */
function valuesOf({ columns: found }: EntityDifference): string[] {
  return found.flatMap(({ column, keys, values }) =>
    values.map((value, i) => `${column} of ${keys[i] ?? ''}: ${oneLine(value)}`),
  );
}

function names(entities: EntityDifference[]): string {
  return entities.map(({ entity }) => entity).join(', ');
}
