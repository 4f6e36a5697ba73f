-- The column removal (schema-changes/removal): which columns go, what is kept of them, who uses
-- them. Private like the rest of schema migration. May be run again at any time.

-- those of schema-changes/removal/columns.json; the files beside it name the same ones
create or replace view migration.removal_columns (table_schema, table_name, column_name) as
select c.schema, c."table", c."column"
from migration.settings as s
cross join lateral pg_catalog.jsonb_to_recordset(s.removal)
  as c (schema text, "table" text, "column" text);

-- what a column was, so that it can come back
create table if not exists migration.column_definitions (
  table_name     text not null,
  column_name    text not null,
  type           text not null,
  collation_name text,
  default_value  text,
  required       boolean not null,
  comment        text,
  primary key (table_name, column_name)
);

-- every value that is not NULL, as text: exact for text and for jsonb
create table if not exists migration.column_backups (
  table_name  text not null,
  column_name text not null,
  id          uuid not null,
  value       text not null,
  taken_at    timestamptz not null default clock_timestamp(),
  primary key (table_name, column_name, id)
);

-- what the API roles held on these tables before the columns were withdrawn from them
create table if not exists migration.column_privileges (
  table_name  text not null,
  -- NULL: held on the table
  column_name text,
  grantee     text not null,
  privilege   text not null,
  grantable   boolean not null,
  unique nulls not distinct (table_name, column_name, grantee, privilege)
);

-- application objects as they were before they were replaced
create table if not exists migration.replaced_definitions (
  number     integer generated always as identity primary key,
  object     text not null unique,
  definition text not null
);

-- who wrote a deprecated column; no values
create table if not exists migration.column_writes (
  write       bigint generated always as identity primary key,
  table_name  text not null,
  column_name text not null,
  operation   text not null,
  role        text not null,
  application text not null,
  client      text not null,
  at          timestamptz not null default clock_timestamp()
);

-- how often each statement had run when the columns were deprecated
create table if not exists migration.statement_calls (
  queryid bigint primary key,
  calls   bigint not null
);

-- Notes what the columns are. Raises when one is missing or of a type the backup is not made for.
create or replace function migration.describe_columns() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  missing text;
begin
  if not exists (select from migration.removal_columns) then
    raise exception 'there is no column to be removed'
      using errcode = 'undefined_column',
            hint = 'Name them in schema-changes/removal/columns.json.';
  end if;
  insert into migration.column_definitions
  select
    concat(w.table_schema, '.', w.table_name),
    w.column_name,
    format_type(a.atttypid, a.atttypmod),
    (select concat(quote_ident(n.nspname), '.', quote_ident(c.collname))
     from pg_collation as c
     join pg_namespace as n on n.oid = c.collnamespace
     where c.oid = a.attcollation and c.collname <> 'default'),
    (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef as d
     where d.adrelid = a.attrelid and d.adnum = a.attnum),
    a.attnotnull,
    col_description(a.attrelid, a.attnum)
  from migration.removal_columns as w
  join pg_attribute as a
    on a.attrelid = to_regclass(format('%I.%I', w.table_schema, w.table_name))
    and a.attname = w.column_name and not a.attisdropped and a.attgenerated = ''
    and a.attidentity = '' and a.atttypid in ('jsonb'::regtype, 'text'::regtype);

  select string_agg(format('%s.%s', w.table_name, w.column_name), ', ') into missing
  from migration.removal_columns as w
  where not exists (
    select from migration.column_definitions as d
    where d.table_name = concat(w.table_schema, '.', w.table_name)
      and d.column_name = w.column_name);
  if missing is not null then
    raise exception 'not a plain text or jsonb column here: %', missing
      using errcode = 'undefined_column',
            hint = 'Compare the database with schema-changes/removal/columns.json.';
  end if;
end
$$;

-- Makes the backup what the columns are now; rows that did not change are not written.
create or replace function migration.back_up_columns() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  d     migration.column_definitions;
  wrong bigint;
