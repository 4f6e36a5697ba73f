import { createHash } from 'node:crypto';

import { blanked, type Catalog, type Entity } from './catalog.ts';
import type { Session } from './database.ts';
import { reading } from './link.ts';
import { inside, literal, quoted } from './merge.ts';

/** Share of a look-up's ranges, or of an entity's rows: beyond it the entity is compared whole. */
const FOLLOWED_SHARE = 0.25;

/** What an entity saw of its look-ups, as texts that are equal where the content is. */
export interface Seen {
  /** Of all look-ups that cannot be followed; columns of all of them. */
  basis: string;
  /** Of those that can be followed, now. */
  now: string;
  /** The same as all ranges were brought to; undefined where rows cannot be followed from there. */
  reached: string | undefined;
}

/** A column of the driving table, or of the look-up before, that holds the id of a look-up's row. */
export interface Step {
  table: string;
  column: string;
}

/**
 * Says of every entity what it sees of the tables it looks things up in (and of its driving table
 * where the view reads that twice), in the temporary table `seen`. Equal row versions: as before.
 * Otherwise the content of the columns the view uses decides, taken before anything is read; where
 * rows changed while the entity was read the last time, content proves nothing and a new mark
 * makes it another. Rows that changed look-ups lead to are listed in `migration.affected`. The link
 * is open, views and sums are there.
 */
export async function takeLookups(session: Session, catalog: Catalog, run: number): Promise<void> {
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const uses = entities.flatMap((entity) => {
    const paths = lookupPaths(entity);
    return lookupsOf(entity).map((table) => ({
      entity: entity.name,
      table,
      followed: paths.has(table),
    }));
  });
  await session.query(
    `drop table if exists pg_temp.seen, pg_temp.contents;
     create temporary table seen (
       entity text, source_table text, followed boolean, columns text[], version_digest text,
       content_digest text, taken boolean not null default false,
       primary key (entity, source_table));
     create temporary table contents (
       source_table text, columns text[], range bigint, row_count bigint, sum_a numeric,
       sum_b numeric, primary key (source_table, columns, range))`,
  );
  await session.query(
    `insert into pg_temp.seen (entity, source_table, followed, columns, version_digest)
     select u.entity, u.table, u.followed, c.columns,
       concat_ws(':', coalesce(s.rows, 0), coalesce(s.a, 0), coalesce(s.b, 0),
         k.identity, k.definition)
     from jsonb_to_recordset($1::text::jsonb) as u (entity text, "table" text, followed boolean)
     join pg_class as v on v.oid = to_regclass(concat('transform.', quote_ident(u.entity)))
     join pg_class as t on t.oid = to_regclass(concat('legacy.', quote_ident(u.table)))
     join migration.source_tables as k on k.source_table = u.table
     cross join lateral (
       select coalesce(array_agg(a.attname::text order by a.attname::text), '{}') as columns
       from pg_attribute as a
       where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
         -- a whole row is no dependency on its columns
         and (pg_get_viewdef(v.oid) ~ '[.][*]' or exists (
           select from pg_rewrite as w
           join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
           where w.ev_class = v.oid and d.refclassid = 'pg_class'::regclass
             and d.refobjid = t.oid and d.refobjsubid = a.attnum))
     ) as c
     left join (
       select source_table, sum(row_count) as rows, sum(sum_a) as a, sum(sum_b) as b
       from pg_temp.sums group by source_table
     ) as s on s.source_table = u.table`,
    [JSON.stringify(uses)],
  );
  await session.query(`
    update pg_temp.seen as n set content_digest = l.content_digest
    from migration.lookups as l
    where (l.entity, l.source_table) = (n.entity, n.source_table)
      and (l.version_digest, l.columns) = (n.version_digest, n.columns::text)`);
  // a run that was interrupted has read them: they are as they were before it
  await session.query(`
    update migration.lookups as l set settled = true
    from pg_temp.seen as n
    where (l.entity, l.source_table) = (n.entity, n.source_table) and not l.settled
      and (l.version_digest, l.columns) = (n.version_digest, n.columns::text)`);
  // of the others nobody knows what that run read: there is nothing to follow from
  await session.query(`
    update migration.lookups set reached = null where not settled and version_digest <> ''`);
  await session.query(`
    update pg_temp.seen as n set taken = true
    where n.content_digest is null or n.followed and not exists (
      select from migration.lookups as l
      where (l.entity, l.source_table) = (n.entity, n.source_table)
        and l.reached = n.content_digest)`);
  await session.query(`
    insert into pg_temp.contents (source_table, columns, range, row_count, sum_a, sum_b)
    select d.source_table, d.columns, c.range, c.row_count, c.sum_a, c.sum_b
    from (select distinct source_table, columns from pg_temp.seen where taken) as d
    cross join lateral migration.content_sums(d.source_table, d.columns) as c`);
  await session.query(`
    update pg_temp.seen as n
    set content_digest = concat((
      select concat_ws(':', count(*), sum(c.row_count), sum(c.sum_a), sum(c.sum_b))
      from pg_temp.contents as c
      where (c.source_table, c.columns) = (n.source_table, n.columns)
    ), (
      select case when l.settled then substring(l.content_digest from ' run .*') else ' run ${run}' end
      from migration.lookups as l
      where (l.entity, l.source_table) = (n.entity, n.source_table)
    ))
    where n.content_digest is null`);
  // touched, but not in what the view uses
  await session.query(`
    update migration.lookups as l set version_digest = n.version_digest
    from pg_temp.seen as n
    where (l.entity, l.source_table) = (n.entity, n.source_table) and l.settled
      and (l.content_digest, l.columns) = (n.content_digest, n.columns::text)
      and l.version_digest <> n.version_digest`);
  await session.query('delete from migration.affected');
  for (const entity of entities) await follow(session, entity);
}

