import type { ClientBase } from 'pg';

import { ROLLED_BACK, SchemaChangeError } from './error.ts';
import type { ProtectedColumn } from './files.ts';

/** Watches the protected columns around one change, however often it is tried. */
export interface Guard {
  /** Right after BEGIN: notes what is there. The first note of all attempts counts. */
  note: () => Promise<void>;
  /** Right before COMMIT: throws unless everything is as noted. */
  refuse: () => Promise<void>;
  /** After COMMIT: throws `lost` unless everything is as noted, `unseen` when nobody can say. */
  confirm: () => Promise<void>;
  /** After ROLLBACK: the error to report. One that says `lost` when ROLLBACK did not undo it all. */
  truth: (reason: SchemaChangeError) => Promise<SchemaChangeError>;
}

/** A protected column as a transaction sees it; all but `name` are NULL where it is not there. */
interface Column {
  name: string;
  relation: string | null;
  position: number | null;
  type: string | null;
  /** Number of values and a sum of hashes over table, key and value, children included. */
  values: string | null;
}

/** Something that can change a protected column when somebody writes the table. */
interface Code {
  name: string;
  definition: string;
  /** Cannot change the row, and runs code of the runner only: it may come. */
  harmless: boolean;
}

interface Sight {
  columns: Column[];
  code: Code[];
}

/**
 * The law: a protected column stays where and what it is, and keeps its values, whoever writes them
 * while the change runs. And no trigger, rule or foreign key that could change it comes to its
 * table, nor is one altered, be it by its function. The exception are triggers that run after the
 * write and call a function of schema `migration`; these functions are not for a schema change.
 */
export function guardOf(client: ClientBase, protectedColumns: ProtectedColumn[]): Guard {
  let before: Sight | undefined;

  const changes = async (): Promise<Changes> =>
    compare(before, await look(client, protectedColumns));
  // in a transaction of its own
  const changesAfterwards = async (lockTimeout: string): Promise<Changes> => {
    try {
      await client.query(`begin isolation level read committed read only;
        set local lock_timeout = '${lockTimeout}';
        ${OWN_PATH}`);
      return await changes();
    } finally {
      await client.query('rollback').catch(() => {});
    }
  };

  return {
    note: async () => {
      before ??= await look(client, protectedColumns);
      const absent = before.columns.filter(({ position }) => position === null);
      if (absent.length === 0) return;
      throw new SchemaChangeError(
        'protected',
        `${namesOf(absent)} does not exist: is this the right database? ${ROLLED_BACK}`,
      );
    },
    refuse: async () => {
      // what is deferred would run inside COMMIT, behind the look
      await client.query(`set constraints all immediate; ${OWN_PATH}`);
      const { found } = await changes();
      if (found === '') return;
      throw new SchemaChangeError(
        'protected',
        `With this change ${found}; the column is protected (schema-changes/protected.json). ` +
          ROLLED_BACK,
      );
    },
    confirm: async () => {
      const seen = await changesAfterwards('15s').catch(() => undefined);
      if (seen === undefined) {
        throw new SchemaChangeError(
          'unseen',
          `The schema change is committed, but ${namesOf(before?.columns ?? [])} could not be ` +
            'looked at afterwards: the connection or the table was not to be had. Just before ' +
            'COMMIT all was well; compare the values with a backup.',
        );
      }
      if (seen.found === '') return;
      throw new SchemaChangeError(
        'lost',
        `The schema change is committed, and ${seen.found}. It came inside COMMIT or from another ` +
          `connection, so nothing rolls it back. ${seen.remedy}`,
      );
    },
    truth: async (reason) => {
      if (before === undefined) return reason;
      // another one's lock is no reason to wait: there may be nothing to say
      const seen = await changesAfterwards('500ms').catch(() => undefined);
      if (seen === undefined || seen.found === '') return reason;
      const first = reason.code === 'protected' ? '' : reason.message.replace(ROLLED_BACK, '');
      return new SchemaChangeError(
        'lost',
        `${first}The schema change is rolled back, but ${seen.found}. That came from another ` +
          'connection (the change itself over dblink, or another program), so no ROLLBACK ' +
          `undoes it. ${seen.remedy}`,
        reason.at,
      );
    },
  };
}

/** What is no longer as noted, in words, and what to do; `found` is empty when all is well. */
interface Changes {
  found: string;
  remedy: string;
}

function compare(before: Sight | undefined, now: Sight): Changes {
  if (before === undefined) return { found: '', remedy: '' };
  const lost = now.columns.flatMap((column, index) => {
    const then = before.columns[index];
    if (then === undefined) return [];
    if ((['relation', 'position', 'type'] as const).some((key) => column[key] !== then[key])) {
      return [`${column.name} is dropped, renamed, moved or retyped`];
    }
    if (column.values === then.values) return [];
    const [had, has] = [then, column].map(({ values }) => values?.split(':')[0] ?? '0');
    return [`${column.name} has other values or other places for them (${had} before, ${has} now)`];
  });
  const known = new Set(before.code.map(({ definition }) => definition));
  const armed = now.code
    .filter(({ definition, harmless }) => !harmless && !known.has(definition))
    .map(({ name }) => name);
  const columns = namesOf(now.columns);
  const remedy = [];
  if (lost.length > 0) {
    remedy.push(
      'Unless somebody meant it: stop what writes there and restore the column from a backup that ' +
        'was taken before.',
    );
  }
  if (armed.length > 0) remedy.push('Put back what is new or altered before the next write.');
  return {
    found: [
      ...lost,
      ...armed.map((name) => `${name} is new or altered and may change ${columns} at a write`),
    ].join('; '),
    remedy: remedy.join(' '),
  };
}

