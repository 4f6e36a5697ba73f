import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One SQL file that defines one view, `transform.<name>`: the rows for one target table. */
export interface Entity {
  /** `patients` from `30_patients.sql`; also the name of the view and of the id map. */
  name: string;
  /** Folder name: `2-core`. */
  phase: string;
  /** Relative to the project root, forward slashes: `sql/2-core/30_patients.sql`. */
  file: string;
  /** The whole file, as it is on disk. */
  text: string;
  /** sha256, hex, of the text with its line ends normalised to \n. */
  hash: string;
  target: { schema: string; table: string };
  /** Driving table in schema legacy; null for `source none` (one constant row). */
  source: string | null;
  /** View columns by which a target row is recognised; empty for `adopt none`. */
  adopt: string[];
  /** What happens to rows whose source row is gone. */
  deletes: 'keep' | 'remove';
  /** `commit batch`: the phase commits range by range. */
  commitBatch: boolean;
  /** Share of rows that may be rejected by rules, 0.05 for `5 %`; null = the default applies. */
  tolerance: number | null;
  /** `read whole`: a key range cannot reach the source. */
  readWhole: boolean;
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
  /** `legacy_archive.dispatch_agent`: how the ledger calls it. */
  name: string;
  phase: 'archive';
  file: string;
  /** Creates the table if it does not exist. */
  text: string;
  hash: string;
  target: { schema: string; table: string };
  source: string;
  /** A column that is not in schema legacy: read through a foreign table of its own. */
  secret: string | null;
  idMaps: string[];
}

/** A folder of entities, in the order of execution. */
export interface Phase {
  name: string;
  entities: Entity[];
}

/** A finding in a file. Line and column count from 1, columns in UTF-16 units as editors do. */
export interface Problem {
  rule: string;
  file: string;
  line: number;
  column: number;
  message: string;
  fix: string;
}

/** A file of `sql/engine`; hash as in `Entity`. */
export interface SetupFile {
  file: string;
  text: string;
  hash: string;
}

/** Everything `sql/` says, in the order of execution. */
export interface Catalog {
  phases: Phase[];
  setup: SetupFile[];
  archive: ArchiveTable[];
  problems: Problem[];
}

const SETUP = 'engine';
const ARCHIVE = 'archive';
/** The page on the door of a folder. */
const DOOR = 'README.md';

const IDENTIFIER = /^[a-z][a-z0-9_]*$/;
// 63 bytes is the limit of PostgreSQL; what we derive from a name (constraints, triggers) needs room.
const LONGEST_NAME = 50;

type Form = Record<string, { pattern: RegExp; fix: string }>;

const FORM: Form = {
  target: {
    pattern: /^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/,
    fix: 'write `-- target   public.patients`',
  },
  source: {
    pattern: /^[a-z_][a-z0-9_]*$/,
    fix: 'write the driving table without its schema, or `none`',
  },
  adopt: {
    pattern: /^[a-z_][a-z0-9_]*(\s*,\s*[a-z_][a-z0-9_]*)*$/,
    fix: 'write view columns, comma separated, or `none`',
  },
  deletes: { pattern: /^(keep|remove)$/, fix: 'write `keep` or `remove`' },
  commit: { pattern: /^batch$/, fix: 'write `batch`, or leave the line out' },
  tolerance: {
    pattern: /^(100|\d{1,2}(\.\d+)?) %$/,
    fix: 'write a percentage between 0 and 100: `5 %`',
  },
  read: { pattern: /^whole$/, fix: 'write `whole`, or leave the line out' },
};
const REQUIRED = ['target', 'source', 'adopt'];

const ARCHIVE_FORM: Form = {
  target: {
    pattern: /^legacy_archive\.[a-z_][a-z0-9_]*$/,
    fix: 'write `-- target  legacy_archive.dispatch_agent`',
  },
  source: { pattern: /^[a-z_][a-z0-9_]*$/, fix: 'write the source table without its schema' },
  secret: { pattern: /^[a-z_][a-z0-9_]*$/, fix: 'write the one column, or leave the line out' },
};

/**
 * Reads `<root>/sql`. Never throws for what a file says: everything wrong is in `problems`, and an entity
 * that cannot be used is left out. Throws only what the file system throws (unreadable file).
 */
