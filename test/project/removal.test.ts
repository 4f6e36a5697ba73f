// deadline 300
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { testPair, type TestPair } from '../pair.ts';
import {
  connected,
  dump,
  failure,
  otherValues,
  phase,
  PHASES,
  REMOVED,
  removedValues,
  runner,
  start,
  without,
} from './removal-pair.ts';

/** What is compared: schema, the values that go, all others. */
type State = { schema: string[]; removed: string[]; others: Record<string, string> };

const APP_OBJECTS = /app_patient_insurance|app_product_by_sku|app_has_insurance|app_product_label/;

// an application of four files, one of them not its own
const CODE = {
  'app/patient.ts': `// insurance_info is shown on the first page
export const read = (db) =>
  db.from('profiles').select('id, insurance_info, medical_history');

export const write = (db, insuranceInfo) =>
  db.from('profiles').update({
    insurance_info: insuranceInfo,
  });
`,
  'app/types.ts': `export interface Database {
  profiles: {
    id: string;
    insurance_info: Json | null;
  };
}
`,
  'app/brackets.ts': `// not products
export const brackets = (db) => db.from('brackets').select('sku');
`,
  'node_modules/x/index.ts': 'profiles.insurance_info',
};

// one migrated pair for all: the tests build on each other, in the order in which they stand
const test = suite('column removal');
/** The phases that fill the tables of these columns. */
const FILLED = ['up', '1-foundation', '2-core'];
let pair: TestPair;
let db: Client;
let original: State;

test.before(async () => {
  pair = await testPair({ name: 'removal', source: 'sample' });
  db = await connected(pair.targetUrl);
  const source = await connected(pair.sourceAdminUrl);
  const { rows } = await source.query<{ id: number }>(
    'select id from auth_user order by id limit 1',
  );
  await source.end();
  // what an application may have made of these tables: all of it must come back
  await db.query(`
    insert into profiles (profile_type, first_name, last_name, legacy_user_id, insurance_info)
    values ('client', 'Ada', 'Opted', ${rows[0]!.id}, '{"provider": "before the migration"}');
    alter table products alter column sku set default 'none';
    comment on column profiles.insurance_info is 'as the clinic wrote it';
    revoke all on products from anon;
    grant select (name, sku) on products to anon;
    grant update (sku) on products to authenticated with grant option;
    create trigger a_touch before update on profiles for each row
      execute function app_touch_updated_at();
    alter table profiles enable always trigger a_touch;
    create trigger b_idle before update on profiles for each row
      execute function app_touch_updated_at();
    alter table profiles disable trigger b_idle`);
});
test.after(async () => {
  await db.end();
  await pair.drop();
});

test('refused before anything is migrated', async () => {
  const { code, output } = await removal('up');
  assert.is(code, 1);
  assert.match(output, 'nothing is migrated yet');
  const { rows } = await db.query(`select to_regnamespace('migration') as schema`);
  assert.equal(rows, [{ schema: null }]);
});

test('refused while an entity that fills a table is not complete', async () => {
  const { code, output } = await runner(pair, ...FILLED);
  assert.is(code, 0, output);
  // the application's data, odd values among them
  await db.query(`
    alter table profiles disable trigger a_touch;
    update profiles set insurance_info = jsonb_build_object('provider', id, 'rate', 1.10)
    where right(id::text, 1) in ('0', '1', '2') and insurance_info is null;
    update profiles set medical_history = 'null' where right(id::text, 1) = '3';
    update profiles set medical_history = '["Ä", "\\"", {}]' where right(id::text, 1) = '4';
    alter table profiles enable always trigger a_touch;
    update products set sku = null where right(id::text, 1) in ('0', '1', '2', '3');
    update products set sku = '' where right(id::text, 1) in ('4', '5');
    update products set sku = E'S,\\'\\n' || id where right(id::text, 1) in ('6', '7')`);
  original = await state();
  assert.ok(REMOVED.every((name) => original.removed.some((line) => line.startsWith(`${name} `))));

  await db.query(`update migration.entities set status = 'partial' where entity = 'products'`);
  const early = await removal('up');
  assert.is(early.code, 1);
  assert.match(early.output, 'not complete: products; nothing was changed');
  await db.query(`update migration.entities set status = 'complete' where entity = 'products'`);
});

