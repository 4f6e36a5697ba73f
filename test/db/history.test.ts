// deadline 240
/* Row versions belong to one history of one server and to one definition of a table. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { removeServer, type Server, startServer } from '../../runner/embedded/server.ts';
import { errorOf, migrate, rowsRead } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, ROOT, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
  project: Scratch;
  servers: Server[];
}

const ROWS = 150;
const NAMES = ['one', 'other'];

const PROJECT = {
  'sql/1-things/10_things.sql': `-- Things: with the name of their kind.
--
-- target   public.things
-- source   thing
-- adopt    none

create view transform.things as
select
  t.id         as legacy_key,
  t.id         as legacy_id,
  t.name       as name,
  t.phone      as phone,
  t.mood::text as mood,
  k.name       as kind
from legacy.thing as t
left join legacy.kind as k on k.id = t.kind_id;
`,
  'sql/archive/kind.sql': `-- Kinds, as they are.
--
-- target  legacy_archive.kind
-- source  kind

create table if not exists legacy_archive.kind (
  id   integer primary key,
  name text
);
`,
};

const test = suite<Context>('history');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  context.pair = await testPair({ name: 'history', source: 'empty' });
  context.target = open(context.pair.targetAdminUrl);
  await context.target.unsafe(`
    create type public.mood as enum ('glad', 'sad', 'happy');
    create table public.things (
      id uuid primary key, legacy_id bigint, name text, phone text, mood text, kind text);
    alter table public.things owner to postgres`);
  context.servers = [];
  for (const name of NAMES) context.servers.push(await sourceServer(name));
});

test.after(async ({ pair, target, project, servers }) => {
  for (const server of servers) await server.stop('immediate');
  for (const name of NAMES) removeServer(directoryOf(name));
  project.remove();
  await target.end();
  await pair.drop();
});

test('two servers filled by one script give the same versions to other rows', async ({
  servers,
}) => {
  const [one, other] = await Promise.all(
    servers.map((server) =>
      asAdmin(server, async (sql) => {
        const rows = await sql`select id, xmin::text as version, name from thing order by id`;
        return [...rows];
      }),
    ),
  );
  assert.equal(
    one?.map((row) => [row['id'], row['version']]),
    other?.map((row) => [row['id'], row['version']]),
  );
  assert.not.equal(one, other);
});

test('another server: everything is compared, and that is said', async (context) => {
  const { servers } = context;
  await upFrom(context, servers[0]);
  assert.equal(await upFrom(context, servers[0]), { read: {}, remarks: [] });
  const { read, remarks } = await upFrom(context, servers[1]);
  assert.equal(read, { 'legacy_archive.kind': 3, things: ROWS });
  assert.is(remarks.length, 1);
  assert.match(
    remarks[0] ?? '',
    /the source is not the server, or not the history, of the last run/,
  );
  assert.equal(await upFrom(context, servers[1]), { read: {}, remarks: [] });
});

test('a standby is the same history; when it is promoted, it is another', async (context) => {
  const { servers } = context;
  await upFrom(context, servers[0]);
  await servers[0]?.stop();
  writeFileSync(join(servers[0]?.directory ?? '', 'data', 'standby.signal'), '', {
    mode: 0o644,
  });
  servers[0] = await sourceServer(NAMES[0] ?? '');
  assert.equal(await upFrom(context, servers[0]), { read: {}, remarks: [] });
  await asAdmin(servers[0], (sql) => sql`select pg_promote()`);
  const { read, remarks } = await upFrom(context, servers[0]);
  assert.equal(read, { 'legacy_archive.kind': 3, things: ROWS });
  assert.is(remarks.length, 1);
});

const CHANGES: [string, string, RegExp][] = [
  [
    'a column dropped and added with a default',
    `alter table thing drop column phone; alter table thing add column phone text default 'unknown'`,
    /the source table thing is defined differently/,
  ],
  [
    'two columns that swap their names',
    `alter table thing rename column name to swapped;
     alter table thing rename column phone to name;
     alter table thing rename column swapped to phone`,
    /the source table thing is defined differently/,
  ],
  [
    'a renamed value of an enum',
    `alter type mood rename value 'glad' to 'happy'`,
    /the source table thing is defined differently/,
  ],
  [
    'two columns of a look-up table that swap their names',
    `alter table kind add column swapped text default 'no kind';
     alter table kind rename column name to old;
     alter table kind rename column swapped to name;
     alter table kind drop column old`,
    /the source table kind is defined differently/,
  ],
];

for (const [what, change, remark] of CHANGES) {
  test(`${what}: no row has another version, all are compared`, async (context) => {
    const [server] = context.servers;
    await upFrom(context, server);
    const versions = () =>
      asAdmin(
        server,
        (sql) => sql`select array_agg(xmin::text order by id)::text as all from thing`,
      );
    const before = await versions();
    await asAdmin(server, (sql) => sql.unsafe(change));
    assert.equal([...(await versions())], [...before], 'the change rewrites the table');
    const { remarks } = await upFrom(context, server);
    assert.is(remarks.length, 1);
    assert.match(remarks[0] ?? '', remark);
    assert.equal(await upFrom(context, server), { read: {}, remarks: [] });
  });
}

test('a column added to an archived table is refused by name', async (context) => {
  const [server] = context.servers;
  await asAdmin(server, (sql) => sql`alter table kind add column late text`);
  const error = await errorOf(upFrom(context, server));
  assert.match(
    error.message,
    /sql\/archive\/kind.sql: the source table has late, the copy has not/,
  );
});

test.run();

/** Runs `up` from a server; the target must then be as its source says. */
async function upFrom({ pair, target, project }: Context, server: Server | undefined) {
  const remarks: string[] = [];
  const run = await migrate(
    { sourceUrl: server?.url('legacy_reader', 'legacy') ?? '', targetUrl: pair.targetUrl },
    {
      root: project.root,
      phases: 1,
      archive: true,
      remark: (line) => {
        remarks.push(line);
      },
    },
  );
  const there = await asAdmin(
    server,
    (sql) => sql`
      select t.id as legacy_id, t.name, t.phone, t.mood::text as mood, k.name as kind
      from thing as t left join kind as k on k.id = t.kind_id order by 1`,
  );
  const here = await target`
    select legacy_id::integer, name, phone, mood, kind from public.things order by 1`;
  assert.equal([...here], [...there]);
  const kinds = await asAdmin(server, (sql) => sql`select id, name from kind order by id`);
  assert.equal(
    [...(await target`select id, name from legacy_archive.kind order by id`)],
    [...kinds],
  );
  return { read: await rowsRead(target, run), remarks };
}

