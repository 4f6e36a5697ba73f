import { type Catalog, FIRST_UPGRADABLE } from './catalog.ts';
import { hashOf } from './text.ts';
import { batch, type Session, transaction } from '../database.ts';
import { NOTHING, type Reading } from './reading.ts';
import { HASH_METHOD } from './render.ts';
import { question } from './question.ts';
import { literal } from '../quote.ts';

/** Counts of one entity after a run; source = all others but `gone` and `read` together. */
export interface Counts {
  source: number;
  inserted: number;
  updated: number;
  unchanged: number;
  kept: number;
  rejected: number;
  filtered: number;
  /** Mapped keys that are no longer a row to store: listed (`keep`) or removed in this run. */
  gone: number;
  /** Rows read from the source in this run. */
  read: number;
}

/** The ledger of this release: the number of its last upgrade. */
export function editionOf({ upgrades }: Catalog): number {
  return upgrades.at(-1)?.edition ?? FIRST_UPGRADABLE;
}

/** The ledger in the target is of another release of the toolkit, and no upgrade leads from it. */
export class OtherEdition extends Error {
  override readonly name = 'OtherEdition';
  constructor(found: number, ours: number) {
    super(
      found > ours
        ? `the ledger in the target is of a newer release (edition ${found}, this is ${ours}); ` +
            'nothing was changed; use the release that wrote it'
        : `the ledger in the target is of an older release (edition ${found}, this is ${ours}); ` +
            'nothing was changed\n' +
            'run `runner uninstall` with the release that wrote it: the rows stay; ' +
            '`up` of this one then recognises every one of them by its id',
    );
  }
}

/**
 * Creates, upgrades or renews schema migration when the files of sql/engine, or the project's own
 * settings, changed; returns whether they had. Throws OtherEdition.
 */
export async function install(
  session: Session,
  catalog: Catalog,
  inOwn: (body: () => Promise<void>) => Promise<void> = (body) => transaction(session, body),
  known?: Installed,
): Promise<boolean> {
  const hash = setupHash(catalog);
  const found = known ?? (await installed(session, catalog));
  if (found?.hash === hash) return false;
  await inOwn(async () => {
    await session.query(
      [
        ...upgradesFor(catalog, found),
        ...catalog.setup.map(({ text }) => text),
        `select migration.mark_installed(${editionOf(catalog)}, ${literal(hash)})`,
      ].join(';\n'),
    );
    await session.query('select migration.enter_settings($1::text::jsonb)', [ownOf(catalog)]);
  });
  return true;
}

/** What brings the ledger that was found to this edition. */
function upgradesFor({ upgrades }: Catalog, found: Installed | undefined): string[] {
  if (found === undefined) return [];
  return upgrades.filter(({ edition }) => edition > found.edition).map(({ text }) => text);
}

function setupHash(catalog: Catalog): string {
  const { setup, upgrades } = catalog;
  return hashOf([...upgrades, ...setup].map(({ hash }) => hash).join() + ownOf(catalog));
}

/** What is this project's own, as the engine keeps it. */
function ownOf({ settings: { sourceSchemas, mappings }, removal }: Catalog): string {
  return JSON.stringify({ sourceSchemas, mappings, removal });
}

/**
 * Runs `body`, which reads the ledger by functions of sql/engine/90_status.sql; changes nothing.
 * undefined where nothing is installed. Throws OtherEdition.
 */
export async function consult<T>(
  session: Session,
  catalog: Catalog,
  body: () => Promise<T>,
): Promise<T | undefined> {
  const found = await installed(session, catalog);
  if (found === undefined) return undefined;
  if (found.hash === setupHash(catalog)) return body();
  return transaction(
    session,
    async () => {
      await lendFunctions(session, catalog, found);
      return body();
    },
    { commit: false },
  );
}

