-- Files: one per dispatch_file, with or without an order.
-- uploaded_by, checksum and storage_path have no source: nobody is made the uploader.
--
-- target   public.files
-- source   dispatch_file
-- adopt    legacy_file_id
-- mapping  file
-- commit   batch

create view transform.files as
select
  f.id              as legacy_key,
  f.id::integer     as legacy_file_id,
  clinical_order.id as order_id,
  -- the bytes lie under this id
  f.uid             as file_uid,
  -- without a name: the name under which the bytes lie; a doubled extension is kept
  coalesce(
    nullif(btrim(f.name), ''), concat(f.uid, f.ext)
  )                 as filename,
  btrim(f.ext)      as file_type,
  -- unknown extensions: NULL
  case lower(btrim(f.ext))
    when '.jpg' then 'image/jpeg'
    when '.jpeg' then 'image/jpeg'
    when '.png' then 'image/png'
    when '.gif' then 'image/gif'
    when '.stl' then 'model/stl'
    when '.dcm' then 'application/dicom'
    when '.dxf' then 'image/vnd.dxf'
    when '.zip' then 'application/zip'
    when '.pdf' then 'application/pdf'
    when '.txt' then 'text/plain'
    else null
  end               as mime_type,
  f.size            as file_size_bytes,
  f.created_at      as uploaded_at,
  -- NULLs are not left out: those of the parsed JSON must survive
  jsonb_build_object('legacy', jsonb_build_object(
    'type',           f.type,
    'status',         f.status,
    'description',    f.description,
    'product_id',     f.product_id,
    'record_id',      f.record_id,
    'instruction_id', f.instruction_id,
    'name',           f.name,
    'parameters', case
      when btrim(f.parameters) <> ''
        then coalesce(parsed.parameters, jsonb_build_object('raw', f.parameters))
    end,
    'invalid_json', case
      when btrim(f.parameters) <> '' and parsed.parameters is null then 'parameters'
    end
  ))                as metadata,
  case when f.instruction_id is not null and clinical_order.id is null then 'orders' end as missing
from legacy.dispatch_file as f
left join ids.orders as clinical_order on clinical_order.legacy_id = f.instruction_id
cross join lateral (
  select migration.try_jsonb(f.parameters) as parameters
  offset 0
) as parsed;