begin
  for d in select * from migration.column_definitions loop
    execute format(
      'delete from migration.column_backups as b
       where b.table_name = %1$L and b.column_name = %2$L and not exists (
         select from %1$s as t where t.id = b.id and t.%2$I is not null)',
      d.table_name, d.column_name);
    execute format(
      'insert into migration.column_backups as b (table_name, column_name, id, value)
       select %1$L, %2$L, t.id, t.%2$I::text from %1$s as t where t.%2$I is not null
       on conflict (table_name, column_name, id)
       do update set value = excluded.value, taken_at = excluded.taken_at
       where b.value <> excluded.value',
      d.table_name, d.column_name);
    execute format(
      'select count(*) from %1$s as t
       full join (select * from migration.column_backups
         where table_name = %1$L and column_name = %2$L) as b on b.id = t.id
       where b.value::%3$s is distinct from t.%2$I',
      d.table_name, d.column_name, d.type) into wrong;
    if wrong > 0 then
      raise exception 'the backup of %.% differs in % row(s)', d.table_name, d.column_name, wrong
        using errcode = 'serialization_failure',
              hint = 'Somebody wrote at the same time: repeat.';
    end if;
  end loop;
end
$$;

-- Adds the columns as they were, last in their tables, and fills them from the backup. Triggers of
-- the application do not see it: no other value of a row changes.
create or replace function migration.restore_columns() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  d   migration.column_definitions;
  off record;
begin
  create temporary table triggers_off on commit drop as
  select t.tgrelid::regclass as relation, t.tgname as name, t.tgenabled as mode
  from pg_trigger as t
  where not t.tgisinternal and t.tgenabled <> 'D'
    and t.tgrelid in (select x.table_name::regclass from migration.column_definitions as x);
  for off in select * from pg_temp.triggers_off loop
    execute format('alter table %s disable trigger %I', off.relation, off.name);
  end loop;
  for d in select * from migration.column_definitions order by table_name, column_name loop
    execute format('alter table %s add column %I %s %s', d.table_name, d.column_name, d.type,
      'collate ' || d.collation_name);
    execute format(
      'update %1$s as t set %2$I = b.value::%3$s from migration.column_backups as b
       where b.table_name = %1$L and b.column_name = %2$L and b.id = t.id',
      d.table_name, d.column_name, d.type);
    -- set last: a row that held NULL holds NULL again
    if d.default_value is not null then
      execute format('alter table %s alter column %I set default %s', d.table_name, d.column_name,
        d.default_value);
    end if;
    if d.required then
      -- only rows that came since can be empty
      execute format('update %1$s set %2$I = %3$s where %2$I is null', d.table_name, d.column_name,
        coalesce(d.default_value, 'null'));
      execute format('alter table %s alter column %I set not null', d.table_name, d.column_name);
    end if;
  end loop;
  for off in select * from pg_temp.triggers_off loop
    execute format('alter table %s enable %s trigger %I', off.relation,
      case off.mode when 'A' then 'always' when 'R' then 'replica' else '' end, off.name);
  end loop;
  drop table pg_temp.triggers_off;
end
$$;

-- Gives the columns the comments back that they had before they were deprecated.
create or replace function migration.put_back_comments() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  d migration.column_definitions;
begin
  for d in select * from migration.column_definitions loop
    execute format('comment on column %s.%I is %L', d.table_name, d.column_name, d.comment);
  end loop;
end
$$;

-- Row trigger; its arguments are the columns it looks at. Runs as its owner, since the ledger is
-- closed to those who write; the role is the one the writer had taken.
create or replace function migration.record_column_write() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  old_row jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
  new_row jsonb := to_jsonb(new);
  name    text;
begin
  foreach name in array tg_argv loop
    if new_row -> name is distinct from coalesce(old_row -> name, 'null') then
      insert into migration.column_writes
        (table_name, column_name, operation, role, application, client)
      values (
        concat(tg_table_schema, '.', tg_table_name),
        name,
        lower(tg_op),
        coalesce(nullif(current_setting('role'), 'none'), session_user),
        current_setting('application_name'),
        coalesce(host(inet_client_addr()), 'local'));
    end if;
  end loop;
  return null;
end
$$;

