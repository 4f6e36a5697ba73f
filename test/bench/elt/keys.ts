import type { Sql } from 'postgres';
import { doAll, type Taken } from './steps.ts';

/** Foreign keys, unique constraints and indexes that were dropped: what makes them again. */
export interface Dropped {
  indexes: Index[];
  foreignKeys: { table: string; name: string; make: string }[];
}

/** `unique`: its columns, where it is a plain unique key. */
type Index = { table: string; name: string; make: string; unique: string | null };

/** Drops foreign keys and indexes of these tables, all but the primary keys. */
export async function dropKeys(sql: Sql, tables: string[]): Promise<Dropped> {
  const foreignKeys = await sql<{ table: string; name: string; make: string }[]>`
    select conrelid::regclass::text as table, conname as name,
      format('alter table %s add constraint %I %s not valid',
        conrelid::regclass, conname, pg_get_constraintdef(oid)) as make
    from pg_constraint where contype = 'f' and conrelid in (
      select to_regclass(name) from unnest(${tables}::text[]) as name)`;
  const indexes = await sql<(Index & { drop: string })[]>`
    select i.indrelid::regclass::text as table, i.indexrelid::regclass::text as name,
      case when c.oid is null then pg_get_indexdef(i.indexrelid)
        else format('alter table %s add constraint %I %s', i.indrelid::regclass, c.conname,
          pg_get_constraintdef(c.oid)) end as make,
      case when c.oid is null then format('drop index %s', i.indexrelid::regclass)
        else format('alter table %s drop constraint %I', i.indrelid::regclass, c.conname)
        end as drop,
      case when c.contype = 'u' then (
        select string_agg(quote_ident(a.attname), ', ') from pg_attribute as a
        where a.attrelid = c.conrelid and a.attnum = any (c.conkey)) end as unique
    from pg_index as i
    left join pg_constraint as c on c.conindid = i.indexrelid and c.contype in ('u', 'x')
    where not i.indisprimary and i.indrelid in (
      select to_regclass(name) from unnest(${tables}::text[]) as name)`;
  await sql.begin(async (own) => {
    for (const { table, name } of foreignKeys) {
      await own.unsafe(`alter table ${table} drop constraint "${name}"`);
    }
    for (const { drop } of indexes) await own.unsafe(drop);
  });
  return { foreignKeys, indexes };
}

/**
 * Makes them again: the indexes of one table after the other, two tables at a time; foreign keys
 * are declared first and then proven table by table, which locks out nobody.
 */
export async function rebuildKeys(
  workers: { sql: Sql }[],
  { foreignKeys, indexes }: Dropped,
): Promise<Taken[]> {
  const index = (table: string) => ({
    name: `indexes of ${table}`,
    after: [],
    run: async ({ sql }: { sql: Sql }) => {
      for (const each of indexes) if (each.table === table) await makeIndex(sql, each);
      await sql.unsafe(`analyze ${table}`);
    },
  });
  const declare = {
    name: 'declare foreign keys',
    after: indexes.map(({ table }) => `indexes of ${table}`),
    run: async ({ sql }: { sql: Sql }) => {
      for (const { make } of foreignKeys) await sql.unsafe(make);
    },
  };
  const prove = (table: string) => ({
    name: `foreign keys of ${table}`,
    after: [declare.name],
    run: async ({ sql }: { sql: Sql }) => {
      for (const { name } of foreignKeys.filter((key) => key.table === table)) {
        await sql.unsafe(`alter table ${table} validate constraint "${name}"`);
      }
    },
  });
  const tables = (list: { table: string }[]) => [...new Set(list.map(({ table }) => table))];
  return doAll(workers, [
    ...tables(indexes).map(index),
    declare,
    ...tables(foreignKeys).map(prove),
  ]);
}

/** Where the data has rows that a unique key refuses, once more without them. */
async function makeIndex(sql: Sql, { table, make, unique }: Index): Promise<void> {
  try {
    await sql.unsafe(make);
  } catch (error) {
    if (!isDuplicate(error) || unique === null) throw error;
    await sql.unsafe(`
      delete from ${table} where ctid in (
        select again.ctid from (
          select ctid, row_number() over (partition by ${unique}) as n from ${table}
          where num_nulls(${unique}) = 0
        ) as again where n > 1)`);
    await sql.unsafe(make);
  }
}

/** Whether a unique key refused a row. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23505';
}
