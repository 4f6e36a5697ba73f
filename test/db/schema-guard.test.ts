import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Client } from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { applySchemaChanges } from '../../runner/schema/changes.ts';
import type { ApplyOptions } from '../../runner/schema/changes.ts';
import { startProxy } from '../faults/proxy.ts';
import { testPair, type TestPair } from '../pair.ts';
import { connected, failure, installSetup, ROOT } from '../project/removal-pair.ts';

// Ways of losing profiles.legacy_patient_id that do not look like a change of it: nothing in them
// is for the parser to see.
interface Context {
  pair: TestPair;
  root: string;
  db: Client;
}

const test = suite<Context>('what a schema change may do to a protected column');
test.before(async (context) => {
  context.pair = await testPair({ name: 'guard', source: 'empty' });
  context.db = await connected(context.pair.targetUrl);
  context.root = await mkdtemp(join(tmpdir(), 'schema-guard-'));
  await mkdir(join(context.root, 'schema-changes/additive'), { recursive: true });
  await cp(
    join(ROOT, 'schema-changes/protected.json'),
    join(context.root, 'schema-changes/protected.json'),
  );
});
test.before.each(async (context) => {
  await context.db.query(`
    drop schema if exists migration cascade;
    drop function if exists public.empty_it() cascade;
    drop table if exists public.child, public.made, public.last_word, public.numbers cascade;
    delete from public.profiles;
    insert into public.profiles (profile_type, first_name, last_name, legacy_patient_id)
    values ('doctor', 'A', 'B', 4711), ('doctor', 'C', 'D', 4712)`);
});
test.after(async (context) => {
  await rm(context.root, { recursive: true, force: true });
  await context.db.end();
  await context.pair.drop();
});

// ------------------------------------------------------------------------- around COMMIT --

const EMPTY_ALL = `
  create function public.empty_it() returns trigger language plpgsql as
    $f$ begin update public.profiles set legacy_patient_id = null; return null; end $f$;`;
const EMPTIES = `${EMPTY_ALL}
  create table public.last_word (x integer);
  create constraint trigger last_word after insert on public.last_word
    deferrable initially deferred for each row execute function public.empty_it();
  insert into public.last_word values (1);`;

test('a deferred trigger that fires in the change: seen before COMMIT', async (context) => {
  const error = await failure(change(context, EMPTIES));
  assert.is(error.code, 'protected', error.message);
  assert.match(error.message, 'public.profiles.legacy_patient_id');
  assert.match(error.message, 'Rolled back, nothing changed');
  assert.equal(await values(context.db), [4711, 4712]);
  assert.equal(await history(context.db), []);
});

// the trigger defers what it causes itself: that runs inside COMMIT, behind the guard
const EMPTIES_IN_COMMIT = EMPTIES.replace(
  'begin update',
  `begin
    if new.x = 1 then
      set constraints all deferred;
      insert into public.last_word values (2);
      return null;
    end if;
    update`,
);

test('emptied inside COMMIT: said loudly, it is committed', async (context) => {
  const error = await failure(change(context, EMPTIES_IN_COMMIT));
  assert.is(error.code, 'lost', error.message);
  assert.match(error.message, 'The schema change is committed');
  assert.match(error.message, /public\.profiles\.legacy_patient_id .*2 before, 0 now/);
  assert.match(error.message, 'restore the column from a backup');
  assert.not.match(error.message, /Rolled back|nothing changed|471/);
  assert.equal(await values(context.db), [null, null]);
  assert.equal(await history(context.db), ['20260101000000001_test']);
});

test('the connection is lost before the second look: committed, and that is what is said', async (context) => {
  const url = new URL(context.pair.targetUrl);
  const proxy = await startProxy({ port: Number(url.port) });
  url.port = String(proxy.port);
  proxy.when(/^Q....begin isolation/s, 'request', (cut) => cut(), 2);
  try {
    const error = await failure(change(context, 'create table public.made ()', { url: url.href }));
    assert.is(error.code, 'unseen', error.message);
    assert.match(error.message, 'The schema change is committed');
    assert.match(error.message, 'public.profiles.legacy_patient_id');
    assert.equal(await history(context.db), ['20260101000000001_test']);
  } finally {
    await proxy.stop();
  }
});

