import type { ArchiveTable } from './catalog.ts';
import { failureOf, savepoint, type Session, transaction } from './database.ts';
import { type Counts, holdLease } from './ledger.ts';
import { closeLink, openLink, reading } from './link.ts';
import {
  again,
  checkPhase,
  isUnproven,
  LawBroken,
  noteFailure,
  PhaseFailed,
  type Progress,
  type RunContext,
} from './phase.ts';
import { literal, quoted } from './render.ts';

/**
 * Copies the archive tables in one transaction, a savepoint each: typed, verbatim, keyed by the
 * source's own id; rows that are gone from the source go from the copy too. A table whose row
 * versions and file are those of the last time is not read. The data checks come last, as after a
 * phase. Throws PhaseFailed.
 */
export async function runArchive(context: RunContext, tables: ArchiveTable[]): Promise<void> {
  const [session] = context.sessions;
  const inOne = context.dryRun ? savepoint : transaction;
  let done: Progress[] = [];
  let current: ArchiveTable | undefined;
  const copyAll = async (): Promise<void> => {
    done = [];
    await holdLease(session, context.run);
    const unproven = await isUnproven(session, 'archive');
    let open = false;
    const changed = await changedOf(session, tables);
    if (changed.length === 0 && !unproven) return;
    for (const table of changed) {
      context.checkpoint();
      current = table;
      done.push(
        await savepoint(session, async () => {
          const started = new Date();
          await session.query(table.text);
          await session.query('select migration.start_archive($1, $2, $3)', [
            table.name,
            table.source,
            table.hash,
          ]);
          if (!open) await openLink(session);
          open = true;
          const counts = await finish(session, table, await copy(context, session, table));
          const seconds = (Date.now() - started.getTime()) / 1000;
          return progress(table, counts, seconds);
        }),
      );
    }
    current = undefined;
    if (open) await closeLink(session);
    const archive = { name: 'archive', entities: tables };
    await checkPhase(context, session, archive, done, unproven);
  };
  try {
    await again(context, () => inOne(session, copyAll));
  } catch (error) {
    if (!(error instanceof LawBroken) && failureOf(error) === undefined) throw error;
    context.checkpoint();
    const message = error instanceof Error ? error.message : String(error);
    const blamed = (current === undefined ? tables : [current]).map(({ name }) => name);
    if (!context.dryRun) await noteFailure(context, blamed, new Date(), message);
    throw new PhaseFailed('archive', current?.name, message, false, error);
  }
  for (const each of done) context.report(each);
}

/** Drops the copies and what the ledger knows of them, inside the caller's transaction. */
export async function dropArchive(session: Session, tables: ArchiveTable[]): Promise<number> {
  let rows = 0;
  for (const table of tables) {
    const [there] = await session.query<{ there: boolean }>(
      'select to_regclass($1) is not null as there',
      [table.name],
    );
    if (there?.there === true) {
      const [row] = await session.query<{ count: number }>(
        `select count(*) as count from ${nameOf(table)}`,
      );
      rows += row?.count ?? 0;
      await session.query(`drop table ${nameOf(table)}`);
    }
    for (const ledger of ['ranges', 'entities']) {
      await session.query(`delete from migration.${ledger} where entity = $1`, [table.name]);
    }
  }
  return rows;
}

/** What a copy did. */
type Copied = Pick<Counts, 'source' | 'inserted' | 'updated' | 'gone'>;

/** Enters a copy in the ledger. */
async function finish(session: Session, table: ArchiveTable, copied: Copied): Promise<Counts> {
  const [row] = await session.query<{ counts: Counts }>(
    'select migration.finish_archive($1, $2::text::jsonb) as counts',
    [table.name, JSON.stringify(copied)],
  );
  if (row === undefined) throw new LawBroken(`${table.name}: the ledger is unreadable`);
  return row.counts;
}

/** Tables that have to be copied, or compared. */
async function changedOf(session: Session, tables: ArchiveTable[]): Promise<ArchiveTable[]> {
  const defined = tables.map(({ name, source, hash }) => ({ name, source, hash }));
  const rows = await session.query<{ name: string }>(
    'select c.name from migration.changed_archive($1::text::jsonb) as c',
    [JSON.stringify(defined)],
  );
  return tables.filter(({ name }) => rows.some((row) => row.name === name));
}

