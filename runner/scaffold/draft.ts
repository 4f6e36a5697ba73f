import type { Entity } from '../engine/entity-file.ts';
import { keyNumber } from '../engine/keys.ts';
import { named } from '../quote.ts';
import { castTo, isComparable, isTime, isWhole } from './cast.ts';
import { likeness, singular, snake } from './names.ts';
import type { Table, TableColumn } from './tables.ts';

/** What is known before an entity is drafted. */
export interface Known {
  /** All relations of the source: where foreign keys lead. */
  source: readonly Table[];
  /** Entities whose id maps the new one may read. */
  entities: readonly Pick<Entity, 'name' | 'source' | 'target' | 'key'>[];
  /** Columns of the source table that nothing may read. */
  secrets: readonly string[];
}

/** A column that a person has to decide on, and why. */
export interface Open {
  name: string;
  type: string;
  why: string;
}

/** An id map that the view joins. */
export interface Join {
  entity: string;
  alias: string;
  /** What its legacy_id is compared with. */
  key: string;
  /** The source columns the reference is made of. */
  columns: string[];
  /** The target column cannot be NULL: a row without it is rejected, for this reason. */
  reject: string | undefined;
}

/** An entity as far as both catalogs tell it. */
export interface Draft {
  name: string;
  source: Table;
  target: Table;
  /** Alias of the driving table. */
  alias: string;
  /** Columns of the key of the source table. */
  key: string[];
  legacyKey: string;
  /** The target keeps the uuid of the source row. */
  keepsId: boolean;
  adopt: string | undefined;
  /** `from`: the source column whose value it is. */
  columns: { name: string; value: string; from?: string }[];
  joins: Join[];
  openSource: Open[];
  openTarget: Open[];
  /** Target columns that are left to their default. */
  defaults: string[];
}

/** Columns are called the same from here on. */
const ALIKE = 0.8;
const SECRET = /(^|_)(password|passwd|pwd|secret|token|api_?key|private_?key)(_|$)/;

/** A column that looks as if nobody may read it, by its name. */
export function looksSecret(name: string): boolean {
  return SECRET.test(snake(name));
}

/** The key of a table: `id`, else its primary key, else the smallest other one; undefined without one. */
export function keyOf({ keys }: Table): string[] | undefined {
  return keys.find((key) => key.join() === 'id') ?? keys[0];
}

/** A name of a table, or of a column of its key, that no header can hold. */
export function strangeName(table: Table): string | undefined {
  return [table.name, ...(keyOf(table) ?? [])].find((name) => !/^[A-Za-z_][\w$]*$/.test(name));
}

/** Drafts the entity that brings the rows of a table into another; the source table has a key. */
export function draftOf(name: string, source: Table, target: Table, known: Known): Draft {
  const alias = /^[a-z]/.exec(snake(source.name))?.[0] ?? 't';
  const key = keyOf(source) ?? [];
  const keyColumns = key.flatMap((each) => columnOf(source, each) ?? []);
  const value = (column: string) => `${alias}.${named(column)}`;
  const isPlain = keyColumns.length === 1 && keyColumns.every(isWhole);
  const id = columnOf(target, 'id');
  const draft: Draft = {
    name,
    source,
    target,
    alias,
    key,
    legacyKey: keyNumber(key.map(value), isPlain),
    keepsId: keyColumns.length === 1 && keyColumns[0]?.type === 'uuid' && id?.type === 'uuid',
    adopt: undefined,
    columns: [],
    joins: [],
    openSource: [],
    openTarget: [],
    defaults: [],
  };
  const hidden = (column: string) => known.secrets.includes(column) || looksSecret(column);
  const readable = source.columns.filter((column) => !hidden(column.name));
  const words = singular(snake(source.name)).split('_');
  // `shop_customer` is a customer, too
  const own = words.map((_, at) => words.slice(at).join('_'));
  // the key is in the id map
  const used = new Set(key);
  const similar = (column: TableColumn) =>
    best(
      readable.filter((each) => !used.has(each.name) && !isOf(target, each.name)),
      (each) =>
        Math.max(
          ...variants(each.name, own).map((word) =>
            // `created`, where it is a time, is `created_at`
            Math.max(
              likeness(word, column.name),
              isTime(each) ? likeness(word, plainTime(column)) : 0,
            ),
          ),
        ),
    );
  const legacyNames = [...own, singular(target.name)].map((word) => `legacy_${word}_id`);
  legacyNames.push('legacy_id');
  for (const column of target.columns) {
    if (column.generated || column.name === 'id') continue;
    const isKey = key.length === 1 && legacyNames.includes(column.name);
    const found =
      readable.find((each) => each.name === column.name) ??
      readable.find((each) => snake(each.name) === column.name) ??
      (isKey ? keyColumns[0] : undefined) ??
      readable.find((each) => `legacy_${snake(each.name)}` === column.name) ??
      similar(column);
    const reference = referenceOf(draft, column, found, readable, known);
    if (reference === undefined && found !== undefined) {
      const read = isPlain && key.includes(found.name) ? 'bigint' : found.type;
      const cast = castTo(value(found.name), found, column, read);
      if (cast !== undefined) {
        draft.columns.push({ name: column.name, value: cast, from: found.name });
        used.add(found.name);
        if (isKey && found === keyColumns[0]) draft.adopt ??= column.name;
        continue;
      }
    } else if (typeof reference === 'object') {
      draft.joins.push(reference);
      draft.columns.push({ name: column.name, value: `${reference.alias}.id` });
      for (const each of reference.columns) used.add(each);
      continue;
    }
    if (column.has_default) draft.defaults.push(column.name);
    else draft.openTarget.push({ ...column, why: reference ?? whyNot(column, found) });
  }
  draft.openSource = source.columns
    .filter((each) => !used.has(each.name) && !known.secrets.includes(each.name))
    .map((each) => ({
      ...each,
      why: hidden(each.name)
        ? 'a secret by its name: see sql/settings.json'
        : 'no target column is like it',
    }));
  return draft;
}

