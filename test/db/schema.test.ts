import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate';
import { Client } from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { SchemaChangeError } from '../../runner/schema/error.ts';
import { applySchemaChanges, schemaStatus } from '../../runner/schema/changes.ts';
import type { ApplyOptions } from '../../runner/schema/changes.ts';
import { startProxy } from '../faults/proxy.ts';
import { through } from '../faults/world.ts';
import { testPair } from '../pair.ts';

interface Context {
  pair: Awaited<ReturnType<typeof testPair>>;
  root: string;
  db: Client;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const FILES = [
  '20260101000000001_relax-constraints',
  '20260101000000002_keys-to-source',
  '20260101000000003_source-columns',
  '20260101000000004_new-tables',
];
const NEW = '20260102000000001_new';

// every test has a project root of its own, since the tests edit files
const test = suite<Context>('schema changes');
test.before.each(async (context) => {
  await openPair(context);
  await openRoot(context);
});
test.after.each(async (context) => {
  await closeRoot(context);
  await closePair(context);
});

// what is refused leaves nothing: one database does for all of them
const refusal = suite<Context>('schema changes that are refused');
refusal.before(openPair);
refusal.before.each(async (context) => {
  await openRoot(context);
  await context.db.query('drop schema if exists migration cascade');
});
refusal.after.each(closeRoot);
refusal.after(closePair);

test('up, then up again: the second does nothing', async (context) => {
  assert.equal(await apply(context), FILES.map(up));
  const after = await catalog(context.db);
  const rows = await ledger(context.db);
  assert.equal(await apply(context), []);
  assert.equal(await catalog(context.db), after);
  assert.equal(await ledger(context.db), rows);
});

test('up, then down: the catalog of public is what it was', async (context) => {
  const before = await catalog(context.db);
  await apply(context);
  assert.not.equal(await catalog(context.db), before);
  assert.equal(await apply(context, { direction: 'down' }), FILES.toReversed().map(down));
  assert.equal(await catalog(context.db), before);
  assert.equal(await ledger(context.db), []);
});

test('one file per call, there and back, and up once more', async (context) => {
  const states = [await catalog(context.db)];
  for (const name of FILES) {
    assert.equal(await apply(context, { count: 1 }), [up(name)]);
    states.push(await catalog(context.db));
  }
  for (const name of FILES.toReversed()) {
    assert.equal(await catalog(context.db), states.pop());
    assert.equal(await apply(context, { direction: 'down', count: 1 }), [down(name)]);
  }
  assert.equal(await catalog(context.db), states.pop());
  assert.equal(await apply(context), FILES.map(up));
});

test('new tables are protected and open to the API roles like every other table', async (context) => {
  await apply(context);
  const { rows } = await context.db.query(`
    select c.relname as name, c.relrowsecurity as rls,
           (select array_agg(x::text order by x::text) from unnest(c.relacl) as x) as acl,
           (select acl.acl from (
              select array_agg(y::text order by y::text) as acl
              from pg_class as o, unnest(o.relacl) as y where o.oid = 'public.patients'::regclass
            ) as acl) as expected
    from pg_class as c
    where c.relname in ('user_actions', 'message_read_receipts')
    order by 1`);
  assert.is(rows.length, 2);
  for (const row of rows) {
    assert.is(row.rls, true, row.name);
    assert.equal(row.acl, row.expected, row.name);
  }
});

test('status: reads without creating anything, then says what is applied', async (context) => {
  const target = { url: context.pair.targetUrl, root: context.root, folder: 'additive' as const };
  const before = await schemaStatus(target);
  assert.equal(before, {
    folder: 'additive',
    applied: [],
    pending: FILES,
    edited: [],
    missing: [],
  });
  const { rows } = await context.db.query(`select to_regnamespace('migration') as schema`);
  assert.equal(rows, [{ schema: null }]);

  await apply(context, { count: 2 });
  const after = await schemaStatus(target);
  assert.equal(
    after.applied.map(({ name }) => name),
    FILES.slice(0, 2),
  );
  assert.equal(after.pending, FILES.slice(2));
  assert.ok(after.applied.every(({ appliedAt }) => appliedAt instanceof Date));
});

test('an applied file that was edited is reported, and stops both directions', async (context) => {
  await apply(context);
  const file = fileOf(context, FILES[1] ?? '');
  await writeFile(file, `${await readFile(file, 'utf8')}-- a word more\n`);
  const before = await catalog(context.db);

  const status = await schemaStatus({
    url: context.pair.targetUrl,
    root: context.root,
    folder: 'additive',
  });
  assert.equal(status.edited, [FILES[1]]);
  for (const direction of ['up', 'down'] as const) {
    const error = await failure(apply(context, { direction }));
    assert.is(error.code, 'history');
    assert.match(error.message, `schema-changes/additive/${FILES[1]}.sql was edited`);
  }
  assert.equal(await catalog(context.db), before);
});

test('other line ends are no edit', async (context) => {
  await apply(context);
  const file = fileOf(context, FILES[0] ?? '');
  await writeFile(file, (await readFile(file, 'utf8')).replaceAll('\n', '\r\n'));
  assert.equal(await apply(context), []);
});

test('an applied file that is gone, and a file that arrives out of order', async (context) => {
  await apply(context);
  const file = fileOf(context, FILES[3] ?? '');
  const text = await readFile(file, 'utf8');
  await rm(file);
  const gone = await failure(apply(context));
  assert.is(gone.code, 'history');
  assert.match(gone.message, `${FILES[3]}.sql is applied and the file is gone`);

  await writeFile(file, text);
  const early = '20250101000000001_early';
  await write(context, early, 'select 1;', 'select 1;');
  const late = await failure(apply(context));
  assert.is(late.code, 'history');
  assert.match(late.message, `${early}.sql comes before`);
});

const refused: [name: string, up: string, rule: RegExp][] = [
  ['COMMIT', 'create table public.x (id integer);\ncommit;', /:5:1: transaction control/],
  ['ROLLBACK after a comment', '/* x */ rollback;', /transaction control/],
  ['BEGIN', 'begin;', /transaction control/],
  ['CASCADE of a table', 'drop table public.teams cascade;', /CASCADE removes/],
  ['CASCADE of a column', 'alter table public.teams drop column name cascade;', /CASCADE removes/],
  [
    'CASCADE in a DO block',
    `do $$ begin execute 'drop table public.teams ' || 'CASCADE'; end $$;`,
    /CASCADE removes/,
  ],
  ['a syntax error', 'alter tabel public.teams;', /:4:7: syntax error/],
];
for (const [name, sql, rule] of refused) {
  refusal(`refused before anything is touched: ${name}`, async (context) => {
    await write(context, NEW, sql, 'select 1;');
    const error = await failure(apply(context));
    assert.is(error.code, 'refused');
    assert.match(error.message, `schema-changes/additive/${NEW}.sql`);
    assert.match(error.message, rule);
    const { rows } = await context.db.query(`select to_regnamespace('migration') as schema`);
    assert.equal(rows, [{ schema: null }]);
  });
}

refusal('refused: a file that is not SQL (the only place for noTransaction)', async (context) => {
  await writeFile(
    join(context.root, 'schema-changes/additive', `${NEW}.ts`),
    'export const up = (pgm) => { pgm.noTransaction(); pgm.sql("select 1"); };\n',
  );
  const error = await failure(apply(context));
  assert.is(error.code, 'refused');
  assert.match(error.message, 'only SQL files are run');
});

refusal('refused: a file without a way back', async (context) => {
  await writeFile(fileOf(context, NEW), '-- Up Migration\n\nselect 1;\n');
  const error = await failure(apply(context));
  assert.is(error.code, 'refused');
  assert.match(error.message, 'not exactly one up and one down section');
});

const losing: [name: string, sql: string][] = [
  ['drop', 'alter table public.profiles drop column legacy_patient_id;'],
  ['rename', 'alter table public.profiles rename column legacy_patient_id to patient;'],
  ['retype', 'alter table public.profiles alter column legacy_patient_id type bigint;'],
  ['rename of the table', 'alter table public.profiles rename to people;'],
  ['drop of the table', 'drop table public.profiles;'],
  ['move of the table', 'alter table public.profiles set schema extensions;'],
  ['overwriting it', 'update public.profiles set legacy_patient_id = null;'],
  ['emptying the table', 'truncate public.profiles, public.teams;'],
];
// the views and functions that depend on the column would be in the way of some
const FREE = `
  drop view public.app_legacy_patient_lookup;
  drop function public.app_profile_of_legacy_patient(integer);`;

for (const [name, sql] of losing) {
  refusal(`legacy_patient_id stays: ${name}, said openly`, async (context) => {
    await write(context, NEW, sql, 'select 1;');
    const error = await failure(apply(context));
    assert.is(error.code, 'protected');
    assert.match(error.message, 'public.profiles.legacy_patient_id is protected');
  });
}

const hidden: [name: string, sql: string][] = [
  ...losing.filter(([name]) => name !== 'drop of the table' && name !== 'emptying the table'),
  ['deletion of its rows', 'delete from public.profiles;'],
  [
    'merge',
    `merge into public.profiles as p using public.profiles as q on p.id = q.id
     when matched then update set legacy_patient_id = 0;`,
  ],
  [
    'drop and creation of the table',
    `create table public.copy (like public.profiles including all);
     insert into public.copy select * from public.profiles;
     drop table public.profiles ' || 'cas' || 'cade;
     alter table public.copy rename to profiles;`,
  ],
  ['emptying with all that refers to it', `truncate public.profiles ' || 'cas' || 'cade;`],
  [
    'drop and add again',
    `alter table public.profiles drop column legacy_patient_id;
     alter table public.profiles add column legacy_patient_id integer;`,
  ],
];
for (const [name, sql] of hidden) {
  refusal(`legacy_patient_id stays: ${name}, hidden from the parser`, async (context) => {
    await context.db.query(`
      delete from public.profiles;
      insert into public.profiles (profile_type, first_name, last_name, legacy_patient_id)
      values ('doctor', 'A', 'B', 4711)`);
    const before = await catalog(context.db);
    const hiding = sql.replaceAll('public.profiles', `public.' || 'profiles`);
    const body = hiding
      .split(';')
      .filter((part) => part.trim() !== '')
      .map((part) => `execute '${part.trim()}';`)
      .join('\n');
    await write(context, NEW, `${FREE}\ndo $$ begin ${body} end $$;`, 'select 1;');

    const error = await failure(apply(context));
    assert.is(error.code, 'protected', error.message);
    assert.match(error.message, 'public.profiles.legacy_patient_id');
    assert.match(error.message, 'nothing changed');
    assert.equal(await catalog(context.db), before);
    assert.equal(await ledger(context.db), []);
    const { rows } = await context.db.query(
      'select legacy_patient_id from public.profiles order by 1',
    );
    assert.equal(rows, [{ legacy_patient_id: 4711 }]);
  });
}

test('other values may be written', async (context) => {
  await apply(context);
  await context.db.query(`
    insert into public.profiles (profile_type, first_name, last_name, legacy_patient_id)
    values ('doctor', 'A', 'B', 4711)`);
  const own = `insert into public.profiles (profile_type, first_name, last_name)
    values ('doctor', 'C', 'D');
    update public.profiles set first_name = 'E';`;
  await write(context, NEW, own, 'select 1;');
  assert.equal(await apply(context), [up(NEW)]);
  assert.equal(await apply(context, { direction: 'down', count: 1 }), [down(NEW)]);
  const { rows } = await context.db.query(
    'select first_name, legacy_patient_id from public.profiles where last_name = $1',
    ['B'],
  );
  assert.equal(rows, [{ first_name: 'E', legacy_patient_id: 4711 }]);
});

refusal('a hook before COMMIT that throws takes everything back', async (context) => {
  const before = await catalog(context.db);
  const seen: unknown[] = [];
  const error = await failure(
    apply(context, {
      beforeCommit: async (client) => {
        const { rows } = await client.query(`select to_regclass('public.user_actions') as made`);
        seen.push(...rows);
        throw new Error('not this time');
      },
    }),
  );
  assert.match(error.message, 'not this time');
  assert.equal(seen, [{ made: 'public.user_actions' }]);
  assert.equal(await catalog(context.db), before);
  assert.equal(await ledger(context.db), []);
});

refusal('a statement that fails: file, line, and nothing of the other files', async (context) => {
  const before = await catalog(context.db);
  await write(context, NEW, 'select 1;\nselect *\n  from public.nowhere;', 'select 1;');
  const error = await failure(apply(context));
  assert.is(error.code, 'failed');
  assert.match(error.message, `schema-changes/additive/${NEW}.sql:6:8: relation "public.nowhere"`);
  assert.equal(error.at, { file: `schema-changes/additive/${NEW}.sql`, line: 6, column: 8 });
  assert.equal(await catalog(context.db), before);
});

test('down with rows that need the change: all reasons are named, nothing changes', async (context) => {
  await apply(context);
  await context.db.query(`
    insert into public.offers (description, price_both) values ('x', 1), ('y', 2);
    insert into public.products (name, course_type, legacy_course_id)
    values ('a', 'main', 1), ('b', 'main', 1);
    insert into public.user_actions (action, action_date) values ('login', now())`);
  const before = await catalog(context.db);

  const tables = await failure(apply(context, { direction: 'down' }));
  assert.match(tables.message, 'tables to be dropped still hold rows');
  assert.match(tables.message, 'user_actions 1');
  await context.db.query('delete from public.user_actions');
  const columns = await failure(apply(context, { direction: 'down' }));
  assert.match(columns.message, 'columns to be dropped still hold values: offers in 2 row(s)');
  await context.db.query('update public.offers set price_both = null');
  const constraints = await failure(apply(context, { direction: 'down' }));
  assert.match(constraints.message, 'cannot restore NOT NULL and UNIQUE');
  assert.match(constraints.message, 'offers.order_id is NULL in 2 row(s)');
  assert.match(constraints.message, 'offers.offer_amount is NULL in 2 row(s)');
  assert.match(constraints.message, 'products.legacy_course_id repeats 1 value(s)');
  assert.equal(await catalog(context.db), before);
});

for (const lock of ['purchases in access share', 'profiles in access exclusive']) {
  test(`a lock that is held (${lock}): the whole transaction is tried again`, async (context) => {
    const holder = await connected(context.pair.targetUrl);
    try {
      await holder.query(`begin; lock table public.${lock} mode`);
      const retries: number[] = [];
      let released: Promise<unknown> = Promise.resolve();
      const done = await apply(context, {
        onRetry: ({ attempt, reason }) => {
          retries.push(attempt);
          assert.match(reason, 'lock timeout');
          if (attempt === 2) released = holder.query('rollback');
        },
      });
      await released;
      assert.equal(done, FILES.map(up));
      assert.equal(retries, [1, 2]);
      assert.is((await ledger(context.db)).length, FILES.length);
    } finally {
      await holder.end();
    }
  });
}

refusal('a lock that stays held: an end, and nothing changed', async (context) => {
  const before = await catalog(context.db);
  const holder = await connected(context.pair.targetUrl);
  try {
    await holder.query('begin; lock table public.purchases in access share mode');
    const error = await failure(apply(context, { attempts: 2 }));
    assert.is(error.code, 'locked');
    assert.match(error.message, 'Tried 2 times');
  } finally {
    await holder.end();
  }
  assert.equal(await catalog(context.db), before);
});

refusal(
  'a connection lost before COMMIT: nothing changed; during COMMIT: nobody knows',
  async (context) => {
    const before = await catalog(context.db);
    const cut = 'select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())';
    const early = await failure(
      apply(context, {
        beforeCommit: async (client) => {
          await client.query(cut);
        },
      }),
    );
    assert.is(early.code, 'failed');
    assert.match(early.message, 'nothing changed');

    const late = await failure(
      apply(context, {
        // what a deferred trigger defers itself runs inside COMMIT
        beforeCommit: async (client) => {
          await client.query(`
          create temp table last_word (x integer);
          create function pg_temp.cut() returns trigger language plpgsql as
            $$ begin
              if new.x = 1 then
                set constraints all deferred;
                insert into last_word values (2);
              else
                perform pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());
              end if;
              return null;
            end $$;
          create constraint trigger cut after insert on last_word deferrable initially deferred
            for each row execute function pg_temp.cut();
          insert into last_word values (1)`);
        },
      }),
    );
    assert.is(late.code, 'unknown');
    assert.match(late.message, 'Run the same command again');
    assert.equal(await catalog(context.db), before);
    assert.equal(await ledger(context.db), []);
  },
);

refusal('a connection lost while the ledger is made: nobody knows', async (context) => {
  const pair = await testPair({ name: 'ledger', source: 'empty', target: 'schema' });
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  proxy.when(/create schema if not exists migration/, 'reply', (cut) => cut());
  const error = await failure(apply(context, { url: through(pair.targetUrl, proxy.port) }));
  assert.is(error.code, 'unknown');
  assert.not.match(error.message, /nothing (was )?changed/i);
  const db = await connected(pair.targetUrl);
  const { rows } = await db.query(`select to_regclass('migration.schema_change_hashes') as made`);
  assert.equal(rows, [{ made: 'migration.schema_change_hashes' }]);
  await db.end();
  await proxy.stop();
  assert.is((await apply(context, { url: pair.targetUrl })).length, FILES.length);
  await pair.drop();
});

refusal('two at once: one works, the other says so', async (context) => {
  const holder = await connected(context.pair.targetUrl);
  try {
    await holder.query('select pg_advisory_lock($1)', [PG_MIGRATE_LOCK_ID]);
    const error = await failure(apply(context));
    assert.is(error.code, 'busy');
  } finally {
    await holder.end();
  }
});

test('the history is private, and not in schema public', async (context) => {
  await apply(context);
  const { rows } = await context.db.query(`
    select has_schema_privilege('anon', 'migration', 'usage')          as anon,
           has_schema_privilege('authenticated', 'migration', 'usage') as authenticated,
           to_regclass('public.pgmigrations')                          as public_table,
           to_regclass('migration.schema_changes_additive')::text      as own_table`);
  assert.equal(rows, [
    {
      anon: false,
      authenticated: false,
      public_table: null,
      own_table: 'migration.schema_changes_additive',
    },
  ]);
});

refusal('the column removal goes one phase per call', async (context) => {
  const error = await failure(apply(context, { folder: 'removal', count: 2 }));
  assert.is(error.code, 'usage');
});

refusal('no error holds the password', async (context) => {
  const secret = 'p#ss/w@rd-1';
  const url = new URL(context.pair.targetUrl);
  const parts = { host: url.hostname, port: Number(url.port), user: url.username };
  const connection = { ...parts, password: secret, database: 'nowhere', ssl: false } as const;
  const attempts = [
    { url: `postgres://postgres:${secret}@127.0.0.1:99999/x` },
    { url: `postgres://postgres:${encodeURIComponent(secret)}@127.0.0.1:1/x` },
    { connection },
  ];
  for (const target of attempts) {
    const options = { ...target, root: context.root, folder: 'additive' } as const;
    const calls = [
      () => applySchemaChanges({ ...options, direction: 'up' }),
      () => schemaStatus(options),
    ];
    for (const call of calls) {
      const error = await failure(call());
      const all = JSON.stringify([error.message, error.stack, error.cause, error]);
      assert.not.match(all, secret);
      assert.not.match(all, encodeURIComponent(secret));
    }
  }
});

test.run();
refusal.run();

async function openPair(context: Context): Promise<void> {
  context.pair = await testPair({ name: 'schema', source: 'empty', target: 'schema' });
  context.db = await connected(context.pair.targetUrl);
}

async function closePair(context: Context): Promise<void> {
  await context.db.end();
  await context.pair.drop();
}

async function openRoot(context: Context): Promise<void> {
  context.root = await mkdtemp(join(tmpdir(), 'schema-changes-'));
  const from = join(PROJECT, 'schema-changes');
  await cp(from, join(context.root, 'schema-changes'), { recursive: true });
}

async function closeRoot(context: Context): Promise<void> {
  await rm(context.root, { recursive: true, force: true });
}

function apply(context: Context, options: Partial<ApplyOptions> = {}) {
  return applySchemaChanges({
    url: context.pair.targetUrl,
    root: context.root,
    folder: 'additive',
    direction: 'up',
    ...options,
  });
}

async function failure(call: Promise<unknown>): Promise<SchemaChangeError> {
  try {
    await call;
  } catch (error) {
    assert.instance(error, SchemaChangeError);
    return error as SchemaChangeError;
  }
  throw new Error('it was not refused');
}

function up(name: string) {
  return { name, direction: 'up' };
}

function down(name: string) {
  return { name, direction: 'down' };
}

function fileOf(context: Context, name: string): string {
  return join(context.root, 'schema-changes/additive', `${name}.sql`);
}

async function write(context: Context, name: string, upSql: string, downSql: string) {
  const text = `-- test\n\n-- Up Migration\n${upSql}\n\n-- Down Migration\n${downSql}\n`;
  await writeFile(fileOf(context, name), text);
}

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

async function ledger(db: Client): Promise<unknown[]> {
  // node-pg-migrate's table comes with the first change
  const exists = await db.query(`select to_regclass('migration.schema_changes_additive') as it`);
  if (exists.rows[0]?.it === null) return [];
  const { rows } = await db.query(`
    select h.name, h.hash, h.applied_at
    from migration.schema_change_hashes as h
    full join migration.schema_changes_additive as m on m.name = h.name
    order by h.name`);
  return rows;
}

/** Everything in `public` that a schema change can alter, as sorted lines without OIDs. */
async function catalog(db: Client): Promise<string[]> {
  const { rows } = await db.query<{ line: string }>(`
    select line from (
      select format('column %s.%s %s not null %s default %s comment %s', c.relname, a.attname,
                    format_type(a.atttypid, a.atttypmod), a.attnotnull,
                    pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)) as line
      from pg_class as c
      join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
      union all
      select format('constraint %s on %s %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = 'public'::regnamespace
      union all
      select format('index %s', pg_get_indexdef(indexrelid))
      from pg_index join pg_class as c on c.oid = indexrelid
      where c.relnamespace = 'public'::regnamespace
      union all
      select format('policy %s on %s %s %s %s %s', policyname, tablename, cmd, roles, qual, with_check)
      from pg_policies where schemaname = 'public'
      union all
      select format('relation %s %s rls %s %s owner %s grants %s', relkind, relname, relrowsecurity,
                    relforcerowsecurity, relowner::regrole,
                    (select string_agg(acl::text, ' ' order by acl::text) from unnest(relacl) as acl))
      from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')
      union all
      select format('view %s %s', viewname, definition) from pg_views where schemaname = 'public'
      union all
      select format('function %s', pg_get_functiondef(oid)) from pg_proc
      where pronamespace = 'public'::regnamespace and prokind = 'f'
      union all
      select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
    ) as dump
    order by line collate "C"`);
  return rows.map(({ line }) => line);
}
