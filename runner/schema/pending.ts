import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { hashOf } from '../engine/text.ts';
import { isThere, type Session } from '../database.ts';
import { question } from '../engine/question.ts';
import { REMOVAL_COLUMNS } from '../engine/settings.ts';

/**
 * True when the folder and what the target remembers of it differ in any way: then schema.ts, with
 * its parser, has to look. False costs one query.
 */
export async function pendingChanges(
  session: Session,
  root: string,
  folder: 'additive' | 'removal',
): Promise<boolean> {
  const applied = await appliedChanges(session, folder);
  if (applied === undefined) return true;
  const files = readdirSync(join(root, 'schema-changes', folder))
    .filter((file) => !file.startsWith('.') && file !== REMOVAL_COLUMNS)
    .toSorted();
  return (
    JSON.stringify(applied.map(({ name, hash }) => [name, hash])) !==
    JSON.stringify(
      files.map((file) => [
        file.replace(/\.sql$/, ''),
        hashOf(readFileSync(join(root, 'schema-changes', folder, file), 'utf8')),
      ]),
    )
  );
}

/** Names of the additive changes that are not made yet; what has been edited since is not among them. */
export async function pendingNames(session: Session, root: string): Promise<string[]> {
  const applied = (await appliedChanges(session, 'additive')) ?? [];
  return readdirSync(join(root, 'schema-changes', 'additive'))
    .filter((file) => file.endsWith('.sql') && !file.startsWith('.'))
    .map((file) => file.replace(/\.sql$/, ''))
    .filter((name) => !applied.some((row) => row.name === name))
    .toSorted();
}

/**
 * Makes the additive changes that are pending, in the transaction of the caller, which rolls them
 * back: what comes after sees the target as `up` would. Nothing is noted in the ledger.
 */
export async function previewChanges(session: Session, root: string): Promise<void> {
  const { readFolder } = await import('./files.ts');
  const applied = (await appliedChanges(session, 'additive')) ?? [];
  for (const { name, up } of await readFolder(root, 'additive')) {
    if (!applied.some((row) => row.name === name)) await session.query(up.text);
  }
}

/** Names and hashes of the files that are made, by name; undefined where none ever was. */
async function appliedChanges(session: Session, folder: string) {
  if (!(await isThere(session, 'migration.schema_change_hashes'))) return undefined;
  return session.query<{ name: string; hash: string }>(question('schema_changes'), [folder]);
}
