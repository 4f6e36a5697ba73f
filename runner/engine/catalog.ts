import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import {
  readRemovedColumns,
  readSettings,
  type RemovedColumn,
  type Report,
  type Settings,
} from './settings.ts';
import { ARCHIVE_FORM, readHeader, valueOf } from './header.ts';
import { entries, type Entity, readPhase, sorted } from './entity-file.ts';
import { keyConflicts, keyOf } from './keys.ts';
import { PACKAGE } from '../project.ts';
import { at, hashOf, positionAt, type Problem } from './text.ts';

/** One file of `sql/archive`: a typed verbatim copy of a source table, keyed by its own id. */
export interface ArchiveTable {
  /** `legacy_archive.agents`: how the ledger calls it. */
  name: string;
  phase: 'archive';
  file: string;
  /** Creates the table if it does not exist. */
  text: string;
  hash: string;
  target: { schema: string; table: string };
  source: string;
  /** As of an entity. */
  key: string[];
  /** A column that is not in schema legacy: read through a foreign table of its own. */
  secret: string | null;
  idMaps: string[];
}

/** A folder of entities, in the order of execution. */
export interface Phase {
  name: string;
  entities: Entity[];
}

/** A file of `sql/engine`, or `sql/functions.sql`; hash as in `Entity`. */
export interface SetupFile {
  file: string;
  text: string;
  hash: string;
}

/** `sql/engine/upgrades/3_…sql` makes a ledger of edition 3 of one of edition 2. */
export interface Upgrade extends SetupFile {
  edition: number;
}

/** Everything `sql/` says, in the order of execution. */
export interface Catalog {
  phases: Phase[];
  setup: SetupFile[];
  /** Files of `sql/engine/upgrades`, by the edition of the ledger they lead to. */
  upgrades: Upgrade[];
  /** Files of `sql/engine/templates`: rendered once per entity. */
  templates: SetupFile[];
  archive: ArchiveTable[];
  settings: Settings;
  /** What schema-changes/removal takes away in the end. */
  removal: RemovedColumn[];
  problems: Problem[];
}

const SETUP = 'engine';
const ARCHIVE = 'archive';
/** The page on the door of a folder. */
const DOOR = 'README.md';
const SETTINGS = 'settings.json';
/** Functions that only this project's views use. */
const FUNCTIONS = 'functions.sql';

/**
 * Reads `sql` of a project, and `sql/engine` of the package. Never throws for what a file says: everything
 * wrong is in `problems`, and an entity that cannot be used is left out. Throws only what the file system
 * throws (unreadable file).
 */
export function readCatalog(root: string, engine = PACKAGE): Catalog {
  const problems: Problem[] = [];
  const phases: Phase[] = [];
  const setup = readFiles(engine, `sql/${SETUP}`);
  const upgrades = readUpgrades(engine, problems);
  const templates = readFiles(engine, `sql/${SETUP}/templates`);
  const archive: ArchiveTable[] = [];
  const report: Report = ({ file, text, offset }, message, fix) =>
    problems.push({ rule: 'settings', file, ...positionAt(text, offset), message, fix });
  const settings = readSettings(root, report);
  const removal = readRemovedColumns(root, report);
  const catalog = { phases, setup, upgrades, templates, archive, settings, removal, problems };
  if (!existsSync(join(root, 'sql'))) {
    const fix = 'say `--project <dir>`, or make a project: `runner init <dir>`';
    problems.push(at('layout', 'sql', 1, 1, 'there is no folder sql', fix));
    return catalog;
  }

  const seen: { digits: Map<string, string>; names: Map<string, string> } = {
    digits: new Map(),
    names: new Map(),
  };
  for (const entry of entries(join(root, 'sql'))) {
    const path = `sql/${entry.name}`;
    if (entry.name === DOOR || entry.name === SETTINGS) continue;
    if (entry.name === SETUP && resolve(root) === resolve(engine)) continue;
    if (entry.name === ARCHIVE) archive.push(...readArchive(root, problems));
    // before the last file of the engine, which closes schema migration
    else if (entry.name === FUNCTIONS) setup.splice(-1, 0, setupFile(root, path));
    else if (!entry.isDirectory() || !/^[1-9]-[a-z][a-z0-9_]*$/.test(entry.name)) {
      const fix = 'phases are folders like `2-core`; move it or rename it';
      problems.push(at('layout', path, 1, 1, `${path} is not a phase`, fix));
    } else {
      const digit = entry.name.slice(0, 1);
      const other = seen.digits.get(digit);
      if (other !== undefined) {
        const message = `the phases ${other} and ${entry.name} have the same number`;
        problems.push(at('layout', path, 1, 1, message, 'give each phase a number of its own'));
      }
      seen.digits.set(digit, entry.name);
      phases.push({
        name: entry.name,
        entities: readPhase(root, entry.name, seen.names, problems),
      });
    }
  }
  problems.push(...keyConflicts([...phases.flatMap(({ entities }) => entities), ...archive]));
  const types = new Map<string, string>();
  for (const { file, mapping } of phases.flatMap(({ entities }) => entities)) {
    if (mapping === undefined) continue;
    const other = types.get(mapping);
    if (other !== undefined) {
      const message = `${mapping} is also the mapping of ${other}`;
      problems.push(at('header', file, 1, 1, message, 'one key of one type is one row: rename it'));
    }
    types.set(mapping, file);
  }
  return catalog;
}

