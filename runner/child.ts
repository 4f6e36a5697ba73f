import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/* A piece of work in a process of its own: one message there, one back. */

// Where Node does not read TypeScript itself a child needs tsx, unless it inherits it: see bin.js.
const { typescript } = process.features as { typescript?: unknown };
const reads = Boolean(typescript) && !import.meta.url.includes('/node_modules/');
const inherits = process.execArgv.some((word) => word.includes('tsx'));
const LOADER = reads || inherits ? [] : ['--import', import.meta.resolve('tsx')];

/** What the work came to, or why it failed. */
type Said<Answer> = { answer: Answer } | { failed: string };

/**
 * Starts the module again as a child, sends it a message and returns its answer. Throws `what`, a
 * sentence, with the reason: what the work threw, or how the child ended without an answer.
 */
export async function askChild<Answer>(
  module: string,
  message: object,
  what: string,
): Promise<Answer> {
  // advanced: maps and sets arrive as what they are
  const child = fork(fileURLToPath(module), [], {
    execArgv: [...process.execArgv, ...LOADER],
    serialization: 'advanced',
  });
  const said = await new Promise<Said<Answer>>((resolve, reject) => {
    child.once('message', (reply) => {
      resolve(reply as Said<Answer>);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve({ failed: signal ?? `exit ${code}` });
    });
    child.send(message);
  });
  child.disconnect();
  if ('failed' in said) throw new Error(`${what}: ${said.failed}`);
  return said.answer;
}

/** Answers the parent where the module runs as its child. */
export function answerParent(module: string, work: (message: unknown) => Promise<object>): void {
  if (process.send === undefined || process.argv[1] !== fileURLToPath(module)) return;
  process.on('message', (message) => {
    work(message)
      .then(
        (answer): Said<object> => ({ answer }),
        (error: unknown) => ({ failed: error instanceof Error ? error.message : String(error) }),
      )
      // a parent that was killed is not there to take it
      .then((said) => process.send?.(said, undefined, undefined, () => {}))
      .catch(() => {});
  });
}
