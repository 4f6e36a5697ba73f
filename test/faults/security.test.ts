// deadline 600
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, type Session } from '../../runner/database.ts';
import {
  grantReader,
  loadApplication,
  loadPlatform,
  loadSource,
} from '../../runner/embedded/pair.ts';
import { type Server, startServer } from '../../runner/embedded/server.ts';
import { login } from '../../runner/engine/link.ts';
import { configOf, errorOf } from '../migrate.ts';
import {
  changeSchema,
  type Databases,
  dumpRows,
  type Ended,
  open,
  ROOT,
  runner,
  sameDump,
  scratch,
  startRunner,
  touches,
  waitFor,
} from '../runner.ts';
import { noTraces } from './invariants.ts';

/*
 * Two servers that log and count everything, and two passwords that must be found nowhere. What the
 * tests themselves say of the passwords is said in sessions that log and count nothing.
 */

interface Context extends Databases {
  servers: { source: Server; target: Server };
  source: Sql;
  target: Sql;
  /** All that any runner wrote. */
  outputs: string[];
  /** Statements seen in pg_stat_activity of both servers, and command lines of processes. */
  seen: Set<string>;
  watching: { stop(): Promise<void> };
}

const CORES = [`core1${randomBytes(9).toString('hex')}`, `core2${randomBytes(9).toString('hex')}`];
const [SOURCE_PASSWORD = '', TARGET_PASSWORD = ''] = CORES.map((core) => `'"\\#/%@ $1 ${core} ;--`);
const WRONG = `core3${randomBytes(9).toString('hex')}`;
const SECRETS = [...CORES, WRONG];
const PLANTED = 'planted-value';
const DIRECTORY = join(ROOT, '.embedded', `test-${process.pid}`, 'security');
const PRIVATE = ['migration', 'ids', 'transform', 'legacy', 'legacy_versions', 'legacy_archive'];
const API_ROLES = ['anon', 'authenticated', 'service_role'];

const SETTINGS = {
  log_statement: 'all',
  log_duration: 'on',
  log_min_messages: 'info',
  log_min_error_statement: 'debug5',
  log_error_verbosity: 'verbose',
  log_lock_waits: 'on',
  deadlock_timeout: '200ms',
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'top',
  'pg_stat_statements.max': '10000',
};

const test = suite<Context>('security');

test.before(async (context) => {
  const start = (side: string, admin: string): Promise<Server> =>
    startServer({ major: 17, directory: join(DIRECTORY, side), admin, settings: SETTINGS });
  const [source, target] = await Promise.all([
    start('source', 'legacy_admin'),
    start('target', 'supabase_admin'),
  ]);
  context.servers = { source, target };
  await prepare(source.adminUrl(), 'legacy', 'legacy_reader', SOURCE_PASSWORD, async (url) => {
    await grantReader(url);
    await loadSource(url, { scale: '0.01', seed: '1' });
  });
  const roleUrl = urlOf(target, 'postgres', TARGET_PASSWORD, 'app');
  await prepare(target.adminUrl(), 'app', 'postgres', TARGET_PASSWORD, async (url) => {
    await loadPlatform(url);
    await loadApplication(target.adminUrl('app').replace('supabase_admin', 'supabase_admin'));
    await giveTables(url);
  });
  context.sourceUrl = urlOf(source, 'legacy_reader', SOURCE_PASSWORD, 'legacy');
  context.targetUrl = roleUrl;
  context.source = open(source.adminUrl('legacy'));
  context.target = open(target.adminUrl('app'));
  await context.source`create extension pg_stat_statements`;
  await context.target`create extension pg_stat_statements schema extensions`;
  context.outputs = [];
  context.seen = new Set();
  context.watching = watch(context);
  await changeSchema(context);
});

test.after(async ({ servers, source, target, watching }) => {
  await watching.stop();
  await source.end();
  await target.end();
  await Promise.all([servers.source.stop(), servers.target.stop()]);
  rmSync(DIRECTORY, { recursive: true, force: true });
});

test('passwords with quotes, #, /, %, @, backslashes and spaces, on both sides', async (context) => {
  await ran(context, 0, ['up']);
  await noTraces(context.target, context.source, 'success');
});

