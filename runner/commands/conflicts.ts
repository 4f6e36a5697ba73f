import { type Command, type Context, UsageError } from './command.ts';
import { consult } from '../engine/ledger.ts';
import { say, sayJson, table } from '../terminal/terminal.ts';

export const conflicts: Command = {
  options: {
    rows: { text: 'list keys and ids, the last ones first' },
    limit: { text: 'with --rows: at most so many (100)', value: 'n' },
  },
  run: runCommand,
};

/** What the application did to its rows, and whose version they have now. */
interface Conflict {
  entity: string;
  kind: 'changed' | 'deleted';
  resolution: 'source' | 'target';
}

interface Counted extends Conflict {
  count: number;
  last_run: number;
}

interface Row extends Conflict {
  legacy_id: number;
  id: string;
  run: number;
  found_at: string;
}

async function runCommand(context: Context): Promise<number> {
  const [entity = null] = context.positionals;
  const catalog = context.catalog();
  const limit = limitOf(context.value('limit'));
  const session = await context.session('runner conflicts');
  const found = await consult(session, catalog, async () => {
    const counts = await session.query<Counted>('select * from migration.conflict_counts($1)', [
      entity,
    ]);
    const rows = context.has('rows')
      ? await session.query<Row>('select * from migration.conflict_rows($1, $2)', [entity, limit])
      : undefined;
    return { counts, rows };
  });
  const known = catalog.phases.flatMap(({ entities }) => entities.map(({ name }) => name));
  const { counts = [], rows } = found ?? {};
  if (entity !== null && !known.includes(entity) && counts.length === 0) {
    throw new UsageError(`there is no entity ${entity}`);
  }
  if (context.has('json')) sayJson({ conflicts: rows ?? counts });
  else if (found === undefined) say('nothing is migrated yet');
  else if (counts.length === 0) say('no conflicts: no row was changed on both sides');
  else if (rows === undefined) {
    table(
      ['entity', 'the application', 'now as in the', 'rows', 'last run'],
      counts.map((c) => [c.entity, c.kind, c.resolution, c.count, c.last_run]),
    );
  } else {
    table(
      ['entity', 'key', 'id', 'the application', 'now as in the', 'run', 'when'],
      rows.map((r) => [
        r.entity,
        String(r.legacy_id),
        r.id,
        r.kind,
        r.resolution,
        r.run,
        r.found_at,
      ]),
      ['when', 'run'],
    );
  }
  return 0;
}

function limitOf(text: string | undefined): number {
  const limit = Number(text ?? 100);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit takes a number from 1');
  return limit;
}
