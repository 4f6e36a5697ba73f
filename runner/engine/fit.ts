import type { Entity } from './entity-file.ts';
import type { Reference } from './references.ts';
import { keyText } from './keys.ts';
import type { Reading } from './reading.ts';
import { isText, unmodified } from './render.ts';
import { type Problem, positionAt } from './text.ts';

/** A column of a view or a table as the catalog shows it. */
export interface CatalogColumn {
  schema: string;
  relation: string;
  name: string;
  type: string;
  /** The hash of the type tells every two values apart. */
  native: boolean;
  required: boolean;
  has_default: boolean;
}

/** Columns of a view that are for the engine. */
export const OWN = new Set(['legacy_key', 'id', 'filter', 'missing', 'reject']);

/** Columns that staged rows have besides (templates/merge.sql). */
const STAGED = new Set(
  (
    'version row_hash target_id known known_version known_hash known_written adopted adopting ' +
    'stored_hash to_write'
  ).split(' '),
);

/** What a target table is to the engine. */
export interface TableFacts {
  name: string;
  rewrites: boolean;
  /** A table that refers to it. */
  referenced_by: string | null;
  /** Its own foreign key that takes rows of the table with the row they refer to. */
  cascades: string | null;
  /** Foreign keys of one column: where they lead. */
  foreign_keys: { name: string; column: string; table: string }[];
  /** Columns of each unique index, comma separated. */
  unique_keys: string[];
}

/** The column that tells parts apart is one of the target where that has it. */
export function isApart(name: string, { part }: Entity, target: readonly CatalogColumn[]): boolean {
  return part?.column === name && !target.some((column) => column.name === name);
}

/** Differences between the view's columns and the target table. */
export function compare(entity: Entity, view: CatalogColumn[], target: CatalogColumn[]): Problem[] {
  const problems: Problem[] = [];
  const key = view.find((column) => column.name === 'legacy_key');
  if (key === undefined || key.type !== 'bigint') {
    problems.push(
      at(
        entity,
        'legacy_key',
        'legacy-key',
        `legacy_key is ${key === undefined ? 'missing' : key.type}, not bigint`,
        'select the id of the driving table as legacy_key',
      ),
    );
  }
  problems.push(...unfitId(entity, view, target));
  for (const column of view) {
    if (column.name === 'id' || isApart(column.name, entity, target)) continue;
    if (OWN.has(column.name)) {
      if (column.name !== 'legacy_key' && column.type !== 'text') {
        problems.push(
          at(
            entity,
            `as ${column.name}`,
            'type',
            `${column.name} is ${column.type}, not text`,
            'make it text',
          ),
        );
      }
      continue;
    }
    const stored = target.find((other) => other.name === column.name);
    if (stored === undefined) {
      problems.push(
        at(
          entity,
          `as ${column.name}`,
          'column',
          `${entity.target.table} has no column ${column.name}`,
          'correct the name, or add the column to schema-changes/additive',
        ),
      );
    } else if (STAGED.has(column.name)) {
      const says = `${column.name} is a name that staged rows need for themselves`;
      problems.push(at(entity, `as ${column.name}`, 'column', says, 'leave the column out'));
    } else if (!fits(column.type, stored.type)) {
      problems.push(
        at(
          entity,
          `as ${column.name}`,
          'type',
          `${column.name} is ${column.type}, ${entity.target.table} stores ${stored.type}`,
          // a type of the source has no cast but that through text
          column.type.startsWith('legacy.')
            ? `make the expression ::text::${stored.type}`
            : `make the expression ${unmodified(stored.type) ?? stored.type}`,
        ),
      );
    }
  }
  const given = new Set(view.map((column) => column.name));
  for (const column of target) {
    if (column.required && !column.has_default && column.name !== 'id' && !given.has(column.name)) {
      problems.push(
        at(
          entity,
          'create view',
          'not-null',
          `${entity.target.table}.${column.name} is NOT NULL without a default and not supplied`,
          'supply it, or relax it in schema-changes/additive',
        ),
      );
    }
  }
  for (const name of entity.adopt.filter((column) => !given.has(column))) {
    problems.push(
      at(
        entity,
        '-- adopt',
        'adopt',
        `adopt names ${name}, which the view has not`,
        'correct the header',
      ),
    );
  }
  return problems;
}

/** Rows of the target have a uuid: one that is made of the key, or with `-- id  source` one of the view's. */
function unfitId(entity: Entity, view: CatalogColumn[], target: CatalogColumn[]): Problem[] {
  const stored = target.find((column) => column.name === 'id');
  const given = view.find((column) => column.name === 'id');
  const report = (mark: string, message: string, fix: string) => [
    at(entity, mark, 'id', message, fix),
  ];
  if (stored?.type !== 'uuid') {
    const is = stored === undefined ? 'no column id' : `an id of type ${stored.type}`;
    const fix =
      'rows are found again by `id uuid`: add it as a key in schema-changes/additive (the other one may stay, ' +
      'with a default), or leave the table out';
    return report('-- target', `${entity.target.table} has ${is}`, fix);
  }
  if (given === undefined) {
    return entity.ownIds
      ? report('-- id', 'the view has no column id', 'select the uuid of the source as id')
      : [];
  }
  if (!entity.ownIds) {
    const fix =
      'leave the column out, or write `-- id  source` where it is the uuid of the source row';
    return report('as id', 'id is given by the engine', fix);
  }
  const fix =
    'ids of the source can be taken where they are uuid: leave `-- id` out, and the column';
  return given.type === 'uuid' ? [] : report('as id', `id is ${given.type}, not uuid`, fix);
}