test('every command, with and without success', async (context) => {
  for (const args of [
    ['up', '--full', '1-foundation'],
    ['up', '--dry-run'],
    ['status'],
    ['plan'],
    ['plan', '--sql', 'offices'],
    ['verify'],
    ['rejects', '--rows'],
    ['retry'],
    ['doctor'],
    ['schema', 'status'],
  ]) {
    await ran(context, undefined, args);
    await ran(context, undefined, [...args, '--json']);
  }
  const wrong = {
    ...context,
    sourceUrl: urlOf(context.servers.source, 'legacy_reader', WRONG, 'legacy'),
  };
  for (const args of [['up'], ['verify'], ['check'], ['doctor']]) {
    const { stderr, stdout } = await ran(context, args[0] === 'doctor' ? 1 : 5, args, wrong);
    assert.match(
      stdout + stderr,
      /password authentication failed|could not connect/,
      `${stdout}${stderr}`,
    );
  }
  await noTraces(context.target, context.source, 'failure');
});

test('an error inside open_link() is raised without the statement', async (context) => {
  await withLogin(context, async (session) => {
    await session.query('begin');
    await session.query('select migration.open_link()');
    // the mapping is there already
    const error = await errorOf(session.query('select migration.open_link()'));
    assert.match(error.message, /the link could not be opened \(42710\)/);
    await session.query('rollback');
  });
});

test('a lock wait inside open_link(), and a cancel while it waits', async (context) => {
  const { target, targetUrl } = context;
  const other = open(targetUrl);
  await withLogin(context, async (session) => {
    await other`begin`;
    await other`
      create user mapping for current_user server legacy_source options (user 'nobody')`;
    await session.query('begin');
    const waiting = errorOf(session.query('select migration.open_link()'));
    // longer than deadlock_timeout, after which a server logs a wait
    await sleep(500);
    await target`select pg_cancel_backend(${session.pid})`;
    assert.match(
      (await waiting).message,
      /cancelled while opening the link|could not be opened \(55P03\)/,
    );
    await session.query('rollback');
    await other`rollback`;
  });
  await other.end();
  // and wherever else a cancel may meet it
  await withLogin(context, async (session) => {
    let cancelled = 0;
    for (let i = 0; i < 20; i += 1) {
      await session.query('begin');
      const opened = session
        .query(
          'select migration.open_link(), migration.close_link() from generate_series(1, 20000)',
        )
        .catch(() => (cancelled += 1));
      await sleep(10 + 3 * i);
      await target`select pg_cancel_backend(${session.pid})`;
      await opened;
      await session.query('rollback');
    }
    assert.ok(cancelled > 0);
  });
});

test('a server that logs debug messages, and their context, is reported', async (context) => {
  const { target } = context;
  await target`alter role postgres in database app set log_min_messages = 'debug1'`;
  // the doctor opens the link: not with the password that must be in no log
  const { stdout } = await ran(context, 1, ['doctor'], {
    ...context,
    sourceUrl: urlOf(context.servers.source, 'legacy_reader', 'another', 'legacy'),
  });
  await target`alter role postgres in database app reset log_min_messages`;
  assert.match(stdout, /note +.*log_min_messages/);
});

test('killed while it reads: no login for the source stays behind', async (context) => {
  const { source, target } = context;
  const { child, ended } = startRunner(context, ['up', '--full']);
  await waitFor(
    'the source is read',
    () => source`
      select pid from pg_stat_activity
      where usename = 'legacy_reader' and application_name = 'postgres_fdw'`,
  );
  child.kill('SIGKILL');
  context.outputs.push(JSON.stringify(await ended));
  await noTraces(target, source, 'SIGKILL', 60);
  await ran(context, 0, ['up']);
});