test('each phase, its down, and the phase again', async () => {
  const states = [original];
  for (const number of [1, 2, 3, 4]) {
    assert.equal(await phase(pair.targetUrl, 'up'), [{ name: PHASES[number], direction: 'up' }]);
    const after = await state();
    await phase(pair.targetUrl, 'down');
    same(await state(), states.at(-1)!, `down of phase ${number}`);
    await phase(pair.targetUrl, 'up');
    same(await state(), after, `phase ${number} again`);
    states.push(after);
    assert.equal(after.others, original.others, `other values after phase ${number}`);
  }
  assert.equal(await phase(pair.targetUrl, 'up'), []);

  const [, one, two, three, four] = states;
  same(one!, original, 'phase 1 changes nothing of the application');

  // phase 2: three comments, four triggers
  const comments = without(two!.schema, original.schema);
  assert.is(comments.filter((line) => /^column .* comment deprecated/.test(line)).length, 3);
  assert.is(
    comments.filter((line) => line.startsWith('trigger CREATE TRIGGER migration_column')).length,
    4,
  );
  assert.is(comments.length, 7);
  assert.equal(two!.removed, original.removed);

  // phase 3: the four objects of the contract, and privileges on the two tables
  const touched = without(three!.schema, two!.schema);
  const rest = touched.filter((line) => !APP_OBJECTS.test(line));
  assert.ok(rest.every((line) => /^(column|relation r) (profiles|products)\b/.test(line)));
  assert.equal(three!.removed, original.removed);

  // phase 4: three columns are gone, and what phase 3 announced; nothing else differs
  const gone = without(original.schema, four!.schema);
  const come = without(four!.schema, original.schema);
  assert.equal(
    gone.filter((line) => !APP_OBJECTS.test(line)).map((line) => line.split(' ')[1]),
    [...REMOVED],
  );
  assert.ok(come.every((line) => APP_OBJECTS.test(line)));
  const names = (lines: string[]) =>
    lines.map((line) => APP_OBJECTS.exec(line)?.[0]).filter((name) => name !== undefined);
  assert.equal([...new Set(names(gone))].toSorted(), [...new Set(names(come))].toSorted());
  assert.is(new Set(names(gone)).size, 4);
});

test('all the way down: structure and every value', async () => {
  for (const number of [4, 3, 2, 1]) {
    const name = PHASES[number];
    assert.equal(await phase(pair.targetUrl, 'down'), [{ name, direction: 'down' }]);
  }
  same(await state(), original, 'after the last down');
  // a restored column stands last: PostgreSQL adds columns nowhere else
  const { rows } = await db.query<{ name: string }>(`
    select attname as name from pg_attribute
    where attrelid = 'profiles'::regclass and attnum > 0 and not attisdropped order by attnum`);
  assert.equal(
    rows.slice(-2).map(({ name }) => name),
    ['insurance_info', 'medical_history'],
  );
  const { rows: kept } = await db.query('select * from migration.column_backups');
  assert.equal(kept, []);
});

test('phase 3: the application goes on without the columns, the API roles may read but not write them', async () => {
  const { rows: found } = await db.query<{ answer: unknown }>(`
    select jsonb_agg(app_has_insurance(id)) as answer from profiles where insurance_info is not null`);
  assert.ok((found[0]!.answer as boolean[]).includes(true));
  await phase(pair.targetUrl, 'up');
  await phase(pair.targetUrl, 'up', { to: 2 });
  assert.is((await removal('up', '--to', '3')).code, 0);
  const { rows } = await db.query(`
    select
      (select bool_or(app_has_insurance(id)) from profiles)                      as any_insurance,
      (select bool_or(has_insurance_info) from app_patient_insurance)            as any_info,
      (select count(insurance_provider)::integer from app_patient_insurance)     as providers,
      (select count(app_product_by_sku(sku))::integer from products)             as by_sku,
      (select bool_and(app_product_label(id) = name) from products)              as labels`);
  assert.equal(rows, [
    { any_insurance: false, any_info: false, providers: 0, by_sku: 0, labels: true },
  ]);
  for (const role of ['anon', 'authenticated', 'service_role']) {
    const { rows: held } = await db.query(`
      select
        bool_or(has_column_privilege('${role}', attrelid, attnum, p.name)) filter (
          where attname in ('insurance_info', 'medical_history', 'sku')
          and p.name <> 'select') as removed,
        bool_and(has_column_privilege('${role}', attrelid, attnum, p.name)) filter (
          where attrelid = 'profiles'::regclass and p.name = 'select') as reads,
        bool_and(has_column_privilege('${role}', attrelid, attnum, p.name)) filter (
          where attname not in ('insurance_info', 'medical_history', 'sku')
          and attrelid = 'profiles'::regclass) as others
      from pg_attribute
      cross join (values ('select'), ('insert'), ('update'), ('references')) as p (name)
      where attrelid in ('profiles'::regclass, 'products'::regclass)
        and attnum > 0 and not attisdropped`);
    assert.equal(held, [{ removed: false, reads: true, others: true }], role);
  }
  await db.query(`set role authenticated`);
  await db.query('select * from profiles; select * from app_patient_insurance');
  const denied = await db.query(`update profiles set insurance_info = '{}'`).then(
    () => 'it was allowed',
    (error: Error) => error.message,
  );
  assert.match(denied, 'permission denied');
  await db.query('reset role');
});

