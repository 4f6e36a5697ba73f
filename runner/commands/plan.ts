import type { Problem } from '../engine/text.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { throughLink, transaction } from '../database.ts';
import { install } from '../engine/ledger.ts';
import { login } from '../engine/link.ts';
import { prepare } from '../engine/prepare.ts';
import { readShapes } from '../engine/preflight.ts';
import { render } from '../engine/render.ts';
import { runOptions } from '../engine/run.ts';
import { pendingChanges, previewChanges } from '../schema/pending.ts';
import { note, problems, say, sayJson, table } from '../terminal/terminal.ts';

export const plan: Command = {
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

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const wanted = context.value('sql');
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  if (wanted !== undefined && !entities.some(({ name }) => name === wanted)) {
    throw new UsageError(`there is no entity ${wanted}`);
  }
  const config = await context.config();
  const session = await context.session('runner plan');
  const pending = await pendingChanges(session, context.root, 'additive');
  await login(session, config.source);
  let lines: Line[] = [];
  let found: Problem[] = [];
  let sql: string | undefined;
  await throughLink(config.source, () =>
    transaction(
      session,
      async () => {
        await install(session, catalog, (make) => make());
        if (pending) await previewChanges(session, context.root);
        const options = runOptions({
          catalog,
          config,
          full: context.has('full'),
          jobs: config.jobs,
          policy: 'source',
          removeMany: false,
        });
        await session.query(`select set_config('migration.options', $1, true)`, [
          JSON.stringify(options),
        ]);
        const { problems: findings } = await prepare(session, {
          root: context.root,
          catalog,
          source: config.source,
          run: 0,
          checks: false,
          remark: note,
          refuse: () => {},
        });
        found = findings;
        if (found.length > 0) return;
        if (wanted === undefined)
          lines = await session.query<Line>('select * from migration.plan_lines()');
        else {
          const shape = (await readShapes(session, catalog)).get(wanted);
          if (shape !== undefined) sql = render(catalog.templates, shape);
        }
      },
      { commit: false },
    ),
  );
  if (wanted !== undefined && (sql !== undefined || context.has('json'))) {
    if (context.has('json')) sayJson({ entity: wanted, sql: sql ?? null, problems: found });
    else say(sql);
    return found.length > 0 ? 1 : 0;
  }
  show(context, lines, found, pending);
  return found.length > 0 ? 1 : 0;
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
