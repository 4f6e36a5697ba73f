// deadline 180
/* Sessions that outlive the runner, behind a session pooler: they hold no connection to the source. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connect as openSession, transaction } from '../../runner/database.ts';
import { login, openLink } from '../../runner/engine/link.ts';
import { through } from '../faults/world.ts';
import { configOf, dropPair, errorOf, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { entityFile, noResidue, runner, type Scratch, tinyProject, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('leftover');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'leftover', source: 'empty' }), {
    project: projectOf(),
  });
  const { source, target } = context;
  await source.unsafe(`
    create table public.things (id integer primary key, name text);
    grant select on public.things to legacy_reader;
    insert into things values (1, 'one')`);
  await target.unsafe(`
    set role postgres;
    create table public.things (id uuid primary key, legacy_id integer, name text);
    reset role`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

for (const [what, args, spoil] of [
  [
    'up that is refused before the first write',
    ['up'],
    'alter table public.things rename name to n',
  ],
  [
    'up --dry-run that is refused',
    ['up', '--dry-run'],
    'alter table public.things rename name to n',
  ],
  [
    'up whose phase fails',
    ['up'],
    'create rule no as on insert to public.things do instead nothing',
  ],
  ['doctor', ['doctor'], ''],
  ['up', ['up'], ''],
  ['verify', ['verify'], ''],
  ['plan', ['plan'], ''],
] as const) {
  test(`${what}: its sessions in the target hold no connection to the source`, async ({
    pair,
    source,
    target,
    project,
  }) => {
    const pooler = await startSessionPooler(Number(new URL(pair.targetUrl).port));
    try {
      await target.unsafe(spoil);
      const targetUrl = through(pair.targetUrl, pooler.port);
      const { code, stderr } = await runner({ ...pair, targetUrl }, [...args], {
        root: project.root,
      });
      assert.is(code, spoil === '' ? 0 : 1, stderr);
      const kept = await target`
        select from pg_stat_activity
        where datname = current_database() and application_name like 'runner%'`;
      assert.ok(kept.length > 0, 'the pooler keeps the sessions');
      await noReader(source);
    } finally {
      await pooler.stop();
      if (spoil.startsWith('alter')) await target`alter table public.things rename n to name`;
      if (spoil.startsWith('create')) await target`drop rule no on public.things`;
    }
    await noResidue(target, source);
  });
}

test('a session that goes on after a failed transaction holds none', async ({
  pair,
  source,
  target,
  project,
}) => {
  await migrate(pair, { root: project.root });
  const config = configOf(pair);
  const session = await openSession(config.target, 'runner');
  try {
    await login(session, config.source);
    const error = await errorOf(
      transaction(session, async () => {
        await openLink(session);
        await session.query('select migration.source_version()');
        await session.query('select 1/0');
      }),
    );
    assert.match(error.message, 'division_by_zero');
    const open = await session.query<{ names: string[] | null }>(
      'select extensions.dblink_get_connections() as names',
    );
    assert.equal(open, [{ names: null }]);
    await noReader(source);
  } finally {
    await session.close();
  }
  await noResidue(target, source);
});

test.run();

function noReader(source: Sql): Promise<object> {
  return waitFor(
    'no session of the reader is left in the source',
    async () => {
      const found = await source`
        select from pg_stat_activity
        where datname = current_database() and usename like '%reader%'`;
      return found.length === 0 ? [{}] : [];
    },
    5,
  );
}

/** Passes everything on, and keeps the session in the server when a client says good-bye. */
async function startSessionPooler(port: number): Promise<{ port: number; stop(): Promise<void> }> {
  const kept = new Set<Socket>();
  const goodbye = Buffer.from([0x58, 0, 0, 0, 4]);
  const listener = createServer((client) => {
    const server = connect(port, '127.0.0.1');
    kept.add(server);
    client.on('data', (chunk) => {
      const last = chunk.subarray(-goodbye.length).equals(goodbye);
      server.write(last ? chunk.subarray(0, -goodbye.length) : chunk);
    });
    server.on('data', (chunk) => client.write(chunk));
    for (const socket of [client, server]) socket.on('error', () => {});
    server.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of kept) socket.destroy();
        listener.close(() => resolve());
      }),
  };
}

function projectOf(): Scratch {
  return tinyProject({
    'sql/1-one/10_things.sql': entityFile('things', 'things', [
      't.id::integer as legacy_id',
      't.name as name',
    ]),
  });
}
