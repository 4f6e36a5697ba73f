/* What the process of a test file asks of run.ts, which has it for all files. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Majors } from './pair.ts';
import type { Asked } from './runner-child.ts';

/** A pair of servers, the folder of a pair that holds the sample migrated, a command of the runner. */
export type Wanted =
  { kind: 'pair'; majors: Majors } | { kind: 'migrated' } | { kind: 'command'; asked: Asked };

/** The reply has the same id. */
export type Request = { id: string; wanted: Wanted };

/** What run.ts replies. */
export type Reply = { id: string; answer?: unknown; error?: string };

/** Whether this is the process of a file that run.ts runs. */
export const UNDER_RUN = process.argv[1] === fileURLToPath(new URL('run-file.ts', import.meta.url));

const waiting = new Map<string, (reply: Reply) => void>();

/** Asks run.ts; keeps this process until the reply is there. Throws what it failed for. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows the shape
export function ask<Answer>(wanted: Wanted): Promise<Answer> {
  const id = randomBytes(8).toString('hex');
  if (waiting.size === 0) {
    process.on('message', hear);
    process.channel?.ref();
  }
  return new Promise((done, fail) => {
    waiting.set(id, ({ answer, error }) => {
      if (error === undefined) done(answer as Answer);
      else fail(new Error(error));
    });
    process.send?.({ id, wanted } satisfies Request);
  });
}

function hear(reply: Reply): void {
  waiting.get(reply.id)?.(reply);
  waiting.delete(reply.id);
  if (waiting.size > 0) return;
  process.off('message', hear);
  process.channel?.unref();
}
