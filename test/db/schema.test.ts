import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { SchemaChangeError } from '../../runner/schema/error.ts';
import { applySchemaChanges, schemaStatus } from '../../runner/schema/changes.ts';
import type { ApplyOptions } from '../../runner/schema/changes.ts';
import { startProxy } from '../faults/proxy.ts';
import { through } from '../faults/world.ts';
import { errorOf } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { type Dump, dumpCatalog, open, sameDump } from '../runner.ts';

interface Context {
  pair: TestPair;
  root: string;
  db: Sql;
}

/** The changes of a project: each as what it does, and what takes it back. */
const CHANGES: [name: string, up: string, down: string][] = [
  [
    '20260101000000001_relax-constraints',
    `alter table public.rentals alter column customer_id drop not null;
alter table public.countries drop constraint countries_code_key;`,
    `alter table public.countries add constraint countries_code_key unique (code);
alter table public.rentals alter column customer_id set not null;`,
  ],
  [
    '20260101000000002_source-columns',
    `alter table public.films add column legacy_film_id integer unique;
comment on column public.films.legacy_film_id is 'the number on the sticker';`,
    'alter table public.films drop column legacy_film_id;',
  ],
  [
    '20260101000000003_new-tables',
    `create table public.reviews (id uuid primary key, film_id uuid references public.films, text text);
alter table public.reviews enable row level security;
create policy readers on public.reviews for select to authenticated using (true);`,
    'drop table public.reviews;',
  ],
  [
    '20260101000000004_views',
    `create view public.reviewed as select r.film_id from public.reviews as r;
create function public.reviewed(film uuid) returns boolean language sql stable
  return exists (select from public.reviewed as v where v.film_id = film);`,
    `drop function public.reviewed(uuid);
drop view public.reviewed;`,
  ],
];
const FILES = CHANGES.map(([name]) => name);
const NONE: Dump = new Map();
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
  await context.db.unsafe('drop schema if exists migration cascade');
});
refusal.after.each(closeRoot);
refusal.after(closePair);

test('up, then up again: the second does nothing', async (context) => {
  assert.equal(await apply(context), FILES.map(up));
  const after = await dumpCatalog(context.db);
  const rows = await ledger(context.db);
  assert.equal(await apply(context), []);
  sameDump(await dumpCatalog(context.db), after);
  assert.equal(await ledger(context.db), rows);
});

test('up, then down: the catalog of public is what it was', async (context) => {
  const before = await dumpCatalog(context.db);
  await apply(context);
  assert.not.equal([...(await dumpCatalog(context.db))], [...before]);
  assert.equal(await apply(context, { direction: 'down' }), FILES.toReversed().map(down));
  sameDump(await dumpCatalog(context.db), before);
  assert.equal(await ledger(context.db), []);
});