async function copy(context: RunContext, session: Session, table: ArchiveTable): Promise<Copied> {
  const columns = await columnsOf(session, table);
  const from =
    table.secret === null ? `legacy.${quoted(table.source)}` : await openSecret(session, table);
  const names = columns.map(quoted);
  const pick = (alias: string) => names.map((name) => `${alias}.${name}`).join(', ');
  const counts = await reading(session, async () => {
    const [before] = await session.query<{ count: number }>(
      `select count(*) as count from ${nameOf(table)}`,
    );
    const [gone] = await session.query<{ count: number }>(
      `with removed as (
         delete from ${nameOf(table)} as a
         where not exists (select from ${from} as s where s.id = a.id) returning 1)
       select count(*) as count from removed`,
    );
    capRemovals(context, table, gone?.count ?? 0, before?.count ?? 0);
    // values are compared with one another and nowhere else: some of them are secrets
    const [written] = await session.query<{ inserted: number; updated: number }>(
      `with written as (
         insert into ${nameOf(table)} as a (${names.join(', ')})
         select ${pick('s')} from ${from} as s
         on conflict (id) do update set ${names.map((name) => `${name} = excluded.${name}`).join(', ')}
         where row(${pick('a')})::text <> row(${pick('excluded')})::text
         returning a.xmax = 0 as new)
       select count(*) filter (where new) as inserted, count(*) filter (where not new) as updated
       from written`,
    );
    const [source] = await session.query<{ count: number }>(
      `select count(*) as count from ${from} as s`,
    );
    const [kept] = await session.query<{ count: number }>(
      `select count(*) as count from ${nameOf(table)}`,
    );
    const rows = source?.count ?? 0;
    if (kept?.count !== rows) {
      throw new LawBroken(
        `${table.name} does not balance: ${rows} source rows, ${kept?.count} kept`,
      );
    }
    // the data checks cannot reach a secret: it is compared here, and none of it is ever shown
    const [other] = await session.query<{ count: number }>(
      table.secret === null
        ? 'select 0::bigint as count'
        : `select count(*) as count from ${from} as s
           left join ${nameOf(table)} as a on a.id = s.id
           where row(${pick('a')}) is distinct from row(${pick('s')})`,
    );
    if (other?.count !== 0) {
      throw new LawBroken(
        `${table.name}: ${other?.count} rows are not stored as the source has them: ` +
          'a trigger or rule of the table changes them',
      );
    }
    const { inserted, updated } = written ?? { inserted: 0, updated: 0 };
    return { source: rows, inserted, updated, gone: gone?.count ?? 0 };
  });
  if (table.secret !== null) await session.query(`drop foreign table ${from}`);
  return counts;
}

function capRemovals(context: RunContext, table: ArchiveTable, gone: number, rows: number): void {
  if (gone <= Math.max(0.05 * rows, 3) || context.removeMany) return;
  throw new LawBroken(
    `${table.name}: ${gone} of ${rows} rows are gone from the source and would be removed ` +
      '(more than 5 %); look at the source, and repeat with --yes if that is right',
  );
}

/** A foreign table with the key and the one secret column; dropped before the transaction ends. */
export async function openSecret(session: Session, table: ArchiveTable): Promise<string> {
  const name = `legacy.${quoted(`${table.target.table}_secret`)}`;
  await session.query(
    `create foreign table ${name} (id bigint, ${quoted(table.secret ?? '')} text)
     server legacy_source options (schema_name 'public', table_name ${literal(table.source)})`,
  );
  return name;
}

/** Columns of the copy; all columns of the source table must be among them, or the copy lies. */
async function columnsOf(session: Session, table: ArchiveTable): Promise<string[]> {
  const columns = await session.query<{ name: string }>(
    `select a.attname as name from pg_attribute as a
     where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [table.name],
  );
  const names = columns.map(({ name }) => name);
  if (table.secret !== null) return names;
  const source = await session.query<{ name: string }>(
    `select a.attname as name from pg_attribute as a
     where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [`legacy.${quoted(table.source)}`],
  );
  const lacking = source.map(({ name }) => name).filter((name) => !names.includes(name));
  if (lacking.length > 0) {
    throw new LawBroken(
      `${table.file}: the source table has ${lacking.join(', ')}, the copy has not; ` +
        'add the columns to the file, take the archive down and run `up` again',
    );
  }
  return names;
}

function progress(table: ArchiveTable, counts: Counts, seconds: number): Progress {
  const { name: entity, phase } = table;
  return { entity, phase, state: 'done', done: counts.read, total: counts.read, counts, seconds };
}

function nameOf(table: ArchiveTable): string {
  return `${quoted(table.target.schema)}.${quoted(table.target.table)}`;
}
