import { isThere, type Session } from '../database.ts';
import { question } from '../engine/question.ts';
import { type Folder, readTexts } from './folder.ts';

/**
 * True when the folder and what the target remembers of it differ in any way: then schema.ts, with
 * its parser, has to look. False costs one query.
 */
export async function pendingChanges(
  session: Session,
  root: string,
  folder: Folder,
): Promise<boolean> {
  const applied = (await appliedChanges(session, folder)) ?? [];
  const files = readTexts(root, folder);
  return (
    JSON.stringify(applied.map(({ name, hash }) => [name, hash])) !==
    JSON.stringify(files.map(({ name, hash }) => [name, hash]))
  );
}

/** Names of the additive changes that are not made yet; what has been edited since is not among them. */
export async function pendingNames(session: Session, root: string): Promise<string[]> {
  const applied = (await appliedChanges(session, 'additive')) ?? [];
  return readTexts(root, 'additive')
    .map(({ name }) => name)
    .filter((name) => !applied.some((row) => row.name === name));
}

/**
 * Makes the additive changes that are pending, in the transaction of the caller, which rolls them
 * back: what comes after sees the target as `up` would. Nothing is noted in the ledger.
 */
export async function previewChanges(session: Session, root: string): Promise<void> {
  const { readFolder } = await import('./files.ts');
  const applied = (await appliedChanges(session, 'additive')) ?? [];
  for (const { name, up } of readFolder(root, 'additive')) {
    if (!applied.some((row) => row.name === name)) await session.query(up.text);
  }
}

/** Names and hashes of the files that are made, by name; undefined where none ever was. */
async function appliedChanges(session: Session, folder: string) {
  if (!(await isThere(session, 'migration.schema_change_hashes'))) return undefined;
  return session.query<{ name: string; hash: string }>(question('schema_changes'), [folder]);
}
