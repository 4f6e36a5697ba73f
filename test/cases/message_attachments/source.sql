insert into dispatch_record (id, target_type_id, target_id, created_at, text) values
  (1, 99, 1, '2024-01-01 00:00:00+00', ''),
  (2, null, 1, '2024-01-01 00:00:00+00', '');

alter table dispatch_file
  alter column uid set default md5(random()::text)::uuid,
  alter column size set default 0,
  alter column type set default 8,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column parameters set default '',
  alter column status set default 0;

insert into dispatch_file (id, record_id, created_at) values
  (1, 1, '2024-05-06 07:08:09.25+02');

insert into dispatch_file (id, record_id, instruction_id) values
  (2, 1, null),
  -- an order that is missing is none of its business
  (3, 2, 99),
  (10, 99, null),
  (13, null, null);

-- the file itself is rejected: the live source may lack the constraint
alter table dispatch_file alter column uid drop not null;
insert into dispatch_file (id, uid, record_id) values (11, null, 1);
