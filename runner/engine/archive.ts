import type { ArchiveTable } from './catalog.ts';
import type { Session } from '../database.ts';
import type { Counts } from './ledger.ts';
import { closeLink } from './link.ts';
import type { Begin, Done, RunContext } from './entity.ts';
import { attemptPhase, inOne } from './phase.ts';
import { checkPhase, isUnproven } from './phase-checks.ts';
import { literal } from '../quote.ts';

/**
 * Copies the archive tables in one transaction: typed, verbatim, keyed by the source's own id; rows
 * that are gone from the source go from the copy too. A table whose row versions and file are those
 * of the last time is not read. The data checks come last, as after a phase. Throws PhaseFailed.
 */
export async function runArchive(context: RunContext, tables: ArchiveTable[]): Promise<void> {
  const archive = { name: 'archive', entities: tables };
  await attemptPhase(context, archive, false, (begin) =>
    inOne(context, async (session) => {
      const unproven = await isUnproven(session, archive.name);
      const done = await copyChanged(context, session, tables, begin);
      begin();
      await checkPhase(context, session, archive, done, unproven);
      return done;
    }),
  );
}

/** Drops the copies and what the ledger knows of them, inside the caller's transaction. */
export async function dropArchive(session: Session, tables: ArchiveTable[]): Promise<number> {
  const [row] = await session.query<{ rows: number }>('select migration.drop_archive($1) as rows', [
    tables.map(({ name }) => name),
  ]);
  return row?.rows ?? 0;
}

/** A foreign table with the key and the one secret column; dropped before the transaction ends. */
export async function openSecret(session: Session, table: ArchiveTable): Promise<string> {
  const [row] = await session.query<{ opened: string }>(
    'select migration.open_secret($1, $2, $3) as opened',
    [table.name, table.source, table.secret],
  );
  return row?.opened ?? '';
}

async function copyChanged(
  context: RunContext,
  session: Session,
  tables: ArchiveTable[],
  begin: Begin,
): Promise<Done[]> {
  const changed = await changedOf(session, tables);
  const done: Done[] = [];
  for (const table of changed) {
    begin(table.name);
    const started = Date.now();
    const { name: entity, phase } = table;
    const total = context.plans.get(entity)?.row_count ?? 0;
    context.report({ type: 'entity.progress', entity, phase, done: 0, total });
    const counts = await copy(session, table);
    context.report({ type: 'entity.progress', entity, phase, done: total, total });
    done.push({ type: 'entity.done', entity, phase, counts, ms: Date.now() - started });
  }
  if (changed.length > 0) await closeLink(session);
  return done;
}

/** Tables that have to be copied, or compared. */
async function changedOf(session: Session, tables: ArchiveTable[]): Promise<ArchiveTable[]> {
  const defined = tables.map(({ name, source, hash }) => ({ name, source, hash }));
  const [row] = await session.query<{ names: string[] }>(
    `select migration.changed_archive(${literal(JSON.stringify(defined))}) as names`,
  );
  return tables.filter(({ name }) => row?.names.includes(name));
}

async function copy(session: Session, table: ArchiveTable): Promise<Counts> {
  const { name, source, hash, file, text, secret } = table;
  const [row] = await session.query<{ counts: Counts }>(
    `select migration.copy_archive(${literal(JSON.stringify({ name, source, hash, file, text, secret }))}) as counts`,
  );
  if (row === undefined) throw new Error(`${name}: the target answered without counts`);
  return row.counts;
}
