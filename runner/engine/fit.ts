import type { Entity } from './catalog.ts';
import type { Reference } from './references.ts';
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
export const OWN = new Set(['legacy_key', 'filter', 'missing', 'reject']);

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
  for (const column of view) {
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
    if (stored === undefined || column.name === 'id') {
      problems.push(
        at(
          entity,
          `as ${column.name}`,
          'column',
          column.name === 'id'
            ? 'id is given by the engine'
            : `${entity.target.table} has no column ${column.name}`,
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
          `make the expression ${unmodified(stored.type) ?? stored.type}`,
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

/**
 * A key by which changes would not be found: versions belong to ids of the driving table, so under any
 * other key, however unique, what has changed is not read.
 */
export function strangeKey(entity: Entity, keyed: boolean): Problem[] {
  const { source } = entity;
  if (keyed || source === null) return [];
  const says = `legacy_key is not ${source}.id, by which changes of its rows are found`;
  const fix = `take it as it is: \`<alias of legacy.${source}>.id as legacy_key\``;
  return [at(entity, 'legacy_key', 'legacy-key', says, fix)];
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
