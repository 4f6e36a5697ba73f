import { type Command, type Context, UsageError } from './command.ts';
import { consult } from '../engine/ledger.ts';
import { NOTHING_YET, readSummary, summaryJson } from '../engine/summary.ts';
import { LOG } from './record.ts';
import { say, sayJson } from '../terminal/terminal.ts';
import { migrate } from './up.ts';

export const retry: Command = {
  options: { log: LOG },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const { phases } = catalog;
  const [wanted] = context.positionals;
  const known = phases.flatMap(({ entities }) => entities.map(({ name }) => name));
  if (wanted !== undefined && !known.includes(wanted)) {
    throw new UsageError(`there is no entity ${wanted}`);
  }
  const session = await context.session('runner retry');
  const open = await consult(session, catalog, async () => {
    const rows = await session.query<{ entity: string }>(
      'select entity from migration.reject_counts($1)',
      [wanted ?? null],
    );
    const summary = rows.length > 0 ? undefined : await readSummary(session, catalog);
    return { names: rows.map(({ entity }) => entity), summary };
  });
  const { names = [], summary } = open ?? {};
  if (names.length === 0) {
    // as after a run: what is there
    if (context.has('json')) sayJson(summary === undefined ? NOTHING_YET : summaryJson(summary));
    else say('no open rejects');
    return 0;
  }
  const concerned = phases
    .map(({ name, entities }) => ({
      name,
      entities: entities.filter((entity) => names.includes(entity.name)),
    }))
    .filter(({ entities }) => entities.length > 0);
  return migrate(context, { phases: concerned, archive: false, retry: true });
}
