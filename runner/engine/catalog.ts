import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import {
  readRemovedColumns,
  readSettings,
  type RemovedColumn,
  type Report,
  type Settings,
} from './settings.ts';
import {
  ARCHIVE_FORM,
  ENTITY_FORM,
  ENTITY_KEYS,
  readHeader,
  reasonsOf,
  valueOf,
  type Reason,
} from './header.ts';
import { isNumbered, keyConflicts, keyOf } from './keys.ts';
import { PACKAGE } from '../project.ts';
import { at, blanked, hashOf, positionAt, type Problem } from './text.ts';

/** Which rows of a view are an entity: those with this value in the column. */
export interface Part {
  column: string;
  value: string;
  /** All values, in the order of the header. */
  all: string[];
}

/** One SQL file that defines one view, `transform.<name>`: the rows for one target table. */
export interface Entity {
  /** `people` from `30_people.sql`; also the name of its id map. */
  name: string;
  /** The view that the file creates: `people`. */
  view: string;
  /** One of several target rows that come of each source row: `people_home` is where `kind` is `home`. */
  part: Part | null;
  /** Folder name: `2-core`. */
  phase: string;
  /** Relative to the project, forward slashes: `sql/2-core/30_people.sql`. */
  file: string;
  /** The whole file, as it is on disk. */
  text: string;
  /** sha256, hex, of the text with its line ends normalised to \n. */
  hash: string;
  target: { schema: string; table: string };
  /** Driving table in schema legacy; null for `source none` (one constant row). */
  source: string | null;
  /** Columns that tell its rows apart: `id` where the header does not say. */
  key: string[];
  /** `id source`: its view gives the ids of the target rows. */
  ownIds: boolean;
  /** View columns by which a target row is recognised; empty for `adopt none`. */
  adopt: string[];
  /** What happens to rows whose source row is gone. */
  deletes: 'keep' | 'remove';
  /** `commit batch`: the phase commits range by range. */
  commitBatch: boolean;
  /** Share of rows that may be rejected by rules, 0.05 for `5 %`; null = the default applies. */
  tolerance: number | null;
  /** `read whole`, or a key that is no number: a key range cannot reach the source. */
  readWhole: boolean;
  /** Its entity type in the table of old and new ids, `person`; missing where it has none. */
  mapping?: string;
  /** Why its view leaves rows out, in the order of the header. */
  reasons: Reason[];
  /**
   * Legacy tables mentioned (`legacy.x`), sorted, the driving table included: found by their names. What
   * the engine rests on is what the grammar sees (reader.ts), and that has to be among them.
   */
  reads: string[];
  /** Id maps mentioned (`ids.x`), sorted; its own too where it is mentioned (keys first, rows second). */
  idMaps: string[];
}

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

const IDENTIFIER = /^[a-z][a-z0-9_]*$/;
// 63 bytes is the limit of PostgreSQL; what we derive from a name (constraints, triggers) needs room.
const LONGEST_NAME = 50;

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

function readPhase(
  root: string,
  phase: string,
  names: Map<string, string>,
  problems: Problem[],
): Entity[] {
  const numbers = new Map<string, string>();
  const found: Entity[] = [];
  for (const entry of entries(join(root, 'sql', phase))) {
    const file = `sql/${phase}/${entry.name}`;
    const report = (message: string, fix: string) =>
      problems.push(at('file-name', file, 1, 1, message, fix));
    const [, number, name] = /^(\d\d)_(.+)\.sql$/.exec(entry.name) ?? [];
    if (!entry.isFile() || number === undefined || name === undefined) {
      report('not named NN_name.sql', 'name it like `30_people.sql`, or move it out of the phase');
      continue;
    }
    const twin = numbers.get(number);
    if (twin !== undefined)
      report(`${number} is also the number of ${twin}`, 'the order must be plain: renumber one');
    numbers.set(number, entry.name);

    if (!IDENTIFIER.test(name) || name.length > LONGEST_NAME) {
      const fix = `lower case letters, digits and _, a letter first, at most ${LONGEST_NAME} characters`;
      report(`${JSON.stringify(name)} cannot be the name of an entity`, fix);
      continue;
    }
    const namesake = names.get(name);
    if (namesake !== undefined) {
      report(
        `the entity ${name} is already defined by ${namesake}`,
        'an entity is one file: rename or remove one',
      );
      continue;
    }
    names.set(name, file);

    const entity = readEntity(name, phase, file, readFileSync(join(root, file), 'utf8'), problems);
    for (const each of entity === undefined ? [] : partsOf(entity)) {
      const other = each.part === null ? undefined : names.get(each.name);
      if (other !== undefined) {
        report(`its part ${each.name} is already defined by ${other}`, 'rename one of them');
        continue;
      }
      names.set(each.name, file);
      found.push(each);
    }
  }
  return found;
}

