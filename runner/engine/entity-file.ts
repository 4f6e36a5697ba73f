import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ENTITY_FORM, ENTITY_KEYS, readHeader, reasonsOf, type Reason, valueOf } from './header.ts';
import { isNumbered, keyOf } from './keys.ts';
import { at, blanked, hashOf, type Problem } from './text.ts';

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
  /** Its `legacy_key` is a number made of the key, which is none. */
  numbered: boolean;
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

const IDENTIFIER = /^[a-z][a-z0-9_]*$/;
// 63 bytes is the limit of PostgreSQL; what we derive from a name (constraints, triggers) needs room.
const LONGEST_NAME = 50;

/**
 * The entities of a phase, in the order of their numbers; `names` are those of all phases, with their files.
 * What is wrong goes to `problems`.
 */
export function readPhase(
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
  const numbered = isNumbered(code);
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
    numbered,
    ownIds: said('id') !== undefined,
    adopt: adopt === 'none' ? [] : adopt.split(/\s*,\s*/),
    deletes: said('deletes') === 'remove' ? 'remove' : 'keep',
    commitBatch: said('commit') !== undefined,
    tolerance: fraction(said('tolerance')),
    readWhole: said('read') !== undefined || numbered,
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

/** Without what is there twice. */
export function sorted(words: string[]): string[] {
  return [...new Set(words)].toSorted();
}

/** What is in a folder, sorted; names with a dot in front are nobody's. */
export function entries(folder: string) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith('.'))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
