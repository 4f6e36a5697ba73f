/*
 * A row that is written later than it might be: it gave a unique value up and comes back, or the target
 * refused it at first. What is saved of it, and that it is written then.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('merge again');

test.before(async (context) => {
  context.project = tinyProject({
    'sql/1-people/10_people.sql': entityFile('people', 'person', [
      't.login as login',
      't.note as note',
    ]),
  });
  context.pair = await testPair({ name: 'merge_again', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, login text, note text);
    insert into person select g, concat('login ', g), concat('note ', g)
    from generate_series(1, 40) as g;
    grant select on person to legacy_reader`);
  await context.target.unsafe(`
    create table public.people (
      id uuid primary key, login text not null unique, note text, private text);
    alter table public.people owner to postgres`);
  await up(context);
  // several ranges, each a chunk of its own
  await context.target`update migration.source_tables set width = 10`;
  await up(context);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a row that gave its unique value up has it again when it comes back as it was', async (context) => {
  const { source } = context;
  await source.unsafe(`
    create temporary table was as select * from person where id = 39;
    delete from person where id = 39;
    update person set login = 'login 39' where id = 35`);
  await up(context);
  await source.unsafe(`
    update person set login = 'login 35' where id = 35;
    insert into person select * from was; drop table was`);
  await up(context);
  await asFresh(context);
});

test('also one that the application had edited: its edit is saved', async (context) => {
  const { source, target } = context;
  await edit(target, 38, `note = 'theirs'`);
  await source.unsafe(`
    create temporary table was as select * from person where id = 38;
    delete from person where id = 38;
    update person set login = 'login 38' where id = 34`);
  await up(context);
  await source.unsafe(`
    update person set login = 'login 34' where id = 34;
    insert into person select * from was; drop table was`);
  await up(context);
  await asFresh(context);
  assert.equal(await saved(target, 38), ['released theirs', 'changed theirs', 'source']);
});

test('an edited row that waits for a unique value is saved once', async (context) => {
  const { source, target } = context;
  await edit(target, 8, `note = 'theirs'`);
  await source.unsafe(`
    update person set login = concat('far ', login) where id in (8, 28);
    update person set login = concat('login ', 36 - id) where id in (8, 28)`);
  await up(context);
  await asFresh(context);
  assert.equal(await saved(target, 8), ['changed theirs', 'source']);
});

test('an edited row that is refused is saved when it is written, not by every run', async (context) => {
  const { source, target } = context;
  await edit(target, 9, `note = 'theirs'`);
  await target`alter table public.people add constraint no_bad check (note <> 'bad')`;
  await source`update person set note = 'bad' where id = 9`;
  await up(context);
  await up(context);
  const rejects = await target<{ line: string }[]>`
    select concat_ws(' ', legacy_id, sqlstate) as line from migration.rejects
    where resolved_run is null`;
  assert.equal([...rejects], [{ line: '9 23514' }]);
  assert.equal(await saved(target, 9), []);
  await target`alter table public.people drop constraint no_bad`;
  await up(context);
  await asFresh(context);
  assert.equal(await saved(target, 9), ['changed theirs', 'source']);
});

test('an edit that no view knows is still one after the row gave its value up', async (context) => {
  const { source, target } = context;
  const touched = async () => {
    const [step] = await target`
      select (migration.inspect_entity('people') ->> 'touched')::integer as rows`;
    return step?.['rows'] as number;
  };
  const before = await touched();
  await edit(target, 37, `private = 'theirs'`);
  await source.unsafe(`
    delete from person where id = 37;
    update person set login = 'login 37' where id = 33`);
  await up(context);
  assert.is(await touched(), before + 1);
  assert.equal(await saved(target, 37), ['released note 37']);
});

test.run();

function up({ pair, project }: Context): Promise<number> {
  return migrate(pair, { root: project.root, phases: 1, tolerance: 0.5, pieceRows: 1 });
}

async function edit(target: Sql, key: number, what: string): Promise<void> {
  await target.unsafe(
    `update public.people set ${what} where id = (select id from ids.people where legacy_id = ${key})`,
  );
}

/** Images of a row (reason and note), then its conflicts. */
async function saved(target: Sql, key: number): Promise<string[]> {
  const images = await target<{ line: string }[]>`
    select concat_ws(' ', reason, image ->> 'note') as line from migration.before_images
    where legacy_id = ${key} order by image_id`;
  const conflicts = await target<{ line: string }[]>`
    select resolution as line from migration.conflicts where legacy_id = ${key}`;
  return [...images, ...conflicts].map(({ line }) => line);
}

/** Every row is as its source row says. */
async function asFresh({ source, target }: Context): Promise<void> {
  const people = await source`select id, login, note from person order by 1`;
  const stored = await target`
    select m.legacy_id::integer as id, t.login, t.note
    from ids.people as m join public.people as t on t.id = m.id order by 1`;
  assert.equal([...stored], [...people]);
}