test('a failed phase: no login for the source stays behind, no value of a row is said', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    update dispatch_office set name = '${PLANTED} name', address = '${PLANTED} address'`);
  await target`
    alter table public.offices add constraint no_plant check (name not like '%planted%') not valid`;
  const before = await dumpRows(target, { clock: true });
  const { stderr } = await ran(context, 1, ['up', '--json']);
  assert.match(stderr, 'rows were refused by the target');
  sameDump(await dumpRows(target, { clock: true }), before);
  await noTraces(target, source, 'failure');
  await target`alter table public.offices drop constraint no_plant`;
  await target`
    create unique index one_address on public.offices ((true)) where name like '%planted%'`;
  await ran(context, 1, ['up']);
  await target`drop index public.one_address`;
  // read: a text that is no number
  const project = scratch();
  project.edit('sql/1-foundation/10_offices.sql', (text) =>
    text.replace('btrim(o.apt) ', '(o.name::integer)::text'),
  );
  context.outputs.push(JSON.stringify(await runner(context, ['up'], { root: project.root })));
  project.remove();
  await ran(context, undefined, ['rejects', '--rows']);
  const [errors] = await target<{ text: string }[]>`
    select concat_ws(' ',
      (select string_agg(to_jsonb(c)::text, ' ') from migration.control as c),
      (select string_agg(to_jsonb(r)::text, ' ') from migration.runs as r),
      (select string_agg(to_jsonb(e)::text, ' ') from migration.events as e)) as text`;
  assert.not.ok(errors?.text.includes(PLANTED), 'in the ledger');
  for (const output of context.outputs) assert.not.ok(output.includes(PLANTED), output);
  await ran(context, 0, ['up']);
});

test('API roles can neither read what is ours nor call its functions', async ({ target }) => {
  const [there] = await target<{ relations: number; functions: number }[]>`
    select
      (select count(*)::integer from pg_class where relkind in ('r', 'v', 'f')
        and relnamespace = any (select oid from pg_namespace where nspname = any (${PRIVATE})))
        as relations,
      (select count(*)::integer from pg_proc where pronamespace = 'migration'::regnamespace)
        as functions`;
  assert.ok((there?.relations ?? 0) > 150 && (there?.functions ?? 0) > 10);
  const rights = await target`
    select r.role, c.oid::regclass::text as name
    from unnest(${API_ROLES}::text[]) as r (role),
      pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = any (${PRIVATE}) and c.relkind in ('r', 'v', 'm', 'f', 'S')
      and (has_schema_privilege(r.role, n.oid, 'usage')
        or (c.relkind <> 'S' and has_table_privilege(r.role, c.oid,
          'select, insert, update, delete, truncate')))
    union all
    select r.role, p.oid::regprocedure::text
    from unnest(${API_ROLES}::text[]) as r (role), pg_proc as p
    where p.pronamespace = 'migration'::regnamespace
      and has_function_privilege(r.role, p.oid, 'execute')
    union all
    select r.role, s.srvname
    from unnest(${API_ROLES}::text[]) as r (role), pg_foreign_server as s
    where has_server_privilege(r.role, s.oid, 'usage')`;
  assert.equal([...rights], []);
  for (const role of API_ROLES) {
    for (const statement of [
      'select * from legacy.auth_user',
      'select * from legacy_versions.auth_user',
      'select * from ids.profiles',
      'select * from transform.profiles',
      'select * from migration.rejects',
      'select * from legacy_archive.auth_user_password',
      'select migration.open_link()',
      `select extensions.dblink_connect('x', 'legacy_source')`,
    ]) {
      const refused = await errorOf(
        target.begin(async (sql) => {
          await sql`set local role ${sql(role)}`;
          await sql.unsafe(statement);
        }),
      );
      assert.ok(
        /permission denied|user mapping not found|does not exist/.test(refused.message),
        `${role}: ${statement}: ${refused.message}`,
      );
    }
  }
});

test('the source cannot be written through the link', async (context) => {
  const { source } = context;
  const before = await touches(source);
  await withLogin(context, async (session) => {
    for (const [statement, code] of [
      [`insert into legacy.auth_group (id, name) values (1, 'x')`, '55000'],
      ['delete from legacy.auth_group', '55000'],
      ['truncate legacy.auth_group', '55000'],
      [`select extensions.dblink_exec('legacy_source', 'delete from public.auth_group')`, '25006'],
      [
        `select extensions.dblink_exec('legacy_source',
           'begin read write; delete from public.auth_group')`,
        '42501',
      ],
    ]) {
      await session.query('begin');
      await session.query('select migration.open_link()');
      const error = (await errorOf(session.query(statement ?? ''))) as { code?: string } & Error;
      await session.query('rollback');
      assert.is(error.code, code, `${statement}: ${error.message}`);
    }
  });
  sameDump(await touches(source), before);
});

test('functions and operators planted in the search path of the database are not run', async (context) => {
  const { target, source } = context;
  await target`grant create on schema public to authenticated`;
  await target`create schema postgres`;
  await target`grant usage on schema postgres to public`;
  for (const schema of ['public', 'postgres']) await plantFunctions(target, schema);
  const [before] = await source`select max(id) as id from dispatch_office`;
  await source`
    update dispatch_office set name = 'captured?', city = 'x' where id = ${before?.['id'] as number}`;
  await source`update auth_user set first_name = 'captured?' where id % 2 = 0`;
  await source`update dispatch_task set text = 'captured?' where id % 50 = 0`;
  await ran(context, 0, ['up']);
  await ran(context, 0, ['up', '--full']);
  for (const args of [['verify'], ['check'], ['status'], ['plan'], ['doctor']]) {
    await ran(context, undefined, args);
  }
  await ran(context, 0, ['down', '7-state', '--yes']);
  await ran(context, 0, ['up']);
  const called = await target`select distinct what from spy.captured order by 1`;
  assert.equal(
    called.map(({ what }) => what as string),
    [],
  );
  // they would have been seen
  await target`set search_path to public, pg_catalog`;
  await target`select lower('A'::text)`;
  await target`set search_path to default`;
  assert.is((await target`select from spy.captured`).length, 1);
  await target`drop schema postgres cascade`;
  await dropFunctions(target);
});

test('a role that row level security blocks is refused, on either side', async (context) => {
  const { source, target } = context;
  const before = await touches(target, ['public', 'ids']);
  await source`alter table dispatch_office enable row level security`;
  await source`alter table dispatch_task enable row level security`;
  const there = await ran(context, 1, ['up']);
  assert.match(there.stderr, /hides rows of .*dispatch_office.*dispatch_task/);
  await source`alter table dispatch_office disable row level security`;
  await source`alter table dispatch_task disable row level security`;

  await target`alter role postgres nobypassrls`;
  await target`alter table public.offices force row level security`;
  await target`alter table public.offices enable row level security`;
  await target`alter table public.tasks force row level security`;
  await target`alter table public.tasks enable row level security`;
  const here = await ran(context, 1, ['up']);
  assert.match(here.stderr, /row level security does not hide rows: active for .*offices.*tasks/);
  await target`alter role postgres bypassrls`;
  await target`alter table public.offices no force row level security`;
  await target`alter table public.tasks no force row level security`;
  sameDump(await touches(target, ['public', 'ids']), before);
  await ran(context, 0, ['up']);
});

test('missing rights are said all at once, before anything is written', async (context) => {
  const { source, target } = context;
  const before = await touches(target, ['public', 'ids']);
  await source`revoke select on dispatch_office, dispatch_task, auth_group from legacy_reader`;
  const there = await ran(context, 1, ['up']);
  for (const name of ['dispatch_office', 'dispatch_task', 'auth_group']) {
    assert.match(there.stderr, name);
  }
  assert.match(there.stderr, 'grant select');
  await source`grant select on dispatch_office, dispatch_task, auth_group to legacy_reader`;

  await target`alter table public.offices owner to supabase_admin`;
  await target`alter table public.tasks owner to supabase_admin`;
  await target`revoke create on database app from postgres`;
  await target`alter database app owner to supabase_admin`;
  const here = await ran(context, 1, ['up']);
  for (const found of [/owned by others: .*offices.*tasks/, /no CREATE on the database/]) {
    assert.match(here.stderr, found);
  }
  await target`alter database app owner to postgres`;
  await target`grant create on database app to postgres`;
  await target`alter table public.offices owner to postgres`;
  await target`alter table public.tasks owner to postgres`;
  sameDump(await touches(target, ['public', 'ids']), before);
  await ran(context, 0, ['up']);
});

test('a source that asks for no password is refused, in words that say so', async (context) => {
  const { servers, source, target } = context;
  const file = join(servers.source.directory, 'data', 'pg_hba.conf');
  const rules = readFileSync(file, 'utf8');
  writeFileSync(file, `host all legacy_reader 127.0.0.1/32 trust\n${rules}`);
  await source`select pg_reload_conf()`;
  await sleep(500);
  const before = await touches(target, ['public', 'ids']);
  const { stderr } = await ran(context, 5, ['up']);
  assert.match(stderr, /without a password.*no row was changed/);
  const { stdout } = await ran(context, 1, ['doctor']);
  assert.match(stdout, /password/);
  writeFileSync(file, rules);
  await source`select pg_reload_conf()`;
  await sleep(500);
  sameDump(await touches(target, ['public', 'ids']), before);
  await ran(context, 0, ['up']);
});

test('hostile names and headers of files are refused and have no effect', async (context) => {
  const { target } = context;
  const before = await touches(target, ['public', 'ids']);
  const view = (name: string) => `create view transform.${name} as
select o.id as legacy_key, o.id::integer as legacy_office_id, 'x'::text as name
from legacy.dispatch_office as o;\n`;
  const header = (lines: Record<string, string>) =>
    `-- Hostile.\n--\n${Object.entries({
      target: 'public.offices',
      source: 'dispatch_office',
      adopt: 'none',
      ...lines,
    })
      .map(([key, value]) => `-- ${key}  ${value}\n`)
      .join('')}\n`;
  for (const [name, text] of [
    [`81_x'); drop table public.offices; --.sql`, header({}) + view('x')],
    [`82_a"b.sql`, header({}) + view('"a""b"')],
    [
      '83_target.sql',
      header({ target: 'public.offices; drop table public.offices' }) + view('target'),
    ],
    ['84_source.sql', header({ source: `dispatch_office"'; drop table x; --` }) + view('source')],
    ['85_adopt.sql', header({ adopt: 'name) or (true' }) + view('adopt')],
    ['86_two.sql', `${header({}) + view('two')}drop table public.offices cascade;\n`],
    ['87_commit.sql', `${header({}) + view('commit')}commit;\n`],
    ['88_unknown.sql', header({ 'on error': 'ignore' }) + view('unknown')],
    ['89_\u202egnp.sql', header({}) + view('gnp')],
  ] as const) {
    const project = scratch();
    writeFileSync(join(project.root, 'sql', '1-foundation', name), text);
    const { code, stdout, stderr } = await runner(context, ['up'], { root: project.root });
    project.remove();
    assert.is(code, 1, `${name}: ${stdout}`);
    assert.match(stderr, '1-foundation');
    sameDump(await touches(target, ['public', 'ids']), before, name);
  }
  await ran(context, 0, ['up']);
});