/** The phase a person means by `2`, `core` or `2-core`; undefined if there is none. */
export function phaseOf(phases: readonly Phase[], word: string): Phase | undefined {
  return phases.find(
    ({ name }) => name === word || name.slice(0, 1) === word || name.slice(2) === word,
  );
}

/** The phase of every entity and archive table that the files define. */
export function definedEntities({ phases, archive }: Catalog): Record<string, string> {
  const all = [...phases.flatMap(({ entities }) => entities), ...archive];
  return Object.fromEntries(all.map(({ name, phase }) => [name, phase]));
}

/** Hash of the helper functions views use: when it changes, every row is compared. */
export function functionsHash({ setup }: Catalog): string {
  return hashOf(
    setup
      .filter(({ file }) => file.endsWith('functions.sql'))
      .map(({ hash }) => hash)
      .join(),
  );
}

/** Schemas the entities write to, sorted. */
export function targetSchemas({ phases }: Catalog): string[] {
  return sorted(phases.flatMap(({ entities }) => entities.map(({ target }) => target.schema)));
}

/** Every table the entities write to, `schema.table`, sorted. */
export function targetTables({ phases }: Catalog): string[] {
  return sorted(
    phases.flatMap(({ entities }) =>
      entities.map(({ target }) => `${target.schema}.${target.table}`),
    ),
  );
}

/** Every source table the files mention, sorted. */
export function sourceTables(catalog: Catalog): string[] {
  const driving = catalog.phases.flatMap(({ entities }) => entities.flatMap(({ reads }) => reads));
  return sorted([...driving, ...catalog.archive.map(({ source }) => source)]);
}

/** The SQL files of a folder, in the order of their names. */
function readFiles(root: string, folder: string): SetupFile[] {
  if (!existsSync(join(root, folder))) return [];
  return entries(join(root, folder))
    .filter((entry) => entry.name.endsWith('.sql'))
    .map((entry) => setupFile(root, `${folder}/${entry.name}`));
}

/** The first edition that could be upgraded; its ledger has no file here. */
export const FIRST_UPGRADABLE = 2;

function readUpgrades(root: string, problems: Problem[]): Upgrade[] {
  const files = readFiles(root, `sql/${SETUP}/upgrades`)
    .map((file) => ({ ...file, edition: Number(/\/(\d+)_[^/]*$/.exec(file.file)?.[1]) }))
    .toSorted((a, b) => a.edition - b.edition);
  for (const [index, { file, edition }] of files.entries()) {
    const expected = FIRST_UPGRADABLE + 1 + index;
    if (edition === expected) continue;
    const fix = `number it ${expected}: every edition has one file, in order`;
    problems.push(at('layout', file, 1, 1, `${file} is not the next upgrade`, fix));
  }
  return files;
}

function setupFile(root: string, file: string): SetupFile {
  const text = readFileSync(join(root, file), 'utf8');
  return { file, text, hash: hashOf(text) };
}

function readArchive(root: string, problems: Problem[]): ArchiveTable[] {
  const found: ArchiveTable[] = [];
  for (const entry of entries(join(root, 'sql', ARCHIVE))) {
    const file = `sql/${ARCHIVE}/${entry.name}`;
    const text = readFileSync(join(root, file), 'utf8');
    const before = problems.length;
    const header = readHeader(file, text, problems, ARCHIVE_FORM, ['target', 'source']);
    const [schema, table] = valueOf(header, 'target')?.split('.') ?? [];
    const source = valueOf(header, 'source');
    if (problems.length > before || schema === undefined) continue;
    if (table === undefined || source === undefined) continue;
    if (entry.name !== `${table}.sql`) {
      const fix = `name the file ${table}.sql`;
      problems.push(at('file-name', file, 1, 1, `the file archives ${table}`, fix));
      continue;
    }
    const name = `${schema}.${table}`;
    const secret = valueOf(header, 'secret') ?? null;
    const target = { schema, table };
    const hash = hashOf(text);
    const key = keyOf(header);
    found.push({ name, phase: ARCHIVE, file, text, hash, target, source, key, secret, idMaps: [] });
  }
  return found;
}
