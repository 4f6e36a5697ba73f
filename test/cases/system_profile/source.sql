-- a constant row, whatever the source holds
insert into auth_user (id, username, first_name) values (1, 'system', 'System');
