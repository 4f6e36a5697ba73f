// deadline 240
/* Every planted corruption is found by `verify`, with entity, key, kind and column. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type postgres from 'postgres';

import { migratedPair, type TestPair } from '../pair.ts';
import { lastLine, open, runner, scratch, touches } from '../runner.ts';

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

const test = suite('verify');
let pair: TestPair;
let source: postgres.Sql;
let target: postgres.Sql;

test.before(async () => {
  pair = await migratedPair();
  source = open(pair.sourceAdminUrl);
  target = open(pair.targetAdminUrl);
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
  const ended = await runner(pair, ['verify', '--json', ...args]);
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
  const ended = await runner(pair, ['verify', '--json']);
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
  const key = await keyOf('payments', 'legacy_payment_id', 'amount > 0');
  const change = (sign: string) =>
    `update public.payments set amount = amount ${sign} 0.01 where legacy_payment_id = ${key}`;
  assert.equal(await planted(change('+'), change('-')), [`payments ${key} changed amount`]);
});

test('a truncated text', async () => {
  const key = await keyOf('messages', 'legacy_record_id', 'length(content) > 20');
  const rows = await target<{ content: string }[]>`
    select content from public.messages where legacy_record_id = ${key}`;
  const text = (rows[0]?.content ?? '').replaceAll("'", "''");
  const write = (value: string) =>
    `alter table public.messages disable trigger user;
     update public.messages set content = ${value} where legacy_record_id = ${key};
     alter table public.messages enable trigger user`;
  assert.equal(await planted(write('left(content, 20)'), write(`'${text}'`)), [
    `messages ${key} changed content`,
  ]);
});

test('a deleted message', async () => {
  const key = await keyOf(
    'messages',
    'legacy_record_id',
    'id not in (select message_id from public.message_attachments)',
  );
  assert.equal(
    await planted(
      `create table public.kept as select * from public.messages where legacy_record_id = ${key};
       delete from public.messages where legacy_record_id = ${key}`,
      `insert into public.messages select * from public.kept; drop table public.kept`,
    ),
    [`messages ${key} missing`],
  );
});

test('a swapped foreign key, a wrong enum and a lost time zone in one row', async () => {
  const key = await keyOf('orders', 'legacy_instruction_id', 'submitted_at is not null');
  const write = (text: string) =>
    `update public.orders set ${text} where legacy_instruction_id = ${key}`;
  const [old] = await target<{ patient: string; status: string; at: string }[]>`
    select patient_id as patient, status::text, submitted_at::text as at
    from public.orders where legacy_instruction_id = ${key}`;
  assert.equal(
    await planted(
      write(
        `patient_id = (select id from public.patients where id <> '${old?.patient}' limit 1),
         status = case status when 'shipped' then 'submitted' else 'shipped' end::public.order_status,
         submitted_at = submitted_at + interval '7 hours'`,
      ),
      write(
        `patient_id = '${old?.patient}', status = '${old?.status}', submitted_at = '${old?.at}'`,
      ),
    ),
    [`orders ${key} changed patient_id,status,submitted_at`],
  );
});

test('a duplicate', async () => {
  const key = await keyOf('case_messages', 'legacy_message_id');
  assert.equal(
    await planted(
      `insert into public.case_messages (case_id, message_type, content, legacy_message_id)
       select case_id, message_type, 'twice', legacy_message_id from public.case_messages
       where legacy_message_id = ${key}`,
      `delete from public.case_messages where content = 'twice'`,
    ),
    [`case_messages ${key} duplicate`],
  );
});

test('the files as they are here are compared, not those of the last run; nothing of them stays', async () => {
  const project = scratch();
  const [unreadable, other] = (
    await target<{ key: number }[]>`
      select legacy_office_id as key from public.offices order by 1 limit 2`
  ).map(({ key }) => key);
  const file = 'sql/1-foundation/10_offices.sql';
  project.edit(file, (text) =>
    text
      .replace(
        "coalesce(btrim(o.name), '')",
        `concat(btrim(o.name), left((1 / (o.id - ${unreadable}))::text, 0))`,
      )
      .replace(
        'btrim(o.address) ',
        `case when o.id = ${other} then 'moved' else btrim(o.address) end`,
      ),
  );
  const state = async () => {
    const dump = await touches(target, ['public', 'ids', 'migration']);
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
      [other, 'differs', ['address']],
    ],
  );
  const [merged] = await target<{ rows: number }[]>`
    select sum(merged)::float8 as rows from migration.ranges where entity = 'offices'`;
  assert.is(entities.find(({ entity }) => entity === 'offices')?.compared, merged?.rows);

  project.edit(file, (text) => text.replace('o.apt', 'o.flat'));
  const broken = await runner(pair, ['verify', '--json'], { root: project.root });
  assert.is(broken.code, 1);
  const { problems } = lastLine<{ problems: { file: string; message: string }[] }>(broken);
  assert.equal(
    problems.map((problem) => `${problem.file} ${problem.message}`),
    [`${file} column o.flat does not exist`],
  );
  assert.equal(await state(), before);
  const [line] = await target<{ found: object }[]>`
    select e.details -> 'entities' @> '[{"entity": "offices", "differences":
      {"missing": 1, "differs": 1}}]' and e.details ->> 'files' <> l.details ->> 'files' as found
    from migration.events as e
    cross join lateral (
      select o.details from migration.events as o
      where o.what = 'verified' and o.event < e.event order by o.event desc limit 1) as l
    where e.what = 'verified' order by e.event desc limit 1`;
  assert.equal(line, { found: true });
  assert.equal(await found('offices'), []);
  project.remove();
});

test('while another session reads through the link: exit 3', async () => {
  await target.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(20250401, 2)`;
    const { code, stderr } = await runner(pair, ['verify', 'offices']);
    assert.is(code, 3);
    assert.match(stderr, 'the link is in use');
  });
});

test('a source row that came, changed or went since the last run', async () => {
  await source.unsafe(`
    insert into dispatch_office (id, name, tax_rate, valid, emails) values (900001, 'New', 0, true, true);
    update dispatch_category set name = concat(name, '!') where id = (select min(id) from dispatch_category)`);
  const [category] = await source<{ id: number }[]>`select min(id) as id from dispatch_category`;
  const [course] = await source<{ id: number }[]>`
    delete from dispatch_course where id = (select max(id) from dispatch_course) returning id`;
  assert.equal(
    await found('offices', 'categories', 'courses'),
    [
      'offices 900001 missing',
      `categories ${category?.id} differs name`,
      `courses ${course?.id} surplus`,
    ].toSorted(),
  );
});

test('values are shown only when asked for', async () => {
  const key = await keyOf('offices', 'legacy_office_id');
  await target.unsafe(
    `update public.offices set city = 'Planted City' where legacy_office_id = ${key}`,
  );
  const hidden = await runner(pair, ['verify', 'offices']);
  assert.not.match(hidden.stdout + hidden.stderr, 'Planted City');
  const shown = await runner(pair, ['verify', 'offices', '--show-data']);
  assert.match(shown.stdout, 'Planted City');
});

test('an archive table that is not what the source says', async () => {
  await target.unsafe(`update legacy_archive.dispatch_agent set name = 'other'`);
  const rows = await found('legacy_archive.dispatch_agent');
  assert.ok(rows.length > 0);
  assert.ok(rows.every((row) => /^legacy_archive\.dispatch_agent \d+ changed$/.test(row)));
});

test('an entity that does not exist', async () => {
  assert.is((await runner(pair, ['verify', 'nothing'])).code, 2);
});

test.run();
