import { type Catalog, functionsHash, type Problem, sourceTables } from '../catalog.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { type Session, throughLink, transaction } from '../database.ts';
import { enterCatalog, install } from '../ledger.ts';
import { buildLink, login } from '../link.ts';
import { takeLookups } from '../lookups.ts';
import { explain, type Shape } from '../merge.ts';
import { preflight } from '../preflight.ts';
import { pendingChanges, previewChanges } from '../schema-pending.ts';
import { note, problems, say, sayJson, table } from '../terminal.ts';
import { PIECE_ROWS, planEntity, takeSums, widthOf } from '../versions.ts';

export const plan: Command = {
  name: 'plan',
  summary: 'what `up` would do: files new or changed, rows in the source, ranges to read',
  usage: 'plan',
  options: {
    sql: { text: 'print the statements of one entity instead', value: 'entity' },
    full: { text: 'as `up --full`' },
  },
  run: runCommand,
};

interface Line {
  phase: string;
  entity: string;
  file: 'new' | 'changed' | 'same';
  rows: number;
  ranges: number;
  read: number;
  seconds: number | null;
}

/** Thrown to end the transaction: nothing of it may stay. */
class Enough extends Error {}

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const wanted = context.value('sql');
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  if (wanted !== undefined && !entities.some(({ name }) => name === wanted)) {
    throw new UsageError(`there is no entity ${wanted}`);
  }
  const { source } = await context.config();
  const session = await context.session('runner plan');
  const pending = await pendingChanges(session, context.root, 'additive');
  await login(session, source);
  let lines: Line[] = [];
  let found: Problem[] = [];
  let sql: string | undefined;
  try {
    const body = async () => {
      await install(session, catalog, (make) => make());
      if (pending) await previewChanges(session, context.root);
      const tables = sourceTables(catalog);
      const link = await buildLink(session, source, tables);
      await enterCatalog(session, catalog);
      const there = tables.filter((name) => !link.missing.includes(name));
      for (const remark of await takeSums(session, there, 0)) note(remark);
      const result = await preflight(session, catalog, (entity) => widthOf(session, entity));
      await takeLookups(session, catalog, 0);
      found = result.problems;
      const shape = wanted === undefined ? undefined : result.shapes.get(wanted);
      if (shape !== undefined) sql = explain(shape, 'source');
      else lines = await linesOf(session, catalog, result.shapes, context.has('full'));
      throw new Enough();
    };
    await throughLink(source, () => transaction(session, body));
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  if (wanted !== undefined && sql !== undefined) {
    say(sql);
    return 0;
  }
  show(context, lines, found, pending);
  return found.length > 0 ? 1 : 0;
}

async function linesOf(
  session: Session,
  catalog: Catalog,
  shapes: Map<string, Shape>,
  full: boolean,
): Promise<Line[]> {
  const lines: Line[] = [];
  for (const { entities } of catalog.phases) {
    for (const entity of entities) {
      const shape = shapes.get(entity.name);
      if (shape === undefined) continue;
      const { pieces, sourceRows } = await planEntity(session, shape, {
        functionsHash: functionsHash(catalog),
        full,
        retry: false,
        pieceRows: PIECE_ROWS,
      });
      const [known] = await session.query<{ file_hash: string | null; speed: number | null }>(
        `select e.file_hash, (
           select sum(c.rows_read) / nullif(sum(extract(epoch from c.finished_at - c.started_at)), 0)
           from migration.control as c where c.entity = e.entity and c.status = 'done')::float8 as speed
         from migration.entities as e where e.entity = $1`,
        [entity.name],
      );
      const read = pieces.reduce((sum, piece) => sum + piece.rows, 0);
      const hash = known?.file_hash ?? null;
      lines.push({
        phase: entity.phase,
        entity: entity.name,
        file: hash === null ? 'new' : hash === entity.hash ? 'same' : 'changed',
        rows: sourceRows,
        ranges: pieces.reduce((sum, piece) => sum + piece.ranges.length, 0),
        read,
        seconds: known?.speed ? read / known.speed : null,
      });
    }
  }
  return lines;
}

function show(context: Context, lines: Line[], found: Problem[], pending: boolean): void {
  if (context.has('json')) {
    sayJson({ schemaChangesPending: pending, problems: found, entities: lines });
    return;
  }
  const files = new Map(
    context
      .catalog()
      .phases.flatMap(({ entities }) => entities.map(({ file, text }) => [file, text] as const)),
  );
  if (pending) note('schema changes are pending: `up` applies them first');
  problems(found, (file) => files.get(file));
  table(
    [
      'phase',
      'entity',
      'file',
      'rows in source',
      'ranges to look at',
      'rows in them',
      'seconds, estimated',
    ],
    lines.map((line) => [
      line.phase,
      line.entity,
      line.file,
      line.rows,
      line.ranges,
      line.read,
      line.seconds === null ? null : Number(line.seconds.toFixed(1)),
    ]),
  );
  const read = lines.reduce((sum, line) => sum + line.read, 0);
  say(
    read === 0
      ? '\nnothing to do'
      : `\n${read.toLocaleString('en-US')} rows are in ranges that \`up\` would look at`,
  );
}