test('down, uninstall: nothing is left of the link', async (context) => {
  await ran(context, 0, ['down', '1-foundation', '--cascade', '--yes']);
  const audit = join(DIRECTORY, 'audit.jsonl');
  await ran(context, 0, ['uninstall', '--yes', '--audit', audit]);
  context.outputs.push(readFileSync(audit, 'utf8'));
  const mappings = await context.target`select from pg_user_mappings`;
  assert.is(mappings.length, 0);
});

test('the passwords are in no output, log, statistic, process list, catalog or ledger', async (context) => {
  const { servers, source, target, outputs, seen, watching } = context;
  await watching.stop();
  const found: string[] = [];
  const look = (where: string, text: string) => {
    for (const secret of SECRETS) {
      const at = text.indexOf(secret);
      if (at >= 0) found.push(`${where}: ${text.slice(Math.max(0, at - 600), at).trim()}`);
    }
  };
  outputs.forEach((text, i) => look(`output ${i}`, text));
  assert.ok(seen.size > 50, `${seen.size} statements and processes seen`);
  for (const text of seen) look('statement or process', text);
  for (const [side, server] of Object.entries(servers)) {
    const log = readFileSync(server.logFile, 'utf8');
    assert.ok(log.includes('statement:'), 'statements are logged');
    look(`log of the ${side}`, log);
  }
  for (const [side, sql] of [
    ['source', source],
    ['target', target],
  ] as const) {
    const statistics = side === 'source' ? 'pg_stat_statements' : 'extensions.pg_stat_statements';
    const [statements] = await sql.unsafe<{ count: number; text: string }[]>(
      `select count(*)::integer as count, string_agg(query, ' ') as text from ${statistics}`,
    );
    assert.ok((statements?.count ?? 0) > 100, 'statements are counted');
    look(`pg_stat_statements of the ${side}`, statements?.text ?? '');
    found.push(...(await tablesWith(sql, side)));
  }
  assert.equal([...new Set(found)], []);
});

