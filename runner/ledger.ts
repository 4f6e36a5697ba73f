import { hashOf, type Catalog, type Entity } from './catalog.ts';
import { type Session, transaction } from './database.ts';
import { literal, quoted, type Shape } from './merge.ts';

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

/** What the ledger keeps an account of: an entity or an archive table. */
export type Attempted = Pick<Entity, 'name' | 'phase' | 'hash' | 'idMaps'>;

/** The lease was taken by another run: this one must not write any more. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
  constructor() {
    super('another runner has taken over; this one stopped before writing');
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

/** Creates or renews schema migration when the setup files changed. */
export async function install(
  session: Session,
  catalog: Catalog,
  inOwn: (body: () => Promise<void>) => Promise<void> = (body) => transaction(session, body),
): Promise<void> {
  const hash = hashOf(catalog.setup.map((file) => file.hash).join());
  if ((await installedHash(session)) === hash) return;
  await inOwn(async () => {
    await session.query(DROP_FUNCTIONS);
    for (const { text } of catalog.setup) await session.query(text);
    await session.query(
      `insert into migration.installed (hash) values ('${hash}')
       on conflict (one_row) do update set hash = excluded.hash, installed = clock_timestamp()`,
    );
  });
}

/** Hash of the installed setup files; undefined before the first run. */
export async function installedHash(session: Session): Promise<string | undefined> {
  const [there] = await session.query<{ there: boolean }>(
    `select pg_catalog.to_regclass('migration.installed') is not null as there`,
  );
  if (there?.there !== true) return undefined;
  const [row] = await session.query<{ hash: string }>('select hash from migration.installed');
  return row?.hash;
}

/** Id maps, entity rows and the view `migration_mappings`; inside the caller's transaction. */
export async function enterCatalog(session: Session, catalog: Catalog): Promise<void> {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  for (const entity of entities) await session.query(createIdMap(entity));
  const mappings = entities.map(
    (entity) => `
      select ${literal(entity.name)}, m.legacy_id, m.id, r.started_at, m.run::text
      from ids.${quoted(entity.name)} as m left join migration.runs as r on r.run = m.run`,
  );
  if (mappings.length > 0) {
    await session.query(
      `create or replace view migration.migration_mappings
         (entity_type, legacy_id, new_id, migrated_at, migration_batch) as
       ${mappings.join('\nunion all')}`,
    );
  }
}

/** Starts a run and takes the lease, in the caller's transaction; returns its number. */
export async function startRun(
  session: Session,
  command: string,
  options: Record<string, unknown>,
): Promise<number> {
  await session.query(
    `update migration.runs set status = 'interrupted', finished_at = clock_timestamp()
     where status = 'running'`,
  );
  const [row] = await session.query<{ run: number }>(
    `insert into migration.runs (command, options, status, client)
     values ($1, $2::text::jsonb, 'running', coalesce(host(inet_client_addr()), 'local'))
     returning run`,
    [command, JSON.stringify(options)],
  );
  const run = row?.run ?? 0;
  await session.query(
    `insert into migration.lease (run) values ($1)
     on conflict (one_row) do update set run = excluded.run`,
    [run],
  );
  await recordEvent(session, run, `${command} started`, options);
  return run;
}

/** Ends a run, in the caller's transaction. */
export async function finishRun(
  session: Session,
  run: number,
  status: 'done' | 'failed' | 'interrupted',
  error?: string,
): Promise<void> {
  await session.query(
    `update migration.runs set status = $2, finished_at = clock_timestamp(), error = $3
     where run = $1`,
    [run, status, error ?? null],
  );
  await recordEvent(session, run, `run ${status}`, error === undefined ? {} : { error });
}

/** One line of the audit trail, in the caller's transaction. */
export async function recordEvent(
  session: Session,
  run: number | null,
  what: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  await session.query(
    'insert into migration.events (run, what, details) values ($1, $2, $3::text::jsonb)',
    [run, what, JSON.stringify(details)],
  );
}

/** First statement of every writing transaction. Throws LeaseLost when the run may not write. */
export async function holdLease(session: Session, run: number): Promise<void> {
  const rows = await session.query(`select from migration.lease where run = ${run} for share`);
  if (rows.length === 0) throw new LeaseLost();
}

/**
 * One row per entity in the ledger. An entity whose ranges have another width now (its header
 * changed) forgets them: it is compared whole.
 */
