import type { ArchiveTable } from './catalog.ts';
import type { Session } from '../database.ts';
import type { Counts } from './ledger.ts';
import { type Begin, type Done, hear, type RunContext } from './entity.ts';
import { attemptPhase, inOne } from './phase.ts';
import { checkPhase } from './phase-checks.ts';
import { CLOSE_LINK } from './link.ts';
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
      const unproven = context.unproven.has(archive.name);
      const changed = await changedOf(session, tables);
      const done = changed.length === 0 ? [] : await copy(context, session, changed, begin);
      context.checkpoint();
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

/** Tables that have to be copied, or compared. */
async function changedOf(session: Session, tables: ArchiveTable[]): Promise<ArchiveTable[]> {
  const defined = tables.map(({ name, source, hash }) => ({ name, source, hash }));
  const [row] = await session.query<{ names: string[] }>(
    `select migration.changed_archive(${literal(JSON.stringify(defined))}) as names`,
  );
  return tables.filter(({ name }) => row?.names.includes(name));
}

/** All of them in one message. */
async function copy(
  context: RunContext,
  session: Session,
  tables: ArchiveTable[],
  begin: Begin,
): Promise<Done[]> {
  const began = new Map<string, number>();
  const calls = tables.flatMap(({ name, source, hash, file, text, secret }) => {
    const total = context.plans.get(name)?.row_count ?? 0;
    const what = literal(JSON.stringify({ name, source, hash, file, text, secret }));
    return [
      `select migration.tell(${literal(name)}, 0, ${total})`,
      `select migration.copy_archive(${what}) as counts`,
      `select migration.tell(${literal(name)}, ${total}, ${total})`,
    ];
  });
  const rows = await session.batch([...calls, CLOSE_LINK], (said) => {
    if (!began.has(said.entity)) began.set(said.entity, Date.now());
    hear(context, said, begin);
  });
  const times = [...began.values(), Date.now()];
  const counts = rows.flatMap((row) => ('counts' in row ? [row['counts'] as Counts] : []));
  return tables.flatMap(({ name: entity, phase }, at) => {
    const [own, start, end] = [counts[at], times[at], times[at + 1]];
    if (own === undefined || start === undefined || end === undefined) return [];
    return [{ type: 'entity.done' as const, entity, phase, counts: own, ms: end - start }];
  });
}
