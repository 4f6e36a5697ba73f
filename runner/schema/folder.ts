import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { hashOf } from '../engine/text.ts';
import { REMOVAL_COLUMNS } from '../engine/settings.ts';

/** `additive` runs before the first load, `removal` is the column removal, a phase at a time. */
export type Folder = 'additive' | 'removal';

/** The text of a schema change, without a look at what it says. */
export interface ChangeText {
  name: string;
  /** Relative to the project root. */
  file: string;
  text: string;
  hash: string;
}

/**
 * The schema changes of a folder in the order of execution. A folder that is not there is an empty
 * one, and hidden files (.gitkeep) are no changes.
 */
export function readTexts(root: string, folder: Folder): ChangeText[] {
  const place = join(root, 'schema-changes', folder);
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .filter((name) => !name.startsWith('.') && name !== REMOVAL_COLUMNS)
    .toSorted()
    .map((name) => {
      const file = `schema-changes/${folder}/${name}`;
      // the working copy's line ends are no change of the file
      const text = readFileSync(join(root, file), 'utf8').replaceAll('\r\n', '\n');
      return { name: name.replace(/\.sql$/, ''), file, text, hash: hashOf(text) };
    });
}
