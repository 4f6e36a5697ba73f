import { type Command, type Context, UsageError } from './command.ts';
import { consult } from '../engine/ledger.ts';
import { say, sayJson, table } from '../terminal/terminal.ts';

export const rejects: Command = {
  options: {
    rows: { text: 'list keys, reasons and what the server said' },
    'show-data': { text: 'with --rows: the source rows as well (personal data)' },
    limit: { text: 'with --rows: at most so many (100)', value: 'n' },
  },
  run: runCommand,
};

interface Counted {
  entity: string;
  reason: string;
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
  first_run: number;
  source_row: string | null;
}

/** A row that made an attempt fail: rolled back with it, so the ledger has no reject of it. */
interface Failed extends Refused {
  run: number;
}

/** Rows of a failed attempt that are shown without --rows. */
const FIRST = 10;

async function runCommand(context: Context): Promise<number> {
  const [entity = null] = context.positionals;
  const catalog = context.catalog();
  const known = catalog.phases.flatMap(({ entities }) => entities);
  if (entity !== null && !known.some(({ name }) => name === entity)) {
    throw new UsageError(`there is no entity ${entity}`);
  }
  const limit = limitOf(context.value('limit'));
  const session = await context.session('runner rejects');
  const found = await consult(session, catalog, async () => {
    const failed = await session.query<Failed>('select * from migration.failed_rows($1, $2)', [
      entity,
      limit,
    ]);
    const listed = context.has('rows')
      ? rowsOf(
          await session.query<Rejected>('select * from migration.reject_rows($1, $2, $3)', [
            entity,
            context.has('show-data'),
            limit,
          ]),
        )
      : countsOf(
          await session.query<Counted>('select * from migration.reject_counts($1)', [entity]),
        );
    return { ...listed, failed };
  });
  if (context.has('json')) {
    sayJson({ rejects: found?.rejects ?? [], failed: found?.failed ?? [] });
  } else if (found === undefined) say('nothing is migrated yet');
  else {
    found.show();
    showFailed(found.failed, context.has('rows') ? limit : FIRST);
  }
  return 0;
}

function countsOf(counts: Counted[]) {
  const show = () => {
    if (counts.length === 0) say('no open rejects');
    else
      table(
        ['entity', 'reason', 'by', 'rows'],
        counts.map((r) => [r.entity, r.reason, r.kind, r.count]),
      );
  };
  return { rejects: counts, show };
}

function rowsOf(rows: Rejected[]) {
  const show = () => {
    if (rows.length === 0) say('no open rejects');
    else {
      table(
        [...WHY, 'since run', 'source row'],
        rows.map((row) => [...whyOf(row), row.first_run, row.source_row]),
      );
    }
  };
  return { rejects: rows, show };
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

function whyOf({ entity, legacy_id: key, reason, sqlstate, ...row }: Refused) {
  return [entity, key, reason, sqlstate, row.constraint_name, row.column_name];
}

function limitOf(text: string | undefined): number {
  const limit = Number(text ?? 100);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit takes a number from 1');
  return limit;
}
