-- What every case finds in the source: the user groups and content types the mapping relies on.
-- Known by number: groups 1, 2, 4, 5, 11 and the content type 11 (patient). All others are found
-- by name, so their numbers here are arbitrary, but for 58, which stands for user accounts.

insert into auth_group (id, name) values
  (1, 'Patient'),
  (2, 'Doctor'),
  (3, 'Sales'),
  (4, 'Administrator'),
  (5, 'Master'),
  (11, 'Technician');

insert into django_content_type (id, app_label, model) values
  (11, 'dispatch', 'patient'),
  (12, 'dispatch', 'instruction'),
  (13, 'dispatch', 'office'),
  (14, 'dispatch', 'payment'),
  (15, 'dispatch', 'product'),
  (16, 'dispatch', 'task'),
  (17, 'dispatch', 'project'),
  (58, 'auth', 'user');

-- What a case does not say is plain: defaults for columns that the source wants to be told.
alter table auth_user
  alter column password set default 'pbkdf2_sha256$1$never$leaves',
  alter column username set default nextval('auth_user_id_seq')::text,
  alter column first_name set default '',
  alter column last_name set default '',
  alter column email set default '',
  alter column is_superuser set default false,
  alter column is_staff set default false,
  alter column is_active set default true,
  alter column date_joined set default '2020-01-01 00:00:00+00';

alter table dispatch_office
  alter column tax_rate set default 0,
  alter column valid set default true,
  alter column emails set default true;

alter table dispatch_patient
  alter column archived set default false,
  alter column suspended set default false,
  alter column schemes set default '',
  alter column suffix set default '';

-- Cases hold longer texts than these columns. Here, since another type in one case would have all views
-- made anew, in that case and in the next.
alter table dispatch_patient alter column suffix type varchar(20);
alter table dispatch_instruction alter column suffix type varchar(20);
alter table dispatch_action alter column action type varchar(60);

alter table dispatch_role
  alter column abbrev set default '';

alter table dispatch_product
  alter column free set default false,
  alter column deleted set default false,
  alter column customization set default '',
  alter column substitute set default false,
  alter column course_id set default 1;

alter table dispatch_template
  alter column function set default 1,
  alter column predefined set default false,
  alter column read_only set default false,
  alter column separate set default false;

alter table dispatch_instruction
  alter column course_id set default 1,
  alter column "order" set default 1,
  alter column suffix set default '',
  alter column status set default 1,
  alter column deleted set default false,
  alter column complaint set default '',
  alter column objective set default '',
  alter column conditions set default '',
  alter column exports set default '',
  alter column scanner_notes set default '',
  alter column cbct set default false;