-- Statements the server has counted, where pg_stat_statements is there and may be read.
create or replace function migration.counted_statements()
returns table (queryid bigint, query text, calls bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  statistics regclass := coalesce(
    to_regclass('extensions.pg_stat_statements'), to_regclass('public.pg_stat_statements'));
begin
  if statistics is null then return; end if;
  return query execute format(
    'select s.queryid, min(s.query), sum(s.calls)::bigint from %s as s
     where s.queryid is not null
       and s.dbid = (select d.oid from pg_database as d where d.datname = current_database())
     group by s.queryid', statistics);
exception
  -- not loaded by the server, or another version of the view
  when object_not_in_prerequisite_state or undefined_column or insufficient_privilege then return;
end
$$;

-- From now on reads are counted.
create or replace function migration.start_counting() returns void
language sql set search_path = pg_catalog, pg_temp
begin atomic
  delete from migration.statement_calls;
  insert into migration.statement_calls
  select s.queryid, s.calls from migration.counted_statements() as s;
end;

-- Statements that name a column and its table and ran since the columns were deprecated.
create or replace function migration.column_reads()
returns table (table_name text, column_name text, query text, calls bigint)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select
    concat(w.table_schema, '.', w.table_name),
    w.column_name,
    left(s.query, 200),
    -- fewer than then: the statistics were reset
    s.calls - case when s.calls >= b.calls then b.calls else 0 end
  from migration.counted_statements() as s
  left join migration.statement_calls as b on b.queryid = s.queryid
  cross join migration.removal_columns as w
  where s.calls is distinct from b.calls
    and s.query ~* '^\s*(select|with|insert|update|delete|merge)\M'
    and s.query ~* concat('\m', w.column_name, '\M')
    and s.query ~* concat('\m', w.table_name, '\M')
    -- statements of the removal itself
    and s.query !~* '\mmigration\.'
  order by 1, 2, 3;
end;

-- True when a function's text names the column of this table: bare, or behind a word that does not
-- stand for another table in it. In doubt it does.
create or replace function migration.mentions_column(body text, tab text, col text)
returns boolean
language sql immutable set search_path = pg_catalog, pg_temp
begin atomic
  with mentions as (
    select lower(m[1]) as qualifier
    from regexp_matches(body, concat('(?:(\w+)"?\s*\.\s*)?"?\m', col, '\M'), 'gi') as m
  ),
  names as (
    select lower(m[1]) as relation, lower(m[2]) as alias
    from regexp_matches(
      body,
      '\m(?:from|join|update|into|using)\s+(?:only\s+)?(?:"?\w+"?\s*\.\s*)?"?(\w+)"?(?:\s+(?:as\s+)?(\w+))?',
      'gi') as m
  )
  select exists (
    select from mentions
    where not exists (
      select from names
      where names.relation <> tab and mentions.qualifier in (names.relation, names.alias))
      or exists (
        select from names
        where names.relation = tab and mentions.qualifier in (names.relation, names.alias)));
end;

-- Everything in the database that uses a column to be removed, with what to do about it. What does
-- not block goes on working without the column.
create or replace function migration.removal_dependents()
returns table (
  table_name  text,
  column_name text,
  kind        text,
  object      text,
  seen_in     text,
  blocks      boolean,
  advice      text
)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  with wanted as (
    select
      concat(w.table_schema, '.', w.table_name) as tab,
      w.table_schema, w.table_name, w.column_name, a.attrelid, a.attnum, c.reltype
    from migration.removal_columns as w
    join pg_class as c on c.oid = to_regclass(format('%I.%I', w.table_schema, w.table_name))
    join pg_attribute as a
      on a.attrelid = c.oid and a.attname = w.column_name and not a.attisdropped
  ),
  recorded as (
    select distinct
      w.tab, w.column_name,
      case
        when r.oid is not null and v.relkind = 'v' then 'view'
        when r.oid is not null and v.relkind = 'm' then 'materialized view'
        when d.classid = 'pg_publication_rel'::regclass then 'publication'
        when d.classid = 'pg_attrdef'::regclass then 'generated column'
        when d.classid = 'pg_statistic_ext'::regclass then 'statistics'
        when d.classid = 'pg_constraint'::regclass then 'constraint'
        else o.type
      end as kind,
      case
        when r.oid is not null and v.relkind in ('v', 'm') then v.oid::regclass::text
        when d.classid = 'pg_proc'::regclass then d.objid::regprocedure::text
        when d.classid = 'pg_attrdef'::regclass
          then (select concat(e.adrelid::regclass, '.', e2.attname) from pg_attrdef as e
                join pg_attribute as e2 on e2.attrelid = e.adrelid and e2.attnum = e.adnum
                where e.oid = d.objid)
        else o.identity
      end as object
    from wanted as w
    join pg_depend as d
      on d.refclassid = 'pg_class'::regclass and d.refobjid = w.attrelid
      and d.refobjsubid = w.attnum and d.deptype in ('n', 'a')
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    left join pg_class as v on v.oid = r.ev_class
    cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) as o
    where not exists (
        -- the column's own default goes and comes with it
        select from pg_attrdef as own
        where d.classid = 'pg_attrdef'::regclass and own.oid = d.objid
          and own.adrelid = w.attrelid and own.adnum = w.attnum)
      and not exists (
        select from pg_trigger as own
        where d.classid = 'pg_trigger'::regclass and own.oid = d.objid
          and own.tgfoid = 'migration.record_column_write()'::regprocedure)
  ),
  written as (
    -- a body in quotes is text to the catalog
    select
      w.tab, w.column_name,
      case p.prokind when 'p' then 'procedure' else 'function' end as kind,
      p.oid::regprocedure::text as object
    from wanted as w
    join pg_proc as p
      on p.prosqlbody is null and p.prosrc ~* concat('\m', w.column_name, '\M')
    join pg_language as l on l.oid = p.prolang and l.lanname not in ('c', 'internal')
    join pg_namespace as n
      on n.oid = p.pronamespace and n.nspname <> 'information_schema'
      and n.nspname <> 'migration' and n.nspname !~ '^pg_'
    where (
        p.prosrc ~* concat('\m', w.table_name, '\M')
        and migration.mentions_column(p.prosrc, w.table_name, w.column_name))
      or exists (
        select from pg_trigger as t where t.tgrelid = w.attrelid and t.tgfoid = p.oid)
      or w.reltype = p.prorettype
      or w.reltype = any (p.proargtypes) or w.reltype = any (p.proallargtypes)
  ),
  published as (
    select w.tab, w.column_name, 'publication' as kind, p.pubname::text as object
    from wanted as w
    join pg_publication_tables as p
      on p.schemaname = w.table_schema and p.tablename = w.table_name
      and w.column_name = any (p.attnames)
    where not exists (
      select from pg_publication_rel as r
      join pg_publication as x on x.oid = r.prpubid and x.pubname = p.pubname
      where r.prrelid = w.attrelid and r.prattrs is not null)
  ),
  supplied as (
    select w.tab, w.column_name, 'entity' as kind, concat('transform.', e.entity) as object
    from wanted as w
    join migration.entities as e on e.target = w.tab
    join pg_attribute as a
      on a.attrelid = to_regclass(format('transform.%I', e.entity)) and a.attname = w.column_name
      and not a.attisdropped
  ),
  found as (
    select *, 'catalog' as seen_in, true as blocks from recorded
    union all select *, 'its text', true from written
    union all select *, 'catalog', false from published
    union all select *, 'its columns', true from supplied
  )
  select
    f.tab, f.column_name, f.kind, f.object, f.seen_in, f.blocks,
    case f.kind
      when 'view' then 'create or replace view: same columns, null or false instead of this one'
      when 'materialized view' then 'drop it and create it without the column'
      when 'function' then 'create or replace function with a body that leaves the column out'
      when 'procedure' then 'create or replace procedure with a body that leaves the column out'
      when 'policy' then 'alter policy: decide without the column'
      when 'trigger' then 'drop it, or create it without the column in its list and condition'
      when 'index' then 'drop index'
      when 'constraint' then 'alter table ... drop constraint'
      when 'statistics' then 'drop statistics, create them without the column'
      when 'generated column' then 'drop it, or give it an expression without the column'
      when 'publication' then case
        when f.blocks then 'alter publication ... set table with a column list without it'
        else 'nothing to do here; tell the subscribers that the column goes'
      end
      when 'entity' then 'take the column out of the entity file and run up'
      else 'remove the reference to the column'
    end
  from found as f
  order by f.blocks desc, f.tab, f.column_name, f.kind, f.object;
end;

-- Everything that is known about the columns to be removed: what is kept of them, what uses them in
-- the database, who wrote them and which statements named them since they were deprecated.
create or replace function migration.removal_state() returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
    'columns', (
      select coalesce(jsonb_agg(to_jsonb(c) order by c."table", c."column"), '[]')
      from (
        select
          concat(w.table_schema, '.', w.table_name) as "table",
          w.column_name as "column",
          (select count(*) from migration.column_backups as b
           where b.table_name = concat(w.table_schema, '.', w.table_name)
             and b.column_name = w.column_name) as kept
        from migration.removal_columns as w) as c),
    'dependents', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'table', d.table_name, 'column', d.column_name, 'kind', d.kind, 'object', d.object,
        'seenIn', d.seen_in, 'blocks', d.blocks, 'advice', d.advice)
        order by d.blocks desc, d.table_name, d.column_name, d.kind, d.object), '[]')
      from migration.removal_dependents() as d),
    'writes', (
      select coalesce(jsonb_agg(to_jsonb(w)
        order by w."table", w."column", w.role, w.application, w.client), '[]')
      from (
        select
          s.table_name as "table", s.column_name as "column", s.role, s.application, s.client,
          count(*) as times,
          to_char(max(s.at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as last
        from migration.column_writes as s
        group by s.table_name, s.column_name, s.role, s.application, s.client) as w),
    'reads', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'table', r.table_name, 'column', r.column_name, 'query', r.query, 'calls', r.calls)
        order by r.table_name, r.column_name, r.query), '[]')
      from migration.column_reads() as r))
