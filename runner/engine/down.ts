import { dropArchive } from './archive.ts';
import type { ArchiveTable } from './catalog.ts';
import type { Session } from '../database.ts';
import { recordEvent } from './ledger.ts';

/** What taking one entity down means. */
export interface UndoStep {
  entity: string;
  phase: string;
  /** Rows we created: deleted. */
  created: number;
  /** Rows of the application we overwrote or removed: restored. */
  restored: number;
  /** Rows the application changed or deleted since we wrote them. */
  touched: number;
  /** Rows of the application that point at rows we created, as `table.column (rows)`. */
  references: string[];
  /**
   * Those that would not go with ours, `table.column: rows (keys of the first)`, or what stands on
   * them; empty where the entity could be taken back.
   */
  held: string[];
}

/** Rows of the application are in the way, with force or without; the last step says which. */
export class StillReferenced extends Error {
  override readonly name = 'StillReferenced';
  readonly steps: UndoStep[];
  constructor(steps: UndoStep[]) {
    super('rows of the application refer to rows that would be deleted');
    this.steps = steps;
  }
}

/** Names of the phases that stand on a phase, directly or through others, and hold state. */
export async function phasesOnTop(session: Session, phase: string): Promise<string[]> {
  const [row] = await session.query<{ phases: string[] }>(
    'select migration.phases_on_top($1) as phases',
    [phase],
  );
  return row?.phases ?? [];
}

/**
 * Takes the entities of phases down in reverse order, inside the caller's transaction, whose run
 * holds the lease: rows we created are deleted, overwritten and removed ones restored, id map and
 * checkpoints cleared. Throws StillReferenced; what a trigger refuses is thrown, too.
 */
export async function undo(session: Session, phases: string[]): Promise<UndoStep[]> {
  const [order] = await session.query<{ entities: string[] }>(
    'select migration.down_entities($1) as entities',
    [phases],
  );
  const steps: UndoStep[] = [];
  for (const entity of order?.entities ?? []) {
    const [row] = await session.query<{ step: UndoStep }>(
      'select migration.down_entity($1) as step',
      [entity],
    );
    if (row === undefined) continue;
    steps.push(row.step);
    if (row.step.held.length > 0) throw new StillReferenced(steps);
  }
  return steps;
}

/** Drops the archive tables: all their rows are ours. */
export async function undoArchive(
  session: Session,
  tables: ArchiveTable[],
  run: number,
): Promise<UndoStep> {
  const created = await dropArchive(session, tables);
  await recordEvent(session, run, 'down archive', { created });
  return {
    entity: 'legacy_archive.*',
    phase: 'archive',
    created,
    restored: 0,
    touched: 0,
    references: [],
    held: [],
  };
}
