import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { hashOf } from './text.ts';
import type { Readable, Reading } from './reader.ts';

/** What the child answers. */
type Answer = { readings: Reading[] } | { message: string };

/**
 * Reads views in a process of its own: the grammar would add 35 MB to the runner for the rest of the
 * run. Needed only where views are created anew; the ledger keeps what was read.
 */
export async function readInChild(entities: readonly Readable[]): Promise<Reading[]> {
  if (entities.length === 0) return [];
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: process.execArgv });
  const answer = await new Promise<Answer>((resolve, reject) => {
    child.once('message', (message) => {
      resolve(message as Answer);
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`the views were not read (exit ${code})`));
    });
    child.send(
      entities.map(({ name, text, source, readWhole }) => ({ name, text, source, readWhole })),
    );
  });
  child.disconnect();
  if ('message' in answer) throw new Error(`the views were not read: ${answer.message}`);
  return answer.readings;
}

/** Hash of the reader itself: views are read anew when it changes. */
export function readerHash(): string {
  const text = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');
  return hashOf(['reader.ts', 'references.ts', 'grammar.ts'].map(text).join('\n'));
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('message', (entities) => {
    // it answers errors itself; what is left is a channel that is closed
    serve(entities as Readable[]).catch(() => {});
  });
}

async function serve(entities: Readable[]): Promise<void> {
  let answer: Answer;
  try {
    const { readViews } = await import('./reader.ts');
    answer = { readings: await readViews(entities) };
  } catch (error) {
    answer = { message: error instanceof Error ? error.message : String(error) };
  }
  // a runner that was killed is not there to take it
  process.send?.(answer, undefined, undefined, () => {});
}