function readEntity(
  name: string,
  phase: string,
  file: string,
  text: string,
  problems: Problem[],
): Entity | undefined {
  const known = problems.length;
  const header = readHeader(file, text, problems, ENTITY_FORM, ENTITY_KEYS);
  const said = (word: string) => valueOf(header, word);
  const [schema, table] = said('target')?.split('.') ?? [];
  const source = said('source');
  const adopt = said('adopt');
  if (problems.length > known) return undefined;
  if (schema === undefined || table === undefined || source === undefined || adopt === undefined)
    return undefined;

  const code = blanked(text);
  const mapping = said('mapping');
  const driving = source === 'none' ? null : source;
  return {
    name,
    view: name,
    part: partOf(said('part')),
    phase,
    file,
    text,
    hash: hashOf(text),
    target: { schema, table },
    source: driving,
    key: keyOf(header),
    ownIds: said('id') !== undefined,
    adopt: adopt === 'none' ? [] : adopt.split(/\s*,\s*/),
    deletes: said('deletes') === 'remove' ? 'remove' : 'keep',
    commitBatch: said('commit') !== undefined,
    tolerance: fraction(said('tolerance')),
    readWhole: said('read') !== undefined || isNumbered(code),
    ...(mapping === undefined ? {} : { mapping }),
    reasons: reasonsOf(header).map(({ kind, name: word, sentence }) => ({
      kind,
      name: word,
      sentence,
    })),
    reads: sorted([...mentioned(code, 'legacy'), ...(driving === null ? [] : [driving])]),
    idMaps: sorted(mentioned(code, 'ids')),
  };
}

/** `kind  home, work`: the part `home`. */
function partOf(value: string | undefined): Part | null {
  const [column, list] = value?.split(/\s{2,}/) ?? [];
  if (column === undefined || list === undefined) return null;
  const all = list.split(/\s*,\s*/);
  return { column, value: all[0] ?? '', all };
}

/** The entities that a file defines: one, or one for each part. */
function partsOf(entity: Entity): Entity[] {
  const { part, name } = entity;
  if (part === null) return [entity];
  return part.all.map((value) => ({
    ...entity,
    name: `${name}_${value}`,
    part: { ...part, value },
  }));
}

/** Names of tables of a schema in a text without comments and literals, as they are usually written. */
export function mentioned(code: string, schema: 'legacy' | 'ids'): string[] {
  const name = '(?:"([^"]+)"|([a-z_][\\w$]*))';
  const pattern = new RegExp(`(?<![\\w".])"?${schema}"?\\s*\\.\\s*${name}`, 'gi');
  return [...code.matchAll(pattern)].map(([, exact, plain]) => exact ?? plain?.toLowerCase() ?? '');
}

function fraction(percent: string | undefined): number | null {
  // By exponent: 1.1 / 100 would not be the number 0.011.
  return percent === undefined ? null : Number(`${percent.replace(' %', '')}e-2`);
}

function sorted(words: string[]): string[] {
  return [...new Set(words)].toSorted();
}

function entries(folder: string) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith('.'))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
