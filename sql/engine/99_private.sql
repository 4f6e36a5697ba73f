-- Last: nobody but the owner may call what the files before this one made.

revoke execute on all functions in schema migration from public;
