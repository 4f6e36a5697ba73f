import type { Catalog } from './catalog.ts';
import type { Entity, Part } from './entity-file.ts';
import { ConnectionLost, failureOf, isThere, savepoint, type Session } from '../database.ts';
import {
  at,
  type CatalogColumn,
  compare,
  isApart,
  OWN,
  removals,
  strangeKey,
  strangers,
  type SourceKey,
  type TableFacts,
  unfitKey,
} from './fit.ts';
import { NOTHING, type Reading } from './reading.ts';
import { keysOf } from './keys.ts';
import { type Column, isRounded, type Shape } from './render.ts';
import { quoted } from '../quote.ts';
import { blanked, type Problem, positionAt } from './text.ts';

/**
 * Creates every view (all are tried), compares its columns with its target table and looks at
 * what the engine needs to know. Inside the caller's transaction, with the link built and open.
 * Returns the shapes of the entities without a problem and all problems, with file and line.
 */
export async function preflight(
  session: Session,
  catalog: Catalog,
  readings: readonly Reading[],
): Promise<{ shapes: Map<string, Shape>; problems: Problem[] }> {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const problems: Problem[] = [...catalog.problems];
  const { created, failures } = await createViews(session, entities);
  problems.push(...failures);
  const widths = await widthsOf(session);

  const { relations, tables } = await readCatalogs(session, entities);
  const keys = await sourceKeys(session, entities);

  const shapes = new Map<string, Shape>();
  for (const [index, entity] of entities.entries()) {
    const known = problems.length;
    const view = relations.get(`transform.${entity.name}`) ?? [];
    const name = `${entity.target.schema}.${entity.target.table}`;
    const target = relations.get(name);
    const facts = tables.get(name);
    if (target === undefined || facts === undefined) {
      problems.push(
        at(entity, '-- target', 'target-table', `there is no table ${name}`, 'correct the header'),
      );
      continue;
    }
    const key = keys.get(entity.source ?? '');
    if (key !== undefined) problems.push(...unfitKey(entity, key, readings[index] ?? NOTHING));
    problems.push(...removals(entity, facts));
    if (!created.has(entity.name)) continue;
    const found = compare(entity, view, target);
    // one that is missing is no id either
    if (!found.some(({ rule }) => rule === 'legacy-key')) {
      found.push(...strangeKey(entity, readings[index] ?? NOTHING));
    }
    problems.push(...found);
    problems.push(...strangers(entity, readings[index]?.references ?? [], facts, entities));
    if (problems.length > known) continue;
    shapes.set(
      entity.name,
      shapeOf(entity, view, target, facts, entities, widths.get(entity.name) ?? 0),
    );
  }
  return { shapes, problems };
}

/** Shapes of the views as the last run left them; entities without a view are left out. */
export async function readShapes(session: Session, catalog: Catalog): Promise<Map<string, Shape>> {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const { relations, tables } = await readCatalogs(session, entities);
  const widths = await widthsOf(session);
  const shapes = new Map<string, Shape>();
  for (const entity of entities) {
    const name = `${entity.target.schema}.${entity.target.table}`;
    const view = relations.get(`transform.${entity.name}`);
    const target = relations.get(name);
    const facts = tables.get(name);
    if (view === undefined || target === undefined || facts === undefined) continue;
    const width = widths.get(entity.name) ?? 0;
    shapes.set(entity.name, shapeOf(entity, view, target, facts, entities, width));
  }
  return shapes;
}

/** Keys per range of each entity. */
async function widthsOf(session: Session): Promise<Map<string, number>> {
  const rows = await session.query<{ entity: string; width: number }>(
    'select * from migration.entity_widths()',
  );
  return new Map(rows.map((row) => [row.entity, row.width]));
}

/** Creates all views in one call; those it cannot create one by one, for what the server says. */
async function createViews(session: Session, entities: Entity[]) {
  const files = [...new Map(entities.map((entity) => [entity.view, entity])).values()];
  const plain = files.filter((entity) => isOneStatement(entity));
  const [row] = await session.query<{ failed: string[] }>(
    'select migration.create_views($1::text::jsonb) as failed',
    [JSON.stringify(Object.fromEntries(plain.map(({ view, text }) => [view, text])))],
  );
  const failed = files.filter(
    (entity) => !plain.includes(entity) || row?.failed.includes(entity.view) !== false,
  );
  const created = new Set(files.filter((e) => !failed.includes(e)).map(({ view }) => view));
  const failures: Problem[] = [];
  for (const entity of failed) {
    const problem = await createView(session, entity);
    if (problem === undefined) created.add(entity.view);
    else failures.push(problem);
  }
  for (const entity of files) {
    if (entity.part === null || !created.has(entity.view)) continue;
    if (await createParts(session, entity, entity.part)) continue;
    created.delete(entity.view);
    const says = `the view has no column ${entity.part.column} of type text`;
    const fix = 'name the column in the view, as text, or another one in `-- part`';
    failures.push(at(entity, '-- part', 'part', says, fix));
  }
  return {
    created: new Set(entities.filter(({ view }) => created.has(view)).map(({ name }) => name)),
    failures,
  };
}