$$;

-- Which of these entities are not complete.
create or replace function migration.unfinished(names text[]) returns setof text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select n.name
  from unnest(names) as n (name)
  where not exists (
    select from migration.entities as e where e.entity = n.name and e.status = 'complete')
$$;

-- Raises, naming every object that is left.
create or replace function migration.require_no_dependents() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  list text;
begin
  select string_agg(
    format(E'\n  %s %s uses %s.%s: %s', d.kind, d.object, d.table_name, d.column_name, d.advice), '')
  into list
  from migration.removal_dependents() as d where d.blocks;
  if list is not null then
    raise exception 'the columns are still in use:%', list
      using errcode = 'dependent_objects_still_exist';
  end if;
end
$$;

-- Raises when the columns were written or read since they were deprecated, unless the transaction
-- carries a reason in migration.accepted_evidence: that goes to the audit trail, with what it covers.
create or replace function migration.require_no_use() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  reason   text := btrim(current_setting('migration.accepted_evidence', true));
  evidence jsonb;
  list     text;
begin
  select jsonb_agg(to_jsonb(e)), string_agg(format(E'\n  %s', e.seen), '')
  into evidence, list
  from (
    select format('%s.%s written %s time(s) by %s (%s, from %s), last at %s', w.table_name,
      w.column_name, count(*), w.role, w.application, w.client,
      to_char(max(w.at), 'YYYY-MM-DD HH24:MI:SS TZ')) as seen
    from migration.column_writes as w
    group by w.table_name, w.column_name, w.role, w.application, w.client
    union all
    select format('%s.%s read %s time(s) by: %s', r.table_name, r.column_name, r.calls, r.query)
    from migration.column_reads() as r
    order by 1
  ) as e;
  if list is not null and coalesce(reason, '') = '' then
    raise exception 'the columns were used since they were deprecated:%', list
      using errcode = 'object_in_use',
            hint = 'Look into it; then repeat with --accept-evidence "<reason>".';
  end if;
  if coalesce(reason, '') <> '' then
    insert into migration.events (what, details)
    values ('column removal: evidence accepted', jsonb_build_object(
      'reason', reason, 'evidence', coalesce(evidence, '[]')));
  end if;
