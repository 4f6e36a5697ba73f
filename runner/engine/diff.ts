import { type Catalog, functionsHash, sourceTables } from './catalog.ts';
import { type Entity, mentioned } from './entity-file.ts';
import type { Endpoint } from '../config.ts';
import type { Session } from '../database.ts';
import { awaitTurn, buildLink, linkBasis } from './link.ts';
import { fitViews, refuseAnotherSource } from './prepare.ts';
import { readShapes } from './preflight.ts';
import { askedTemplate } from './question.ts';
import { render, type Shape } from './render.ts';
import { blanked, type Problem } from './text.ts';
import { literal, quoted } from '../quote.ts';

/** Rows of which a column says something else. */
export interface ColumnDifference {
  column: string;
  /** The view supplies it now, or no more. */
  added: boolean;
  dropped: boolean;
  rows: number;
  /** The first five keys, and `was → is` of each where values may be shown. */
  keys: number[];
  values: string[];
}

/** What a changed view does to the rows of its entity. */
export interface EntityDifference {
  entity: string;
  file: string;
  /** There was no view of it before. */
  isNew: boolean;
  /** Rows the view shows, and of these what is to be stored. */
  compared: number;
  stored: number;
  /** Rows that are stored now and were not, and the other way round. */
  come: number;
  comeKeys: number[];
  go: number;
  goKeys: number[];
  /** Rows that are stored before and after, and say something else. */
  change: number;
  columns: ColumnDifference[];
  /** Reasons of rejects and filters: rows that have it now, and that have it no more. */
  reasons: {
    kind: 'reject' | 'filter';
    reason: string;
    come: number;
    go: number;
    keys: number[];
  }[];
  /** Entities that look its ids up: rows that come or go may change them. */
  follows: string[];
}

/** The comparison of the views of the files with others. */
export interface Differences {
  problems: Problem[];
  entities: EntityDifference[];
  /** Entities whose view was not to be read: it could not be made. */
  unreadable: string[];
  /** The helper functions are others than those of the last run; both sides used the new ones. */
  functionsChanged: boolean;
}

/** The other side: view texts by entity. */
export interface Base {
  views: Map<string, string>;
}

/**
 * Compares what the views of the files say with what those of the ledger say, or of `base`; in the
 * transaction of the caller, who rolls it back. Entities whose text is the same are left out, unless
 * they are named. Undefined where there is no ledger, and no base. The session has its login.
 */
export async function readDifferences(
  session: Session,
  catalog: Catalog,
  {
    source,
    names,
    base,
    showData,
    checkpoint,
  }: {
    source: Endpoint;
    names: string[];
    base: Base | undefined;
    showData: boolean;
    /** Called between entities; throws when the command is to stop. */
    checkpoint: () => void;
  },
): Promise<Differences> {
  await awaitTurn(session);
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const ledger = base === undefined ? await installedViews(session) : undefined;
  const before =
    base?.views ?? new Map([...(ledger ?? [])].map(([name, { text }]) => [name, text]));
  const chosen = entities.filter(({ name, text, hash }) => {
    if (names.length > 0) return names.includes(name);
    return ledger === undefined ? before.get(name) !== text : ledger.get(name)?.hash !== hash;
  });
  const views = new Map(chosen.flatMap(({ name }) => textOf(name, before.get(name))));
  const tables = [
    ...new Set([
      ...sourceTables(catalog),
      ...[...views.values()].flatMap((text) => mentioned(blanked(text), 'legacy')),
    ]),
  ];
  const missing = await buildLink(session, source, { ...linkBasis(catalog), tables });
  refuseAnotherSource(missing, tables, source);
  const { was, unreadable } = await viewsBefore(session, catalog, views);
  const { shapes: is, problems } = await fitViews(session, catalog);
  const functionsChanged = ledger !== undefined && (await haveFunctionsChanged(session, catalog));
  const found: Differences = { problems, entities: [], unreadable, functionsChanged };
  if (problems.length > 0) return found;
  for (const entity of chosen) {
    checkpoint();
    const now = is.get(entity.name);
    if (now === undefined || unreadable.includes(entity.name)) continue;
    const { name } = entity;
    const follows = entities.filter((e) => e.name !== name && e.idMaps.includes(name));
    found.entities.push({
      entity: name,
      file: entity.file,
      isNew: !was.has(name),
      follows: follows.map((other) => other.name),
      ...(await compare(session, entity, was.get(name), now, showData)),
    });
  }
  return found;
}

function textOf(name: string, text: string | undefined): [string, string][] {
  return text === undefined ? [] : [[name, text]];
}

async function installedViews(session: Session) {
  const rows = await session.query<{ entity: string; text: string; hash: string }>(
    'select * from migration.installed_views()',
  );
  return new Map(rows.map(({ entity, ...rest }) => [entity, rest]));
}

async function haveFunctionsChanged(session: Session, catalog: Catalog): Promise<boolean> {
  const [row] = await session.query<{ hash: string | null }>(
    'select migration.last_functions() as hash',
  );
  return (row?.hash ?? null) !== null && row?.hash !== functionsHash(catalog);
}

/** Makes the views of the other side, reads their shapes and sets them aside. */
async function viewsBefore(session: Session, catalog: Catalog, views: Map<string, string>) {
  const [row] = await session.query<{ failed: string[] }>(
    'select migration.create_views($1::text::jsonb) as failed',
    [JSON.stringify(Object.fromEntries(views))],
  );
  const unreadable = row?.failed ?? [];
  const was = await readShapes(session, catalog);
  const made = [...views.keys()].filter((name) => !unreadable.includes(name));
  await session.query('select migration.set_aside($1)', [made]);
  return { was, unreadable };
}

type Compared = Omit<EntityDifference, 'entity' | 'file' | 'isNew' | 'follows'>;

async function compare(
  session: Session,
  { name }: Entity,
  was: Shape | undefined,
  is: Shape,
  showData: boolean,
): Promise<Compared> {
  const template = askedTemplate('diff');
  const views = { before: `said_before.${quoted(name)}`, after: `transform.${quoted(name)}` };
  const sides = (['before', 'after'] as const).flatMap((side) => {
    const shape = side === 'before' ? was : is;
    return shape === undefined ? [] : [{ side, shape }];
  });
  const columns = (shape: Shape | undefined) =>
    `array[${(shape?.columns ?? []).map((column) => literal(column.name)).join(', ')}]::text[]`;
  const rows = await session.batch([
    ...sides.map(({ side, shape }) => render([template], shape, { side, view: views[side] })),
    'select migration.begin_diff()',
    ...sides.map(({ side }) => `select merge.${quoted(`${name}_${side}`)}()`),
    `select migration.end_diff(${columns(was)}, ${columns(is)}, ${String(showData)}) as difference`,
  ]);
  const row = rows.find((each) => 'difference' in each) as { difference: Compared } | undefined;
  if (row === undefined) throw new Error(`the target did not compare ${name}`);
  return row.difference;
}

/** True where a view does something else to the rows. */
export function isDifferent({ come, go, change, reasons }: EntityDifference): boolean {
  return come + go + change > 0 || reasons.length > 0;
}
