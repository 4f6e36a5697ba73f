import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/* A piece of work in a process of its own: one message there, one back. */

/**
 * Starts the module again as a child, sends it a message and returns its answer. `what`: a sentence
 * for a child that ends without one. Throws what `fork` throws.
 */
export async function askChild<Answer>(
  module: string,
  message: object,
  what: string,
): Promise<Answer> {
  // advanced: maps and sets arrive as what they are
  const child = fork(fileURLToPath(module), [], {
    execArgv: process.execArgv,
    serialization: 'advanced',
  });
  const answer = await new Promise<Answer>((resolve, reject) => {
    child.once('message', (said) => {
      resolve(said as Answer);
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`${what} (exit ${code})`));
    });
    child.send(message);
  });
  child.disconnect();
  return answer;
}

/** Answers the parent where the module runs as its child; `work` answers errors itself. */
export function answerParent(module: string, work: (message: unknown) => Promise<object>): void {
  if (process.send === undefined || process.argv[1] !== fileURLToPath(module)) return;
  process.once('message', (message) => {
    work(message)
      // a parent that was killed is not there to take it
      .then((answer) => process.send?.(answer, undefined, undefined, () => {}))
      .catch(() => {});
  });
}
