-- Referential integrity set by set. The trigger of a foreign key looks its parent up and locks it, row by
-- row, which takes most of the time of an insert. The same guarantee, parents exist and stay until we
-- commit, is given once per value: the rows are inserted under session_replication_role = replica, then
-- the distinct values of every foreign key are looked up and locked. One that is not there: all of it
-- is taken back and done the ordinary way, which says which row is to blame.

-- Whether this role may set the parameter. It is tried: an extension may allow what no privilege says.
create or replace function migration.may_insert_as_replica() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('session_replication_role', 'replica', true);
  perform set_config('session_replication_role', 'origin', true);
  return true;
exception when insufficient_privilege then
  return false;
end
$$;

-- What speaks against inserting into a table set by set; NULL = nothing. Columns: those that the view
-- supplies. Triggers of the application have to fire; a default may refer to a row nobody looks up;
-- parents have to be locked.
create or replace function migration.against_sets(target regclass, columns text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when c.relkind <> 'r' or c.relhassubclass then 'it is partitioned, or has children'
    when exists (
      select from pg_trigger as t
      where t.tgrelid = target and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 4 = 4)
      then 'it has a trigger at INSERT'
    when exists (select from pg_rewrite as r where r.ev_class = target and r.ev_enabled <> 'D')
      then 'it has a rule'
    when exists (
      select from pg_constraint as f
      where f.contype = 'f' and f.conrelid = target and f.confmatchtype <> 's')
      then 'it has a foreign key that is not MATCH SIMPLE'
    when exists (
      select from pg_constraint as f
      join pg_attribute as a on a.attrelid = target and a.attnum = any (f.conkey)
      where f.contype = 'f' and f.conrelid = target and a.attname <> all (columns)
        and (a.atthasdef or a.attidentity <> ''))
      then 'a column that refers has a default'
    when exists (
      select from pg_constraint as f
      where f.contype = 'f' and f.conrelid = target
        and not migration.is_copy(f.conrelid, f.conparentid)
        and not (has_table_privilege(f.confrelid, 'select')
          and has_any_column_privilege(f.confrelid, 'update')))
      then 'it refers to a table that this role may not lock'
  end
  from pg_class as c where c.oid = target
$$;

-- Looks up and locks the rows that the staged rows of a key range refer to. False where one is not there.
create or replace function migration.hold_parents(target text, first_key bigint, last_key bigint)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  key    record;
  wanted bigint;
  found  bigint;
begin
  for key in
    select f.confrelid::regclass as parent,
      string_agg(format('b.%I', here.attname), ', ' order by k.n) as columns,
      string_agg(format('b.%I is not null', here.attname), ' and ' order by k.n) as given,
      string_agg(format('p.%I operator(%I.%s) b.%I', there.attname, s.nspname, o.oprname,
        here.attname), ' and ' order by k.n) as equal
    from pg_constraint as f
    cross join lateral unnest(f.conkey, f.confkey, f.conpfeqop)
      with ordinality as k (here, there, op, n)
    join pg_attribute as here on here.attrelid = f.conrelid and here.attnum = k.here
    join pg_attribute as there on there.attrelid = f.confrelid and there.attnum = k.there
    join pg_operator as o on o.oid = k.op
    join pg_namespace as s on s.oid = o.oprnamespace
    where f.contype = 'f' and f.conrelid = target::regclass
      and not migration.is_copy(f.conrelid, f.conparentid)
    group by f.oid, f.confrelid
    -- a column that no view supplies, and that has no default, is NULL
    having bool_and(exists (
      select from pg_attribute as a
      where a.attrelid = 'pg_temp.staged'::regclass and a.attname = here.attname))
    order by f.confrelid::regclass::text
  loop
    -- locked in one order, so that two workers do not wait for one another
    execute format(
      'with wanted as materialized ('
      '  select distinct %1$s from pg_temp.staged as b'
      '  where b.to_write and b.legacy_key between $1 and $2 and %2$s'
      '    and not exists (select from pg_temp.present as e where e.legacy_key = b.legacy_key)),'
      ' held as materialized ('
      '  select 1 from %3$s as p join wanted as b on %4$s order by p.ctid for key share of p)'
      ' select (select count(*) from wanted), (select count(*) from held)',
      key.columns, key.given, key.parent, key.equal)
    into wanted, found using first_key, last_key;
    if found <> wanted then return false; end if;
  end loop;
  return true;
end
$$;

-- How foreign keys of these tables will be checked: whether set by set at all, and the tables with the
-- reason why not.
create or replace function migration.ways_of_references(
  targets text[], out role text, out may boolean, out row_by_row text[])
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select current_user::text, migration.may_insert_as_replica(), coalesce(array_agg(
    format('%s: %s', t.name, t.reason) order by t.name) filter (where t.reason is not null), '{}')
  from (
    select n.name, migration.against_sets(c.oid, array(
      select a.attname::text from pg_attribute as a where a.attrelid = c.oid)) as reason
    from unnest(targets) as n (name)
    join pg_class as c on c.oid = to_regclass(n.name)
    where exists (select from pg_constraint as f where f.contype = 'f' and f.conrelid = c.oid)
  ) as t
$$;
