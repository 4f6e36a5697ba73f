import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { hasBinaries } from './binaries.ts';
import { majorOf, type Major } from './releases.ts';

/*
 * The sample of a project, `test/sample/`: what the embedded servers are filled with.
 *
 *   source.sql    the tables of the source, made by a superuser; a line `-- release  10` asks for a server of
 *                 that release
 *   rows/*.sql    what fills them, in the order of their names, in one session; the settings
 *                 `fixture.scale` and `fixture.seed` say which rows are wanted
 *   target.sql    the application's tables, made by the role `postgres`
 */

const FOLDER = 'test/sample';
const SOURCE = 'source.sql';
const TARGET = 'target.sql';

/** Which rows the source is filled with; `scale` null = no tables. The same seed, the same rows. */
export type Sample = { scale: string | null; seed: string };

/** The files a project lacks for `--embedded`, as messages name them. */
export function missingSample(root: string): string[] {
  return [SOURCE, TARGET]
    .map((name) => `${FOLDER}/${name}`)
    .filter((file) => !existsSync(join(root, file)));
}

/** The release its source asks for, where it is installed; 17 where it says nothing. */
export function releaseOf(root: string): Major {
  const file = join(root, FOLDER, SOURCE);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const major = majorOf(/^-- release\s+(\d+)$/m.exec(text)?.[1] ?? '') ?? 17;
  return hasBinaries(major) ? major : 17;
}

/** Creates the tables of the source in an empty database and, with a scale, their rows. */
export async function fillSource(sql: Sql, root: string, { scale, seed }: Sample): Promise<void> {
  await sql.file(join(root, FOLDER, SOURCE));
  const rows = join(root, FOLDER, 'rows');
  if (scale !== null && existsSync(rows)) {
    await sql`select set_config('fixture.scale', ${scale}, false),
                     set_config('fixture.seed', ${seed}, false)`;
    const files = readdirSync(rows).filter((name) => name.endsWith('.sql'));
    for (const file of files.toSorted()) await sql.file(join(rows, file));
  }
  await sql`analyze`;
}

/** Creates the tables of the application. */
export async function fillTarget(sql: Sql, root: string): Promise<void> {
  await sql.file(join(root, FOLDER, TARGET));
}
