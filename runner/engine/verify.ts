import { openSecret } from './archive.ts';
import type { ArchiveTable, Catalog } from './catalog.ts';
import type { Session } from '../database.ts';
import { HASH_METHOD } from './render.ts';
import { quoted } from '../quote.ts';
import { type Helped, inTwo } from './two.ts';

/**
 * What is wrong with a row: `missing` from the target, `surplus` (mapped, but no row to store any
 * more), `differs` (the view says something else than when it was written), `changed` (the target
 * was changed since we wrote it), `duplicate` (another target row has the same adoption key).
 */
export type Difference = 'missing' | 'surplus' | 'differs' | 'changed' | 'duplicate';

/**
 * Not as the view has it, and known: `rewritten` by a trigger of the target as it was written;
 * `rejected`, an open reject of this version of the source row.
 */
export type Known = 'rewritten' | 'rejected';

/** One row; values only where they were asked for. */
export interface RowFinding<Kind = Difference> {
  entity: string;
  legacyKey: number;
  kind: Kind;
  columns: string[];
  /** `column: view value <> target value`, cut to 80 characters each. */
  values: string[];
}

/** What was found for one entity; `rows` and `known` are cut, the counts are not. */
export interface EntityFindings {
  entity: string;
  /** The file is not the one the entity was last complete with; it is what was compared. */
  fileChanged: boolean;
  compared: number;
  counts: Partial<Record<Difference, number>>;
  rows: RowFinding[];
  /** Rows that are no differences, apart from those that are. */
  knownCounts: Partial<Record<Known, number>>;
  known: RowFinding<Known>[];
}

/** A part of an entity, or an archive table: what is compared at once. */
interface Piece {
  entity: string;
  archive: boolean;
  first_key: number | null;
  end_key: number | null;
}

/** What was found in a piece: rows and first keys per kind; without kind, what was in order. */
interface Found {
  kind: Difference | Known | null;
  rows: number;
  compared: number;
  keys: number[];
}

/** How to verify. */
export interface Verifying extends Helped {
  names: string[];
  showData: boolean;
  /** Called between pieces; throws when the command is to stop. */
  checkpoint: () => void;
}

/** Rows listed per entity: more than anybody reads, and few enough to hold. */
const LISTED = 200;

/**
 * Compares every row of the views with the target and the id maps, and the archive tables with their
 * sources, a piece at a time: row hashes in the database first, columns only of rows that differ.
 * Of the entities named, of all that have rows where none is. The link is open; the transaction
 * writes nothing from here on.
 */
export async function verifyAll(
  session: Session,
  catalog: Catalog,
  options: Verifying,
): Promise<EntityFindings[]> {
  await refuseOtherHashes(session);
  const pieces = await session.query<Piece>('select * from migration.verify_pieces($1)', [
    options.names,
  ]);
  const sources = await openSources(session, catalog.archive, pieces);
  const changed = await session.query<{ entity: string }>(
    'select entity from migration.changed_files()',
  );
  // an archive table whose file is gone has nothing to be compared with
  const known = pieces.filter(({ entity, archive }) => !archive || sources.has(entity));
  const all = new Map(
    known.map(({ entity }) => {
      const fileChanged = changed.some((each) => each.entity === entity);
      return [entity, nothingFound(entity, fileChanged)];
    }),
  );
  const compare = async (reader: Session, piece: Piece): Promise<void> => {
    options.checkpoint();
    const rows = await comparePiece(reader, piece, sources.get(piece.entity));
    const found = all.get(piece.entity);
    if (found !== undefined) enter(found, rows);
  };
  await session.query('set transaction read only');
  const archived = known.filter(({ archive }) => archive);
  const others = known.filter(({ archive }) => !archive);
  // what opens the secrets of the archive is seen by this session only; and one piece before a second
  // session may take the last connection that the source allows
  for (const piece of [...archived, ...others.splice(0, 1)]) await compare(session, piece);
  await inTwo(session, others, compare, options);
  for (const found of all.values()) {
    if (!sources.has(found.entity)) await nameColumns(session, found, options.showData);
  }
  return [...all.values()];
}

function nothingFound(entity: string, fileChanged: boolean): EntityFindings {
  const none = { compared: 0, counts: {}, rows: [], knownCounts: {}, known: [] };
  return { entity, fileChanged, ...none };
}

async function comparePiece(
  reader: Session,
  { entity, first_key: first, end_key: end }: Piece,
  from: string | undefined,
): Promise<Found[]> {
  return from === undefined
    ? reader.query('select * from migration.verify_piece($1, $2, $3)', [entity, first, end])
    : reader.query('select * from migration.verify_archive($1, $2)', [entity, from]);
}

/** Total number of differences. */
export function differences(found: EntityFindings): number {
  return Object.values(found.counts).reduce((sum, count) => sum + count, 0);
}

/** Hashes of another method say nothing. */
async function refuseOtherHashes(session: Session): Promise<void> {
  const [row] = await session.query<{ others: boolean }>(
    'select migration.has_other_hashes($1) as others',
    [HASH_METHOD],
  );
  if (row?.others !== true) return;
  throw new Error(
    'the rows were written by another release, which compared them in another way; ' +
      'run `runner up` first: it compares everything once',
  );
}

/** What each archive table is compared with. */
async function openSources(
  session: Session,
  tables: ArchiveTable[],
  pieces: Piece[],
): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const table of tables) {
    if (!pieces.some(({ entity }) => entity === table.name)) continue;
    const from =
      table.secret === null ? `legacy.${quoted(table.source)}` : await openSecret(session, table);
    sources.set(table.name, from);
  }
  return sources;
}

function enter(found: EntityFindings, rows: Found[]): void {
  for (const { kind, rows: count, compared, keys } of rows) {
    found.compared += compared;
    if (kind === null) continue;
    if (isKnown(kind)) add(found.entity, found.knownCounts, found.known, { kind, count, keys });
    else add(found.entity, found.counts, found.rows, { kind, count, keys });
  }
}

function isKnown(kind: Difference | Known): kind is Known {
  return kind === 'rewritten' || kind === 'rejected';
}

/** Pieces come in the order of their keys. */
function add<Kind extends string>(
  entity: string,
  counts: Partial<Record<Kind, number>>,
  list: RowFinding<Kind>[],
  { kind, count, keys }: { kind: Kind; count: number; keys: number[] },
): void {
  counts[kind] = (counts[kind] ?? 0) + count;
  for (const legacyKey of keys) list.push({ entity, legacyKey, kind, columns: [], values: [] });
  list.sort((a, b) => a.legacyKey - b.legacyKey);
  list.splice(LISTED);
}

/** Kinds of rows that are on both sides. */
const COMPARED = new Set<Difference | Known>(['differs', 'changed', 'rewritten']);

/** Column names (and values) of the rows listed, read again by key. */
async function nameColumns(
  session: Session,
  found: EntityFindings,
  showData: boolean,
): Promise<void> {
  const rows = [...found.rows, ...found.known].filter(({ kind }) => COMPARED.has(kind));
  if (rows.length === 0) return;
  const answers = await session.query<{ legacy_key: number; columns: string[]; values: string[] }>(
    `select * from merge.${quoted(`${found.entity}_differing`)}($1, $2)`,
    [rows.map(({ legacyKey }) => legacyKey), showData],
  );
  const byLegacyKey = new Map(answers.map((answer) => [answer.legacy_key, answer]));
  for (const row of rows) {
    const answer = byLegacyKey.get(row.legacyKey);
    row.columns = answer?.columns ?? [];
    row.values = answer?.values ?? [];
  }
}