test.run();

/** Runs a command and keeps what it says. */
async function ran(
  context: Context,
  code: number | undefined,
  args: string[],
  urls: Databases = context,
): Promise<Ended> {
  const ended = await runner(urls, args);
  context.outputs.push(`${ended.stdout}\n${ended.stderr}`);
  if (code !== undefined) assert.is(ended.code, code, `${args.join(' ')}: ${ended.stderr}`);
  return ended;
}

/** A session as the runner has it, with what open_link() needs. */
async function withLogin(
  context: Databases,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const config = configOf(context);
  const session = await connect(config.target, 'security test');
  try {
    await login(session, config.source);
    await work(session);
  } finally {
    await session.close();
  }
}

/** A database and a role with a password that no log and no statistic has seen. */
async function prepare(
  adminUrl: string,
  database: string,
  role: string,
  password: string,
  fill: (url: string) => Promise<void>,
): Promise<void> {
  const admin = open(adminUrl);
  await admin.unsafe(`
    set log_statement = 'none'; set log_min_messages = 'panic'; set log_duration = 'off';
    set log_min_error_statement = 'panic'; set pg_stat_statements.track = 'none'`);
  await admin.unsafe(`create role ${role} login password '${password.replaceAll("'", "''")}'`);
  await admin.unsafe(`create database ${database}`);
  await admin.end();
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  await fill(url.href);
}

