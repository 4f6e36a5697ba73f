insert into dispatch_record (id, target_type_id, target_id, created_at, text) values
  (1, null, 1, '2024-01-01 00:00:00+00', ''),
  (2, null, 1, '2024-01-01 00:00:00+00', '');

alter table dispatch_file
  alter column uid set default md5(random()::text)::uuid,
  alter column size set default 0,
  alter column type set default 8,
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column parameters set default '',
  alter column status set default 0;

insert into dispatch_file (id, record_id, created_at) values
  (31, null, '2024-05-06 07:08:09.25+02'),
  (32, 1, '2024-05-07 00:00:00+00'),
  (33, 99, '2024-05-07 00:00:00+00');

-- the file itself is rejected: the live source may lack the constraint
alter table dispatch_file alter column uid drop not null;
insert into dispatch_file (id, uid) values (34, null);

insert into dispatch_record_attachments (id, record_id, file_id) values
  (1, 1, 31),
  (2, 2, 31),
  -- attached to another message
  (3, 2, 32),
  (10, 99, 31),
  (11, 1, 99),
  (12, 1, 34),
  -- both: the first reason counts
  (13, 98, 99),
  (14, 1, 32),
  -- left out before it is looked at for orphans
  (15, 99, 33);
