insert into dispatch_globalsetting
  (id, version, reset_discount_date, features, use_weights, crown_weight, inner_root_weight,
   outer_root_weight, tiers, setting, sandbox, application_id, location_id, access_token,
   created_at, updated_at)
values
  (1, 42, '2024-02-29', ' {"a": null} ', true, 1, 2, 3, '{''gold'': 1}', 'hidden', false, 'hidden',
   'hidden', 'hidden', '2024-05-06 07:08:09.25+02', '2024-05-07 00:00:00+00');

-- everything NULL that may be
insert into dispatch_globalsetting (id, version) values (2, 0);

insert into dispatch_globalsetting (id, version, features, tiers, created_at, updated_at) values
  (3, 0, '{''a'': 1}', '["gold"]', null, '2024-05-07 00:00:00+00'),
  (4, 0, '', '  ', '2024-05-06 00:00:00+00', null);