/** A source on a server of its own; autovacuum would take transaction numbers when it likes. */
function sourceServer(name: string): Promise<Server> {
  return startServer({
    major: 17,
    directory: directoryOf(name),
    admin: 'legacy_admin',
    roles: ['legacy_reader'],
    settings: { autovacuum: 'off', shared_buffers: '32MB' },
    prepare: async (server) => {
      const admin = open(server.adminUrl());
      const { password } = new URL(server.url('legacy_reader', 'legacy'));
      await admin.unsafe(`create role legacy_reader login password '${password}'`);
      await admin`create database legacy`;
      await admin.end();
      await asAdmin(server, (sql) =>
        sql.unsafe(`
          create type mood as enum ('glad', 'sad');
          create table kind (id integer primary key, name text);
          create table thing (
            id integer primary key, name text, phone text, mood mood, kind_id integer);
          insert into kind select n, 'kind ' || n || ' of ${name}' from generate_series(1, 3) as n;
          insert into thing
          select n, 'thing ' || n || ' of ${name}', n::text, (array['glad', 'sad'])[1 + n % 2]::mood,
            1 + n % 3
          from generate_series(1, ${ROWS}) as n;
          grant usage on schema public to legacy_reader;
          grant select on all tables in schema public to legacy_reader`),
      );
    },
  });
}

async function asAdmin<Rows>(
  server: Server | undefined,
  work: (sql: Sql) => PromiseLike<Rows>,
): Promise<Rows> {
  const sql = open(server?.adminUrl('legacy') ?? '');
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

function directoryOf(name: string): string {
  return join(ROOT, '.embedded', `history-${process.pid}`, name);
}
