// deadline 120
/* Every planted corruption is found by `verify`, with entity, key, kind and column. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type postgres from 'postgres';

import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { lastLine, neutralProject, open, runner, succeed, touches } from '../runner.ts';

type Report = {
  differences: number;
  entities: {
    entity: string;
    compared: number;
    counts: Record<string, number>;
    rows: {
      entity: string;
      legacyKey: number;
      kind: string;
      columns: string[];
      values: string[];
    }[];
  }[];
};

const OF = { root: NEUTRAL };

const test = suite('verify');
let pair: TestPair;
let source: postgres.Sql;
let target: postgres.Sql;

test.before(async () => {
  pair = await testPair({ name: 'verify', source: 'neutral', target: 'neutral' });
  source = open(pair.sourceAdminUrl);
  target = open(pair.targetAdminUrl);
  await succeed(pair, ['up'], OF);
});

test.after(async () => {
  await source?.end();
  await target?.end();
  await pair?.drop();
});

function reportOf(stdout: string): Report {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Report;
}

/** Differences as `entity key kind columns`, sorted. */
async function found(...args: string[]): Promise<string[]> {
  const ended = await runner(pair, ['verify', '--json', ...args], OF);
  const report = reportOf(ended.stdout);
  assert.is(ended.code, report.differences === 0 ? 0 : 1);
  return report.entities
    .flatMap(({ rows }) => rows)
    .map(({ entity, legacyKey, kind, columns }) =>
      [entity, legacyKey, kind, columns.join(',')].join(' ').trim(),
    )
    .toSorted();
}

/** Plants a corruption, looks, and takes it back. */
async function planted(corrupt: string, restore: string, ...args: string[]): Promise<string[]> {
  await target.unsafe(corrupt);
  try {
    return await found(...args);
  } finally {
    await target.unsafe(restore);
  }
}

async function keyOf(table: string, column: string, condition = 'true'): Promise<number> {
  const [row] = await target.unsafe<{ key: number }[]>(
    `select ${column} as key from public.${table} where ${condition} order by 1 limit 1`,
  );
  assert.ok(row, `no row of ${table} to plant on`);
  return row.key;
}

test('a fresh migration has no difference, and every row was compared', async () => {
  const ended = await runner(pair, ['verify', '--json'], OF);
  const report = reportOf(ended.stdout);
  assert.is(ended.code, 0, ended.stderr);
  assert.is(report.differences, 0);
  const [merged] = await target<{ rows: number }[]>`
    select sum(merged)::float8 as rows from migration.ranges`;
  assert.is(
    report.entities.reduce((sum, { compared }) => sum + compared, 0),
    merged?.rows,
  );
});

test('a changed amount', async () => {
  const change = (sign: string) =>
    `update billing.payments set amount = amount ${sign} 0.01 where number = 5000000007`;
  const [key] = await target<{ key: string }[]>`
    select i.legacy_id::text as key from ids.payments as i
    join billing.payments as p on p.id = i.id where p.number = 5000000007`;
  assert.equal(await planted(change('+'), change('-')), [`payments ${key?.key} changed amount`]);
});

test('a truncated text', async () => {
  const key = await keyOf('films', 'legacy_film_id', 'length(description) > 5000');
  const write = (value: string) =>
    `update public.films as f set description = ${value} where f.legacy_film_id = ${key}`;
  await target.unsafe(`create table public.kept as select * from public.films`);
  const whole = '(select k.description from public.kept as k where k.id = f.id)';
  assert.equal(
    await planted(write('left(description, 5000)'), `${write(whole)}; drop table public.kept`),
    [`films ${key} changed description`],
  );
});

test('a deleted rental', async () => {
  const key = await keyOf(
    'rentals',
    'legacy_rental_id',
    'id not in (select rental_id from billing.payments where rental_id is not null)',
  );
  assert.equal(
    await planted(
      `create table public.kept as select * from public.rentals where legacy_rental_id = ${key};
       delete from public.rentals where legacy_rental_id = ${key}`,
      `insert into public.rentals select * from public.kept; drop table public.kept`,
    ),
    [`rentals ${key} missing`],
  );
});

test('a swapped foreign key, a wrong enum and a lost time zone in one row', async () => {
  const key = await keyOf('films', 'legacy_film_id', 'language_id is not null');
  const write = (text: string) => `update public.films set ${text} where legacy_film_id = ${key}`;
  const [old] = await target<{ language: string; audience: string; at: string }[]>`
    select language_id as language, audience::text, updated_at::text as at
    from public.films where legacy_film_id = ${key}`;
  assert.equal(
    await planted(
      write(
        `language_id = (select id from public.languages where id <> '${old?.language}' limit 1),
         audience = case audience when 'adults' then 'everyone' else 'adults' end::public.audience,
         updated_at = updated_at + interval '7 hours'`,
      ),
      write(
        `language_id = '${old?.language}', audience = '${old?.audience}', updated_at = '${old?.at}'`,
      ),
    ),
    [`films ${key} changed language_id,audience,updated_at`],
  );
});

