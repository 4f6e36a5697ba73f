/* The process of one test file: imports it, runs its suites, reports to run.ts, ends. */
import { register } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { keepChildren } from './kept-children.ts';
import type * as Watched from './watched-uvu.ts';

/** What the process of a file tells run.ts when its tests are done. */
export type Report = {
  kind: 'report';
  passed: number;
  failed: number;
  skipped: string[];
  problems: string[];
};

/** Sent before each test, so that a hanging one can be named. */
export type Running = { kind: 'running'; name: string };

/** What a test has found out, for the reader: printed at once, whether it passes or not. */
export type Note = { kind: 'note'; text: string };

type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;
const uvuGlobals = globalThis as { UVU_DEFER?: number; UVU_INDEX?: number; UVU_QUEUE?: Suite[][] };

const WATCHED = new URL('watched-uvu.ts', import.meta.url).href;

await main(process.argv[2] ?? '');

async function main(file: string): Promise<void> {
  // waiting for a message of run.ts is no reason to stay; losing run.ts is one to go
  process.channel?.unref();
  process.on('disconnect', () => process.exit(1));
  keepChildren();

  const queue: Suite[] = [];
  Object.assign(uvuGlobals, { UVU_DEFER: 1, UVU_INDEX: 0, UVU_QUEUE: [queue] });
  register(
    `data:text/javascript,${encodeURIComponent(`
    export async function resolve(specifier, context, next) {
      const url = ${JSON.stringify(WATCHED)};
      const watched = specifier === 'uvu' && context.parentURL !== url;
      return watched ? { url, shortCircuit: true } : next(specifier, context);
    }`)}`,
  );
  const { seen, forgotten } = (await import(WATCHED)) as typeof Watched;
  seen.onTest = (name) => process.send?.({ kind: 'running', name } satisfies Running);

  const report: Report = { kind: 'report', passed: 0, failed: 0, skipped: [], problems: [] };
  try {
    await import(pathToFileURL(resolve(file)).href);
    for (const suite of queue) {
      const [errors, passed, , total] = await suite();
      if (errors !== true) process.stdout.write(`${errors}\n`);
      report.passed += passed;
      report.failed += total - passed;
    }
  } catch (error) {
    seen.problems.push(`cannot be run: ${(error as Error)?.stack ?? String(error)}`);
  }
  process.stdout.write(seen.hookErrors.map((error) => `\n  ${error}\n`).join(''));
  report.skipped = seen.skipped;
  report.problems = [...seen.problems, ...forgotten()];
  if (report.passed + report.failed + report.skipped.length + report.problems.length === 0) {
    report.problems.push('no test was run: no test(...), or no .run()');
  }
  process.send?.(report);
}