function namesOf(list: { name: string }[]): string {
  return list.map(({ name }) => name).join(', ');
}

// ------------------------------------------------------------------------------- the look --

// definitions are written as the search path asks for, and a file may have set it
const OWN_PATH = 'set local search_path = pg_catalog, pg_temp';

async function look(client: ClientBase, wanted: ProtectedColumn[]): Promise<Sight> {
  const { rows } = await client.query<{ columns: LookedFor[] | null; code: Code[] | null }>(
    `select (select jsonb_agg(c) from (${COLUMNS}) as c) as columns,
            (select jsonb_agg(c) from (${CODE}) as c)    as code`,
    [
      wanted.map(({ schema }) => schema),
      wanted.map(({ table }) => table),
      wanted.map(({ column }) => column),
    ],
  );
  const columns: Column[] = [];
  for (const { query, ...column } of rows[0]?.columns ?? []) {
    // hashes are compared, never values: 10,000 rows take some 10 ms
    const values =
      query === null ? null : (await client.query<{ values: string }>(query)).rows[0]?.values;
    columns.push({ ...column, values: values ?? null });
  }
  return { columns, code: rows[0]?.code ?? [] };
}

type LookedFor = Omit<Column, 'values'> & { query: string | null };

/** Where each column is, and the statement that reads its values. */
const COLUMNS = `
  select concat_ws('.', wanted.schema, wanted.tab, wanted.col) as name,
         a.attrelid::text                                       as relation,
         a.attnum                                               as position,
         format_type(a.atttypid, a.atttypmod)                   as type,
         case when a.attname is not null then format(
           'select concat_ws('':'', count(*), sum(hashtextextended('
             'concat_ws('','', t.tableoid, %s, t.%I), 0))) as values from %s as t '
             'where t.%2$I is not null',
           coalesce(key.columns, 'null'), a.attname, c.oid::regclass) end as query
  from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (schema, tab, col, n)
  left join pg_namespace as n on n.nspname = wanted.schema
  left join pg_class     as c on c.relnamespace = n.oid and c.relname = wanted.tab
  left join pg_attribute as a
    on a.attrelid = c.oid and a.attname = wanted.col and a.attnum > 0 and not a.attisdropped
  left join lateral (
    select string_agg(format('t.%I', k.attname), ', ' order by k.attnum) as columns
    from pg_index as i
    join pg_attribute as k
      on k.attrelid = i.indrelid and k.attnum = any (i.indkey)
    where i.indrelid = c.oid and i.indisprimary
  ) as key on true
  order by wanted.n`;

/** Triggers, rules and acting foreign keys of the tables and their children; what is off is not there. */
const CODE = `
  with recursive wanted as (
    select * from unnest($1::text[], $2::text[], $3::text[]) as w (schema, tab, col)
  ),
  family as (
    select c.oid
    from wanted as w
    join pg_namespace as n on n.nspname = w.schema
    join pg_class     as c on c.relnamespace = n.oid and c.relname = w.tab
    union
    select i.inhrelid from pg_inherits as i join family as f on f.oid = i.inhparent
  )
  select
    format('trigger %I on %s', t.tgname, t.tgrelid::regclass)                          as name,
    concat_ws(E'\\n', t.tgenabled, pg_get_triggerdef(t.oid), pg_get_functiondef(p.oid)) as definition,
    -- neither BEFORE (2) nor INSTEAD OF (64)
    t.tgtype & 66 = 0 and p.pronamespace::regnamespace::text = 'migration'             as harmless
  from family as f
  join pg_trigger as t on t.tgrelid = f.oid
  join pg_proc    as p on p.oid = t.tgfoid
  where not t.tgisinternal and t.tgenabled <> 'D'
  union all
  select
    format('rule %I on %s', r.rulename, r.ev_class::regclass),
    concat_ws(E'\\n', r.ev_enabled, pg_get_ruledef(r.oid)),
    false
  from family as f
  join pg_rewrite as r on r.ev_class = f.oid
  where r.ev_enabled <> 'D'
  union all
  select
    format('foreign key %I on %s', k.conname, k.conrelid::regclass),
    concat_ws(' ', k.conrelid::regclass, pg_get_constraintdef(k.oid)),
    false
  from family as f
  join pg_constraint as k on k.conrelid = f.oid and k.contype = 'f'
  -- CASCADE, SET NULL, SET DEFAULT
  where (k.confupdtype in ('c', 'n', 'd') or k.confdeltype in ('c', 'n', 'd'))
    and exists (
      select from pg_attribute as a
      join wanted as w on w.col = a.attname
      where a.attrelid = k.conrelid and a.attnum = any (k.conkey))
  union all
  select format('function %s', p.oid::regprocedure), pg_get_functiondef(p.oid), false
  from pg_proc as p
  where p.pronamespace::regnamespace::text = 'migration' and p.prorettype = 'trigger'::regtype`;
