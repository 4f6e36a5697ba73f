import type { ClientBase } from 'pg';

import { SchemaChangeError } from './schema-error.ts';
import type { ProtectedColumn } from './schema-files.ts';

/** Watches the protected columns through one transaction; both are called inside it. */
export interface Guard {
  /** Notes what is there, right after BEGIN. */
  note: () => Promise<void>;
  /** Right before COMMIT: throws unless they are what they were, values included. */
  refuse: () => Promise<void>;
}

/** A protected column as the transaction sees it; all but `name` are NULL where it is not there. */
interface Sight {
  name: string;
  relation: string | null;
  position: number | null;
  type: string | null;
  /** Changes when the table is rewritten or emptied. */
  file: string | null;
  /** Rows of the table that this transaction updated or deleted; NULL when nobody counts. */
  written: string | null;
  /** Number of values and a sum of hashes over key and value. */
  values: string | null;
}

export function guardOf(client: ClientBase, protectedColumns: ProtectedColumn[]): Guard {
  let before: Sight[] = [];
  return {
    note: async () => {
      before = await look(client, protectedColumns);
    },
    refuse: async () => {
      refuseLoss(before, await look(client, protectedColumns));
    },
  };
}

async function look(client: ClientBase, columns: ProtectedColumn[]): Promise<Sight[]> {
  const { rows } = await client.query<Sight & { query: string | null }>(
    `select pg_catalog.concat_ws('.', wanted.schema, wanted.tab, wanted.col) as name,
            a.attrelid::text                                       as relation,
            a.attnum                                               as position,
            pg_catalog.format_type(a.atttypid, a.atttypmod)        as type,
            pg_catalog.pg_relation_filenode(c.oid)::text           as file,
            case when pg_catalog.current_setting('track_counts')::boolean then
              (pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
                + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid))::text
            end                                                    as written,
            case when a.attname is not null then pg_catalog.format(
              'select pg_catalog.concat_ws('':'', count(*), sum(pg_catalog.hashtextextended('
                'pg_catalog.concat_ws('','', %s, t.%I), 0))) as values from %s as t '
                'where t.%2$I is not null',
              coalesce(key.columns, 'null'), a.attname, c.oid::regclass) end as query
     from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (schema, tab, col, n)
     left join pg_catalog.pg_namespace as n on n.nspname = wanted.schema
     left join pg_catalog.pg_class     as c on c.relnamespace = n.oid and c.relname = wanted.tab
     left join pg_catalog.pg_attribute as a
       on a.attrelid = c.oid and a.attname = wanted.col and a.attnum > 0 and not a.attisdropped
     left join lateral (
       select pg_catalog.string_agg(pg_catalog.format('t.%I', k.attname), ', ' order by k.attnum)
         as columns
       from pg_catalog.pg_index as i
       join pg_catalog.pg_attribute as k
         on k.attrelid = i.indrelid and k.attnum = any (i.indkey)
       where i.indrelid = c.oid and i.indisprimary
     ) as key on true
     order by wanted.n`,
    [columns.map((c) => c.schema), columns.map((c) => c.table), columns.map((c) => c.column)],
  );
  const sights: Sight[] = [];
  for (const { query, ...sight } of rows) {
    // hashes are compared, never values: 10,000 rows take some 10 ms
    const values =
      query === null ? null : (await client.query<{ values: string }>(query)).rows[0]?.values;
    sights.push({ ...sight, values: values ?? null });
  }
  return sights;
}

function refuseLoss(before: Sight[], after: Sight[]): void {
  const lost = after.filter((now, index) => {
    const then = before[index];
    if (then === undefined || now.position === null) return true;
    const moved = (['relation', 'position', 'type'] as const).some((key) => now[key] !== then[key]);
    // without a write of our own another session changed the values: that is its business
    const ours = now.written === null || now.written !== then.written || now.file !== then.file;
    return moved || (ours && now.values !== then.values);
  });
  if (lost.length === 0) return;
  const names = lost.map(({ name }) => name).join(', ');
  const absent = lost.every(({ name }) =>
    before.some((then) => then.name === name && then.position === null),
  );
  throw new SchemaChangeError(
    'protected',
    absent
      ? `${names} does not exist: is this the right database? Rolled back, nothing changed.`
      : `${names} would be dropped, renamed, moved or retyped, or lose values, and it is ` +
          'protected (schema-changes/protected.json). Rolled back, nothing changed.',
  );
}
