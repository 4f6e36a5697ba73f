import type { Sql } from 'postgres';
import { doAll, type Taken } from './steps.ts';

/** Foreign keys, unique constraints and indexes that were dropped: what makes them again. */
export interface Dropped {
  indexes: { table: string; name: string; make: string }[];
  foreignKeys: { table: string; name: string; make: string }[];
}

/** Drops foreign keys and indexes of these tables, all but the primary keys. */
export async function dropKeys(sql: Sql, tables: string[]): Promise<Dropped> {
  const foreignKeys = await sql<{ table: string; name: string; make: string }[]>`
    select conrelid::regclass::text as table, conname as name, format('alter table %s add constraint %I %s not valid',
      conrelid::regclass, conname, pg_get_constraintdef(oid)) as make
    from pg_constraint where contype = 'f' and conrelid in (
      select to_regclass(name) from unnest(${tables}::text[]) as name)`;
  const indexes = await sql<{ table: string; name: string; make: string; con: boolean }[]>`
    select i.indrelid::regclass::text as table, i.indexrelid::regclass::text as name,
      c.oid is not null as con,
      case when c.oid is null then pg_get_indexdef(i.indexrelid)
        else format('alter table %s add constraint %I %s', i.indrelid::regclass, conname,
          pg_get_constraintdef(c.oid)) end as make
    from pg_index as i left join pg_constraint as c on c.conindid = i.indexrelid and c.contype in ('u', 'x')
    where not i.indisprimary and i.indrelid in (
      select to_regclass(name) from unnest(${tables}::text[]) as name)`;
  await sql.begin(async (own) => {
    for (const { table, name } of foreignKeys) {
      await own.unsafe(`alter table ${table} drop constraint "${name}"`);
    }
    for (const { table, name, con } of indexes) {
      await own.unsafe(con ? `alter table ${table} drop constraint ${name}` : `drop index ${name}`);
    }
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
      for (const each of indexes) if (each.table === table) await sql.unsafe(each.make);
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
