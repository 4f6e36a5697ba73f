import { type Catalog, hashOf } from './catalog.ts';
import { type Session, transaction } from './database.ts';
import type { Reading } from './reader.ts';
import { HASH_METHOD } from './render.ts';

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

/** The lease was taken by another run: this one must not write any more. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
  constructor() {
    super('another runner has taken over; this one stopped before writing');
  }
}

/** The ledger of this release. Another number in the target is refused, with the way out. */
export const EDITION = 2;

/** The ledger in the target is of another release of the toolkit. */
export class OtherEdition extends Error {
  override readonly name = 'OtherEdition';
  constructor(found: number) {
    super(
      found > EDITION
        ? `the ledger in the target is of a newer release (edition ${found}, this is ${EDITION}); ` +
            'nothing was changed; use the release that wrote it'
        : `the ledger in the target is of an older release (edition ${found}, this is ${EDITION}); ` +
            'nothing was changed\n' +
            'run `runner uninstall` with the release that wrote it: the rows stay; ' +
            '`up` of this one then recognises every one of them by its id',
    );
  }
}

/** A function cannot be replaced by one with other columns; those that views stand on stay. */
const DROP_FUNCTIONS = `
do $drop$
declare
  known regprocedure;
begin
  for known in
    select p.oid::regprocedure from pg_proc as p where p.pronamespace = to_regnamespace('migration')
  loop
    begin
      execute format('drop function %s', known);
    exception when dependent_objects_still_exist then
      null;
    end;
  end loop;
end
$drop$`;

/** Creates or renews schema migration when the files of sql/engine changed. Throws OtherEdition. */
export async function install(
  session: Session,
  catalog: Catalog,
  inOwn: (body: () => Promise<void>) => Promise<void> = (body) => transaction(session, body),
): Promise<void> {
  const hash = hashOf(catalog.setup.map((file) => file.hash).join());
  if ((await installedHash(session)) === hash) return;
  await inOwn(async () => {
    await session.query(
      [
        DROP_FUNCTIONS,
        ...catalog.setup.map(({ text }) => text),
        `insert into migration.installed (edition, hash) values (${EDITION}, '${hash}')
         on conflict (one_row) do update set hash = excluded.hash, prepared = null,
           installed = clock_timestamp()`,
      ].join(';\n'),
    );
  });
}

/** Hash of the installed setup files; undefined before the first run. Throws OtherEdition. */
export async function installedHash(session: Session): Promise<string | undefined> {
  const [there] = await session.query<{ there: boolean; edition: boolean }>(
    `select pg_catalog.to_regclass('migration.installed') is not null as there,
       exists (
         select from pg_catalog.pg_attribute as a
         where a.attrelid = pg_catalog.to_regclass('migration.installed')
           and a.attname = 'edition') as edition`,
  );
  if (there?.there !== true) return undefined;
  if (!there.edition) throw new OtherEdition(1);
  const [row] = await session.query<{ hash: string; edition: number }>(
    'select hash, edition from migration.installed',
  );
  if (row !== undefined && row.edition !== EDITION) throw new OtherEdition(row.edition);
  return row?.hash;
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
        hash: entity.hash,
      };
    }),
  );
}

const NOTHING: Reading = { reads: [], idMaps: [], lookups: [], opaqueMaps: [] };

/** Starts a run and takes the lease, in the caller's transaction; returns its number. */
export async function startRun(
  session: Session,
  command: string,
  options: Record<string, unknown>,
): Promise<number> {
  const [row] = await session.query<{ run: number }>(
    'select migration.start_run($1, $2::text::jsonb) as run',
    [command, JSON.stringify({ hashMethod: HASH_METHOD, ...options })],
  );
  return row?.run ?? 0;
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