test('one file per call, there and back, and up once more', async (context) => {
  const states = [await dumpCatalog(context.db)];
  for (const name of FILES) {
    assert.equal(await apply(context, { count: 1 }), [up(name)]);
    states.push(await dumpCatalog(context.db));
  }
  for (const name of FILES.toReversed()) {
    sameDump(await dumpCatalog(context.db), states.pop() ?? NONE);
    assert.equal(await apply(context, { direction: 'down', count: 1 }), [down(name)]);
  }
  sameDump(await dumpCatalog(context.db), states.pop() ?? NONE);
  assert.equal(await apply(context), FILES.map(up));
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
  const rows = await context.db.unsafe(`select to_regnamespace('migration') as schema`);
  assert.equal([...rows], [{ schema: null }]);

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
  const before = await dumpCatalog(context.db);

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
  sameDump(await dumpCatalog(context.db), before);
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
  ['CASCADE of a table', 'drop table public.films cascade;', /CASCADE removes/],
  ['CASCADE of a column', 'alter table public.films drop column title cascade;', /CASCADE removes/],
  [
    'CASCADE in a DO block',
    `do $$ begin execute 'drop table public.films ' || 'CASCADE'; end $$;`,
    /CASCADE removes/,
  ],
  ['a syntax error', 'alter tabel public.films;', /:4:7: syntax error/],
];
for (const [name, sql, rule] of refused) {
  refusal(`refused before anything is touched: ${name}`, async (context) => {
    await write(context, NEW, sql, 'select 1;');
    const error = await failure(apply(context));
    assert.is(error.code, 'refused');
    assert.match(error.message, `schema-changes/additive/${NEW}.sql`);
    assert.match(error.message, rule);
    const rows = await context.db.unsafe(`select to_regnamespace('migration') as schema`);
    assert.equal([...rows], [{ schema: null }]);
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
  ['drop', 'alter table public.customers drop column legacy_customer_id;'],
  ['rename', 'alter table public.customers rename column legacy_customer_id to customer;'],
  ['retype', 'alter table public.customers alter column legacy_customer_id type bigint;'],
  ['rename of the table', 'alter table public.customers rename to people;'],
  ['drop of the table', 'drop table public.customers;'],
  ['move of the table', 'alter table public.customers set schema extensions;'],
  ['overwriting it', 'update public.customers set legacy_customer_id = null;'],
  ['emptying the table', 'truncate public.customers, public.films;'],
];
for (const [name, sql] of losing) {
  refusal(`legacy_customer_id stays: ${name}, said openly`, async (context) => {
    await write(context, NEW, sql, 'select 1;');
    const error = await failure(apply(context));
    assert.is(error.code, 'protected');
    assert.match(error.message, 'public.customers.legacy_customer_id is protected');
  });
}

const hidden: [name: string, sql: string][] = [
  ...losing.filter(([name]) => name !== 'drop of the table' && name !== 'emptying the table'),
  ['deletion of its rows', 'delete from public.customers;'],
  [
    'merge',
    `merge into public.customers as p using public.customers as q on p.id = q.id
     when matched then update set legacy_customer_id = 0;`,
  ],
  [
    'drop and creation of the table',
    `create table public.copy (like public.customers including all);
     insert into public.copy select * from public.customers;
     drop table public.customers ' || 'cas' || 'cade;
     alter table public.copy rename to customers;`,
  ],
  ['emptying with all that refers to it', `truncate public.customers ' || 'cas' || 'cade;`],
  [
    'drop and add again',
    `alter table public.customers drop column legacy_customer_id;
     alter table public.customers add column legacy_customer_id integer;`,
  ],
];
for (const [name, sql] of hidden) {
  refusal(`legacy_customer_id stays: ${name}, hidden from the parser`, async (context) => {
    await context.db.unsafe(`
      delete from public.customers;
      insert into public.customers (first_name, last_name, legacy_customer_id)
      values ('A', 'B', 4711)`);
    const before = await dumpCatalog(context.db);
    const hiding = sql.replaceAll('public.customers', `public.' || 'customers`);
    const body = hiding
      .split(';')
      .filter((part) => part.trim() !== '')
      .map((part) => `execute '${part.trim()}';`)
      .join('\n');
    await write(context, NEW, `do $$ begin ${body} end $$;`, 'select 1;');

    const error = await failure(apply(context));
    assert.is(error.code, 'protected', error.message);
    assert.match(error.message, 'public.customers.legacy_customer_id');
    assert.match(error.message, 'nothing changed');
    sameDump(await dumpCatalog(context.db), before);
    assert.equal(await ledger(context.db), []);
    const rows = await context.db.unsafe(
      'select legacy_customer_id from public.customers order by 1',
    );
    assert.equal([...rows], [{ legacy_customer_id: 4711 }]);
  });
}

test('other values may be written', async (context) => {
  await apply(context);
  await context.db.unsafe(`
    insert into public.customers (first_name, last_name, legacy_customer_id)
    values ('A', 'B', 4711)`);
  const own = `insert into public.customers (first_name, last_name)
    values ('C', 'D');
    update public.customers set first_name = 'E';`;
  await write(context, NEW, own, 'select 1;');
  assert.equal(await apply(context), [up(NEW)]);
  assert.equal(await apply(context, { direction: 'down', count: 1 }), [down(NEW)]);
  const rows = await context.db.unsafe(
    'select first_name, legacy_customer_id from public.customers where last_name = $1',
    ['B'],
  );
  assert.equal([...rows], [{ first_name: 'E', legacy_customer_id: 4711 }]);
});

refusal('a hook before COMMIT that throws takes everything back', async (context) => {
  const before = await dumpCatalog(context.db);
  const seen: unknown[] = [];
  const error = await failure(
    apply(context, {
      beforeCommit: async (client) => {
        const { rows } = await client.query(`select to_regclass('public.reviews') as made`);
        seen.push(...rows);
        throw new Error('not this time');
      },
    }),
  );
  assert.match(error.message, 'not this time');
  assert.equal(seen, [{ made: 'public.reviews' }]);
  sameDump(await dumpCatalog(context.db), before);
  assert.equal(await ledger(context.db), []);
});

refusal('a statement that fails: file, line, and nothing of the other files', async (context) => {
  const before = await dumpCatalog(context.db);
  await write(context, NEW, 'select 1;\nselect *\n  from public.nowhere;', 'select 1;');
  const error = await failure(apply(context));
  assert.is(error.code, 'failed');
  assert.match(error.message, `schema-changes/additive/${NEW}.sql:6:8: relation "public.nowhere"`);
  assert.equal(error.at, { file: `schema-changes/additive/${NEW}.sql`, line: 6, column: 8 });
  sameDump(await dumpCatalog(context.db), before);
});

for (const lock of ['rentals in access share', 'customers in access exclusive']) {
  test(`a lock that is held (${lock}): the whole transaction is tried again`, async (context) => {
    const holder = open(context.pair.targetUrl);
    try {
      await holder.unsafe(`begin; lock table public.${lock} mode`);
      const retries: number[] = [];
      let released: Promise<unknown> = Promise.resolve();
      const done = await apply(context, {
        onRetry: ({ attempt, reason }) => {
          retries.push(attempt);
          assert.match(reason, 'lock timeout');
          if (attempt === 2) released = holder.unsafe('rollback').execute();
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
  const before = await dumpCatalog(context.db);
  const holder = open(context.pair.targetUrl);
  try {
    await holder.unsafe('begin; lock table public.rentals in access share mode');
    const error = await failure(apply(context, { attempts: 2 }));
    assert.is(error.code, 'locked');
    assert.match(error.message, 'Tried 2 times');
  } finally {
    await holder.end();
  }
  sameDump(await dumpCatalog(context.db), before);
});

refusal(
  'a connection lost before COMMIT: nothing changed; during COMMIT: nobody knows',
  async (context) => {
    const before = await dumpCatalog(context.db);
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
    sameDump(await dumpCatalog(context.db), before);
    assert.equal(await ledger(context.db), []);
  },
);

refusal('a connection lost while the ledger is made: nobody knows', async (context) => {
  const pair = await testPair({ name: 'ledger', source: 'empty', target: 'neutral' });
  const proxy = await startProxy({ port: Number(new URL(pair.targetUrl).port) });
  proxy.when(/create schema if not exists migration/, 'reply', (cut) => cut());
  const error = await failure(apply(context, { url: through(pair.targetUrl, proxy.port) }));
  assert.is(error.code, 'unknown');
  assert.not.match(error.message, /nothing (was )?changed/i);
  const db = open(pair.targetUrl);
  const rows = await db.unsafe(`select to_regclass('migration.schema_change_hashes') as made`);
  assert.equal([...rows], [{ made: 'migration.schema_change_hashes' }]);
  await db.end();
  await proxy.stop();
  assert.is((await apply(context, { url: pair.targetUrl })).length, FILES.length);
  await pair.drop();
});

refusal('two at once: one works, the other says so', async (context) => {
  const holder = open(context.pair.targetUrl);
  try {
    await holder.unsafe('select pg_advisory_lock($1)', [PG_MIGRATE_LOCK_ID]);
    const error = await failure(apply(context));
    assert.is(error.code, 'busy');
  } finally {
    await holder.end();
  }
});

test('the history is private, and not in schema public', async (context) => {
  await apply(context);
  const rows = await context.db.unsafe(`
    select has_schema_privilege('anon', 'migration', 'usage')          as anon,
           has_schema_privilege('authenticated', 'migration', 'usage') as authenticated,
           to_regclass('public.pgmigrations')                          as public_table,
           to_regclass('migration.schema_changes_additive')::text      as own_table`);
  assert.equal(
    [...rows],
    [
      {
        anon: false,
        authenticated: false,
        public_table: null,
        own_table: 'migration.schema_changes_additive',
      },
    ],
  );
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
  context.pair = await testPair({ name: 'schema', source: 'empty', target: 'neutral' });
  context.db = open(context.pair.targetUrl);
}

async function closePair(context: Context): Promise<void> {
  await context.db.end();
  await context.pair.drop();
}

async function openRoot(context: Context): Promise<void> {
  context.root = await mkdtemp(join(tmpdir(), 'schema-changes-'));
  await mkdir(join(context.root, 'schema-changes/additive'), { recursive: true });
  await writeFile(
    join(context.root, 'schema-changes/protected.json'),
    '[{ "schema": "public", "table": "customers", "column": "legacy_customer_id" }]',
  );
  for (const [name, ...parts] of CHANGES) await write(context, name, ...parts);
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
  const error = await errorOf(call);
  assert.instance(error, SchemaChangeError);
  return error as SchemaChangeError;
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

/** The files that are applied, with their hashes. */
async function ledger(db: Sql): Promise<unknown[]> {
  // node-pg-migrate's table comes with the first change
  const [exists] = await db`select to_regclass('migration.schema_changes_additive') as it`;
  if (exists?.['it'] === null) return [];
  return [
    ...(await db`
      select h.name, h.hash, h.applied_at
      from migration.schema_change_hashes as h
      full join migration.schema_changes_additive as m on m.name = h.name
      order by h.name`),
  ];
}
