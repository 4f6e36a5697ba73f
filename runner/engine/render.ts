import { literal, quoted } from '../quote.ts';
import type { SetupFile } from './catalog.ts';
import type { Entity } from './entity-file.ts';
import { keyText } from './keys.ts';

/** A target column the view supplies. */
export interface Column {
  name: string;
  /** Type of the target column as PostgreSQL prints it: `character varying(50)`. */
  type: string;
  /** The hash of the type tells every two values apart; other columns are compared as text. */
  native: boolean;
  /** The view has more digits than the target stores: a row with a value it would round is rejected. */
  exact?: boolean;
}

/** What the catalogs of both sides say about an entity; everything rendered SQL depends on. */
export interface Shape {
  entity: Entity;
  /** In the order of the view. */
  columns: Column[];
  has: { filter: boolean; missing: boolean; reject: boolean };
  /** The target table has BEFORE ROW triggers: what is stored may differ from what is written. */
  rewrites: boolean;
  /** The target table has a column created_at (the older of two rows is adopted). */
  createdAt: boolean;
  /** Unique keys of the target table whose columns the view supplies. */
  uniqueKeys: string[][];
  /** All entities of this target table, this one included: rows in any of their maps are ours. */
  siblings: string[];
  /** Keys per range (a range is `key / width`); 0 where one range holds the whole entity. */
  width: number;
}

/** Who wins when the application changed a row whose source changed too. */
export type ConflictPolicy = 'source' | 'target';

/**
 * Number of the hash method below; another number in the ledger = compare every row. 1 was the
 * native hash of every type but enum and json, which folds signs and scales.
 */
export const HASH_METHOD = 2;

/** True when one range holds the whole entity. */
function isWhole(shape: Shape): boolean {
  return shape.entity.source === null || shape.entity.readWhole;
}

/** True for an entity that mentions its own id map: keys first, rows second. */
export function isSelfMapped({ name, idMaps }: Entity): boolean {
  return idMaps.includes(name);
}

const PLACEHOLDER = /\{\{([^{}]*)\}\}/g;

/** A file of `sql/engine/templates`. */
export type Template = Pick<SetupFile, 'file' | 'text'>;

/**
 * The functions `merge.<entity>_*` as they run: the templates with the names and column lists of one
 * entity. Throws where one holds a word that is not in the list of placeholders, a condition that is
 * not, or an `-- if` without its end.
 */
export function render(
  templates: Template[],
  shape: Shape,
  /** Words that are other than usual, or that only this template has. */
  own: Record<string, string> = {},
): string {
  const flags = flagsOf(shape);
  const usual = wordsOf(shape);
  const words = (word: string) => (Object.hasOwn(own, word) ? own[word] : usual(word));
  return templates.map((template) => renderOne(template, flags, words)).join('\n');
}

function renderOne(
  { file, text }: Template,
  flags: Record<string, boolean>,
  words: (word: string) => string | undefined,
): string {
  const kept: string[] = [];
  const open: boolean[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const refuse = (what: string) => new Error(`${file}: line ${index + 1}: ${what}`);
    const [, word, flag = ''] = /^\s*-- (if|end if)(?: (.+))?$/.exec(line) ?? [];
    if (word === 'if') {
      const value = Object.hasOwn(flags, flag) ? flags[flag] : undefined;
      if (value === undefined) throw refuse(`unknown condition ${flag}`);
      open.push(value);
    } else if (word === 'end if') {
      if (open.pop() === undefined) throw refuse('`-- end if` without `-- if`');
    } else if (open.every(Boolean)) kept.push(line);
  }
  if (open.length > 0) throw new Error(`${file}: \`-- if\` without \`-- end if\``);
  const chosen = kept.join('\n');
  if (/\{\{|\}\}/.test(chosen.replace(PLACEHOLDER, ''))) {
    throw new Error(`${file}: two braces that are no placeholder`);
  }
  return chosen.replace(PLACEHOLDER, (_, word: string) => {
    const found = words(word);
    if (found === undefined) throw new Error(`${file}: unknown placeholder ${word}`);
    // it would end the body of the function
    if (found.includes('$$')) throw new Error(`${file}: a name of ${word} holds $$: ${found}`);
    return found;
  });
}

