import { dropArchive } from './archive.ts';
import type { ArchiveTable, Catalog, Entity, Phase } from './catalog.ts';
import { failureOf, savepoint, type Session } from './database.ts';
import { recordEvent } from './ledger.ts';
import { literal, quoted, targetOf } from './render.ts';

/** What taking one entity down means. */
export interface UndoStep {
  entity: string;
  phase: string;
  /** Rows we created: deleted. */
  created: number;
  /** Rows of the application we overwrote or removed: restored. */
  restored: number;
  /** Rows the application changed or deleted since we wrote them. */
  touched: number;
  /** Rows of the application that point at rows we created, as `table.column (rows)`. */
  references: string[];
}

/** Rows of the application refer to rows of ours; the last step says which. */
export class StillReferenced extends Error {
  override readonly name = 'StillReferenced';
  constructor(readonly steps: UndoStep[]) {
    super('rows of the application refer to rows that would be deleted');
  }
}

/** Phases that stand on a phase: they read its id maps, directly or through others, and hold state. */
export async function phasesOnTop(
  session: Session,
  catalog: Catalog,
  phase: Phase,
): Promise<Phase[]> {
  const rows = await session.query<{ entity: string }>(
    `select entity from migration.entities where status <> 'new'`,
  );
  const alive = new Set(rows.map((row) => row.entity));
  const below = new Set(phase.entities.map(({ name }) => name));
  const onTop: Phase[] = [];
  for (const other of catalog.phases.slice(catalog.phases.indexOf(phase) + 1)) {
    const stands = other.entities.filter((entity) => entity.idMaps.some((map) => below.has(map)));
    for (const { name } of stands) below.add(name);
    if (stands.some(({ name }) => alive.has(name))) onTop.push(other);
  }
  return onTop;
}

/**
 * Takes entities down in reverse order, inside the caller's transaction, a savepoint each: rows we
 * created are deleted, overwritten and removed ones restored, id map and checkpoints cleared.
 * Statements that meet a reference or a trigger throw; nothing is done then.
 */
export async function undo(session: Session, entities: Entity[], run: number): Promise<UndoStep[]> {
  const steps: UndoStep[] = [];
  for (const entity of entities.toReversed()) {
    const known = await session.query(
      `select from migration.entities where entity = $1 and status <> 'new'`,
      [entity.name],
    );
    if (known.length === 0) continue;
    steps.push(
      await savepoint(session, async () => {
        const step = await inspect(session, entity);
        try {
          await savepoint(session, () => takeBack(session, entity));
        } catch (error) {
          if (failureOf(error)?.code !== '23503' || step.references.length === 0) throw error;
          throw new StillReferenced([...steps, step]);
        }
        await clearLedger(session, entity);
        await recordEvent(session, run, `down ${entity.name}`, { ...step });
        return step;
      }),
    );
  }
  return steps;
}

/** Drops the archive tables: all their rows are ours. */
export async function undoArchive(
  session: Session,
  tables: ArchiveTable[],
  run: number,
): Promise<UndoStep> {
  const created = await dropArchive(session, tables);
  await recordEvent(session, run, 'down archive', { created });
  return {
    entity: 'legacy_archive.*',
    phase: 'archive',
    created,
    restored: 0,
    touched: 0,
    references: [],
  };
}