/**
 * The join by which a column of ids finds its row; a sentence where it would be one and cannot be made;
 * undefined where the column is none.
 */
function referenceOf(
  draft: Draft,
  column: TableColumn,
  found: TableColumn | undefined,
  readable: readonly TableColumn[],
  { source, entities }: Known,
): Join | string | undefined {
  const { target } = draft;
  if (column.type !== 'uuid') return undefined;
  const leads = target.foreign_keys.find(({ columns }) => columns.join() === column.name);
  const self = {
    name: draft.name,
    source: draft.source.name,
    target: { schema: target.schema, table: target.name },
    key: draft.key,
  };
  const maps = [
    ...entities,
    ...(entities.some(({ name }) => name === draft.name) ? [] : [self]),
  ].filter(
    ({ target: { schema, table } }) =>
      leads === undefined || (leads.schema === schema && leads.table === table),
  );
  const keys = draft.source.foreign_keys.filter(
    ({ columns }) => found === undefined || columns.includes(found.name),
  );
  const pairs = keys.flatMap((key) =>
    maps.filter((map) => map.source === key.table).map((map) => ({ key, map })),
  );
  const [pair, ...others] = pairs;
  if (pair === undefined || (found === undefined && others.length > 0)) {
    const [declared] = keys;
    if (found !== undefined && declared !== undefined) {
      return `first write the entity of ${declared.table}`;
    }
    if (leads === undefined) return undefined;
    // the source declares nothing: the target's key says where to
    const [map, ...more] = maps;
    if (map === undefined) return `first write the entity of ${leads.schema}.${leads.table}`;
    const known = source.find(({ name }) => name === map.source);
    const key = known && map.key.length === 1 ? columnOf(known, map.key[0] ?? '') : undefined;
    const by = found ?? (map === self ? undefined : namesake(draft, leads.table, key, readable));
    if (by === undefined || key === undefined || more.length > 0 || !isComparable(by, key)) {
      const entitiesThere = [map, ...more].map(
        (each) => `${each.name} (known by ${each.key.join(', ')})`,
      );
      return `leads to ${entitiesThere.join(', ')}: by which source column is not known`;
    }
    return joinOf(draft, column, map.name, [by.name], isWhole(key));
  }
  const { key, map } = pair;
  const columns = map.key.map((each) => key.columns[key.referred.indexOf(each)]);
  const whole = columns.flatMap((each) => each ?? []);
  if (whole.length < columns.length) {
    return `${key.table} is known by ${map.key.join(', ')}, this refers to ${key.referred.join(', ')}`;
  }
  const table = source.find(({ schema, name }) => schema === key.schema && name === key.table);
  const isPlain = map.key.every((each) => {
    const type = table && columnOf(table, each);
    return type !== undefined && isWhole(type);
  });
  return joinOf(draft, column, map.name, whole, isPlain);
}

/** The column that is called as the key of the table referred to, where one reference alone leads there. */
function namesake(
  { target, key: own }: Draft,
  table: string,
  key: TableColumn | undefined,
  readable: readonly TableColumn[],
): TableColumn | undefined {
  if (key === undefined || key.name === 'id' || own.join() === key.name) return undefined;
  if (target.foreign_keys.filter((each) => each.table === table).length > 1) return undefined;
  return readable.find(({ name }) => snake(name) === snake(key.name));
}

function joinOf(
  { alias: driving, joins }: Draft,
  column: TableColumn,
  entity: string,
  columns: string[],
  isPlain: boolean,
): Join {
  const word = column.name.replace(/_id$/, '');
  const taken = new Set([driving, ...joins.map(({ alias }) => alias)]);
  const isFree = !taken.has(word) && named(word) === word;
  const alias = isFree ? word : `${word}_row`;
  const values = columns.map((each) => `${driving}.${named(each)}`);
  const required = column.required && !column.has_default;
  return {
    entity,
    alias,
    key: keyNumber(values, isPlain),
    columns,
    reject: required ? `orphan_${word}` : undefined,
  };
}

function whyNot(column: TableColumn, found: TableColumn | undefined): string {
  if (found === undefined) return 'no source column is like it';
  return `${found.name} is ${found.type}, which cannot become ${column.type}`;
}

/** The one most alike, where any is alike enough. */
function best<T>(candidates: readonly T[], score: (candidate: T) => number): T | undefined {
  const [first] = candidates
    .map((candidate) => ({ candidate, score: score(candidate) }))
    .filter((each) => each.score >= ALIKE)
    .toSorted((a, b) => b.score - a.score);
  return first?.candidate;
}

/** `created_at` as `created`. */
function plainTime({ name }: TableColumn): string {
  return name.replace(/_(at|on)$/, '');
}

/** A name, and the same without one of the table in front: `customer_name`, `name`. */
function variants(name: string, tables: readonly string[]): string[] {
  const word = snake(name);
  const owned = tables.filter((table) => word.startsWith(`${table}_`));
  return [word, ...owned.map((table) => word.slice(table.length + 1))];
}

function columnOf({ columns }: Table, name: string): TableColumn | undefined {
  return columns.find((each) => each.name === name);
}

/** Whether a target table has a column for it by its very name. */
function isOf({ columns }: Table, name: string): boolean {
  return columns.some((each) => each.name === name || each.name === snake(name));
}