/**
 * A key by which changes would not be found: versions belong to keys of the driving table, so under any
 * other key, however unique, what has changed is not read.
 */
export function strangeKey(entity: Entity, { keyed, numbered }: Reading): Problem[] {
  const { source, key } = entity;
  if (keyed || source === null) return [];
  const says = `legacy_key is not the key of ${source} (${key.join(', ')}), by which changes of its rows are found`;
  const said = keyText(`<alias of legacy.${source}>`, key, key.length === 1 && !numbered);
  const fix = `take it as it is: \`${said} as legacy_key\``;
  return [at(entity, 'legacy_key', 'legacy-key', says, fix)];
}

/** What the source says of the key that the files give to a table. */
export interface SourceKey {
  source_table: string;
  /** They are a unique key of it. */
  has_key: boolean;
  /** It is one whole number. */
  is_number: boolean;
  primary_key: string[] | null;
}

/** A key that does not tell rows apart, or is taken as what it is not. */
export function unfitKey(entity: Entity, found: SourceKey, { numbered }: Reading): Problem[] {
  const { source, key } = entity;
  const columns = key.join(', ');
  if (!found.has_key) {
    const mark = entity.text.includes('\n-- key ') ? '-- key' : '-- source';
    const says = `${columns} is not a unique key of the source table ${source}`;
    const fix =
      found.primary_key === null
        ? `rows are told apart by their key: give the table a unique index on ${columns}, say another with ` +
          '`-- key`, or drive the view by a table that has one (a view has none; materialize it there)'
        : `its primary key is another: write \`-- key  ${found.primary_key.join(', ')}\``;
    return [at(entity, mark, 'source-key', says, fix)];
  }
  // the file has to say it where it is read without the grammar, too
  if (found.is_number !== numbered && numbered === entity.numbered) return [];
  const says = found.is_number
    ? `the key of ${source} (${columns}) is a whole number, and stands for itself`
    : `the key of ${source} (${columns}) is no whole number`;
  const said = keyText(`<alias of legacy.${source}>`, key, found.is_number);
  const fix = `write \`${said} as legacy_key\``;
  return [at(entity, 'legacy_key', 'source-key', says, fix)];
}

/** Text and varchar are one; modifiers of numbers and times may differ; an integer fits bigint. */
function fits(given: string, stored: string): boolean {
  if (given === stored || (isText(given) && isText(stored))) return true;
  const plain = unmodified(stored);
  if (plain !== undefined) return unmodified(given) === plain;
  return stored === 'bigint' && (given === 'integer' || given === 'smallint');
}

/** What `deletes remove` would take with it. */
export function removals(entity: Entity, facts: TableFacts): Problem[] {
  if (entity.deletes !== 'remove') return [];
  const { table } = entity.target;
  const fix = 'leave `deletes remove` out';
  const found: Problem[] = [];
  if (facts.referenced_by !== null) {
    const says = `rows of ${table} are referenced by ${facts.referenced_by}`;
    const why = `${fix}: a removed row would take rows of another table with it`;
    found.push(at(entity, '-- deletes', 'removal', says, why));
  }
  if (facts.cascades !== null) {
    const says = `rows of ${table} go with the row they refer to (${facts.cascades}, on delete cascade)`;
    const why = `${fix}: a removed row would take others of its table with it, unseen`;
    found.push(at(entity, '-- deletes', 'removal', says, why));
  }
  return found;
}

/** Columns that hold ids of one table where their foreign key leads to another. */
export function strangers(
  entity: Entity,
  references: readonly Reference[],
  facts: TableFacts,
  entities: readonly Entity[],
): Problem[] {
  return references.flatMap(({ column, map }) => {
    const target = entities.find(({ name }) => name === map)?.target;
    const table = `${target?.schema}.${target?.table}`;
    const wrong = facts.foreign_keys.filter(
      (key) => target !== undefined && key.column === column && key.table !== table,
    );
    return wrong.map((key) =>
      at(
        entity,
        `as ${column}`,
        'reference',
        `${column} holds ids of ${map}, rows of ${table}; its key ${key.name} leads to ${key.table}`,
        `take the id map of an entity of ${key.table}, or correct the key of the column`,
      ),
    );
  });
}

/** A problem at the first place a mark stands in the file. */
export function at(
  entity: Entity,
  mark: string,
  rule: string,
  message: string,
  fix: string,
): Problem {
  const word = mark.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const offset = entity.text.search(new RegExp(`${word}(?![a-z0-9_])`));
  return { rule, file: entity.file, ...positionAt(entity.text, Math.max(offset, 0)), message, fix };
}
