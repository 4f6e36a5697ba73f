import { type Command, type Context, UsageError } from '../command.ts';
import { installedHash } from '../ledger.ts';
import { say, sayJson, table } from '../terminal.ts';

export const rejects: Command = {
  name: 'rejects',
  summary: 'rows that could not be stored: reasons and counts, or the rows',
  usage: 'rejects [entity]',
  options: {
    rows: { text: 'list keys, reasons and what the server said' },
    'show-data': { text: 'with --rows: the source rows as well (personal data)' },
    limit: { text: 'with --rows: at most so many (100)', value: 'n' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const [entity] = context.positionals;
  const known = context.catalog().phases.flatMap(({ entities }) => entities);
  if (entity !== undefined && !known.some(({ name }) => name === entity)) {
    throw new UsageError(`there is no entity ${entity}`);
  }
  const session = await context.session('runner rejects');
  if ((await installedHash(session)) === undefined) {
    say('nothing is migrated yet');
    return 0;
  }
  if (!context.has('rows')) {
    const counts = await session.query<{
      entity: string;
      reason: string;
      kind: string;
      count: number;
    }>(
      `select r.entity, r.reason, r.kind, count(*) as count from migration.rejects as r
       where r.resolved_run is null and ($1::text is null or r.entity = $1)
       group by 1, 2, 3 order by 1, 2`,
      [entity ?? null],
    );
    if (context.has('json')) sayJson({ rejects: counts });
    else if (counts.length === 0) say('no open rejects');
    else
      table(
        ['entity', 'reason', 'by', 'rows'],
        counts.map((r) => [r.entity, r.reason, r.kind, r.count]),
      );
    return 0;
  }
  const rows = await session.query<{
    entity: string;
    legacy_id: number;
    reason: string;
    sqlstate: string | null;
    constraint_name: string | null;
    column_name: string | null;
    first_run: number;
    source_row: string | null;
  }>(
    `select r.entity, r.legacy_id, r.reason, r.sqlstate, r.constraint_name, r.column_name,
       r.first_run, case when $2 then r.source_row::text end as source_row
     from migration.rejects as r
     where r.resolved_run is null and ($1::text is null or r.entity = $1)
     order by 1, 2 limit $3`,
    [entity ?? null, context.has('show-data'), limitOf(context.value('limit'))],
  );
  if (context.has('json')) sayJson({ rejects: rows });
  else {
    table(
      ['entity', 'key', 'reason', 'sqlstate', 'constraint', 'column', 'since run', 'source row'],
      rows.map((r) => [
        r.entity,
        r.legacy_id,
        r.reason,
        r.sqlstate,
        r.constraint_name,
        r.column_name,
        r.first_run,
        r.source_row,
      ]),
    );
  }
  return 0;
}

function limitOf(text: string | undefined): number {
  const limit = Number(text ?? 100);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit takes a number from 1');
  return limit;
}
