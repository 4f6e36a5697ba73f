// deadline 240
/* What the target's keys and triggers would do to our rows is found before the first write. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readLists } from '../../checks/coverage/lists.ts';
import { readLiveFacts } from '../../runner/commands/coverage.ts';
import { connect, transaction } from '../../runner/database.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { login, openLink } from '../../runner/engine/link.ts';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { configOf, dropPair, errorOf, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Scratch, tinyProject, withoutChecks } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

const test = suite<Context>('fitting');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'fitting', source: 'empty', sourceMajor: 17 }));
  const { source, target } = context;
  await source.unsafe(`
    create table public.people (id integer primary key);
    create table public.firms (id integer primary key);
    create table public.bids (
      id integer, person_id integer, price numeric, parent_id integer, primary key (id) include (price));
    create table public.measures (id integer, at date, primary key (id, at)) partition by range (at);
    create table public.measures_1 partition of public.measures
      for values from ('2020-01-01') to ('2021-01-01');
    create table public.measures_2 partition of public.measures
      for values from ('2021-01-01') to ('2022-01-01');
    grant select on all tables in schema public to legacy_reader;
    insert into people values (1);
    insert into firms values (1);
    insert into bids values (1, 1, 1.5, null), (2, 1, 2.5, 1)`);
  await target.unsafe(`
    set role postgres;
    create table public.people (id uuid primary key, legacy_id integer);
    create table public.firms (id uuid primary key, legacy_id integer);
    create table public.bids (
      id uuid primary key, legacy_id integer, price numeric, parent_id uuid,
      person_id uuid references public.people);
    create table public.measured (part integer) partition by list (part);
    create table public.measured_1 partition of public.measured for values in (1);
    reset role`);
});

test.after(dropPair);

const KEYS: [what: string, expression: string, table: string, wrong: boolean][] = [
  ['ids of the table its key leads to', 'person.id', 'people', false],
  ['ids of another table', 'person.id', 'firms', true],
  ['ids of another table in some rows', 'coalesce(firm.id, person.id)', 'firms', true],
  ['an expression that nobody can follow', '(array[person.id])[1]', 'firms', false],
];

for (const [what, expression, table, wrong] of KEYS) {
  test(`a column with ${what} is ${wrong ? '' : 'not '}a finding`, async ({ pair, target }) => {
    // as `add column if not exists ... references` leaves a column that is there already
    await target.unsafe(`
      alter table public.bids drop constraint bids_person_id_fkey;
      alter table public.bids add foreign key (person_id) references public.${table} not valid`);
    const project = projectOf(expression);
    const found = await findings(pair, project);
    await target.unsafe(`
      alter table public.bids drop constraint bids_person_id_fkey;
      alter table public.bids add foreign key (person_id) references public.people`);
    project.remove();
    assert.equal(
      found,
      wrong
        ? [
            'sql/2-two/10_bids.sql:12 person_id holds ids of people, rows of public.people;' +
              ' its key bids_person_id_fkey leads to public.firms',
          ]
        : [],
    );
  });
}

test('a column that is already there with another type is a finding', async ({ pair, target }) => {
  await target`alter table public.bids alter column price type text`;
  const project = projectOf('person.id');
  const found = await findings(pair, project);
  await target`alter table public.bids alter column price type numeric using price::numeric`;
  project.remove();
  assert.equal(found, ['sql/2-two/10_bids.sql:11 price is numeric, bids stores text']);
});

test('removal from a table whose rows go with one another is a finding', async ({
  pair,
  target,
}) => {
  await target`
    alter table public.bids add constraint tree foreign key (parent_id) references public.bids
    on delete cascade`;
  const project = projectOf('person.id', 'remove');
  const found = await findings(pair, project);
  await target`alter table public.bids drop constraint tree`;
  assert.equal(found, [
    'sql/2-two/10_bids.sql:6 rows of bids go with the row they refer to (tree, on delete cascade)',
  ]);
  // one that only holds them is none
  await target`
    alter table public.bids add constraint tree foreign key (parent_id) references public.bids`;
  assert.equal(await findings(pair, project), []);
  await target`alter table public.bids drop constraint tree`;
  project.remove();
});

test('a target column that staged rows have, too, is a finding', async ({ pair, target }) => {
  await target`alter table public.bids add column version integer`;
  const project = projectOf('person.id');
  project.edit('sql/2-two/10_bids.sql', (text) =>
    text.replace('as price', 'as price, 1 as version'),
  );
  const found = await findings(pair, project);
  await target`alter table public.bids drop column version`;
  project.remove();
  assert.equal(found, [
    'sql/2-two/10_bids.sql:11 version is a name that staged rows need for themselves',
  ]);
});

test('live coverage lists a partitioned table once, on both sides', async ({ pair }) => {
  const project = projectOf('person.id');
  await migrate(pair, { root: project.root });
  const { source, target } = configOf(pair);
  const session = await connect(target, 'fitting');
  await login(session, source);
  const { sourceColumns, targetTables } = await transaction(
    session,
    async () => {
      await openLink(session);
      return readLiveFacts(session, readCatalog(project.root), readLists(project.root));
    },
    { commit: false },
  );
  await session.close();
  project.remove();
  assert.equal(
    sourceColumns.filter((name) => name.startsWith('measures')),
    ['measures.id', 'measures.at'],
  );
  assert.equal(
    targetTables.filter((name) => name.startsWith('public.measured')),
    ['public.measured'],
  );
});

test.run();

/** What `up` finds before the first write, as `file:line message`; nothing where it succeeds. */
async function findings(pair: TestPair, { root }: Scratch): Promise<string[]> {
  const plan = migrate(pair, { root });
  try {
    await plan;
    return [];
  } catch {
    const error = await errorOf(plan);
    if (!(error instanceof PreflightFailed)) throw error;
    return error.problems.map(({ file, line, message }) => `${file}:${line} ${message}`);
  }
}

function projectOf(person: string, deletes = 'keep'): Scratch {
  const plain = (name: string) => `-- For the test.
--
-- target   public.${name}
-- source   ${name}
-- adopt    none

create view transform.${name} as
select s.id as legacy_key, s.id::integer as legacy_id from legacy.${name} as s;
`;
  return tinyProject({
    // a key that is not valid
    ...withoutChecks('foreign_keys'),
    'sql/1-one/10_people.sql': plain('people'),
    'sql/1-one/20_firms.sql': plain('firms'),
    'sql/2-two/10_bids.sql': `-- For the test.
--
-- target   public.bids
-- source   bids
-- adopt    none
-- deletes  ${deletes}

create view transform.bids as
select
  s.id as legacy_key, s.id::integer as legacy_id,
  s.price as price,
  ${person} as person_id
from legacy.bids as s
left join ids.people as person on person.legacy_id = s.person_id
left join ids.firms as firm on firm.legacy_id = s.person_id + 100;
`,
  });
}
