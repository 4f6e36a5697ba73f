import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Client } from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { applySchemaChanges } from '../../runner/schema/changes.ts';
import type { ApplyOptions } from '../../runner/schema/changes.ts';
import { testPair } from '../pair.ts';
import { connected, dump, failure } from './removal-pair.ts';

interface Context {
  pair: Awaited<ReturnType<typeof testPair>>;
  root: string;
  db: Client;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const FILES = [
  '20260101000000001_relax-constraints',
  '20260101000000002_keys-to-source',
  '20260101000000003_source-columns',
  '20260101000000004_new-tables',
];
const NEW = '20260102000000001_new';

// every test has a project root of its own, since the tests edit files
const test = suite<Context>('schema changes');
test.before.each(async (context) => {
  await openPair(context);
  await openRoot(context);
});
test.after.each(async (context) => {
  await closeRoot(context);
  await closePair(context);
});

test('up, then up again: the second does nothing', async (context) => {
  assert.equal(await apply(context), FILES.map(up));
  const after = await dump(context.db);
  const rows = await ledger(context.db);
  assert.equal(await apply(context), []);
  assert.equal(await dump(context.db), after);
  assert.equal(await ledger(context.db), rows);
});

test('up, then down: the catalog of public is what it was', async (context) => {
  const before = await dump(context.db);
  await apply(context);
  assert.not.equal(await dump(context.db), before);
  assert.equal(await apply(context, { direction: 'down' }), FILES.toReversed().map(down));
  assert.equal(await dump(context.db), before);
  assert.equal(await ledger(context.db), []);
});

test('one file per call, there and back, and up once more', async (context) => {
  const states = [await dump(context.db)];
  for (const name of FILES) {
    assert.equal(await apply(context, { count: 1 }), [up(name)]);
    states.push(await dump(context.db));
  }
  for (const name of FILES.toReversed()) {
    assert.equal(await dump(context.db), states.pop());
    assert.equal(await apply(context, { direction: 'down', count: 1 }), [down(name)]);
  }
  assert.equal(await dump(context.db), states.pop());
  assert.equal(await apply(context), FILES.map(up));
});

test('new tables are protected and open to the API roles like every other table', async (context) => {
  await apply(context);
  const { rows } = await context.db.query(`
    select c.relname as name, c.relrowsecurity as rls,
           (select array_agg(x::text order by x::text) from unnest(c.relacl) as x) as acl,
           (select acl.acl from (
              select array_agg(y::text order by y::text) as acl
              from pg_class as o, unnest(o.relacl) as y where o.oid = 'public.patients'::regclass
            ) as acl) as expected
    from pg_class as c
    where c.relname in ('user_actions', 'message_read_receipts')
    order by 1`);
  assert.is(rows.length, 2);
  for (const row of rows) {
    assert.is(row.rls, true, row.name);
    assert.equal(row.acl, row.expected, row.name);
  }
});

// the views and functions that depend on the column would be in the way of some
const FREE = `
  drop view public.app_legacy_patient_lookup;
  drop function public.app_profile_of_legacy_patient(integer);`;

test('legacy_patient_id stays: dropped openly, and hidden from the parser', async (context) => {
  const drop = 'alter table public.profiles drop column legacy_patient_id';
  await write(context, NEW, `${drop};`, 'select 1;');
  const open = await failure(apply(context));
  assert.is(open.code, 'protected');
  assert.match(open.message, 'public.profiles.legacy_patient_id is protected');
  await write(
    context,
    NEW,
    `${FREE}\ndo $$ begin execute '${drop.replace('profiles', `' || 'profiles`)}'; end $$;`,
    'select 1;',
  );
  const before = await dump(context.db);
  const hidden = await failure(apply(context));
  assert.is(hidden.code, 'protected', hidden.message);
  assert.match(hidden.message, 'nothing changed');
  assert.equal(await dump(context.db), before);
});

test('down with rows that need the change: all reasons are named, nothing changes', async (context) => {
  await apply(context);
  await context.db.query(`
    insert into public.offers (description, price_both) values ('x', 1), ('y', 2);
    insert into public.products (name, course_type, legacy_course_id)
    values ('a', 'main', 1), ('b', 'main', 1);
    insert into public.user_actions (action, action_date) values ('login', now())`);
  const before = await dump(context.db);

  const tables = await failure(apply(context, { direction: 'down' }));
  assert.match(tables.message, 'tables to be dropped still hold rows');
  assert.match(tables.message, 'user_actions 1');
  await context.db.query('delete from public.user_actions');
  const columns = await failure(apply(context, { direction: 'down' }));
  assert.match(columns.message, 'columns to be dropped still hold values: offers in 2 row(s)');
  await context.db.query('update public.offers set price_both = null');
  const constraints = await failure(apply(context, { direction: 'down' }));
  assert.match(constraints.message, 'cannot restore NOT NULL and UNIQUE');
  assert.match(constraints.message, 'offers.order_id is NULL in 2 row(s)');
  assert.match(constraints.message, 'offers.offer_amount is NULL in 2 row(s)');
  assert.match(constraints.message, 'products.legacy_course_id repeats 1 value(s)');
  assert.equal(await dump(context.db), before);
});

test.run();

async function openPair(context: Context): Promise<void> {
  context.pair = await testPair({ name: 'schema', source: 'empty', target: 'schema' });
  context.db = await connected(context.pair.targetUrl);
}

async function closePair(context: Context): Promise<void> {
  await context.db.end();
  await context.pair.drop();
}

async function openRoot(context: Context): Promise<void> {
  context.root = await mkdtemp(join(tmpdir(), 'schema-changes-'));
  const from = join(PROJECT, 'schema-changes');
  await cp(from, join(context.root, 'schema-changes'), { recursive: true });
}

async function closeRoot(context: Context): Promise<void> {
  await rm(context.root, { recursive: true, force: true });
}

function apply(context: Context, options: Partial<ApplyOptions> = {}) {
  return applySchemaChanges({
    url: context.pair.targetUrl,
    root: context.root,
    folder: 'additive',
    direction: 'up',
    ...options,
  });
}

function up(name: string) {
  return { name, direction: 'up' };
}

function down(name: string) {
  return { name, direction: 'down' };
}

function fileOf(context: Context, name: string): string {
  return join(context.root, 'schema-changes/additive', `${name}.sql`);
}

async function write(context: Context, name: string, upSql: string, downSql: string) {
  const text = `-- test\n\n-- Up Migration\n${upSql}\n\n-- Down Migration\n${downSql}\n`;
  await writeFile(fileOf(context, name), text);
}

async function ledger(db: Client): Promise<unknown[]> {
  // node-pg-migrate's table comes with the first change
  const exists = await db.query(`select to_regclass('migration.schema_changes_additive') as it`);
  if (exists.rows[0]?.it === null) return [];
  const { rows } = await db.query(`
    select h.name, h.hash, h.applied_at
    from migration.schema_change_hashes as h
    full join migration.schema_changes_additive as m on m.name = h.name
    order by h.name`);
  return rows;
}
