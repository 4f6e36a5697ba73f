import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is this project's own and no mapping (sql/settings.json). */
export interface Settings {
  /** Schemas of the source tables (`sourceSchema`); a name may be in one of them only. */
  sourceSchemas: string[];
  /** Columns that nothing may read through the link, by source table. */
  secrets: Record<string, string[]>;
  /** Functions that views may use besides those that every project may. */
  functions: string[];
  /** The application's table of old and new ids, `schema.table`; null where it has none. */
  mappings: string | null;
}

/** A column that is to go in the end (schema-changes/removal/columns.json). */
export interface RemovedColumn {
  schema: string;
  table: string;
  column: string;
}

export const REMOVAL_COLUMNS = 'columns.json';

const SETTINGS = 'sql/settings.json';
const REMOVAL = `schema-changes/removal/${REMOVAL_COLUMNS}`;
/** Of the source: as it is spelled there. */
const SOURCE_NAME = /^[A-Za-z_][\w$]*$/;
const NAME = /^[a-z_][a-z0-9_]*$/;
const TABLE = /^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/;
const FUNCTION = /^([a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*$/;

/** Takes a finding at a UTF-16 offset into the text of a file. */
export type Report = (
  place: { file: string; text: string; offset: number },
  message: string,
  fix: string,
) => void;

type ReportAt = (word: string, message: string, fix: string) => void;

interface Key {
  holds: (value: unknown) => boolean;
  fix: string;
  /** What it is to the engine; as it is written, where this is left out. */
  read?: (value: unknown) => Partial<Settings>;
}

const KEYS: Record<string, Key> = {
  sourceSchema: {
    holds: (value) => isSourceName(value) || (isList(value, isSourceName) && value.length > 0),
    fix: 'write the schema of the source tables, or several: "public", ["public", "billing"]',
    read: (value) => ({ sourceSchemas: [value].flat() as string[] }),
  },
  secrets: {
    holds: (value) =>
      isRecord(value) &&
      Object.entries(value).every(
        ([table, columns]) => isSourceName(table) && isList(columns, isSourceName),
      ),
    fix: 'write source tables with their columns: {"accounts": ["password"]}',
  },
  functions: {
    holds: (value) => isList(value, (name) => typeof name === 'string' && FUNCTION.test(name)),
    fix: 'write a list of names: ["migration.clean_phone"]',
  },
  mappings: {
    holds: (value) => value === null || (typeof value === 'string' && TABLE.test(value)),
    fix: 'write the table with its schema, "public.old_and_new_ids", or null',
  },
};

/** Reads `sql/settings.json`; what is wrong is reported. Without the file nothing is special. */
export function readSettings(root: string, report: Report): Settings {
  const settings: Settings = {
    sourceSchemas: ['public'],
    secrets: {},
    functions: [],
    mappings: null,
  };
  const fix = `write an object with ${Object.keys(KEYS).join(', ')}`;
  readJson(root, SETTINGS, report, (content, reportAt) => {
    if (!isRecord(content)) return reportAt('', 'the settings are not an object', fix);
    for (const [key, value] of Object.entries(content)) {
      const known = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
      if (known === undefined) {
        reportAt(
          key,
          `unknown key ${JSON.stringify(key)}`,
          `the keys are ${Object.keys(KEYS).join(', ')}`,
        );
      } else if (!known.holds(value)) reportAt(key, `malformed ${key}`, known.fix);
      else Object.assign(settings, known.read?.(value) ?? { [key]: value });
    }
  });
  return settings;
}

/** Reads `schema-changes/removal/columns.json`; what is wrong is reported. No file, no column. */
export function readRemovedColumns(root: string, report: Report): RemovedColumn[] {
  const columns: RemovedColumn[] = [];
  const fix = 'write a list of {"schema", "table", "column"}';
  readJson(root, REMOVAL, report, (content, reportAt) => {
    if (isList(content, isColumn)) columns.push(...(content as RemovedColumn[]));
    else reportAt('', 'not a list of columns', fix);
  });
  return columns;
}

function readJson(
  root: string,
  file: string,
  report: Report,
  read: (content: unknown, reportAt: ReportAt) => void,
): void {
  if (!existsSync(join(root, file))) return;
  const text = readFileSync(join(root, file), 'utf8');
  const reportAt: ReportAt = (word, message, fix) => {
    const offset = Math.max(text.indexOf(word === '' ? '' : JSON.stringify(word)), 0);
    report({ file, text, offset }, message, fix);
  };
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    return reportAt('', error instanceof Error ? error.message : 'not JSON', 'correct the file');
  }
  read(content, reportAt);
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && NAME.test(value);
}

function isSourceName(value: unknown): boolean {
  return typeof value === 'string' && SOURCE_NAME.test(value);
}

function isColumn(value: unknown): boolean {
  const keys = isRecord(value) ? Object.keys(value).toSorted().join() : '';
  return keys === 'column,schema,table' && isRecord(value) && Object.values(value).every(isName);
}

function isList(value: unknown, holds: (item: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.every((item) => holds(item));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