/** Functions of this release for a target that has those of another, until the transaction ends. */
export async function lendFunctions(
  session: Session,
  catalog: Catalog,
  found: Installed | undefined,
): Promise<void> {
  const lent = catalog.setup.filter(({ file }) => file.endsWith('status.sql'));
  await session.batch([...upgradesFor(catalog, found), ...lent.map(({ text }) => text)]);
}

/** What is installed. */
export interface Installed {
  edition: number;
  /** Hash of its files. */
  hash: string;
  /** The way to the target that is known to be free of poolers. */
  way: string | null;
}

/** What is installed; undefined before the first run. Throws OtherEdition. */
export async function installed(
  session: Session,
  catalog: Catalog,
): Promise<Installed | undefined> {
  const [row] = await session.batch([question('installed')]);
  const found = row?.['found'] as Installed | null | undefined;
  if (found === null || found === undefined) return undefined;
  // the first edition did not say
  const edition = Number.isInteger(found.edition) ? found.edition : 1;
  const ours = editionOf(catalog);
  if (edition > ours || edition < FIRST_UPGRADABLE) throw new OtherEdition(edition, ours);
  return found;
}

/**
 * What `migration.enter_entities` takes: everything the files say that the engine has to know. The
 * readings are those of the entities, in the order of the catalog.
 */
export function definitionsOf(catalog: Catalog, readings: readonly Reading[]): object[] {
  const all = catalog.phases.flatMap(({ entities }) => entities);
  const byName = new Map(all.map(({ name }, index) => [name, readings[index]]));
  // no row waits for one that has been removed
  const shrinks = new Set(all.flatMap((e) => (e.deletes === 'remove' ? [e.name] : [])));
  return catalog.phases.flatMap(({ entities }) =>
    entities.map((entity, position) => {
      const { reads, idMaps, lookups, opaqueMaps } = byName.get(entity.name) ?? NOTHING;
      const opaque = idMaps.filter(
        (map) => opaqueMaps.includes(map) || (map !== entity.name && shrinks.has(map)),
      );
      return {
        entity: entity.name,
        phase: entity.phase,
        position,
        target: `${entity.target.schema}.${entity.target.table}`,
        source: entity.source,
        whole: entity.readWhole,
        id_maps: idMaps,
        opaque_maps: opaque,
        reads: [...new Set([...reads, ...(entity.source === null ? [] : [entity.source])])],
        lookups,
        removes: entity.deletes === 'remove',
        tolerance: entity.tolerance,
        mapping: entity.mapping ?? null,
        hash: entity.hash,
      };
    }),
  );
}

/** Starts a run and takes the lease; returns its number. `own`: in a transaction of its own. */
export async function startRun(
  session: Session,
  command: string,
  options: Record<string, unknown>,
  own = false,
): Promise<number> {
  const details = JSON.stringify({ hashMethod: HASH_METHOD, ...options });
  const start = `select migration.start_run(${literal(command)}, ${literal(details)}) as run`;
  const rows = await (own ? batch(session, [start]) : session.batch([start]));
  const row = rows.find((each) => 'run' in each) as { run: number } | undefined;
  if (row === undefined) throw new Error('the target did not number the run');
  return row.run;
}

/** Ends a run, in the caller's transaction. */
export async function finishRun(
  session: Session,
  run: number,
  status: 'done' | 'failed' | 'interrupted',
  error?: string,
): Promise<void> {
  await session.query('select migration.finish_run($1, $2, $3)', [run, status, error ?? null]);
}

/** One line of the audit trail, in the caller's transaction. */
export async function recordEvent(
  session: Session,
  run: number | null,
  what: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  await session.query('select migration.record_event($1, $2, $3::text::jsonb)', [
    run,
    what,
    JSON.stringify(details),
  ]);
}

/** First statement of every writing transaction. Fails with MIG02 when the run may not write. */
export async function holdLease(session: Session, run: number): Promise<void> {
  await session.query(`select migration.hold_lease(${run})`);
}