export function readCatalog(root: string): Catalog {
  const problems: Problem[] = [];
  const phases: Phase[] = [];
  const setup: SetupFile[] = [];
  const archive: ArchiveTable[] = [];
  if (!existsSync(join(root, 'sql'))) {
    const fix = 'start the runner in the project root';
    problems.push(at('layout', 'sql', 1, 1, 'there is no folder sql', fix));
    return { phases, setup, archive, problems };
  }

  const seen: { digits: Map<string, string>; names: Map<string, string> } = {
    digits: new Map(),
    names: new Map(),
  };
  for (const entry of entries(join(root, 'sql'))) {
    const path = `sql/${entry.name}`;
    if (entry.name === DOOR) continue;
    if (entry.name === ARCHIVE) archive.push(...readArchive(root, problems));
    else if (entry.name === SETUP) setup.push(...readSetup(root));
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
  return { phases, setup, archive, problems };
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

/** Every source table the files mention, sorted. */
export function sourceTables(catalog: Catalog): string[] {
  const driving = catalog.phases.flatMap(({ entities }) => entities.flatMap(({ reads }) => reads));
  return sorted([...driving, ...catalog.archive.map(({ source }) => source)]);
}

/** sha256, hex, of a text with its line ends normalised: a checkout on Windows changes nothing. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text.replaceAll('\r\n', '\n')).digest('hex');
}

/** Line and column (both from 1) of a UTF-16 offset into a text. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

/**
 * The SQL text with comments and string literals replaced by blanks, at the same length and with the
 * same line ends, so that offsets stay true. Quoted identifiers stay.
 */
export function blanked(sql: string): string {
  const pieces =
    /--[^\n]*|\/\*|"(?:[^"]|"")*"|(?<![a-z0-9_$])[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|$)|'(?:[^']|'')*(?:'|$)|(?<![a-z0-9_$])\$([a-z_][a-z0-9_]*)?\$/gi;
  let out = '';
  let done = 0;
  for (let piece = pieces.exec(sql); piece !== null; piece = pieces.exec(sql)) {
    let end = pieces.lastIndex;
    if (piece[0] === '/*') end = endOfComment(sql, piece.index);
    else if (piece[0].startsWith('$')) end = endOf(sql, piece[0], end);
    const text = sql.slice(piece.index, end);
    out +=
      sql.slice(done, piece.index) +
      (piece[0].startsWith('"') ? text : text.replace(/[^\r\n]/g, ' '));
    done = pieces.lastIndex = end;
  }
  return out + sql.slice(done);
}

function readSetup(root: string): SetupFile[] {
  return entries(join(root, 'sql', SETUP))
    .filter((entry) => entry.name.endsWith('.sql'))
    .map((entry) => {
      const file = `sql/${SETUP}/${entry.name}`;
      const text = readFileSync(join(root, file), 'utf8');
      return { file, text, hash: hashOf(text) };
    });
}

