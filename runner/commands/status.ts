import { setTimeout as sleep } from 'node:timers/promises';

import type { Command, Context } from './command.ts';
import type { Session } from '../database.ts';
import { consult } from '../engine/ledger.ts';
import { type AtWork, clock, readSummary, type Summary, summaryJson } from '../engine/summary.ts';
import { strayProblems } from '../engine/strays.ts';
import { columnsOf } from '../terminal/stream.ts';
import { markOf, showEntities, showOpen, showPhases } from '../terminal/summary-screen.ts';
import { clearScreen, problems, say, sayJson, sayWrapped, words } from '../terminal/terminal.ts';
import { about, counted, number, wrap } from '../terminal/text.ts';

export const status: Command = {
  options: {
    entities: { text: 'a line per entity that has something to tell' },
    all: { text: 'with --entities: of all entities' },
    watch: { text: 'again every two seconds, as long as a run is at work' },
    'exit-code': {
      text: '0 complete and unchanged, 1 failed or died, 10 work pending, 11 at work',
    },
  },
  run: async (context) => {
    const session = await context.session('runner status');
    for (;;) {
      const summary = await readStatus(context, session);
      if (context.has('watch')) clearScreen();
      const code = show(context, summary, (await context.config()).target.host);
      const over = summary?.atWork === undefined || context.interrupt.requested;
      if (!context.has('watch') || over) return code;
      await sleep(WATCH_MS);
      if (context.interrupt.requested) return code;
    }
  },
};

const WATCH_MS = 2000;

/** What the ledger says; undefined before the first run. */
export function readStatus(context: Context, session: Session): Promise<Summary | undefined> {
  const catalog = context.catalog();
  return consult(session, catalog, () => readSummary(session, catalog));
}

/** Prints it; returns the exit code. */
function show(context: Context, summary: Summary | undefined, host: string): number {
  if (summary === undefined) {
    const verdict = 'Nothing is migrated yet.';
    if (context.has('json')) sayJson({ verdict, phases: [], entities: [], rejects: [] });
    else say(verdict);
    return context.has('exit-code') ? 10 : 0;
  }
  const catalog = context.catalog();
  const strays = strayProblems(catalog, summary.strays);
  if (context.has('json')) sayJson({ ...summaryJson(summary), problems: strays });
  else showStatus(context, summary, host);
  const files = catalog.phases.flatMap(({ entities }) => entities);
  problems(strays, (name) => files.find(({ file }) => file === name)?.text);
  if (strays.length > 0) return 1;
  return context.has('exit-code') ? codeOf(summary) : 0;
}

function codeOf({ atWork, died, phases, entities, ok }: Summary): number {
  if (atWork !== undefined) return 11;
  if (died || phases.some(({ status: state }) => state === 'failed')) return 1;
  return ok && !entities.some(({ changed }) => changed) ? 0 : 10;
}

function showStatus(context: Context, summary: Summary, host: string): void {
  const { atWork, phases, ok, verdict, howFar, runs, database, lastRun, entities } = summary;
  say(`${words.strong(`${host}/${database}`)} · ${counted(runs, 'run')}`);
  if (atWork !== undefined) {
    sayWrapped(verdict);
    for (const line of wrap(whoAndHowFar(summary, atWork), columnsOf('stdout') - 2))
      say(`  ${line}`);
    showPhaseMarks(phases, atWork.phase);
  } else {
    if (phases.some(({ status: state }) => state !== 'new')) {
      showPhases(summary);
      say();
      showOpen(summary);
    }
    if (lastRun !== null) {
      const { run, command, status: state, started } = lastRun;
      say(
        words.dim(
          `run ${run}: ${command}, ${stateOf(state, summary.died)}, began ${clock(started)}`,
        ),
      );
    }
  }
  if (context.has('entities')) showEntities(entities, context.has('all'));
  if (atWork !== undefined || !ok) {
    const rows = `${number(howFar.settled)} of ${counted(howFar.total, 'source row')}`;
    const rejected = howFar.rejected === 0 ? '' : `; ${number(howFar.rejected)} rejected`;
    if (howFar.total > 0) sayWrapped(`committed so far ${rows}${rejected}`);
  }
  if (atWork === undefined) sayWrapped(verdict, ok ? words.good : words.strong);
}

function stateOf(state: string, died: boolean): string {
  return died ? 'died' : state;
}

function whoAndHowFar({ lastRun }: Summary, atWork: AtWork): string {
  const { percent, left, since, run } = atWork;
  const its = run === undefined ? null : lastRun;
  return [
    percent === undefined
      ? ''
      : `${percent} % of this run${left === undefined ? '' : `, ${about(left)} left`}`,
    `since ${clock(since)}`,
    its?.by == null ? '' : `${its.by}, pid ${its.pid ?? '?'}`,
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** `✓ 1-foundation ✓ 2-core ▸ 3-operations · 4-financial`: as many lines as it takes. */
function showPhaseMarks(phases: Summary['phases'], at: string | undefined): void {
  // a blank that no line ends at
  const marks = phases.map(
    ({ phase, status: state }) => `${phase === at ? '▸' : markOf(state)}\u00a0${phase}`,
  );
  say(wrap(marks.join(' '), columnsOf('stdout')).join('\n').replaceAll('\u00a0', ' '));
}