/** What `takeLookups` found about an entity. */
export async function seenBy(session: Session, entity: Entity): Promise<Seen> {
  const [row] = await session.query<Seen & { reached: string | null }>(
    `select
       coalesce(string_agg(concat_ws(' ', n.source_table, n.columns::text,
         case when not n.followed then n.content_digest end), e'\\n' order by n.source_table), '')
         as basis,
       coalesce(string_agg(n.content_digest, e'\\n' order by n.source_table)
         filter (where n.followed), '') as now,
       case when bool_and(l.reached is not null) filter (where n.followed)
         then string_agg(l.reached, e'\\n' order by n.source_table) filter (where n.followed)
       end as reached
     from pg_temp.seen as n
     left join migration.lookups as l on (l.entity, l.source_table) = (n.entity, n.source_table)
     where n.entity = $1`,
    [entity.name],
  );
  const { basis, now, reached } = row ?? { basis: '', now: '', reached: null };
  return { basis, now: digest(now), reached: reached === null ? undefined : digest(reached) };
}

/** Before an entity is read: what it is going to see is not settled until it has been read. */
export async function enterLookups(session: Session, entity: Entity): Promise<void> {
  await session.query(
    `delete from migration.lookups as l where l.entity = $1 and not exists (
       select from pg_temp.seen as n
       where (n.entity, n.source_table) = (l.entity, l.source_table))`,
    [entity.name],
  );
  await session.query(
    `insert into migration.lookups
       (entity, source_table, columns, version_digest, content_digest, settled)
     select entity, source_table, columns::text, version_digest, content_digest, false
     from pg_temp.seen where entity = $1
     on conflict (entity, source_table) do update set columns = excluded.columns,
       version_digest = excluded.version_digest, content_digest = excluded.content_digest,
       settled = false`,
    [entity.name],
  );
}

/**
 * All ranges of an entity are where its followed look-ups are now: the next change is followed from
 * here. `settled`: nothing was read, so it does not matter whether they have changed since.
 */
export async function reachLookups(
  session: Session,
  entity: Entity,
  { now }: Seen,
  settled: boolean,
): Promise<void> {
  if (now === '') return;
  await session.query('update migration.ranges set seen = $2 where entity = $1 and seen <> $2', [
    entity.name,
    now,
  ]);
  await session.query(
    `insert into migration.lookups
       (entity, source_table, columns, version_digest, content_digest, settled, reached)
     select entity, source_table, columns::text, version_digest, content_digest, $2, content_digest
     from pg_temp.seen where entity = $1 and followed
     on conflict (entity, source_table) do update set columns = excluded.columns,
       version_digest = excluded.version_digest, content_digest = excluded.content_digest,
       settled = excluded.settled, reached = excluded.reached`,
    [entity.name, settled],
  );
  await session.query(
    `delete from migration.lookup_ranges as r using pg_temp.seen as n
     where r.entity = $1 and n.entity = $1 and n.source_table = r.source_table and n.taken`,
    [entity.name],
  );
  await session.query(
    `insert into migration.lookup_ranges (entity, source_table, range, row_count, sum_a, sum_b)
     select n.entity, n.source_table, c.range, c.row_count, c.sum_a, c.sum_b
     from pg_temp.seen as n
     join pg_temp.contents as c on (c.source_table, c.columns) = (n.source_table, n.columns)
     where n.entity = $1 and n.followed and n.taken`,
    [entity.name],
  );
}