function readArchive(root: string, problems: Problem[]): ArchiveTable[] {
  const found: ArchiveTable[] = [];
  for (const entry of entries(join(root, 'sql', ARCHIVE))) {
    const file = `sql/${ARCHIVE}/${entry.name}`;
    const text = readFileSync(join(root, file), 'utf8');
    const before = problems.length;
    const header = readHeader(file, text, problems, ARCHIVE_FORM, ['target', 'source']);
    const [schema, table] = header.get('target')?.split('.') ?? [];
    const source = header.get('source');
    if (problems.length > before || schema === undefined) continue;
    if (table === undefined || source === undefined) continue;
    if (entry.name !== `${table}.sql`) {
      const fix = `name the file ${table}.sql`;
      problems.push(at('file-name', file, 1, 1, `the file archives ${table}`, fix));
      continue;
    }
    const name = `${schema}.${table}`;
    const secret = header.get('secret') ?? null;
    const target = { schema, table };
    const hash = hashOf(text);
    found.push({ name, phase: ARCHIVE, file, text, hash, target, source, secret, idMaps: [] });
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
      report(
        'not named NN_name.sql',
        'name it like `30_patients.sql`, or move it out of the phase',
      );
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
    if (entity !== undefined) found.push(entity);
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
  const header = readHeader(file, text, problems, FORM, REQUIRED);
  const target = header.get('target')?.split('.');
  const [schema, table] = target ?? [];
  const source = header.get('source');
  const adopt = header.get('adopt');
  if (problems.length > known) return undefined;
  if (schema === undefined || table === undefined || source === undefined || adopt === undefined)
    return undefined;

  const code = blanked(text);
  const driving = source === 'none' ? null : source;
  return {
    name,
    phase,
    file,
    text,
    hash: hashOf(text),
    target: { schema, table },
    source: driving,
    adopt: adopt === 'none' ? [] : adopt.split(/\s*,\s*/),
    deletes: header.get('deletes') === 'remove' ? 'remove' : 'keep',
    commitBatch: header.has('commit'),
    tolerance: fraction(header.get('tolerance')),
    readWhole: header.has('read'),
    reads: sorted([...mentioned(code, 'legacy'), ...(driving === null ? [] : [driving])]),
    idMaps: sorted(mentioned(code, 'ids')),
  };
}

/** Values by key: the last paragraph of the comment block the file begins with. */
function readHeader(
  file: string,
  text: string,
  problems: Problem[],
  known: Form,
  required: string[],
): Map<string, string> {
  const values = new Map<string, string>();
  const report = (line: number, column: number, message: string, fix: string) =>
    problems.push(at('header', file, line, column, message, fix));

  const lines = text.split(/\r?\n/);
  const after = lines.findIndex((line) => !line.startsWith('--'));
  const block = lines.slice(0, after === -1 ? lines.length : after);
  const bare = block.findLastIndex((line) => line.trimEnd() === '--');
  const header = block.slice(bare + 1);
  const form = /^(-- ([^\s]+)\s{2,})(\S.*?)\s*$/;

  if (
    bare < 1 ||
    block[0] === undefined ||
    !/^-- \S/.test(block[0]) ||
    !header.some((line) => form.test(line))
  ) {
    const fix = 'begin with a sentence, a bare `--`, then lines like `-- target   public.patients`';
    report(1, 1, 'the file does not begin with a title and a header', fix);
    return values;
  }

  for (const [index, line] of header.entries()) {
    const number = bare + 2 + index;
    const [, before, key, value] = form.exec(line) ?? [];
    if (before === undefined || key === undefined || value === undefined) {
      const fix =
        'write `-- key  value` with two blanks or more; comments stand above, set off by a bare `--`';
      report(number, 1, 'not a header line', fix);
    } else if (known[key] === undefined || !Object.hasOwn(known, key)) {
      report(
        number,
        4,
        `unknown key ${JSON.stringify(key)}`,
        `the keys are ${Object.keys(known).join(', ')}`,
      );
    } else if (values.has(key)) {
      report(number, 4, `${key} is said twice`, 'keep one of the two lines');
    } else {
      const { pattern, fix } = known[key];
      if (!pattern.test(value))
        report(number, before.length + 1, `malformed ${key}: ${JSON.stringify(value)}`, fix);
      values.set(key, value);
    }
  }
  for (const key of required.filter((word) => !values.has(word))) {
    report(
      bare + 2,
      1,
      `the header has no ${key}`,
      `add a line \`-- ${key}  ...\`; ${known[key]?.fix ?? ''}`,
    );
  }
  const columns = values.get('adopt')?.split(/\s*,\s*/) ?? [];
  if (new Set(columns).size < columns.length) {
    const line = bare + 2 + header.findIndex((each) => each.startsWith('-- adopt'));
    report(line, 4, 'adopt names a column twice', 'name each column once');
  }
  return values;
}

function mentioned(code: string, schema: 'legacy' | 'ids'): string[] {
  const pattern = new RegExp(`(?<![\\w".])"?${schema}"?\\s*\\.\\s*"?([a-z_][a-z0-9_]*)`, 'gi');
  return [...code.matchAll(pattern)].map((match) => (match[1] ?? '').toLowerCase());
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

function endOf(sql: string, word: string, from: number): number {
  const start = sql.indexOf(word, from);
  return start === -1 ? sql.length : start + word.length;
}

/** Comments nest in PostgreSQL. */
function endOfComment(sql: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(sql); mark !== null; mark = marks.exec(sql)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return sql.length;
}

function at(
  rule: string,
  file: string,
  line: number,
  column: number,
  message: string,
  fix: string,
): Problem {
  return { rule, file, line, column, message, fix };
}
