import type { Client, ClientBase } from 'pg';

import { SchemaChangeError } from './schema-error.ts';
import type { ProtectedColumn } from './schema-files.ts';

/** What is done inside the transaction, at its two ends. */
export interface Hooks {
  afterBegin: () => Promise<void>;
  beforeCommit: () => Promise<void>;
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

/**
 * node-pg-migrate has no hook before COMMIT. It gets our client with `query` wrapped: after BEGIN
 * the protected columns are noted, before COMMIT they must be what they were, values included; a
 * throw there becomes its ROLLBACK.
 */
export function guardedTransaction(
  client: Client,
  protectedColumns: ProtectedColumn[],
  hooks: Hooks,
): { client: Client; committing: () => boolean; failure: () => unknown } {
  let before: Sight[] = [];
  let transactionId = '';
  let committing = false;
  let failure: unknown;

  const opened = async (): Promise<void> => {
    try {
      transactionId = await currentTransaction(client);
      before = await look(client, protectedColumns);
      await hooks.afterBegin();
    } catch (error) {
      // to node-pg-migrate BEGIN has failed: it would leave the transaction open
      await client.query('ROLLBACK').catch(() => {});
      throw error;
    }
  };
  const hooked = async (text: string, values?: unknown[]): Promise<unknown> => {
    try {
      if (text === 'COMMIT') {
        if ((await currentTransaction(client)) !== transactionId) {
          throw new SchemaChangeError(
            'refused',
            'A file ended the transaction itself: part of it is committed. Look at ' +
              '`runner schema status` before anything else.',
          );
        }
        await hooks.beforeCommit();
        refuseLoss(before, await look(client, protectedColumns));
        committing = true;
      }
      const result = await client.query(text, values);
      if (text === 'COMMIT') committing = false;
      if (text === 'BEGIN') await opened();
      return result;
    } catch (error) {
      failure ??= error;
      throw error;
    }
  };
  return {
    client: new Proxy(client, {
      get: (target, key): unknown =>
        key === 'query' ? hooked : (Reflect.get(target, key) as unknown),
    }),
    committing: () => committing,
    failure: () => failure,
  };
}

/** The real id of the open transaction: another one after a COMMIT that slipped in. */
async function currentTransaction(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    'select pg_catalog.pg_current_xact_id()::text as id',
  );
  return rows[0]?.id ?? '';
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
