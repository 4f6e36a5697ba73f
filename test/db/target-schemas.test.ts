// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { entityFile, lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

/* Two schemas in the target, and none of them `public`. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('target schemas');
const entity = (table: string, schema: string, columns: string[], joins: string[] = []) =>
  entityFile(table, table, columns, { joins }).replace(`public.${table}`, `${schema}.${table}`);

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'schemas', source: 'empty' }), {
    project: tinyProject({
      'sql/1-base/10_people.sql': entity(
        'people',
        'crm',
        ['t.name as name', 's.total as total'],
        ['left join legacy.sums as s on s.person_id = t.id'],
      ),
      'sql/1-base/20_bills.sql': entity(
        'bills',
        'billing',
        ['person.id as person_id'],
        ['left join ids.people as person on person.legacy_id = t.person_id'],
      ),
      'checks/coverage/source-columns.txt':
        'bills\n  id person_id\npeople\n  id name\nsums\n  person_id total\n',
      'checks/coverage/target-tables.txt': 'billing.bills\ncrm.people\n',
      'checks/coverage/left-out.txt': 'legacy.sums.person_id  only looked up\n',
    }),
  });
  await context.source.unsafe(`
    create table public.people (id integer primary key, name text);
    create table public.bills (id integer primary key, person_id integer);
    create view public.sums as select b.person_id, count(*) as total from bills as b group by 1;
    create view public.unused as select 1 as one;
    grant select on all tables in schema public to legacy_reader;
    insert into people values (1, 'Ada'), (2, 'Bob'); insert into bills values (1, 1), (2, 2)`);
  await context.target.unsafe(`
    drop schema public cascade;
    create schema public;
    create schema crm authorization postgres;
    create schema billing authorization postgres;
    create table crm.people (id uuid primary key, name text, total bigint);
    create table billing.bills (id uuid primary key, person_id uuid references crm.people);
    alter table crm.people enable row level security;
    alter table billing.bills enable row level security;
    alter table crm.people owner to postgres;
    alter table billing.bills owner to postgres;
    grant usage on schema crm, billing to anon;
    grant select on all tables in schema crm, billing to anon`);
  await migrate(context.pair, { root: context.project.root, phases: 1 });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

/** Findings of the three checks, as `check: row`. */
async function found({ pair, project }: Context): Promise<string[]> {
  const names = ['foreign_keys', 'row_level_security', 'coverage'];
  const ended = await runner(pair, ['check', ...names, '--json'], { root: project.root });
  const { checks, problems } = lastLine<{
    checks: { name: string; sample: string[]; error: string | null }[];
    problems: { message: string }[];
  }>(ended);
  return [
    ...checks.flatMap(({ name, sample, error }) =>
      [...sample, ...(error === null ? [] : [error])].map((row) => `${name}: ${row}`),
    ),
    ...problems.map(({ message }) => `coverage: ${message}`),
  ];
}

test('nothing is found where all is well; a view of the source is in the lists where it is read', async (context) => {
  assert.equal(await found(context), []);
  const { pair, project } = context;
  const { stdout } = await succeed(pair, ['check', 'coverage', '--write'], { root: project.root });
  assert.equal(stdout.trim().split('\n'), [
    'checks/coverage/source-columns.txt: as it was',
    'checks/coverage/target-tables.txt: as it was',
  ]);
});

test('a reference that leads nowhere, an open table and a new one are found in every schema', async (context) => {
  await context.target.unsafe(`
    set session_replication_role = replica;
    delete from crm.people where name = 'Bob';
    set session_replication_role = origin;
    alter table crm.people disable row level security;
    create table billing.rates (id integer);
    create table public.elsewhere (id integer)`);
  assert.equal(await found(context), [
    'foreign_keys: table_name=billing.bills constraint_name=bills_person_id_fkey fault=orphans row_count=1',
    'row_level_security: table_name=crm.people',
    'coverage: billing.rates is new in the target: nobody decided on it',
  ]);
});

test.run();