/** The application's tables belong to the role that migrates, as on the platform. */
async function giveTables(url: string): Promise<void> {
  const admin = open(url);
  await admin`
    do $$ declare statement text; begin
      for statement in
        select format('alter %s %s owner to postgres',
          case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end,
          c.oid::regclass)
        from pg_class as c where c.relnamespace = 'public'::regnamespace
          and c.relkind in ('r', 'v') and c.relowner <> 'postgres'::regrole
        union all
        select format('alter type %s owner to postgres', t.oid::regtype) from pg_type as t
        where t.typnamespace = 'public'::regnamespace and t.typtype = 'e'
        union all
        select format('alter function %s owner to postgres', p.oid::regprocedure)
        from pg_proc as p where p.pronamespace = 'public'::regnamespace
      loop execute statement; end loop;
    end $$`;
  await admin.end();
}

/** The URL with the password as it stands; the host and port of the server. */
function urlOf(server: Server, role: string, password: string, database: string): string {
  return `postgres://${role}:${encodeURIComponent(password)}@127.0.0.1:${server.port}/${database}`;
}

/** Looks at the statements of both servers and at all command lines until it is stopped. */
function watch({ servers, seen }: Context): Context['watching'] {
  const state = { go: true };
  const watching = (async () => {
    const sides = [open(servers.source.adminUrl()), open(servers.target.adminUrl())];
    for (const sql of sides) {
      await sql.unsafe(`set log_statement = 'none'; set log_duration = 'off'`);
    }
    while (state.go) {
      for (const sql of sides) {
        const rows = await sql<{ query: string }[]>`
          select query from pg_stat_activity where query <> '' and pid <> pg_backend_pid()`;
        for (const { query } of rows) seen.add(query);
      }
      const processes = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
      for (const line of processes.split('\n')) if (/runner|postgres:/.test(line)) seen.add(line);
      await sleep(20);
    }
    for (const sql of sides) await sql.end();
  })();
  watching.catch(() => {});
  return {
    stop: async () => {
      state.go = false;
      await watching;
    },
  };
}

