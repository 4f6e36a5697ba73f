import { answerParent, askChild } from '../child.ts';
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
  const answer = await askChild<Answer>(
    import.meta.url,
    options,
    'the schema changes were not applied',
  );
  if ('message' in answer) {
    if (answer.code === 'busy') throw new RunnerBusy(answer.message);
    if (answer.refusal !== undefined) throw new CouldNotConnect('target', answer.refusal);
    if (answer.code === 'unknown') throw new ConnectionLost(answer.message);
    throw new Error(answer.message);
  }
  return answer.applied.map(({ name }) => name);
}

answerParent(import.meta.url, async (options): Promise<Answer> => {
  const { applySchemaChanges } = await import('./changes.ts');
  try {
    return {
      applied: await applySchemaChanges({
        ...(options as ApplyOptions),
        folder: 'additive',
        direction: 'up',
      }),
    };
  } catch (error) {
    const { message, code, refusal } = error as Partial<SchemaChangeError> & Error;
    return { message, code: code ?? '', ...(refusal === undefined ? {} : { refusal }) };
  }
});
