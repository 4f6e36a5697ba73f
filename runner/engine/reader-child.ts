import { readFileSync } from 'node:fs';

import { answerParent, askChild } from '../child.ts';
import { hashOf } from './text.ts';
import type { Readable, Reading } from './reading.ts';

/**
 * Reads views in a process of its own: the grammar would add 35 MB to the runner for the rest of the
 * run. Needed only where views are created anew; the ledger keeps what was read.
 */
export async function readInChild(entities: readonly Readable[]): Promise<Reading[]> {
  if (entities.length === 0) return [];
  return askChild<Reading[]>(
    import.meta.url,
    entities.map(({ name, text, source, key, readWhole }) => ({
      name,
      text,
      source,
      key,
      readWhole,
    })),
    'the views were not read',
  );
}

/** Hash of the reader itself: views are read anew when it changes. */
export function readerHash(): string {
  const text = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');
  return hashOf(['reader.ts', 'key.ts', 'references.ts', 'grammar.ts'].map(text).join('\n'));
}

answerParent(import.meta.url, async (entities) => {
  const { readViews } = await import('./reader.ts');
  return readViews(entities as Readable[]);
});
