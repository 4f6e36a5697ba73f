-- What can change a protected column when somebody writes its table: triggers, rules and acting foreign
-- keys of the tables and their children, and the functions of our own triggers. What is off is not there.
-- harmless: cannot change the row, and runs code of the runner only. $1, $2, $3 as in
-- protected_columns.sql.

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
  concat_ws(E'\n', t.tgenabled, pg_get_triggerdef(t.oid), pg_get_functiondef(p.oid)) as definition,
  -- neither BEFORE (2) nor INSTEAD OF (64)
  t.tgtype & 66 = 0 and p.pronamespace::regnamespace::text = 'migration'             as harmless
from family as f
join pg_trigger as t on t.tgrelid = f.oid
join pg_proc    as p on p.oid = t.tgfoid
where not t.tgisinternal and t.tgenabled <> 'D'
union all
select
  format('rule %I on %s', r.rulename, r.ev_class::regclass),
  concat_ws(E'\n', r.ev_enabled, pg_get_ruledef(r.oid)),
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
where p.pronamespace::regnamespace::text = 'migration' and p.prorettype = 'trigger'::regtype;