/**
 * After an entity was read: settled where no row of the look-up has changed since the sums were
 * taken. What has changed may be back when the next run looks: it is a change all the same, and
 * ranges of its content are entered as unknown, also where they have no rows: a count of -1 is
 * another than any the next run finds. Link open.
 */
export async function settleLookups(session: Session, entity: Entity): Promise<void> {
  await session.query('drop table if exists pg_temp.moved');
  await session.query(
    `create temporary table moved as
     select l.source_table, n.range, t.width
     from migration.lookups as l
     join migration.source_tables as t on t.source_table = l.source_table
     cross join lateral (
       select coalesce(o.range, s.range) as range
       from (select * from pg_temp.sums as s where s.source_table = l.source_table) as s
       full join (
         -- a range may come in two parts
         select r.range, sum(r.row_count) as row_count, sum(r.sum_a) as sum_a, sum(r.sum_b) as sum_b
         from migration.range_sums(l.source_table, t.width) as r group by r.range
       ) as o on o.range = s.range
       where (o.row_count, o.sum_a, o.sum_b) is distinct from (s.row_count, s.sum_a, s.sum_b)
     ) as n
     where l.entity = ${literal(entity.name)}`,
  );
  await session.query(
    `update migration.lookups as l
     set settled = not m.moved, version_digest = case when m.moved then '' else l.version_digest end
     from (
       select o.source_table, exists (
         select from pg_temp.moved as m where m.source_table = o.source_table) as moved
       from migration.lookups as o where o.entity = $1
     ) as m
     where l.entity = $1 and l.source_table = m.source_table`,
    [entity.name],
  );
  await session.query(
    `insert into migration.lookup_ranges (entity, source_table, range, row_count, sum_a, sum_b)
     select distinct l.entity, l.source_table, c.range, -1, 0, 0
     from pg_temp.moved as m
     join migration.lookups as l on l.entity = $1 and l.source_table = m.source_table
     cross join migration.lookup_width(m.source_table) as w
     cross join generate_series(m.range * m.width / w, ((m.range + 1) * m.width - 1) / w)
       as c (range)
     where l.reached is not null
     on conflict (entity, source_table, range) do update set row_count = excluded.row_count`,
    [entity.name],
  );
}

/** Tables whose rows may change what an entity says without a change of its driving row. */
function lookupsOf(entity: Entity): string[] {
  return entity.reads.filter(
    (table) => table !== entity.source || entity.readWhole || mentions(entity, table) > 1,
  );
}

/**
 * Look-ups whose rows lead to the rows of the entity: `left join legacy.x as x on x.id = d.column`,
 * where d is the driving table or such a look-up. The steps lead from the driving table to the
 * column that holds the id. A table mentioned twice, or inside parentheses, is not among them; none
 * is where rows are aggregated or numbered, so that one may change another.
 */
export function lookupPaths(entity: Entity): Map<string, Step[]> {
  const paths = new Map<string, Step[]>();
  const code = blanked(entity.text);
  if (entity.source === null || entity.readWhole) return paths;
  const top = topLevel(code);
  if (/\bover\b/i.test(code) || AMONG_ROWS.test(top)) return paths;
  const driving = /\bfrom\s+legacy\.(\w+)\s+as\s+(\w+)/i.exec(top);
  if (driving?.[1] !== entity.source || driving[2] === undefined) return paths;
  const aliases = new Map([[driving[2], { table: entity.source, path: [] as Step[] }]]);
  for (const [, joined = '', alias = '', left, from = '', column = ''] of top.matchAll(JOIN)) {
    const before = aliases.get(from);
    if (left !== alias || before === undefined || mentions(entity, joined) !== 1) continue;
    const path = [...before.path, { table: before.table, column }];
    aliases.set(alias, { table: joined, path });
    paths.set(joined, path);
  }
  return paths;
}

