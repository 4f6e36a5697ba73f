/*
 * What an expert would write by hand for this project, derived from the entity files so that it does
 * the same: the select of each view, on staging tables and plain id maps.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCatalog, sourceTables } from '../../../runner/engine/catalog.ts';
import { type Entity } from '../../../runner/engine/entity-file.ts';
import { ROOT } from '../../runner.ts';

/** One entity or archive table. */
export interface Load {
  name: string;
  /** Where the rows go, `schema.table`. */
  target: string;
  /** Staging tables it reads. */
  reads: string[];
  /** Loads whose id maps it reads; its own where rows refer to rows of the same entity. */
  maps: string[];
  /** Whether others read its id map. */
  mapped: boolean;
  /** Driving table, for an id map that has to be there before the rows. */
  source: string | null;
  /** Creates view `elt.<name>`, or the archive table. */
  define: string;
  archive: boolean;
}

/** Everything the ELT does, in the order of execution. */
export interface Plan {
  loads: Load[];
  /** Source tables, with the columns that some load names. */
  staged: Map<string, (columns: string[]) => string[]>;
  /** The functions that views call, in schema elt. */
  functions: string;
}

const FUNCTIONS = 'sql/engine/20_functions.sql';

/** Reads the entity files; `left` are entities to leave out (to see that it would be noticed). */
export function readPlan(left: string[] = []): Plan {
  const catalog = readCatalog(ROOT);
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const wanted = new Set(entities.flatMap(({ idMaps }) => idMaps));
  const loads: Load[] = entities.map((entity) => ({
    name: entity.name,
    target: `${entity.target.schema}.${entity.target.table}`,
    reads: entity.reads,
    maps: entity.idMaps,
    mapped: wanted.has(entity.name),
    source: entity.source,
    define: viewOf(entity),
    archive: false,
  }));
  for (const { name, source, text } of catalog.archive) {
    const [reads, maps] = [[source], []];
    const define = plain(text);
    loads.push({ name, target: name, reads, maps, mapped: false, source, define, archive: true });
  }
  const staged = new Map(
    sourceTables(catalog).map((table) => {
      const texts = loads.filter(({ reads }) => reads.includes(table)).map(({ define }) => define);
      return [table, (columns: string[]) => columns.filter((column) => names(texts, column))];
    }),
  );
  return { loads: loads.filter(({ name }) => !left.includes(name)), staged, functions: helpers() };
}

/** The statement that computes and stores the rows of a load. */
export function insertOf(load: Load, columns: string[], onConflict: string): string {
  const stored = columns.filter((name) => !MARKS.has(name)).map((name) => `"${name}"`);
  const list = stored.join(', ');
  if (load.archive) {
    return `insert into ${load.target} (${list}) select ${list} from elt_staging.${load.reads[0]}`;
  }
  return `insert into ${load.target} (id, ${list})
    select ${idOf(load)}, ${list} from ${storedRows(load, columns)} ${onConflict}`;
}

/** The statement that fills the id map; of the driving table where rows refer to each other. */
export function mapOf(load: Load, columns: string[]): string {
  if (load.maps.includes(load.name)) {
    return `insert into elt_ids.${load.name}
      select id, ${idOf(load, 'id')} from elt_staging.${load.source}`;
  }
  return `insert into elt_ids.${load.name}
    select legacy_key, ${idOf(load)} from ${storedRows(load, columns)}`;
}

/** The view of a load without the rows that are not to be stored. */
function storedRows({ name }: Load, columns: string[]): string {
  const marks = ['filter', 'reject'].filter((mark) => columns.includes(mark));
  const where = marks.map((mark) => `${mark} is null`).join(' and ');
  return `elt.${name} ${where === '' ? '' : `where ${where}`}`;
}

/** Columns of a view that say something about its row. */
const MARKS = new Set(['legacy_key', 'filter', 'reject', 'missing']);

/** Equal ids every time, so that the map need not be read back from the table. */
function idOf({ name }: Load, key = 'legacy_key'): string {
  const namespace = `'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid`;
  return `extensions.uuid_generate_v5(${namespace}, concat('${name}:', ${key}))`;
}

function viewOf({ text }: Entity): string {
  return plain(text)
    .replaceAll(/\btransform\.(?=[a-z])/g, 'elt.')
    .replaceAll(/\blegacy\.(?=[a-z])/g, 'elt_staging.')
    .replaceAll(/\bids\.(?=[a-z])/g, 'elt_ids.')
    .replaceAll(/\bmigration\.(?=[a-z])/g, 'elt.');
}

function helpers(): string {
  const text = readFileSync(join(ROOT, FUNCTIONS), 'utf8');
  return text.replaceAll(/\bmigration\.(?=[a-z])/g, 'elt.');
}

/** Without comments, which name things that are not read. */
function plain(text: string): string {
  return text.replaceAll(/--.*$/gm, '');
}

function names(texts: string[], column: string): boolean {
  return texts.some((text) => new RegExp(`\\b${column}\\b`).test(text));
}
