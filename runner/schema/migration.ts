import { join } from 'node:path';

import { runner as migrate } from 'node-pg-migrate';
import type { MigrationBuilder, RunnerOption } from 'node-pg-migrate';
import type { ClientBase } from 'pg';

import type { ChangeFile, Section } from './files.ts';
import type { Folder } from './folder.ts';
import { REMOVAL_COLUMNS } from '../engine/settings.ts';

/** What is to run, of which folder. */
export interface MigrationOptions {
  root: string;
  folder: Folder;
  direction: 'up' | 'down';
  files: ChangeFile[];
  /** How many of them at most. */
  count: number;
}

/** One run of node-pg-migrate, inside a transaction that somebody else begins and ends. */
export interface Migration {
  /** Returns the names of the files that ran, in their order. */
  run: () => Promise<string[]>;
  /** The file that ran last, to blame for a failure. */
  running: () => { file: ChangeFile; section: Section } | undefined;
  /** The driver's first error: some of them node-pg-migrate hides in one of its own. */
  failure: () => unknown;
}

/**
 * node-pg-migrate's part of the transaction: it runs the files and keeps its table, and sends no
 * BEGIN, COMMIT or lock of its own.
 */
export function migrationOf(client: ClientBase, options: MigrationOptions): Migration {
  const { root, folder, direction, files, count } = options;
  let running: { file: ChangeFile; section: Section } | undefined;
  let failure: unknown;
  const step = (file: ChangeFile, section: Section) => (builder: MigrationBuilder) => {
    running = { file, section };
    // it would send a BEGIN and a COMMIT around each file
    builder.noTransaction();
    builder.sql(section.text);
  };
  const query = async (text: string, values?: unknown[]): Promise<unknown> => {
    try {
      return await client.query(text, values);
    } catch (error) {
      failure ??= error;
      throw error;
    }
  };
  const silent = (): void => {};
  const settings: RunnerOption = {
    // all it uses of a client
    dbClient: { query } as unknown as ClientBase,
    dir: join(root, 'schema-changes', folder),
    // the names that readTexts leaves out
    ignorePattern: `(\\..*|${REMOVAL_COLUMNS.replace('.', '\\.')})`,
    direction,
    count,
    migrationsSchema: 'migration',
    migrationsTable: `schema_changes_${folder}`,
    singleTransaction: false,
    // takeLock has it
    noLock: true,
    checkOrder: true,
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    migrationLoaderStrategies: [
      {
        extensions: ['.sql'],
        // what was checked and hashed is what runs: the files are not read again
        loader: async () =>
          files.map((file) => ({
            id: join(root, file.file),
            filePaths: [join(root, file.file)],
            actions: { up: step(file, file.up), down: step(file, file.down) },
          })),
      },
    ],
  };
  return {
    run: async () => (await migrate(settings)).map(({ name }) => name),
    running: () => running,
    failure: () => failure,
  };
}