async function inspect(session: Session, entity: Entity): Promise<UndoStep> {
  const map = `ids.${quoted(entity.name)}`;
  const table = targetOf(entity);
  const [counts] = await session.query<{ created: number; restored: number; touched: number }>(
    `with writes as materialized (select distinct w.xmin::text from migration.writes as w),
     images as materialized (
       select distinct i.id from migration.before_images as i where i.entity = $1)
     select
       count(t.id) filter (where not m.adopted) as created,
       (select count(*) from images) as restored,
       count(*) filter (where
         (not m.adopted or exists (select from images as i where i.id = m.id))
         and (t.id is null or not exists (
           select from writes as w where w.xmin = t.xmin::text))) as touched
     from ${map} as m left join ${table} as t on t.id = m.id`,
    [entity.name],
  );
  const foreignKeys = await session.query<{ name: string; child: string; column: string }>(
    `select
       concat(f.conrelid::regclass, '.', a.attname) as name,
       concat(quote_ident(s.nspname), '.', quote_ident(c.relname)) as child,
       quote_ident(a.attname) as column
     from pg_constraint as f
     join pg_class as c on c.oid = f.conrelid
     join pg_namespace as s on s.oid = c.relnamespace
     join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
     where f.contype = 'f' and f.confrelid = $1::regclass and cardinality(f.conkey) = 1
     order by 1`,
    [table],
  );
  const references: string[] = [];
  for (const { name, child, column } of foreignKeys) {
    const own = child === table.replaceAll('"', '') || child === table;
    const [row] = await session.query<{ count: number }>(
      `select count(*) as count from ${child} as c
       join ${map} as m on m.id = c.${column} and not m.adopted
       ${own ? `where not exists (select from ${map} as o where o.id = c.id)` : ''}`,
    );
    if (row !== undefined && row.count > 0) references.push(`${name} (${row.count})`);
  }
  return {
    entity: entity.name,
    phase: entity.phase,
    created: counts?.created ?? 0,
    restored: counts?.restored ?? 0,
    touched: counts?.touched ?? 0,
    references,
  };
}

async function takeBack(session: Session, entity: Entity): Promise<void> {
  const table = targetOf(entity);
  const name = literal(entity.name);
  const triggers = await session.query<{ name: string; mode: string }>(
    `select quote_ident(t.tgname) as name, t.tgenabled::text as mode from pg_trigger as t
     where t.tgrelid = $1::regclass and not t.tgisinternal and t.tgenabled <> 'D'`,
    [table],
  );
  for (const trigger of triggers) {
    await session.query(`alter table ${table} disable trigger ${trigger.name}`);
  }
  await session.query(
    `delete from ${table} as t using ids.${quoted(entity.name)} as m
     where t.id = m.id and not m.adopted`,
  );
  const columns = await session.query<{ name: string }>(
    `select quote_ident(a.attname) as name from pg_attribute as a
     where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped
       and a.attgenerated = '' order by a.attnum`,
    [table],
  );
  const list = columns.map((column) => column.name);
  // the oldest image is how the row was before us; images of rows we created are of no use now
  const images = `
    select distinct on (i.id) i.id, i.image, i.reason
    from migration.before_images as i
    where i.entity = ${name} and not exists (
      select from ids.${quoted(entity.name)} as m where m.id = i.id and not m.adopted)
    order by i.id, i.image_id`;
  await session.query(
    `update ${table} as t set ${list.map((column) => `${column} = r.${column}`).join(', ')}
     from (${images}) as i, json_populate_record(null::${table}, i.image) as r
     where t.id = i.id`,
  );
  await session.query(
    `insert into ${table} (${list.join(', ')})
     select ${list.map((column) => `r.${column}`).join(', ')}
     from (${images}) as i, json_populate_record(null::${table}, i.image) as r
     where not exists (select from ${table} as t where t.id = i.id)
       and exists (
         select from migration.before_images as x
         where x.entity = ${name} and x.id = i.id and x.reason = 'removed')`,
  );
  for (const { name: trigger, mode } of triggers) {
    const how = mode === 'A' ? 'always ' : mode === 'R' ? 'replica ' : '';
    await session.query(`alter table ${table} enable ${how}trigger ${trigger}`);
  }
}

async function clearLedger(session: Session, entity: Entity): Promise<void> {
  await session.query(`truncate ids.${quoted(entity.name)}`);
  for (const table of [
    'ranges',
    'lookups',
    'lookup_ranges',
    'rejects',
    'filtered',
    'gone',
    'before_images',
    'conflicts',
    'entities',
  ]) {
    await session.query(`delete from migration.${table} where entity = $1`, [entity.name]);
  }
}