end
$$;

-- Keeps a definition before it is replaced. Fails when there is no such object.
create or replace function migration.keep_definition(view regclass) returns void
language sql set search_path = pg_catalog, pg_temp
begin atomic
  insert into migration.replaced_definitions (object, definition)
  select
    view::text,
    concat('create or replace view ', view::text,
      ' with (' || array_to_string(c.reloptions, ', ') || ')', ' as ', pg_get_viewdef(view))
  from pg_class as c
  where c.oid = view;
end;

create or replace function migration.keep_definition(routine regprocedure) returns void
language sql set search_path = pg_catalog, pg_temp
begin atomic
  insert into migration.replaced_definitions (object, definition)
  select routine::text, pg_get_functiondef(routine);
end;

-- Puts back what was replaced; owner, comment and grants were never touched.
create or replace function migration.put_back_definitions() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  kept migration.replaced_definitions;
begin
  for kept in select * from migration.replaced_definitions order by number desc loop
    execute kept.definition;
  end loop;
  delete from migration.replaced_definitions;
end
$$;

-- Functions that take or return rows of these tables. A session that keeps a prepared call (`select *
-- from f()`) does not notice that the row is another one, and fails; that the function has changed it
-- does notice. So it changes, to what it was.
create or replace function migration.renew_row_functions() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  each record;
begin
  for each in
    select distinct p.oid::regprocedure as routine, p.procost as cost
    from migration.removal_columns as w
    join pg_class as c on c.oid = to_regclass(format('%I.%I', w.table_schema, w.table_name))
    join pg_type as t on t.oid = c.reltype
    join pg_proc as p
      on array[t.oid, t.typarray] && (
        array[p.prorettype] || p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}'))
    where p.prokind = 'f' and pg_has_role(p.proowner, 'usage')
  loop
    execute format('alter function %s cost %s', each.routine, each.cost);
  end loop;