test('one phase per call: --to a later one is refused', async () => {
  const { code, output } = await removal('down', '--to', '0');
  assert.is(code, 2);
  assert.match(output, 'one phase at a time. Phase 3 is the last one applied');
  assert.equal(await phase(pair.targetUrl, 'up', { to: 3 }), []);
});

test('a fifth view and function, and everything else that uses a column: phase 4 names them', async () => {
  const before = await dump(db);
  await db.query(`
    create view fifth_view as select id, sku from products;
    create function fifth_function() returns bigint language plpgsql as
      $$ begin return (select count(x.medical_history) from public.profiles as x); end $$;
    create function of_trigger() returns trigger language plpgsql as
      $$ begin new.medical_history := null; return new; end $$;
    create trigger of_trigger before insert on profiles for each row
      execute function of_trigger();
    create function of_another_table() returns text language sql as
      $$ select max(b.sku) from public.brackets as b join public.products as p on true $$;
    create index on products (lower(sku));
    create policy by_sku on products for select to anon using (sku is not null);
    alter table products add constraint sku_short check (length(sku) < 100);
    alter table products add column code text generated always as (upper(sku)) stored;
    create statistics sku_statistics on name, sku from products;
    create publication two_columns for table products (id, sku);
    create publication whole_table for table profiles`);
  const { code, output } = await removal('up');
  assert.is(code, 1);
  const expected: [string, string][] = [
    ['view', 'public.fifth_view'],
    ['function', 'public.fifth_function()'],
    ['function', 'public.of_trigger()'],
    ['index', 'public.products_lower_idx'],
    ['policy', 'by_sku on public.products'],
    ['constraint', 'sku_short on public.products'],
    ['generated column', 'public.products.code'],
    ['statistics', 'public.sku_statistics'],
    ['publication', 'public.products in publication two_columns'],
  ];
  for (const [kind, name] of expected) assert.match(output, `${kind} ${name} uses public.`);
  assert.not.match(output, 'of_another_table');
  assert.not.match(output, 'publication whole_table');
  assert.match(output, 'nothing changed');

  const status = JSON.parse((await runner(pair, 'schema', 'status', '--json')).output) as {
    folders: { folder: string; applied: unknown[] }[];
    removal: { dependents: { object: string; blocks: boolean }[] };
  };
  assert.equal(
    status.folders.map(({ folder, applied }) => [folder, applied.length]),
    [
      ['additive', 4],
      ['removal', 3],
    ],
  );
  assert.ok(
    status.removal.dependents.some(({ object, blocks }) => object === 'whole_table' && !blocks),
    'a publication of whole tables is named and does not block',
  );
  await db.query(`
    drop publication two_columns, whole_table;
    drop statistics sku_statistics;
    alter table products drop column code, drop constraint sku_short;
    drop policy by_sku on products;
    drop index products_lower_idx;
    drop function of_another_table();
    drop trigger of_trigger on profiles;
    drop function of_trigger();
    drop function fifth_function();
    drop view fifth_view`);
  assert.equal(await dump(db), before);
});

