insert into dispatch_globalsetting (id, version) values (1, 42);
