import type { Command } from './command.ts';
import { consult } from '../engine/ledger.ts';
import { readSummary, type Summary, summaryJson } from '../engine/summary.ts';
import { strayProblems } from '../engine/strays.ts';
import { problems, say, sayJson, table, words } from '../terminal/terminal.ts';

export const status: Command = {
  options: {},
  run: async (context) => {
    const session = await context.session('runner status');
    const catalog = context.catalog();
    const summary = await consult(session, catalog, () => readSummary(session, catalog));
    if (summary === undefined) {
      const verdict = 'Nothing is migrated yet.';
      if (context.has('json')) sayJson({ verdict, phases: [], entities: [], rejects: [] });
      else say(verdict);
      return 0;
    }
    const strays = strayProblems(catalog, summary.strays);
    if (context.has('json')) sayJson({ ...summaryJson(summary), problems: strays });
    else showSummary(summary);
    const files = catalog.phases.flatMap(({ entities }) => entities);
    problems(strays, (name) => files.find(({ file }) => file === name)?.text);
    return strays.length > 0 ? 1 : 0;
  },
};

/** The tables and the verdict a person sees. */
export function showSummary(summary: Summary): void {
  say();
  table(
    [
      'phase',
      'entity',
      'source',
      'inserted',
      'updated',
      'unchanged',
      'kept',
      'rejected',
      'filtered',
      'balance',
      'seconds',
    ],
    summary.entities
      .filter(({ source, error }) => source !== null || error !== null)
      .map((e) => [
        e.phase,
        e.entity,
        e.source,
        e.inserted,
        e.updated,
        e.unchanged,
        e.kept,
        e.rejected,
        e.filtered,
        e.status === 'failed' ? 'failed' : e.balanced === true ? 'ok' : 'open',
        e.seconds === null ? null : Number(e.seconds.toFixed(2)),
      ]),
  );
  if (summary.rejects.length > 0) {
    say();
    table(
      ['rejected', 'reason', 'rows'],
      summary.rejects.map(({ entity, reason, count }) => [entity, reason, count]),
    );
  }
  const gone = summary.entities.filter(({ gone: count }) => count > 0);
  if (gone.length > 0) {
    say();
    table(
      ['gone from the source, kept', 'rows'],
      gone.map((e) => [e.entity, e.gone]),
    );
  }
  say();
  if (summary.success !== null) {
    say(
      `${(Math.floor(summary.success * 10000) / 100).toFixed(2)} % of the rows that belong in the target are there.`,
    );
  }
  if (summary.lastRun !== null) {
    const { run, command, status: state, seconds } = summary.lastRun;
    say(words.dim(`run ${run}: ${command}, ${state}, ${seconds.toFixed(1)} s`));
  }
  say(summary.ok ? words.good(summary.verdict) : words.strong(summary.verdict));
}
