// deadline 300
/* What a migration that is right has to say all the same: checks that warn, and the verdict. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, ROOT, runner, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

/** The last line of `check <name> --json`. */
interface Checked {
  checks: { name: string; findings: number; sample: string[]; error: string | null }[];
}

const test = suite<Context>('remarks');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'remarks', source: 'sample' }));
  const { source, target } = context;
  const [rejected] = await source<{ id: number }[]>`
    select i.id from dispatch_instruction as i
    where not exists (select 1 from dispatch_patient as p where p.id = i.patient_id)
       or i.course_id not in (1, 2, 3, 4, 7, 8) order by i.id limit 1`;
  const [doctor] = await source<{ id: number }[]>`
    select user_id as id from auth_user_groups where group_id = 2 order by 1 limit 1`;
  const [patient] = await source<{ id: number }[]>`select min(id) as id from dispatch_patient`;
  await target.unsafe(`
    insert into public.profiles (id, profile_type, first_name, last_name, patient_suffix, phone)
    values ('00000000-0000-4000-8000-000000000001', 'patient', 'by', 'the application', 'x', '1'),
      ('00000000-0000-4000-8000-000000000002', 'doctor', 'A', 'former migration', null, '2');
    update public.profiles set legacy_user_id = ${doctor?.id}
    where id = '00000000-0000-4000-8000-000000000002';
    insert into public.patients (id, profile_id) values
      ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000001');
    insert into public.doctors (profile_id, doctor_number, legacy_user_id, specialty, bio)
    values ('00000000-0000-4000-8000-000000000002', 'D', ${doctor?.id}, 'invented', 'invented');
    insert into public.orders
      (patient_id, order_number, legacy_instruction_id, course_type, status, doctor_id)
    values ('00000000-0000-4000-8000-000000000003', 'guessed', ${rejected?.id},
      'main', 'submitted',
      (select id from public.doctors));
    insert into public.shipments (order_id, created_at)
    select id, '2020-01-01' from public.orders`);
  assert.ok(patient);
  await migrate(context.pair, { phases: 7, archive: true });
});

test.after(dropPair);

async function sampleOf(pair: TestPair, name: string): Promise<string[]> {
  const { stdout } = await runner(pair, ['check', name, '--json']);
  const [check] = lastLine<Checked>({ code: 0, stdout, stderr: '' }).checks;
  assert.is(check?.error, null);
  return check?.sample ?? [];
}

test('a lifted NOT NULL is told with the number and the keys of its NULLs', async ({
  pair,
  target,
}) => {
  const [row] = await target<{ rows: number; first: number }[]>`
    select count(*)::integer as rows, min(m.legacy_id)::integer as first from public.orders as t
    join ids.orders as m on m.id = t.id where t.doctor_id is null`;
  assert.ok((row?.rows ?? 0) > 0);
  const sample = await sampleOf(pair, 'relaxed');
  const line = sample.find((each) => each.includes('column_name=doctor_id'));
  assert.match(
    line ?? '',
    `table_name=public.orders column_name=doctor_id row_count=${row?.rows} `,
  );
  assert.match(line ?? '', `first_keys=orders ${row?.first}`);
  await succeed(pair, ['check', 'relaxed']);
  await target`alter table public.purchases alter column order_id drop not null`;
});

test('the columns it looks at are those whose NOT NULL the additive changes lift', () => {
  const folder = join(ROOT, 'schema-changes/additive');
  const lifted = readdirSync(folder).flatMap((file) =>
    [
      ...readFileSync(join(folder, file), 'utf8').matchAll(
        /alter table (\S+)\s+alter column (\w+)\s+drop not null/g,
      ),
    ].map(([, place, column]) => `${place}.${column}`),
  );
  const text = readFileSync(join(ROOT, 'checks/relaxed.sql'), 'utf8');
  const listed = [...text.matchAll(/\['(\S+)', '(\w+)'\]/g)].map(([, p, c]) => `${p}.${c}`);
  assert.ok(lifted.length > 10);
  assert.equal(listed.toSorted(), lifted.toSorted());
});

test('leftovers of a former migration are counted by table, and rows of the application are not', async ({
  pair,
}) => {
  const found = await sampleOf(pair, 'leftovers');
  const rows = found.map((each) => each.replaceAll(/(table_name|what|row_count)=/g, ''));
  assert.equal(rows.toSorted(), [
    'public.doctors without a source: bio 1',
    'public.doctors without a source: specialty 1',
    'public.orders rejected: unknown_course (orders) 1',
    'public.profiles without a source: phone 1',
    'public.shipments rows without a source 1',
  ]);
});

test('what it lists as rejected are the adoption keys of entities that reject', () => {
  const text = readFileSync(join(ROOT, 'checks/leftovers.sql'), 'utf8');
  const listed = new Set([...text.matchAll(/\['(\w+)', '\w+'\]/g)].map(([, entity]) => entity));
  const missing = readCatalog(ROOT)
    .phases.flatMap(({ entities }) => entities)
    .filter(
      ({ reasons, adopt }) =>
        reasons.some(({ kind }) => kind === 'reject') &&
        adopt.length === 1 &&
        adopt[0]?.startsWith('legacy'),
    )
    .filter(({ name }) => !listed.has(name));
  assert.equal(
    missing.map(({ name }) => name),
    [],
  );
});

test('the verdict of up and status mentions both', async ({ pair }) => {
  const { verdict, findings } = lastLine<{
    verdict: string;
    findings: { check: string; rows: number }[];
  }>(await succeed(pair, ['status', '--json']));
  assert.equal(
    findings.map(({ check }) => check),
    ['leftovers', 'relaxed'],
  );
  assert.match(verdict, / 5 values or rows of a former migration .*\(`check leftovers`\)/);
  assert.match(verdict, / \d+ values are NULL where a NOT NULL was lifted \(`check relaxed`\)/);
});

test('columns that are NULL in every row are listed', async ({ pair }) => {
  const { emptyColumns } = lastLine<{
    emptyColumns: { table_name: string; column_names: string[]; row_count: number }[];
  }>(await succeed(pair, ['check', 'coverage', '--target', '--json']));
  const of = (name: string) => emptyColumns.find((each) => each.table_name === name);
  assert.ok(of('public.files')?.column_names.includes('storage_path'));
  assert.ok(of('public.tasks')?.column_names.includes('due_at'));
  assert.not(of('public.tasks')?.column_names.includes('description'));
  // the former migration has filled it in one row
  assert.not(of('public.doctors')?.column_names.includes('bio'));
  assert.ok(of('public.doctors')?.column_names.includes('education'));
});

test('a query that would read all of a large table is found, with the index that would help', async ({
  pair,
  target,
}) => {
  assert.equal(await sampleOf(pair, 'performance'), []);
  await target.unsafe(`
    insert into public.profiles (profile_type, first_name, last_name, email)
    select 'doctor', 'n', 'n', format('a%s@example.com', g) from generate_series(1, 20000) as g;
    drop index public.profiles_email_idx;
    analyze public.profiles`);
  const byEmail = async () =>
    (await sampleOf(pair, 'performance')).filter((row) => row.startsWith('query=profile_by_email'));
  const [found] = await byEmail();
  assert.match(found ?? '', /^query=profile_by_email table_name=public\.profiles row_count=\d+ /);
  assert.match(found ?? '', 'fix=create index concurrently on public.profiles (email)');
  await target.unsafe('create index concurrently on public.profiles (email)');
  assert.equal(await byEmail(), []);
});

test.run();