/** Tables of a database, system catalogs included, with one of the secrets in a row. */
async function tablesWith(sql: Sql, side: string): Promise<string[]> {
  const tables = await sql<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not like 'pg_toast%' and n.nspname not like 'pg_temp%'`;
  const found: string[] = [];
  for (const { name } of tables) {
    const rows = await sql.unsafe(
      `select 1 from ${name} as t where t::text ~ '${SECRETS.join('|')}' limit 1`,
    );
    if (rows.length > 0) found.push(`${side}: table ${name}`);
  }
  return found;
}

const CAPTURES = [
  ...['lower', 'upper', 'btrim', 'length', 'md5'].flatMap((name) =>
    ['text', 'character varying'].map((type) => ({
      name,
      arguments: `a ${type}`,
      returns: name === 'length' ? 'integer' : 'text',
      body: `pg_catalog.${name}(a::text)`,
    })),
  ),
  { name: 'now', arguments: '', returns: 'timestamptz', body: 'pg_catalog.now()' },
  {
    name: 'nullif_text',
    arguments: 'a text, b text',
    returns: 'boolean',
    body: 'a operator(pg_catalog.=) b',
  },
  {
    name: 'same_varchar',
    arguments: 'a character varying, b character varying',
    returns: 'boolean',
    body: 'a::text operator(pg_catalog.=) b::text',
  },
  {
    name: 'same_uuid',
    arguments: 'a uuid, b uuid',
    returns: 'boolean',
    body: 'a operator(pg_catalog.=) b',
  },
  {
    name: 'concat_ws',
    arguments: 'a text, b text, c text',
    returns: 'text',
    body: 'pg_catalog.concat_ws(a, b, c)',
  },
  {
    name: 'lpad',
    arguments: 'a text, b integer, c text',
    returns: 'text',
    body: 'pg_catalog.lpad(a, b, c)',
  },
  {
    name: 'hash_record_extended',
    arguments: 'a record, b bigint',
    returns: 'bigint',
    body: 'pg_catalog.hash_record_extended(a, b)',
  },
  {
    name: 'pg_try_advisory_xact_lock',
    arguments: 'a integer, b integer',
    returns: 'boolean',
    body: 'pg_catalog.pg_try_advisory_xact_lock(a, b)',
  },
  {
    name: 'set_config',
    arguments: 'a text, b text, c boolean',
    returns: 'text',
    body: 'pg_catalog.set_config(a, b, c)',
  },
];
const OPERATORS = [
  ['=', 'text', 'nullif_text'],
  ['=', 'character varying', 'same_varchar'],
  ['=', 'uuid', 'same_uuid'],
] as const;

/** Functions like those of pg_catalog that leave a note before they answer. */
async function plantFunctions(target: Sql, schema: string): Promise<void> {
  await target.unsafe(`
    create schema if not exists spy;
    grant usage on schema spy to public;
    create table if not exists spy.captured (what text);
    alter table spy.captured owner to postgres;
    grant insert on spy.captured to public`);
  for (const { name, arguments: list, returns, body } of CAPTURES) {
    const plpgsql = list.includes('record')
      ? `language sql as $$ insert into spy.captured values ('${name}'); select ${body} $$`
      : `language plpgsql as $$ begin
           insert into spy.captured values ('${schema}.${name}(${list})'); return ${body}; end $$`;
    if (list.includes('record')) continue;
    await target.unsafe(`create function ${schema}.${name}(${list}) returns ${returns} ${plpgsql}`);
  }
  for (const [operator, type, name] of OPERATORS) {
    await target.unsafe(`create operator ${schema}.${operator} (
      leftarg = ${type}, rightarg = ${type}, function = ${schema}.${name})`);
  }
}

async function dropFunctions(target: Sql): Promise<void> {
  for (const [operator, type] of OPERATORS) {
    await target.unsafe(`drop operator public.${operator} (${type}, ${type})`);
  }
  for (const { name, arguments: list } of CAPTURES) {
    await target.unsafe(
      `drop function if exists public.${name}(${list.replaceAll(/\b[abc] /g, '')})`,
    );
  }
  await target`drop schema spy cascade`;
}