export async function enterEntities(session: Session, shapes: Iterable<Shape>): Promise<void> {
  for (const { entity, width } of shapes) {
    const name = literal(entity.name);
    await session.query(`
      delete from migration.ranges as r using migration.entities as e
      where r.entity = ${name} and e.entity = ${name}
        and (e.width, e.source) is distinct from (${width}, ${source(entity)})`);
    await session.query(`
      insert into migration.entities as e (entity, phase, target, source, width)
      values (${name}, ${literal(entity.phase)},
        ${literal(`${entity.target.schema}.${entity.target.table}`)}, ${source(entity)}, ${width})
      on conflict (entity) do update set phase = excluded.phase, target = excluded.target,
        source = excluded.source, width = excluded.width
      where (e.phase, e.target, e.source, e.width)
        is distinct from (excluded.phase, excluded.target, excluded.source, excluded.width)`);
  }
}

/** Notes that an entity is at work or failed; the counts come with `finishEntity`. */
export async function noteAttempt(
  session: Session,
  run: number,
  entity: Attempted,
  startedAt: Date,
  failure?: string,
): Promise<void> {
  await session.query(
    `insert into migration.control (run, entity, phase, status, file_hash, started_at, finished_at, error)
     values ($1, $2, $3, $4, $5, $6, $7, $8)
     on conflict (run, entity) do update set
       status = excluded.status, finished_at = excluded.finished_at, error = excluded.error`,
    [
      run,
      entity.name,
      entity.phase,
      failure === undefined ? 'running' : 'failed',
      entity.hash,
      startedAt.toISOString(),
      failure === undefined ? null : new Date().toISOString(),
      failure ?? null,
    ],
  );
}

/** Before its first row is read: what it sees of the id maps, should it never come to its end. */
export async function noteMaps(session: Session, entity: Attempted): Promise<void> {
  await session.query(
    `update migration.entities as e set maps_seen = coalesce((
       select jsonb_object_agg(m.entity, m.map_size) from migration.entities as m
       where m.entity = any ($2)), '{}')
     where e.entity = $1 and not exists (
       select from migration.ranges as r where r.entity = e.entity)`,
    [entity.name, entity.idMaps],
  );
}

/** The result of an entity, in the transaction that completes it. */
export async function finishEntity(
  session: Session,
  run: number,
  entity: Attempted,
  counts: Counts,
  status: 'partial' | 'complete' = 'complete',
): Promise<void> {
  await session.query(
    `update migration.control set
       status = 'done', finished_at = clock_timestamp(), balanced = true, error = null,
       source = $3, inserted = $4, updated = $5, unchanged = $6, kept = $7, rejected = $8,
       filtered = $9, gone = $10, rows_read = $11
     where run = $1 and entity = $2`,
    [
      run,
      entity.name,
      counts.source,
      counts.inserted,
      counts.updated,
      counts.unchanged,
      counts.kept,
      counts.rejected,
      counts.filtered,
      counts.gone,
      counts.read,
    ],
  );
  await session.query(
    `update migration.entities as e set
       status = $5, removed = 0, file_hash = $2, completed_run = $3, maps_seen = coalesce((
         select jsonb_object_agg(m.entity, m.map_size) from migration.entities as m
         where m.entity = any ($4)), '{}'),
       horizon = (select r.horizon from migration.runs as r where r.run = $3)
     where e.entity = $1`,
    [entity.name, entity.hash, run, entity.idMaps, status],
  );
}

/** The data checks of a phase that commits range by range have passed. */
export async function completePhase(session: Session, entities: string[]): Promise<void> {
  await session.query(
    `update migration.entities set status = 'complete'
     where entity = any ($1) and status <> 'complete'`,
    [entities],
  );
}

function source(entity: Entity): string {
  return entity.source === null ? 'null' : literal(entity.source);
}

function createIdMap(entity: Entity): string {
  const name = quoted(entity.name);
  return `
    create table if not exists ids.${name} (
      legacy_id    bigint primary key,
      id           uuid not null unique,
      version      bigint,
      row_hash     bigint,
      written_hash bigint,
      missing      text,
      adopted      boolean not null default false,
      run          bigint not null
    );
    create index if not exists ${quoted(`${entity.name}_missing`)}
      on ids.${name} (legacy_id) where missing is not null`;
}
