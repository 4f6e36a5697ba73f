import { writeFileSync } from 'node:fs';

import type { Problem } from '../engine/text.ts';
import { type Command, type Context, UsageError } from './command.ts';
import type { Session } from '../database.ts';
import { keepLock } from '../engine/lock.ts';
import { type Plan, type Planning, readPlan, readStatements } from '../engine/plan.ts';
import { pendingNames, previewChanges } from '../schema/pending.ts';
import { planLines, planMarkdown } from './plan-screen.ts';
import { summarize } from '../terminal/github.ts';
import { note, problems, say, sayJson } from '../terminal/terminal.ts';

export const plan: Command = {
  options: {
    out: { text: 'write it as JSON, for `up --plan`', value: 'file' },
    exact: { text: 'read all that `up` would read, also where that is much' },
    all: { text: 'every entity with work, also where there are many' },
    full: { text: 'as `up --full`' },
    sql: { text: 'print the statements of one entity instead', value: 'entity' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const wanted = context.value('sql');
  const entities = context.catalog().phases.flatMap((phase) => phase.entities);
  if (wanted !== undefined && !entities.some(({ name }) => name === wanted)) {
    throw new UsageError(`there is no entity ${wanted}`);
  }
  if (wanted !== undefined) {
    const { session, planning } = await begin(context);
    return printStatements(context, session, planning, wanted);
  }
  const found = await forecast(context);
  const config = await context.config();
  const made = { target: nameOf(config.target), source: nameOf(config.source) };
  return show(context, found, { ...made, made: new Date() });
}

/** What `up` would do. */
export async function forecast(context: Context): Promise<Plan> {
  const { session, planning } = await begin(context);
  return readPlan(session, planning);
}

async function begin(context: Context): Promise<{ session: Session; planning: Planning }> {
  const { root } = context;
  const catalog = context.catalog();
  const config = await context.config();
  // what it enters on the way would be in the way of a run, and a run in the way of what it says
  const keeper = await keepLock(config.target, () => {});
  context.onEnd(() => keeper.release());
  const session = await context.session('runner plan');
  const planning: Planning = {
    root,
    catalog,
    config,
    full: context.has('full'),
    exact: context.has('exact'),
    pending: await pendingNames(session, root),
    preview: () => previewChanges(session, root),
    remark: context.note,
  };
  return { session, planning };
}

async function printStatements(
  context: Context,
  session: Session,
  planning: Planning,
  entity: string,
): Promise<number> {
  const { sql, problems: found } = await readStatements(session, planning, entity);
  if (context.has('json')) sayJson({ problems: found, entity, sql: sql ?? null });
  else if (sql !== undefined) say(sql);
  else showProblems(context, found);
  return sql === undefined ? 1 : 0;
}

function showProblems(context: Context, found: Problem[]): void {
  const files = context.catalog().phases.flatMap((phase) => phase.entities);
  problems(found, (name) => files.find(({ file }) => file === name)?.text, context.has('all'));
}

function show(
  context: Context,
  found: Plan,
  made: { target: string; source: string; made: Date },
): number {
  const file = context.value('out');
  const { schemaChanges, problems: wrong } = found;
  const written = {
    v: 1,
    ...made,
    schemaChangesPending: schemaChanges.length > 0,
    ...found,
  };
  const failed = wrong.length > 0 || found.rights.some(({ state }) => state === 'error');
  if (file !== undefined && !failed) {
    writeFileSync(file, `${JSON.stringify(written, null, 2)}\n`);
  }
  summarize(planMarkdown(found, made));
  if (context.has('json')) sayJson(written);
  else {
    showProblems(context, wrong);
    for (const line of planLines(found, { ...made, all: context.has('all') })) say(line);
    if (failed) note('`up` would stop before the first write: nothing to approve');
    else if (file !== undefined) say(`Approve: runner up --plan ${file}`);
  }
  return failed ? 1 : 0;
}

function nameOf({ host, database }: { host: string; database: string }): string {
  return `${host}/${database}`;
}
