import { LAST_PHASE, type Removal } from './removal.ts';
import type { CodeUse } from './removal-code.ts';
import type { SchemaStatus } from './changes.ts';
import { say, table, words } from '../terminal/terminal.ts';

/** The files of a folder and what became of them. */
export function showFiles(state: SchemaStatus): void {
  const edited = (name: string) => (state.edited.includes(name) ? 'applied, EDITED since' : '');
  table(
    [state.folder === 'removal' ? 'column removal' : 'additive schema changes', 'state', 'when'],
    [
      ...state.applied.map(({ name, appliedAt }) => [
        name,
        state.missing.includes(name) ? 'applied, file is GONE' : edited(name) || 'applied',
        appliedAt.toISOString(),
      ]),
      ...state.pending.map((name) => [name, 'pending', '']),
    ],
  );
  say();
}

/** What the removal has kept, what still uses its columns, and one sentence. */
export function showRemoval(
  removal: Removal | undefined,
  { applied, pending }: SchemaStatus,
): void {
  if (removal === undefined) return;
  const { columns, dependents, writes, reads } = removal;
  for (const { table: name, column, kept } of columns) {
    if (kept > 0) say(`${name}.${column}: ${kept} values in the backup`);
  }
  const left = dependents.filter(({ blocks }) => blocks).length;
  if (dependents.length > 0) {
    table(
      ['column', 'used by', 'what to do'],
      dependents.map(({ table: name, column, kind, object, advice }) => [
        `${name}.${column}`,
        `${kind} ${object}`,
        advice,
      ]),
    );
  }
  for (const { table: name, column, role, application, client, times, last } of writes) {
    say(
      `${name}.${column}: written ${times} times by ${role} (${application}, ${client}), ${last}`,
    );
  }
  for (const { table: name, column, query, calls } of reads) {
    say(`${name}.${column}: read ${calls} times by ${query.replace(/\s+/g, ' ')}`);
  }
  const next = pending.length === 0 ? 'all done' : `next is phase ${applied.length + 1}`;
  const counts = [
    left === 0 ? 'no dependent left' : words.bad(`${left} dependents left`),
    `${writes.reduce((sum, { times }) => sum + times, 0)} writes seen`,
    `${reads.reduce((sum, { calls }) => sum + calls, 0)} reads seen`,
  ];
  say(`column removal: phase ${applied.length} of ${LAST_PHASE}, ${next}; ${counts.join(', ')}`);
}

/** Places in application code, one line each. */
export function showCode(code: CodeUse[]): void {
  for (const { file, line, table: name, column, kind, blocks } of code) {
    const what = blocks
      ? words.bad(kind)
      : `${kind}${kind === 'comment' ? '' : ', another table?'}`;
    say(`${file}:${line}  ${name}.${column}  ${what}`);
  }
}