/** What lines between `-- if` and `-- end if` are there for. */
function flagsOf(shape: Shape): Record<string, boolean> {
  const { entity, has, rewrites } = shape;
  const self = isSelfMapped(entity);
  return {
    source: entity.source !== null,
    none: entity.source === null,
    filter: has.filter,
    adopt: entity.adopt.length > 0,
    self,
    'not self': !self,
    keeps: entity.deletes === 'keep',
    removes: entity.deletes === 'remove',
    rewrites,
    mapping: entity.mapping !== undefined,
  };
}

/** The closed list of placeholders; `<word> of <alias>` says where a column is read from. */
function wordsOf(shape: Shape): (word: string) => string | undefined {
  const { entity, columns, has, width } = shape;
  const whole = isWhole(shape);
  const list = (from = '') => columns.map(({ name }) => `${from}${quoted(name)}`).join(', ');
  const range = (key: string) => (whole ? '0::bigint' : `${key} / ${width}`);
  const between = (key: string) =>
    `(first_key is null or ${key} >= first_key) and (end_key is null or ${key} < end_key)`;
  const optional = (there: boolean, name: string, from: string) =>
    there ? `${from}.${name}` : `null::text as ${name}`;
  const sum = (which: string, from: string) =>
    entity.source === null
      ? '0'
      : `coalesce(sum(migration.pair_${which}(${from}.legacy_id, ${from}.version)), 0)`;
  const equal = (names: string[]) =>
    names.map((name) => `t.${quoted(name)} = b.${quoted(name)}`).join(' and ');
  const fixed: Record<string, () => string> = {
    entity: () => entity.name,
    file: () => entity.file,
    method: () => String(HASH_METHOD),
    width: () => String(width),
    ids: () => `ids.${quoted(entity.name)}`,
    view: () => `transform.${quoted(entity.name)}`,
    target: () => targetOf(entity),
    'target name': () => entity.target.table,
    'target literal': () => literal(targetOf(entity)),
    'column list': () => `${literal(JSON.stringify(hashedColumns(shape)))}::jsonb`,
    source: () => `legacy.${quoted(entity.source ?? '')}`,
    'source name': () => literal(entity.source ?? ''),
    versions: () => versionsOf(entity),
    columns: () => list(),
    types: () => columns.map((c) => `    ${quoted(c.name)} ${stagedType(c)},`).join('\n'),
    'set from b': () => columns.map((c) => `${quoted(c.name)} = b.${quoted(c.name)}`).join(', '),
    'differs t b': () => differs(shape, 't', 'b'),
    // each column: its place and name, what the view says, what is stored
    'pairs v t': () =>
      columns
        .map(
          (column, index) =>
            `    (${index}, ${literal(column.name)}, ${textOf(column, 'v')}, ${textOf(column, 't')})`,
        )
        .join(',\n'),
    'unfiltered e': () => (has.filter ? ' and e.filter is null' : ''),
    adoption: () => equal(entity.adopt),
    // a row that has another unique key of the new one, too, would be in its way
    'adoption order': () =>
      [
        ...shape.uniqueKeys.map((key) => `coalesce(${equal(key)}, false) desc`),
        ...(shape.createdAt ? ['t.created_at'] : []),
        't.id',
      ].join(', '),
    'unmapped t': () =>
      shape.siblings
        .map(
          (name) => `      and not exists (select from ids.${quoted(name)} as m where m.id = t.id)`,
        )
        .join('\n'),
    'range within r.range': () =>
      whole
        ? 'true'
        : `(first_key is null or r.range >= first_key / ${width}) and ` +
          `(end_key is null or r.range < end_key / ${width})`,
  };
  const parts: [RegExp, (from: string) => string][] = [
    [/^columns of (\w+)$/, (from) => list(`${from}.`)],
    [
      /^adopted of (\w+)$/,
      (from) => entity.adopt.map((name) => `, ${from}.${quoted(name)}`).join(''),
    ],
    [/^hash of (\w+)$/, (from) => hash(shape, from)],
    // written by us, as the marks of our transactions say; or as old as a restore of the target
    [
      /^ours (\w+)$/,
      (from) =>
        `exists (select from migration.writes as w where w.xmin = ${from}.xmin) ` +
        `or coalesce(age(${from}.xmin) > restored_age, false)`,
    ],
    // of a row of the source itself
    [/^key of (\w+)$/, (from) => keyText(from, entity.key, !entity.numbered)],
    [/^own id of (\w+)$/, (from) => (entity.ownIds ? `${from}.id, ` : '')],
    [
      /^new id of (\w+)$/,
      (from) =>
        entity.ownIds
          ? `${from}.id`
          : `migration.new_id(${literal(entity.name)}, ${from}.legacy_key)`,
    ],
    [/^missing of (\w+)$/, (from) => optional(has.missing, 'missing', from)],
    [/^filter of (\w+)$/, (from) => optional(has.filter, 'filter', from)],
    [/^kept (\w+)$/, (from) => (has.filter ? `${from}.filter is null` : 'true')],
    [
      /^texts of (\w+)$/,
      (from) => `array[${columns.map((column) => textOf(column, from)).join(', ')}]::text[]`,
    ],
    [/^reject of (\w+)$/, (from) => optional(has.reject, 'reject', from)],
    [/^version of (\w+)$/, (from) => (entity.source === null ? '0' : `${from}.version`)],
    [/^sum a of (\w+)$/, (from) => sum('a', from)],
    [/^sum b of (\w+)$/, (from) => sum('b', from)],
    [/^range of ([\w.]+)$/, range],
    [/^between ([\w.]+)$/, between],
    [/^within ([\w.]+)$/, (key) => `${between(key)} and (keys is null or ${key} = any (keys))`],
  ];
  return (word) => {
    if (Object.hasOwn(fixed, word)) return fixed[word]?.();
    for (const [pattern, text] of parts) {
      const found = pattern.exec(word)?.[1];
      if (found !== undefined) return text(found);
    }
    return undefined;
  };
}