test('a duplicate', async () => {
  const key = await keyOf('rentals', 'legacy_rental_id');
  assert.equal(
    await planted(
      `alter table public.rentals drop constraint rentals_legacy_rental_id_key;
       insert into public.rentals (customer_id, rented_at, legacy_rental_id)
       select customer_id, '1999-12-31', legacy_rental_id from public.rentals
       where legacy_rental_id = ${key}`,
      `delete from public.rentals where rented_at = '1999-12-31';
       alter table public.rentals add unique (legacy_rental_id)`,
    ),
    [`rentals ${key} duplicate`],
  );
});

test('the files as they are here are compared, not those of the last run; nothing of them stays', async () => {
  const project = neutralProject();
  const [unreadable, other] = (
    await target<{ key: number }[]>`
      select legacy_customer_id as key from public.customers order by 1 limit 2`
  ).map(({ key }) => key);
  const file = 'sql/2-customers/10_customers.sql';
  project.edit(file, (text) =>
    text
      .replace(
        'c."FirstName" ',
        `concat(c."FirstName", left((1 / (c."CustomerId" - ${unreadable}))::text, 0))`,
      )
      .replace(
        'c."LastName" ',
        `case when c."CustomerId" = ${other} then 'renamed' else c."LastName" end`,
      ),
  );
  const state = async () => {
    const dump = await touches(target, ['public', 'billing', 'ids', 'migration']);
    // that it was compared, and with which files, is a line of the audit trail
    dump.delete('migration.events');
    return dump;
  };
  const before = await state();
  const ended = await runner(pair, ['verify', '--json'], { root: project.root });
  const { differences, entities } = reportOf(ended.stdout);
  assert.is(differences, 2, ended.stderr);
  assert.equal(
    entities.flatMap(({ rows }) => rows.map((row) => [row.legacyKey, row.kind, row.columns])),
    [
      [unreadable, 'missing', []],
      [other, 'differs', ['last_name']],
    ],
  );
  const [merged] = await target<{ rows: number }[]>`
    select sum(merged)::float8 as rows from migration.ranges where entity = 'customers'`;
  assert.is(entities.find(({ entity }) => entity === 'customers')?.compared, merged?.rows);

  project.edit(file, (text) => text.replace('c."Notes"', 'c."Note"'));
  const broken = await runner(pair, ['verify', '--json'], { root: project.root });
  assert.is(broken.code, 1);
  const { problems } = lastLine<{ problems: { file: string; message: string }[] }>(broken);
  assert.equal(
    problems.map((problem) => `${problem.file} ${problem.message}`),
    [`${file} column c.Note does not exist`],
  );
  assert.equal(await state(), before);
  const [line] = await target<{ found: object }[]>`
    select e.details -> 'entities' @> '[{"entity": "customers", "differences":
      {"missing": 1, "differs": 1}}]' and e.details ->> 'files' <> l.details ->> 'files' as found
    from migration.events as e
    cross join lateral (
      select o.details from migration.events as o
      where o.what = 'verified' and o.event < e.event order by o.event desc limit 1) as l
    where e.what = 'verified' order by e.event desc limit 1`;
  assert.equal(line, { found: true });
  assert.equal(await found('customers'), []);
  project.remove();
});

test('while another session reads through the link: exit 3', async () => {
  await target.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(20250401, 2)`;
    const { code, stderr } = await runner(pair, ['verify', 'films'], OF);
    assert.is(code, 3);
    assert.match(stderr, 'the link is in use');
  });
});

test('a source row that came, changed or went since the last run', async () => {
  await source.unsafe(`
    insert into language values (900, 'New');
    update film set title = concat(title, '!') where film_id = 1`);
  await source`delete from rental where rental_id = 4490`;
  assert.equal(await found('languages', 'films', 'rentals'), [
    'films 1 differs title',
    // the film that was rented then: a view of the source counts the rentals
    'films 138 differs rentals,last_rented_at',
    'languages 900 missing',
    'rentals 4490 surplus',
  ]);
});

test('values are shown only when asked for', async () => {
  const key = await keyOf('customers', 'legacy_customer_id');
  await target.unsafe(
    `update public.customers set first_name = 'Planted Name' where legacy_customer_id = ${key}`,
  );
  const hidden = await runner(pair, ['verify', 'customers'], OF);
  assert.is(hidden.code, 1);
  assert.not.match(hidden.stdout + hidden.stderr, 'Planted Name');
  const shown = await runner(pair, ['verify', 'customers', '--show-data'], OF);
  assert.match(shown.stdout, 'Planted Name');
});

test('an archive table that is not what the source says', async () => {
  await target.unsafe(`update legacy_archive.price_list set remark = 'other'`);
  const rows = await found('legacy_archive.price_list');
  assert.is(rows.length, 20);
  assert.ok(rows.every((row) => /^legacy_archive\.price_list -?\d+ changed$/.test(row)));
});

test('an entity that does not exist', async () => {
  assert.is((await runner(pair, ['verify', 'nothing'], OF)).code, 2);
});

test.run();
