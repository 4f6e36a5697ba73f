import { type Command, type Context, UsageError } from './command.ts';
import type { Catalog } from '../engine/catalog.ts';
import type { Entity } from '../engine/entity-file.ts';
import { consult } from '../engine/ledger.ts';
import { say, sayJson, table } from '../terminal/terminal.ts';

export const rejects: Command = {
  options: {
    rows: { text: 'list keys, reasons, the id that leads nowhere, and what the server said' },
    csv: { text: 'all rows as CSV' },
    'show-data': { text: 'with --rows or --csv: the source rows as well (personal data)' },
    limit: { text: 'with --rows or --csv: at most so many (100, all of them as CSV)', value: 'n' },
  },
  run: runCommand,
};

interface Counted {
  entity: string;
  reason: string;
  /** What the reason means; null for what the target refused. */
  meaning: string | null;
  kind: string;
  count: number;
}

/** A row that was refused, and why. */
interface Refused {
  entity: string;
  legacy_id: number;
  reason: string;
  sqlstate: string | null;
  constraint_name: string | null;
  column_name: string | null;
}

interface Rejected extends Refused {
  /** The values of its key, as `runner id` takes them. */
  key: string;
  meaning: string | null;
  /** `column key` of the reference that leads nowhere, as the source row has it. */
  leads_nowhere: string | null;
  first_run: number;
  source_row: string | null;
}

/** A row that made an attempt fail: rolled back with it, so the ledger has no reject of it. */
interface Failed extends Refused {
  run: number;
}

/** Rows that are listed, and those of a failed attempt that are shown without --rows. */
const LISTED = 100;
const FIRST = 10;

async function runCommand(context: Context): Promise<number> {
  const [entity = null] = context.positionals;
  const catalog = context.catalog();
  const known = catalog.phases.flatMap(({ entities }) => entities);
  if (entity !== null && !known.some(({ name }) => name === entity)) {
    throw new UsageError(`there is no entity ${entity}`);
  }
  const asCsv = context.has('csv');
  if (asCsv && context.has('json')) throw new UsageError('--csv or --json, not both');
  const limit = limitOf(context.value('limit'));
  const listed = asCsv || context.has('rows');
  const pointers = listed ? await pointersOf(known) : {};
  const session = await context.session('runner rejects');
  const found = await consult(session, catalog, async () => {
    const failed = await session.query<Failed>('select * from migration.failed_rows($1, $2)', [
      entity,
      limit ?? LISTED,
    ]);
    const rows = listed
      ? await session.query<Rejected>(
          'select * from migration.reject_rows($1, $2, $3, $4::text::jsonb)',
          [
            entity,
            context.has('show-data'),
            limit ?? (asCsv ? null : LISTED),
            JSON.stringify(pointers),
          ],
        )
      : [];
    const counts = listed
      ? []
      : await session.query<Counted>('select * from migration.reject_counts($1)', [entity]);
    return { failed, rows: explained(catalog, rows), counts: explained(catalog, counts) };
  });
  if (context.has('json')) {
    sayJson({
      rejects: (listed ? found?.rows : found?.counts) ?? [],
      failed: found?.failed ?? [],
    });
  } else if (asCsv) for (const line of csv(found?.rows ?? [])) say(line);
  else if (found === undefined) say('nothing is migrated yet');
  else {
    if (listed) showRows(found.rows);
    else showCounts(found.counts);
    showFailed(found.failed, listed ? (limit ?? LISTED) : FIRST);
  }
  return 0;
}

/** With what the files say of their reasons. */
function explained<Row extends { entity: string; reason: string }>(
  { phases }: Catalog,
  rows: readonly Row[],
): (Row & { meaning: string | null })[] {
  const entities = new Map(phases.flatMap((phase) => phase.entities.map((e) => [e.name, e])));
  return rows.map((row) => {
    const reason = entities
      .get(row.entity)
      ?.reasons.find(({ kind, name }) => kind === 'reject' && name === row.reason);
    return { ...row, meaning: reason?.sentence ?? null };
  });
}

/** The columns that hold what leads nowhere, by entity and reason; of what parses. */
async function pointersOf(entities: Entity[]): Promise<Record<string, Record<string, string[]>>> {
  const { loadOrphans, orphansOf } = await import('../engine/orphans.ts');
  await loadOrphans();
  const found = entities.map(({ name, text }) => {
    try {
      return [name, orphansOf(text)] as const;
    } catch {
      return [name, {}] as const;
    }
  });
  return Object.fromEntries(found);
}

function showCounts(counts: Counted[]): void {
  if (counts.length === 0) return say('no open rejects');
  table(
    ['entity', 'reason', 'by', 'rows', 'meaning'],
    counts.map((r) => [r.entity, r.reason, r.kind, r.count, r.meaning]),
  );
}

function showRows(rows: Rejected[]): void {
  if (rows.length === 0) return say('no open rejects');
  table(
    [...WHY, 'leads nowhere', 'since run', 'source row'],
    rows.map((row) => [...whyOf(row), row.leads_nowhere, row.first_run, row.source_row]),
  );
}

function showFailed(rows: Failed[], limit: number): void {
  if (rows.length === 0) return;
  say('\nthe last attempt failed for these rows; they were rolled back with it:\n');
  table(
    [...WHY, 'run'],
    rows.slice(0, limit).map((row) => [...whyOf(row), row.run]),
  );
  if (rows.length > limit) say('and more: --rows');
}

const WHY = ['entity', 'key', 'reason', 'sqlstate', 'constraint', 'column'];

function whyOf({ entity, legacy_id: id, reason, sqlstate, ...row }: Refused & { key?: string }) {
  return [entity, row.key ?? id, reason, sqlstate, row.constraint_name, row.column_name];
}

/** Lines of CSV, the first with the names of the fields. */
function csv(rows: Rejected[]): string[] {
  const header = [...WHY, 'leads nowhere', 'meaning', 'since run', 'source row'];
  const lines = rows.map((row) => [
    ...whyOf(row),
    row.leads_nowhere,
    row.meaning,
    row.first_run,
    row.source_row,
  ]);
  const field = (value: string | number | null | undefined) => {
    const text = String(value ?? '');
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...lines].map((line) => line.map(field).join(','));
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit takes a number from 1');
  return limit;
}