test('application code: file, line, kind of use; phase 4 is refused while there is one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'removal-code-'));
  for (const [name, text] of Object.entries(CODE)) {
    await mkdir(join(folder, dirname(name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const { code, output } = await removal('up', '--code', folder);
  await rm(folder, { recursive: true });
  assert.is(code, 1);
  const lines = output.split('\n').filter((line) => /^\S+:\d+ /.test(line));
  assert.equal(
    lines.map((line) => line.split(/ {2,}/)),
    [
      ['app/brackets.ts:2', 'public.products.sku', 'query, another table?'],
      ['app/patient.ts:1', 'public.profiles.insurance_info', 'comment'],
      ['app/patient.ts:3', 'public.profiles.insurance_info', 'query'],
      ['app/patient.ts:3', 'public.profiles.medical_history', 'query'],
      ['app/patient.ts:5', 'public.profiles.insurance_info', 'mention'],
      ['app/patient.ts:7', 'public.profiles.insurance_info', 'write'],
      ['app/types.ts:4', 'public.profiles.insurance_info', 'type'],
    ],
  );
  assert.match(output, 'the application still uses the columns; nothing was changed');
});

test('a late writer is recorded: role, application, client, time; phase 4 asks for a reason', async () => {
  const late = await connected(`${pair.targetUrl}?application_name=late%20app`);
  await late.query(`
    begin;
    update profiles set medical_history = '{"late": true}'
    where id = (select min(id::text)::uuid from profiles);
    update profiles set first_name = first_name;
    commit`);
  await late.end();
  const { rows } = await db.query(
    `select table_name, column_name, operation, role, application, client
     from migration.column_writes order by write`,
  );
  assert.equal(rows, [
    {
      table_name: 'public.profiles',
      column_name: 'medical_history',
      operation: 'update',
      role: 'postgres',
      application: 'late app',
      client: '127.0.0.1',
    },
  ]);
  const { code, output } = await removal('up');
  assert.is(code, 1);
  assert.match(output, 'public.profiles.medical_history written 1 time(s) by postgres (late app');
  assert.match(output, '--accept-evidence');
  assert.not.match(output, '"late"');
  const empty = await removal('up', '--accept-evidence', ' ');
  assert.is(empty.code, 2);
});

test('phase 2: a writer under an API role is recorded with that role', async () => {
  await phase(pair.targetUrl, 'down');
  await db.query('begin; set local role service_role');
  await db.query(`
    insert into products (name, course_type, sku)
    select 'late', course_type, 'late' from products limit 1`);
  await db.query('reset role');
  const { rows } = await db.query(`
    select column_name, operation, role from migration.column_writes order by write desc limit 1`);
  assert.equal(rows, [{ column_name: 'sku', operation: 'insert', role: 'service_role' }]);
  await db.query('rollback');
  await phase(pair.targetUrl, 'up');
});

test('reads since phase 2 are evidence too, where the server counts statements', async () => {
  // stands for the extension, which needs a server that loads it at its start
  await db.query(`
    create view extensions.pg_stat_statements as
    select s.queryid, s.query, s.calls, d.oid as dbid
    from (values
      (1::bigint, 'select medical_history from profiles where id = $1', 3::bigint),
      (2, 'select sku from brackets', 5),
      (3, 'delete from migration.column_backups /* profiles.medical_history */', 1),
      (4, 'alter table profiles drop column medical_history', 1)
    ) as s (queryid, query, calls)
    cross join pg_database as d where d.datname = current_database()`);
  const { code, output } = await removal('up');
  await db.query('drop view extensions.pg_stat_statements');
  assert.is(code, 1);
  assert.match(output, 'public.profiles.medical_history read 3 time(s) by: select medical_history');
  assert.not.match(output, 'brackets');
  assert.not.match(output, 'column_backups');
  assert.not.match(output, 'drop column');
});

test('a held lock: each try gives up in under a second, readers wait no longer than lock_timeout', async () => {
  const holder = await connected(pair.targetUrl);
  const reader = await connected(pair.targetUrl);
  const before = await state();
  for (const table of ['profiles', 'products']) {
    await holder.query(`begin; select count(*) from ${table}`);
    let longest = 0;
    const stop = new AbortController();
    const reads = (async () => {
      while (!stop.signal.aborted) {
        const began = Date.now();
        await reader.query(
          'select (select count(*) from profiles), (select count(*) from products)',
        );
        longest = Math.max(longest, Date.now() - began);
        await sleep(5);
      }
    })();
    const tries: number[] = [];
    let began = Date.now();
    const error = await failure(
      phase(pair.targetUrl, 'up', {
        reason: 'the test of the lock',
        attempts: 3,
        afterBegin: async (client) => {
          began = Date.now();
          await client.query(`select set_config('migration.accepted_evidence', 'test', true)`);
        },
        onRetry: () => tries.push(Date.now() - began),
      }),
    );
    tries.push(Date.now() - began);
    stop.abort();
    await reads;
    assert.is(error.code, 'locked');
    assert.is(tries.length, 3);
    assert.ok(Math.max(...tries) < 1000, `tries took ${tries.join(', ')} ms`);
    assert.ok(longest < 500, `a reader of ${table} waited ${longest} ms`);
    console.log(`lock on ${table}: tries ${tries.join(', ')} ms, longest read ${longest} ms`);
    await holder.query('rollback');
  }
  same(await state(), before, 'after the tries');
  await holder.end();
  await reader.end();
});

test('SIGKILL while phase 4 waits for a lock: nothing of it is there; the command again does it', async () => {
  const before = await state();
  const holder = await connected(pair.targetUrl);
  await holder.query('begin; select count(*) from products');
  const accept = ['--accept-evidence', 'the late writer was a test'];
  const { child, ended } = start(pair, ['schema', 'up', '--folder', 'removal', ...accept]);
  await until(
    `select exists (select from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock' and query ~ 'lock table') as it`,
  );
  child.kill('SIGKILL');
  await ended;
  await holder.end();
  await until(`select not exists (select from pg_stat_activity
    where datname = current_database() and application_name ~ 'runner') as it`);
  same(await state(), before, 'after SIGKILL');
});

test('with a reason the evidence is accepted, and both are in the audit trail', async () => {
  const { code, output } = await removal(
    'up',
    '--accept-evidence',
    'the late writer was a test',
    '--to',
    '4',
  );
  assert.is(code, 0, output);
  const { rows } = await db.query<{ details: { reason: string; evidence: { seen: string }[] } }>(
    `select details from migration.events where what = 'column removal: evidence accepted'`,
  );
  assert.is(rows.length, 1);
  assert.is(rows[0]!.details.reason, 'the late writer was a test');
  assert.match(rows[0]!.details.evidence[0]!.seen, 'medical_history written 1 time(s)');
});

test('after the drop: up, check, down of a data phase and up again', async () => {
  for (const command of [FILLED, ['check'], ['verify']]) {
    const { code, output } = await runner(pair, ...command);
    assert.is(code, 0, output);
  }
  const others = await otherValues(db);
  // the application wrote into these columns of migrated rows: down would stop and list them
  const stopped = await runner(pair, 'down', '1-foundation', '--cascade', '--yes');
  assert.is(stopped.code, 1, stopped.output);
  const back = await runner(pair, 'down', '1-foundation', '--cascade', '--yes', '--force');
  assert.is(back.code, 0, back.output);
  const { rows } = await db.query('select first_name, last_name from profiles');
  assert.equal(rows, [{ first_name: 'Ada', last_name: 'Opted' }]);
  const again = await runner(pair, ...FILLED);
  assert.is(again.code, 0, again.output);
  const { rows: count } = await db.query('select count(*)::integer as n from profiles');
  assert.ok(count[0]!.n > 1);
  assert.equal(Object.keys(await otherValues(db)), Object.keys(others));
});

test('down of everything after all that: each value that was there at the drop', async () => {
  for (const number of [4, 3, 2, 1]) {
    await phase(pair.targetUrl, 'down', { to: number - 1 });
  }
  const now = await state();
  assert.equal(now.schema, original.schema);
  // the late write is the one value that differs from the beginning
  const { rows } = await db.query<{ id: string }>(
    `select id from profiles where medical_history = '{"late": true}'`,
  );
  assert.is(rows.length, 1);
  const early = (line: string) => !line.startsWith(`profiles.medical_history ${rows[0]!.id} `);
  assert.equal(now.removed.filter(early), original.removed.filter(early));
  assert.ok(now.removed.some((line) => line.includes('before the migration')));
});

test.run();

async function state(): Promise<State> {
  return { schema: await dump(db), removed: await removed(), others: await otherValues(db) };
}

/** The values that go; none where the columns are gone. */
async function removed(): Promise<string[]> {
  const { rows } = await db.query(
    `select from pg_attribute where attrelid = 'products'::regclass and attname = 'sku'`,
  );
  return rows.length === 0 ? [] : removedValues(db);
}

function same(now: State, then: State, when: string): void {
  assert.equal(without(now.schema, then.schema), [], `${when}: schema, new`);
  assert.equal(without(then.schema, now.schema), [], `${when}: schema, lost`);
  assert.equal(now.removed, then.removed, `${when}: values of the columns`);
  assert.equal(now.others, then.others, `${when}: other values`);
}

function removal(verb: string, ...options: string[]) {
  return runner(pair, 'schema', verb, '--folder', 'removal', ...options);
}

/** Waits for a query to return true; 20 seconds at most. */
async function until(query: string): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    const { rows } = await db.query<{ it: boolean }>(query);
    if (rows[0]?.it === true) return;
    await sleep(50);
  }
  throw new Error(`not within 20 seconds: ${query}`);
}
