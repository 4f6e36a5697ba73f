// deadline 300
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCoverage } from '../../checks/coverage/index.ts';
import { readLists } from '../../checks/coverage/lists.ts';
import { staticProblems } from '../../checks/static/index.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { dropPair, migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { lastLine, open, runner, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  folder: string;
}

const test = suite<Context>('init');

test.before(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'init-'));
  context.pair = await testPair({ name: 'init', source: 'empty', target: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table public.customer (
      id integer primary key, name varchar(50) not null, born date, rate numeric(8,2), seen timestamptz,
      password_hash text, nickname text);
    create table public.audit (id integer primary key, said text, api_token text);
    create view public.names as select name from customer;
    insert into customer values (1, 'Ada', '1990-01-01', 1.5, now(), 'x', 'A');
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    create table public.customers (
      id uuid primary key, legacy_id integer unique, name text not null, born date, rate numeric(10,2),
      seen timestamptz, colour text, created_at timestamptz default now());
    create table public.bookings (id uuid primary key, number text not null);
    alter table public.customers owner to postgres; alter table public.bookings owner to postgres`);
});

test.after(async (context) => {
  rmSync(context.folder, { recursive: true });
  await dropPair(context);
});

const urlsOf = ({ sourceUrl, targetUrl }: TestPair) => [
  ...['--source', sourceUrl],
  ...['--target', targetUrl],
];

test('without a database: a project that passes the static checks', async ({ folder }) => {
  const project = join(folder, 'plain');
  const { stdout } = await succeed(null, ['init', project]);
  assert.match(stdout, `runner check --static --project ${project}`);
  assert.equal(await staticProblems(project), []);
  const { problems, counts } = await readCoverage(project);
  assert.equal([problems, counts.carried, counts.open], [[], 3, 0]);
  assert.equal(
    readCatalog(project).phases.map(({ name, entities }) => `${name} ${entities.length}`),
    ['1-foundation 1', '2-core 0', '3-activity 0'],
  );
  for (const file of ['.gitignore', '.env.example', '.github/workflows/migration.yml']) {
    assert.ok(existsSync(join(project, file)), file);
  }
  const page = readFileSync(join(project, 'README.md'), 'utf8');
  assert.ok(page.split('\n').length <= 25);
  await succeed(null, ['check', '--static', '--project', project]);
});

test('a package.json, as `npm install` makes it, stays', async ({ folder }) => {
  const project = join(folder, 'installed');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{}');
  const { stdout } = await succeed(null, ['init', project]);
  assert.match(stdout, '"check":"runner check --static"');
  assert.is(readFileSync(join(project, 'package.json'), 'utf8'), '{}');
  assert.ok(existsSync(join(project, 'sql/settings.json')));
});

test('nothing that is there is overwritten', async ({ folder }) => {
  const project = join(folder, 'taken');
  mkdirSync(join(project, 'sql'), { recursive: true });
  writeFileSync(join(project, 'README.md'), 'mine');
  writeFileSync(join(project, 'sql/settings.json'), '{}');
  const ended = await runner(null, ['init', project, '--json']);
  const answer = lastLine<{ exit: number; message: string; present: string[] }>(ended);
  assert.is(answer.exit, 1);
  assert.match(answer.message, 'nothing was written');
  assert.equal(answer.present, ['README.md', 'sql/settings.json']);
  assert.is(readFileSync(join(project, 'README.md'), 'utf8'), 'mine');
  assert.not(existsSync(join(project, 'checks')));
});

test('of two databases: lists, secrets, and an entity that runs', async ({
  pair,
  target,
  folder,
}) => {
  const project = join(folder, 'real');
  const ended = await succeed(null, ['init', project, ...urlsOf(pair), '--json']);
  const answer = lastLine<{ secrets: object; example: string; files: string[] }>(ended);
  assert.equal(answer.secrets, { audit: ['api_token'], customer: ['password_hash'] });
  assert.is(answer.example, 'sql/1-foundation/10_customers.sql');
  assert.equal(readCatalog(project).settings, {
    sourceSchemas: ['public'],
    secrets: answer.secrets,
    functions: [],
    mappings: null,
  });
  const lists = readLists(project);
  assert.equal(
    lists.sourceColumns.map(({ name }) => name),
    ['audit.id', 'audit.said', 'audit.api_token'].concat(
      ['id', 'name', 'born', 'rate', 'seen', 'password_hash', 'nickname'].map(
        (c) => `customer.${c}`,
      ),
    ),
  );
  assert.equal(
    lists.targetTables.map(({ name }) => name),
    ['public.bookings', 'public.customers'],
  );
  assert.equal(await staticProblems(project), []);
  // what nobody has decided on yet
  const { problems } = await readCoverage(project);
  assert.equal(
    problems.map(({ message }) => message.split(':')[0]),
    [
      'audit.id is lost',
      'audit.said is lost',
      'customer.nickname is lost',
      'no entity fills public.bookings',
    ],
  );
  assert.equal(
    JSON.parse(readFileSync(join(project, 'test/cases/customers/expected.json'), 'utf8')),
    {
      rows: {
        1: {
          legacy_id: 1,
          name: 'a',
          born: '2024-05-06',
          rate: '1.00',
          seen: '2024-05-06T07:08:09+00:00',
        },
      },
    },
  );
  await migrate(pair, { root: project, phases: 1 });
  const rows = await target`select legacy_id, name, rate from public.customers`;
  assert.equal(
    rows.map((row) => ({ ...row })),
    [{ legacy_id: 1, name: 'Ada', rate: '1.50' }],
  );
  await succeed(pair, ['check', 'coverage', '--write', '--project', project]);
});

test('a wrong call, and a database that is not there', async ({ pair, folder }) => {
  const exit = async (...args: string[]) => (await runner(null, ['init', ...args, '--json'])).code;
  assert.is(await exit(), 2);
  assert.is(await exit(join(folder, 'x'), '--source', 'mysql://x'), 2);
  const nowhere = pair.sourceUrl.replace(/:\d+\//, ':1/');
  assert.is(await exit(join(folder, 'x'), '--source', nowhere), 5);
  assert.not(existsSync(join(folder, 'x')));
});

test.run();
