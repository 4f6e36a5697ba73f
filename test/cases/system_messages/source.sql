insert into auth_user (id) values (1), (40);
insert into dispatch_patient (id, user_id) values (1, 1);
insert into dispatch_instruction (id, patient_id, course_id) values
  (1, 1, 1),
  -- rejected: the course is unknown
  (2, 1, 5);

alter table dispatch_notification
  alter column created_at set default '2024-05-06 00:00:00+00',
  alter column sender set default '',
  alter column template_name set default '',
  alter column template_context set default '{}',
  alter column read set default false,
  alter column recipient_id set default 40,
  alter column send set default true,
  -- the live source may lack the constraint
  alter column send drop not null;

insert into dispatch_notification
  (id, created_at, sender, template_name, template_context, read, item_type_id, item_id,
   recipient_id, sent, send)
values
  (1, '2024-05-06 07:08:09.25+02', ' s ', ' order_shipped ', ' {"name": null, "n": 1.50} ', true,
   12, 1, 40, true, true);

-- contexts: empty, of another shape, and broken in every known way
insert into dispatch_notification (id, template_context) values
  (2, ''),
  (3, '  '),
  (4, '[]'),
  (5, '{''name'': ''x''}'),
  (6, '{"name": "\u0000"}'),
  (7, '{"name": "x'),
  (8, 'null');

insert into dispatch_notification (id, item_type_id, item_id, recipient_id, sent) values
  -- the number of an order, but none
  (10, 11, 1, 40, false),
  (11, 99, 1, 40, null),
  (12, null, 1, 40, null),
  (13, 12, null, 40, null),
  (14, 12, 99, 40, null),
  (15, 12, 2, 40, null),
  (16, null, null, 99, null),
  (17, 12, 99, 99, null);

insert into dispatch_notification (id, recipient_id, sent, send) values
  (20, 40, true, false),
  (21, 99, null, false),
  (22, 40, null, null);
