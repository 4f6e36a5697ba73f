-- Order files: one per dispatch_file; files without an order are filtered.
-- updated_at is not supplied: the table stamps it itself.
--
-- target   public.order_files
-- source   dispatch_file
-- adopt    order_id, file_id
-- deletes  remove
-- commit   batch
-- filter   no_order      the file names no order
-- reject   orphan_order  its order is not stored
-- reject   orphan_file   the file itself is not stored

create view transform.order_files as
select
  f.id              as legacy_key,
  f.id::integer     as legacy_file_id,
  f.instruction_id  as legacy_instruction_id,
  clinical_order.id as order_id,
  file.id           as file_id,
  -- by the extension only
  case
    when lower(btrim(f.ext)) in ('.stl', '.ply') then 'scan'
    when lower(btrim(f.ext)) in ('.jpg', '.jpeg', '.png', '.gif') then 'image'
    when lower(btrim(f.ext)) = '.pdf' then 'document'
    when lower(btrim(f.ext)) in ('.zip', '.rar', '.tar') then 'package'
    else 'other'
  end               as category,
  -- raw codes of unknown meaning
  f.type            as file_type,
  f.status          as status,
  case
    when btrim(f.parameters) <> ''
      then coalesce(parsed.parameters, jsonb_build_object('raw', f.parameters))
  end               as parameters,
  -- raw legacy ids
  f.product_id      as product_id,
  f.record_id       as record_id,
  f.created_at      as uploaded_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'name', f.name,
    'ext',  f.ext,
    'size', f.size,
    'invalid_json', case
      when btrim(f.parameters) <> '' and parsed.parameters is null then 'parameters'
    end
  )))               as metadata,
  case when f.instruction_id is null then 'no_order' end as filter,
  case
    when clinical_order.id is null then 'orphan_order'
    when file.id is null then 'orphan_file'
  end               as reject
from legacy.dispatch_file as f
left join ids.orders as clinical_order on clinical_order.legacy_id = f.instruction_id
left join ids.files  as file           on file.legacy_id           = f.id
cross join lateral (
  select migration.try_jsonb(f.parameters) as parameters
  offset 0
) as parsed;