// --------------------------------------------------------------------- inheritance children --

const MOVES = `
  do $do$ begin
    execute 'with gone as (delete from public.' || 'profiles returning *)
      insert into public.child select * from gone';
  end $do$;`;

test('rows moved to an inheritance child', async (context) => {
  const sql = `create table public.child () inherits (public.profiles); ${MOVES}`;
  await refused(context, sql);
});

test('rows moved to a temporary child that is gone after COMMIT', async (context) => {
  const sql = `create temporary table child () inherits (public.profiles) on commit drop;
    ${MOVES.replace('public.child', 'pg_temp.child')}`;
  await refused(context, sql);
});

for (const [name, sql] of [
  ['dropped', 'drop table public.child'],
  ['detached', 'alter table public.child no inherit public.profiles'],
] as const) {
  test(`an inheritance child that holds the values is ${name}`, async (context) => {
    await context.db.query(`create table public.child () inherits (public.profiles); ${MOVES}`);
    await refused(context, sql);
  });
}

// ---------------------------------------------------------------------- another connection --

function overDblink(context: Context, sql: string): string {
  const url = new URL(context.pair.targetUrl);
  const where = `host=${url.hostname} port=${url.port} user=${url.username} password=${decodeURIComponent(url.password)} dbname=${url.pathname.slice(1)}`;
  return `do $do$ begin perform extensions.dblink_exec('${where}', '${sql}'); end $do$;`;
}

for (const [name, sql] of [
  ['emptied', 'update public.profiles set legacy_patient_id = null'],
  ['overwritten', 'update public.profiles set legacy_patient_id = 0'],
  ['deleted', 'delete from public.profiles'],
] as const) {
  test(`${name} over dblink: rolled back, and said that this does not bring them back`, async (context) => {
    const error = await failure(
      change(context, `create table public.made (); ${overDblink(context, sql)}`),
    );
    assert.is(error.code, 'lost', error.message);
    assert.match(error.message, 'public.profiles.legacy_patient_id');
    assert.match(error.message, 'The schema change is rolled back, but');
    assert.match(error.message, 'another connection');
    assert.match(error.message, 'restore the column from a backup');
    assert.not.match(error.message, /nothing changed|471|password/i);
    const { rows } = await context.db.query(`select to_regclass('public.made') as made`);
    assert.equal(rows, [{ made: null }]);
    assert.equal(await history(context.db), []);
  });
}

test('emptied over dblink by a change that fails afterwards: both are said', async (context) => {
  const loss = overDblink(context, 'update public.profiles set legacy_patient_id = null');
  const error = await failure(change(context, `${loss}\nselect * from public.nowhere;`));
  assert.is(error.code, 'lost', error.message);
  assert.match(error.message, /:6:\d+: relation "public.nowhere" does not exist/);
  assert.match(error.message, 'The schema change is rolled back, but');
  assert.not.match(error.message, 'nothing changed');
});

test('another program writes other columns and other rows meanwhile: nothing to say', async (context) => {
  await change(context, 'create table public.made (); update public.profiles set phone = null', {
    afterBegin: async () => {
      await context.db.query(`
        insert into public.profiles (profile_type, first_name, last_name)
        values ('doctor', 'E', 'F');
        update public.profiles set email = 'a@example.org'`);
    },
  });
  assert.equal(await values(context.db), [4711, 4712, null]);
});

// ------------------------------------------------------------------------ the next write --

const FUNCTION = `
  create function public.empty_it() returns trigger language plpgsql as
    $f$ begin new.legacy_patient_id = null; return new; end $f$;`;
const TRIGGER = `create trigger t before update on public.profiles for each row
  execute function public.empty_it();`;
const HARMLESS = FUNCTION.replace('new.legacy_patient_id = null;', '');

