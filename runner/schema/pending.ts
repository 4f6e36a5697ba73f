import { existsSync, readdirSync, readFileSync } from 'node:fs';
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
  const files = changeFiles(root, folder).filter((file) => file !== REMOVAL_COLUMNS);
  if (files.length === 0 && applied === undefined) return false;
  if (applied === undefined) return true;
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

/** The files of a folder, by name; none where a project has no such folder. */
export function changeFiles(root: string, folder: string): string[] {
  const path = join(root, 'schema-changes', folder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((file) => !file.startsWith('.'))
    .toSorted();
}

/** Names of the additive changes that are not made yet; what has been edited since is not among them. */
export async function pendingNames(session: Session, root: string): Promise<string[]> {
  const applied = (await appliedChanges(session, 'additive')) ?? [];
  return changeFiles(root, 'additive')
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.replace(/\.sql$/, ''))
    .filter((name) => !applied.some((row) => row.name === name));
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
