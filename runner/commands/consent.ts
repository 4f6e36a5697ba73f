import { createInterface } from 'node:readline/promises';

import { type Context, UsageError } from './command.ts';

/**
 * Whether what takes data away may be done: `--yes`, or `y` to the question. Where nobody can be
 * asked (no terminal on standard input, or --json) only `--yes` counts: the answer is undefined.
 */
export async function agreed(context: Context, question: string): Promise<boolean | undefined> {
  if (context.has('yes')) return true;
  if (context.has('json') || !process.stdin.isTTY) return undefined;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-D and Ctrl-C are no answer
  const answer = await prompt.question(`${question} [y/N] `).catch(() => '');
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** What is thrown where nobody could be asked, after the rollback; `answer`: what would be done. */
export function notAgreed(answer: object): UsageError {
  const message = 'nothing was changed: say --yes where nobody can be asked';
  return new UsageError(message, undefined, { verdict: 'not agreed', ...answer });
}
