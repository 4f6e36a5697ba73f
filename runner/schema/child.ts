import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { ConnectionLost, CouldNotConnect } from '../database.ts';
import { RunnerBusy } from '../engine/lock.ts';
import type { AppliedChange, ApplyOptions } from './changes.ts';
import type { SchemaChangeError } from './error.ts';
import type { Refusal } from '../connection/unreachable.ts';

/** What the child answers. */
type Answer = { applied: AppliedChange[] } | { message: string; code: string; refusal?: Refusal };

/**
 * Applies the pending additive schema changes in a process of their own: the SQL parser and the
 * migration library would double the memory of the runner for the rest of the run. The connection
 * goes over the channel, not through argv or the environment. Returns the names of the files.
 */
export async function applyInChild(
  options: Pick<ApplyOptions, 'root'> & Required<Pick<ApplyOptions, 'connection'>>,
): Promise<string[]> {
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: process.execArgv });
  const answer = await new Promise<Answer>((resolve, reject) => {
    child.once('message', (message) => {
      resolve(message as Answer);
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`the schema changes ended without an answer (exit ${code})`));
    });
    child.send(options);
  });
  child.disconnect();
  if ('message' in answer) {
    if (answer.code === 'busy') throw new RunnerBusy(answer.message);
    if (answer.refusal !== undefined) throw new CouldNotConnect('target', answer.refusal);
    if (answer.code === 'unknown') throw new ConnectionLost(answer.message);
    throw new Error(answer.message);
  }
  return answer.applied.map(({ name }) => name);
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('message', (options) => {
    // it answers errors itself; what is left is a channel that is closed
    serve(options as ApplyOptions).catch(() => {});
  });
}

async function serve(options: ApplyOptions): Promise<void> {
  const { applySchemaChanges } = await import('./changes.ts');
  let answer: Answer;
  try {
    const applied = await applySchemaChanges({
      ...options,
      folder: 'additive',
      direction: 'up',
    });
    answer = { applied };
  } catch (error) {
    const { message, code, refusal } = error as Partial<SchemaChangeError> & Error;
    answer = { message, code: code ?? '', ...(refusal === undefined ? {} : { refusal }) };
  }
  process.send?.(answer);
}