/** What a hash is made of, {"column": "type"}: hashes of other columns say nothing about a row. */
export function hashedColumns({ columns }: Shape): Record<string, string> {
  return Object.fromEntries(
    columns.map(({ name, type, native }) => [name, native ? type : `${type} as text`]),
  );
}

/** The table of (id, version) of the driving table. */
function versionsOf(entity: Entity): string {
  return `legacy_versions.${quoted(entity.source ?? '')}`;
}

/** The target table, qualified. */
export function targetOf(entity: Entity): string {
  return `${quoted(entity.target.schema)}.${quoted(entity.target.table)}`;
}

/**
 * Text, not varchar(n), so that a value that is too long is an error and not cut; and numbers and
 * times as the view has them, where what the target would round is an error (class 22), too.
 */
function stagedType(column: Column): string {
  if (isText(column.type)) return 'text';
  if (column.exact !== true) return column.type;
  const value = quoted(column.name);
  const names = `${literal(column.name)}, ${literal(column.type)}`;
  return (
    `${unmodified(column.type)} check (coalesce(${value} = ${value}::${column.type}, true)` +
    ` or migration.refuse_rounding(${names}))`
  );
}

/** A numeric type, or one of times, without its modifier: `numeric(10,2)` is `numeric`. */
export function unmodified(type: string): string | undefined {
  return /^(numeric|time(stamp)?)\b/.test(type) ? type.replace(/\(\d+(,-?\d+)?\)/, '') : undefined;
}

/** A column of the second type has to round values of the first, which is the same but for that. */
export function isRounded(given: string, stored: string): boolean {
  const plain = unmodified(stored);
  return given !== stored && plain !== undefined && plain !== stored && unmodified(given) === plain;
}

/** True for text and varchar, as `format_type` prints them; not for arrays of them. */
export function isText(type: string): boolean {
  return /^(text|character varying(\(\d+\))?)$/.test(type);
}

/** Hash method 2: the columns in the order of the view, each as `comparable` has it. */
function hash(shape: Shape, from: string): string {
  const values = shape.columns.map((column) => comparable(column, from));
  return `hash_record_extended(row(${values.join(', ')}), 0)`;
}

function differs(shape: Shape, left: string, right: string): string {
  const of = (from: string) => shape.columns.map((column) => comparable(column, from)).join(', ');
  return `row(${of(left)}) is distinct from row(${of(right)})`;
}

/** A column as it is compared and hashed: two values are equal where their texts are. */
function comparable(column: Column, from: string): string {
  return column.native ? `${from}.${quoted(column.name)}` : textOf(column, from);
}

/** A value as text, with as many digits as the target stores. */
function textOf({ name, type, exact }: Column, from: string): string {
  return `${from}.${quoted(name)}${exact === true ? `::${type}` : ''}::text collate "C"`;
}
