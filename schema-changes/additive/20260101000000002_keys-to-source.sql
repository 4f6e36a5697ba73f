-- Keys back to the source, for tables that had none: nullable columns and their unique indexes.

-- Up Migration

-- teams come from user groups and had no key to them
alter table public.teams
  add column if not exists legacy_group_id integer unique;
-- the settings row needs a key to be recognised on the next run
alter table public.global_settings
  add column if not exists legacy_setting_id integer unique;
-- communications come from doctor notes; legacy_record_id already holds ids of another table
alter table public.team_communications
  add column if not exists legacy_note_id integer unique;
-- feedback comes from two tables whose ids overlap; says which one legacy_record_id means
alter table public.customer_feedback
  add column if not exists legacy_table varchar(50);
create unique index if not exists customer_feedback_legacy_key
  on public.customer_feedback (legacy_table, legacy_record_id)
  where legacy_table is not null;

-- Down Migration

-- a dropped column takes its values with it: values that nobody took back stop this
do $guard$
declare
  added    record;
  found    bigint;
  findings text[] := '{}';
begin
  for added in
    select *
    from (values
      ('teams',               'legacy_group_id'),
      ('global_settings',     'legacy_setting_id'),
      ('team_communications', 'legacy_note_id'),
      ('customer_feedback',   'legacy_table')
    ) as columns_of (table_name, column_name)
  loop
    -- no row may arrive between the count and the drop
    execute format('lock table public.%I in access exclusive mode', added.table_name);
    execute format('select count(%I) from public.%I', added.column_name, added.table_name)
      into found;
    if found > 0 then
      findings := findings
        || format('%s.%s in %s row(s)', added.table_name, added.column_name, found);
    end if;
  end loop;

  if cardinality(findings) > 0 then
    raise exception 'columns to be dropped still hold values: %', array_to_string(findings, '; ')
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Take the migrated rows back first (runner down), then repeat.';
  end if;
end
$guard$;

drop index if exists public.customer_feedback_legacy_key;
alter table public.customer_feedback   drop column legacy_table;
alter table public.team_communications drop column legacy_note_id;
alter table public.global_settings     drop column legacy_setting_id;
alter table public.teams               drop column legacy_group_id;