const nextWrites: [name: string, before: string, sql: string][] = [
  ['a trigger', '', FUNCTION + TRIGGER],
  ['a trigger that runs after the write', '', EMPTY_ALL + TRIGGER.replace('before', 'after')],
  [
    'a trigger on a child',
    'create table public.child () inherits (public.profiles)',
    FUNCTION + TRIGGER.replace('public.profiles', 'public.child'),
  ],
  [
    'another function in a trigger that is there',
    HARMLESS + TRIGGER,
    FUNCTION.replace('create', 'create or replace'),
  ],
  [
    'a trigger that is altered',
    `${FUNCTION} ${TRIGGER.replace('for each row', 'for each row when (false)')}`,
    TRIGGER.replace('create', 'create or replace'),
  ],
  [
    'a trigger that is enabled',
    `${FUNCTION} ${TRIGGER} alter table public.profiles disable trigger t`,
    'alter table public.profiles enable trigger t',
  ],
  [
    'a rule',
    '',
    'create rule r as on update to public.profiles do also delete from public.profiles where id = old.id',
  ],
  [
    'a foreign key that empties the column',
    'create table public.numbers (n integer primary key); insert into public.numbers values (4711), (4712)',
    'alter table public.profiles add foreign key (legacy_patient_id) references public.numbers on delete set null',
  ],
  [
    'a trigger function among those of the runner',
    'create schema migration',
    FUNCTION.replace('public.', 'migration.'),
  ],
  [
    'a trigger that calls one of the runner before the write',
    'create schema migration;' + FUNCTION.replace('public.', 'migration.'),
    TRIGGER.replace('public.empty_it', 'migration.empty_it'),
  ],
];
for (const [name, before, sql] of nextWrites) {
  test(`would be emptied by the next write: ${name}`, async (context) => {
    if (before !== '') await context.db.query(before);
    await refused(context, sql);
  });
}

test('triggers that may come: those of the runner behind the write', async (context) => {
  await installSetup(context.pair.targetUrl);
  await change(
    context,
    `create trigger t after update on public.profiles for each row
       execute function migration.record_column_write('insurance_info')`,
  );
});

test('triggers may go, and come again as they were', async (context) => {
  await context.db.query(`${HARMLESS} ${TRIGGER}
    create trigger u before insert on public.profiles for each row
      execute function public.empty_it()`);
  await change(
    context,
    `set search_path = public;
     drop trigger u on profiles; drop trigger t on profiles;
     create trigger t before update on profiles for each row execute function empty_it()`,
  );
});

test.run();

/** Applies one file with this text. */
async function change(context: Context, sql: string, options: Partial<ApplyOptions> = {}) {
  await writeFile(
    join(context.root, 'schema-changes/additive/20260101000000001_test.sql'),
    `-- Up Migration\n\n\n\n${sql.trim()}\n\n-- Down Migration\n\nselect 1;\n`,
  );
  return applySchemaChanges({
    url: context.pair.targetUrl,
    root: context.root,
    folder: 'additive',
    direction: 'up',
    ...options,
  });
}

/** Applies a file that must be refused before COMMIT, the values being all there afterwards. */
async function refused(context: Context, sql: string): Promise<void> {
  const error = await failure(change(context, sql));
  assert.is(error.code, 'protected', error.message);
  assert.match(error.message, 'public.profiles.legacy_patient_id');
  assert.match(error.message, 'Rolled back, nothing changed');
  assert.equal(await values(context.db), [4711, 4712]);
  assert.equal(await history(context.db), []);
}

async function values(db: Client): Promise<(number | null)[]> {
  const { rows } = await db.query<{ value: number | null }>(
    'select legacy_patient_id as value from public.profiles order by 1 nulls last',
  );
  return rows.map(({ value }) => value);
}

async function history(db: Client): Promise<string[]> {
  const { rows: there } = await db.query<{ it: string | null }>(
    `select to_regclass('migration.schema_changes_additive') as it`,
  );
  if (there[0]?.it == null) return [];
  const { rows } = await db.query<{ name: string }>(`
    select m.name from migration.schema_changes_additive as m
    join migration.schema_change_hashes as h using (name) order by 1`);
  return rows.map(({ name }) => name);
}
