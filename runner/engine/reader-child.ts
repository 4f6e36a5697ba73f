import { readFileSync } from 'node:fs';

import { answerParent, askChild } from '../child.ts';
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
  const answer = await askChild<Answer>(
    import.meta.url,
    entities.map(({ name, text, source, readWhole }) => ({ name, text, source, readWhole })),
    'the views were not read',
  );
  if ('message' in answer) throw new Error(`the views were not read: ${answer.message}`);
  return answer.readings;
}

/** Hash of the reader itself: views are read anew when it changes. */
export function readerHash(): string {
  const text = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');
  return hashOf(['reader.ts', 'key.ts', 'references.ts', 'grammar.ts'].map(text).join('\n'));
}

answerParent(import.meta.url, async (entities): Promise<Answer> => {
  try {
    const { readViews } = await import('./reader.ts');
    return { readings: await readViews(entities as Readable[]) };
  } catch (error) {
    return { message: error instanceof Error ? error.message : String(error) };
  }
});