/** Makes the views of the parts of that of a file, which goes; false where it has no such column. */
async function createParts(session: Session, { view }: Entity, part: Part): Promise<boolean> {
  const [row] = await session.query<{ made: boolean }>(
    'select migration.create_parts($1, $2, $3) as made',
    [view, part.column, part.all],
  );
  return row?.made === true;
}

/** Begins with its own view and has no second statement. */
function isOneStatement({ view, text }: Entity): boolean {
  const code = blanked(text);
  return isTheView(view, code) && /^[^;]*;?\s*$/.test(code);
}

function isTheView(name: string, code: string): boolean {
  return new RegExp(`^\\s*create\\s+view\\s+transform\\.${name}\\b`, 'i').test(code);
}

async function readCatalogs(session: Session, entities: Entity[]) {
  const schemas = new Set(['transform', ...entities.map(({ target }) => target.schema)]);
  const columns = await session.query<CatalogColumn>('select * from migration.columns_of($1)', [
    [...schemas],
  ]);
  const relations = new Map<string, CatalogColumn[]>();
  for (const column of columns) {
    const name = `${column.schema}.${column.relation}`;
    const list = relations.get(name);
    if (list === undefined) relations.set(name, [column]);
    else list.push(column);
  }
  return { relations, tables: await tableFacts(session, entities) };
}

function shapeOf(
  entity: Entity,
  view: CatalogColumn[],
  target: CatalogColumn[],
  facts: TableFacts,
  entities: Entity[],
  width: number,
): Shape {
  const has = (name: string) => view.some((column) => column.name === name);
  return {
    entity,
    columns: view
      .filter(({ name }) => !OWN.has(name) && !isApart(name, entity, target))
      .map((column) => shapeColumn(column, target)),
    has: { filter: has('filter'), missing: has('missing'), reject: has('reject') },
    rewrites: facts.rewrites,
    uniqueKeys: facts.unique_keys
      .map((key) => key.split(','))
      .filter((key) => key.every((name) => has(name))),
    createdAt: target.some((column) => column.name === 'created_at'),
    siblings: entities
      .filter(
        (other) =>
          other.target.table === entity.target.table &&
          other.target.schema === entity.target.schema,
      )
      .map((other) => other.name),
    width,
  };
}

/** Creates one view; undefined, or what the server says about which place of the file. */
async function createView(session: Session, entity: Entity): Promise<Problem | undefined> {
  try {
    await savepoint(session, async () => {
      // before it runs: a lone `commit` would end the transaction, with the login in it
      if (!isTheView(entity.view, blanked(entity.text))) throw new NotTheView();
      await session.single(entity.text);
      if (!(await isThere(session, `transform.${quoted(entity.view)}`))) throw new NotTheView();
    });
    return undefined;
  } catch (error) {
    if (error instanceof ConnectionLost) throw error;
    if (error instanceof NotTheView) {
      return at(
        entity,
        'create view',
        'view',
        `the file does not create transform.${entity.view}`,
        'name the view as the file',
      );
    }
    const failure = failureOf(error);
    if (failure === undefined) throw error;
    const offset = failure.position === undefined ? 0 : utf16Offset(entity.text, failure.position);
    return {
      rule: 'view',
      file: entity.file,
      ...positionAt(entity.text, offset),
      message: failure.message,
      fix: (await spelled(session, failure.message)) ?? failure.hint ?? fixFor(failure.code),
    };
  }
}

class NotTheView extends Error {}

/** What to write for a source table that is there under a name with capitals. */
async function spelled(session: Session, message: string): Promise<string | undefined> {
  const [, name] = /relation "legacy\.(.+)" does not exist/.exec(message) ?? [];
  if (name === undefined) return undefined;
  const [row] = await session.query<{ name: string | null }>(
    'select migration.source_spelling($1) as name',
    [name],
  );
  if (row === undefined || row.name === null) return undefined;
  return `the source spells it "${row.name}": write legacy."${row.name}", and in the header ${row.name}`;
}

function fixFor(code: string): string {
  if (code === '42703') return 'compare the name with the source table (\\d legacy.<table>)';
  if (code === '42P01') return 'the table is not in the source, or the reader may not see it';
  return 'correct the view';
}

function shapeColumn(column: CatalogColumn, target: CatalogColumn[]): Column {
  const stored = target.find((other) => other.name === column.name) ?? column;
  return {
    name: column.name,
    type: stored.type,
    native: stored.native && column.native,
    ...(isRounded(column.type, stored.type) ? { exact: true } : {}),
  };
}

async function tableFacts(session: Session, entities: Entity[]): Promise<Map<string, TableFacts>> {
  const names = [...new Set(entities.map(({ target }) => `${target.schema}.${target.table}`))];
  const rows = await session.query<TableFacts>('select * from migration.table_facts($1)', [names]);
  return new Map(rows.map((row) => [row.name, row]));
}

/** What the source says of the keys of driving tables, by table. */
async function sourceKeys(session: Session, entities: Entity[]): Promise<Map<string, SourceKey>> {
  const rows = await session.query<SourceKey>(
    'select * from migration.source_keys($1::text::jsonb)',
    [JSON.stringify(keysOf(entities))],
  );
  return new Map(rows.map((row) => [row.source_table, row]));
}

/** PostgreSQL counts characters from 1; JavaScript counts UTF-16 units from 0. */
function utf16Offset(text: string, position: number): number {
  return Array.from(text)
    .slice(0, position - 1)
    .join('').length;
}
