import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { hashOf } from './catalog.ts';
import type { Session } from './database.ts';

/**
 * True when the folder and what the target remembers of it differ in any way: then schema.ts, with
 * its parser, has to look. False costs one query.
 */
export async function pendingChanges(
  session: Session,
  root: string,
  folder: 'additive' | 'removal',
): Promise<boolean> {
  const [there] = await session.query<{ there: boolean }>(
    `select pg_catalog.to_regclass('migration.schema_change_hashes') is not null as there`,
  );
  if (there?.there !== true) return true;
  const applied = await session.query<{ name: string; hash: string }>(
    'select name, hash from migration.schema_change_hashes where folder = $1 order by name',
    [folder],
  );
  const files = readdirSync(join(root, 'schema-changes', folder)).toSorted();
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