const AMONG_ROWS = /\b(group\s+by|having|union|intersect|except|limit|offset|select\s+distinct)\b/i;
const JOIN =
  /\bleft\s+join\s+legacy\.(\w+)\s+as\s+(\w+)\s+on\s+(\w+)\.id\s*=\s*(\w+)\.(\w+)\s*(?=;|$|(?:left|cross|inner|join|where)\b)/gi;

/** The text with everything in parentheses blanked. */
function topLevel(code: string): string {
  let depth = 0;
  return code.replace(/[^]/g, (character) => {
    if (character === ')') depth -= 1;
    const shown = depth === 0 ? character : ' ';
    if (character === '(') depth += 1;
    return shown;
  });
}

function mentions(entity: Entity, table: string): number {
  const pattern = new RegExp(`\\blegacy\\s*\\.\\s*"?${table}\\b`, 'gi');
  return blanked(entity.text).match(pattern)?.length ?? 0;
}

/**
 * Lists in `migration.affected` the rows of an entity that changed ranges of its look-ups lead to.
 * Where these are too many, it is compared whole: there is nothing to follow from any more.
 */
async function follow(session: Session, entity: Entity): Promise<void> {
  const paths = lookupPaths(entity);
  if (paths.size === 0) return;
  const changes = await session.query<{
    table: string;
    width: number;
    total: number;
    ranges: number[];
    /** Ranges in which there are rows, or were when it was known. */
    filled: number;
  }>(
    `select n.source_table as "table", migration.lookup_width(n.source_table) as width,
       (select count(*) from pg_temp.contents as c
        where (c.source_table, c.columns) = (n.source_table, n.columns)) as total,
       d.ranges, d.filled
     from pg_temp.seen as n
     join migration.lookups as l on (l.entity, l.source_table) = (n.entity, n.source_table)
     cross join lateral (
       select coalesce(array_agg(coalesce(c.range, r.range) order by coalesce(c.range, r.range)), '{}') as ranges,
         count(*) filter (where c.row_count > 0 or r.row_count > 0) as filled
       from (
         select * from pg_temp.contents as c
         where (c.source_table, c.columns) = (n.source_table, n.columns)
       ) as c
       full join (
         select * from migration.lookup_ranges as r
         where (r.entity, r.source_table) = (n.entity, n.source_table)
       ) as r on r.range = c.range
       where (c.row_count, c.sum_a, c.sum_b) is distinct from (r.row_count, r.sum_a, r.sum_b)
     ) as d
     where n.entity = $1 and n.followed and l.reached <> n.content_digest`,
    [entity.name],
  );
  if (changes.length === 0) return;
  let tooMany = changes.some(({ total, filled }) => filled > FOLLOWED_SHARE * total + 4);
  if (!tooMany) {
    for (const { table, width, ranges } of changes) {
      const path = paths.get(table);
      if (path !== undefined && ranges.length > 0)
        await listAffected(
          session,
          entity,
          path,
          inside(
            ranges.map((range) => ({ range })),
            width,
          ),
        );
    }
    const [row] = await session.query<{ many: boolean }>(
      `select count(*) > ${FOLLOWED_SHARE} * (
         select sum(s.row_count) from pg_temp.sums as s where s.source_table = $2) as many
       from migration.affected as a where a.entity = $1`,
      [entity.name, entity.source],
    );
    tooMany = row?.many ?? false;
  }
  if (!tooMany) return;
  await session.query('delete from migration.affected where entity = $1', [entity.name]);
  await session.query('update migration.lookups set reached = null where entity = $1', [
    entity.name,
  ]);
}

async function listAffected(
  session: Session,
  entity: Entity,
  path: Step[],
  condition: (column: string) => string,
): Promise<void> {
  const joins = path.slice(1).map(
    ({ table }, index) =>
      `join legacy.${quoted(table)} as t${index + 1}
       on t${index + 1}.id = t${index}.${quoted(path[index]?.column ?? '')}`,
  );
  const last = path.at(-1)?.column ?? '';
  await reading(session, () =>
    session.query(`
      insert into migration.affected (entity, legacy_key)
      select ${literal(entity.name)}, t0.id
      from legacy.${quoted(entity.source ?? '')} as t0 ${joins.join(' ')}
      where ${condition(`t${path.length - 1}.${quoted(last)}`)}
      on conflict do nothing`),
  );
}

function digest(text: string): string {
  return text === '' ? '' : createHash('sha256').update(text).digest('hex').slice(0, 32);
}