end
$$;

-- What the owner of a table gave the API roles (and everybody) on it and on its columns.
create or replace view migration.api_privileges as
with held as (
  select c.oid, c.relowner, null::name as column_name, c.relacl as acl
  from pg_catalog.pg_class as c
  union all
  select c.oid, c.relowner, a.attname, a.attacl
  from pg_catalog.pg_class as c
  join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
)
select
  t.table_name,
  h.column_name::text                                                         as column_name,
  case x.grantee when 0 then 'public' else x.grantee::regrole::text end       as grantee,
  x.privilege_type                                                            as privilege,
  x.is_grantable                                                              as grantable
from (
  select distinct pg_catalog.concat(table_schema, '.', table_name) as table_name
  from migration.removal_columns
) as t
join held as h on h.oid = pg_catalog.to_regclass(t.table_name)
cross join lateral pg_catalog.aclexplode(h.acl) as x
where x.grantor = h.relowner
  and x.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
  and (x.grantee = 0 or x.grantee::regrole::text in ('anon', 'authenticated', 'service_role'));

-- Takes every privilege to write a column, or to refer to it, away from the API roles. Not that to
-- read: a `select *` needs it on every column that is there.
create or replace function migration.clear_privileges() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  held record;
begin
  for held in
    select distinct p.table_name, p.grantee from migration.api_privileges as p
    where p.privilege <> 'SELECT'
  loop
    execute format('revoke insert, update, references on %s from %s',
      held.table_name, held.grantee);
  end loop;
end
$$;

-- The API roles read what they read, and write what they wrote but the columns to be removed. A
-- privilege on a table reaches all its columns, so that to write becomes one on the others.
create or replace function migration.withdraw_columns() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  held record;
begin
  delete from migration.column_privileges as p
  where not exists (
    select from migration.column_definitions as d
    where d.table_name = p.table_name and d.column_name = p.column_name);
  insert into migration.column_privileges select * from migration.api_privileges
  on conflict do nothing;
  perform migration.clear_privileges();
  for held in
    select p.*, string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
    from migration.column_privileges as p
    join pg_attribute as a
      on a.attrelid = p.table_name::regclass and a.attnum > 0 and not a.attisdropped
      and (p.column_name is null or a.attname = p.column_name)
    where (p.privilege = 'SELECT') = exists (
        select from migration.column_definitions as d
        where d.table_name = p.table_name and d.column_name = a.attname)
      -- what was read by a privilege on the table still is
      and not (p.privilege = 'SELECT' and p.column_name is null)
    group by p.table_name, p.column_name, p.grantee, p.privilege, p.grantable
  loop
    execute format('grant %s (%s) on %s to %s %s', held.privilege, held.columns, held.table_name,
      held.grantee, case when held.grantable then 'with grant option' else '' end);
  end loop;
end
$$;

-- The API roles may write again what they wrote before, of the columns that are there.
create or replace function migration.return_privileges() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  held migration.column_privileges;
begin
  perform migration.clear_privileges();
  for held in
    select p.* from migration.column_privileges as p
    where p.privilege <> 'SELECT' and (p.column_name is null or exists (
      select from pg_attribute as a
      where a.attrelid = p.table_name::regclass and a.attname = p.column_name
        and not a.attisdropped))
  loop
    execute format('grant %s %s on %s to %s %s', held.privilege,
      '(' || quote_ident(held.column_name) || ')', held.table_name, held.grantee,
      case when held.grantable then 'with grant option' else '' end);
  end loop;
end
$$;
