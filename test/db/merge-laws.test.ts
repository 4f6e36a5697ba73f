// deadline 240
/*
 * What a merge does with rows that stand in each other's way, with what the application changed, and
 * with rows that are gone: a small project whose tables are made for it.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorOf, migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const PROJECT = {
  // referred to by plans, so that a row cannot be deleted
  'sql/1-people/10_people.sql': entityFile('people', 'person', [
    't.login as login',
    't.mail as mail',
    't.note as note',
    `case when t.note = 'reject' then 'by_rule' end as reject`,
  ]),
  'sql/1-people/20_plans.sql': entityFile(
    'plans',
    'plan',
    ['p.id as person_id', 't.name as name'],
    {
      joins: ['left join ids.people as p on p.legacy_id = t.person_id'],
    },
  ),
  // a link table: both columns are needed as they are, nothing refers to it
  'sql/1-people/30_pairs.sql': entityFile(
    'pairs',
    'pair',
    ['a.id as one_id', 'b.id as other_id', 't.note as note'],
    {
      header: '-- deletes  remove\n',
      joins: [
        'left join ids.people as a on a.legacy_id = t.one_id',
        'left join ids.people as b on b.legacy_id = t.other_id',
      ],
    },
  ),
  'sql/1-people/40_boxes.sql': entityFile('boxes', 'box', ['m.id as parent_id', 't.name as name'], {
    joins: ['left join ids.boxes as m on m.legacy_id = t.parent_id'],
  }),
  // columns that have the names of aliases
  'sql/1-people/50_odds.sql': entityFile('odds', 'odd', ['t.t as t', 't.s as s'], {
    header: '-- deletes  remove\n',
  }),
};

const test = suite<Context>('merge laws');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  context.pair = await testPair({ name: 'merge_laws', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, login text, mail text, note text);
    create table plan (id integer primary key, person_id integer, name text);
    create table pair (id integer primary key, one_id integer, other_id integer, note text);
    create table box (id integer primary key, parent_id integer, name text);
    create table odd (id integer primary key, t text, s text);
    insert into person select g, 'login ' || g, 'mail ' || g, 'note ' || g
    from generate_series(1, 40) as g;
    insert into plan select g, g, 'plan ' || g from generate_series(1, 40) as g;
    insert into pair select g, g, g + 1, 'pair ' || g from generate_series(1, 20) as g;
    insert into box select g, nullif(g - 1, 0), 'box ' || g from generate_series(1, 10) as g;
    insert into odd select g, 't' || g, 's' || g from generate_series(1, 10) as g;
    grant select on all tables in schema public to legacy_reader`);
  await context.target.unsafe(`
    create table public.people (
      id uuid primary key, login text not null unique, mail text unique, note text, private text);
    create table public.plans (id uuid primary key, person_id uuid references public.people, name text);
    create table public.pairs (
      id uuid primary key, one_id uuid not null references public.people,
      other_id uuid not null references public.people, note text, private text,
      unique (one_id, other_id));
    create table public.boxes (
      id uuid primary key, parent_id uuid references public.boxes, name text not null);
    create table public.odds (id uuid primary key, t text, s text);
    alter table public.people owner to postgres;
    alter table public.plans owner to postgres;
    alter table public.pairs owner to postgres;
    alter table public.boxes owner to postgres;
    alter table public.odds owner to postgres`);
  await up(context);
});

test.after(async ({ pair, source, target, project }) => {
  project.remove();
  await source.end();
  await target.end();
  await pair.drop();
});

test('two rows that swap a unique value are stored as a first run stores them', async (context) => {
  const { source } = context;
  await source`update person set login = 'swapping' where id = 1`;
  await source`update person set login = 'login 1' where id = 2`;
  await source`update person set login = 'login 2' where id = 1`;
  await up(context);
  await asFresh(context);
});

test('a rotation, of values that may be null and of those that may not', async (context) => {
  const { source } = context;
  await source.unsafe(`
    update person set login = concat('turn ', login), mail = concat('turn ', mail) where id in (3, 4, 5);
    update person set login = concat('login ', case id when 5 then 3 else id + 1 end),
      mail = concat('mail ', case id when 3 then 5 else id - 1 end) where id in (3, 4, 5)`);
  await up(context);
  await asFresh(context);
});

test('rows of a link table swap what they link, and keep what the application has in them', async (context) => {
  const { source, target } = context;
  await target`
    update public.pairs set private = 'kept' where id in (
      select id from ids.pairs where legacy_id in (1, 2, 3))`;
  await source.unsafe(`
    update pair set one_id = case id when 1 then 2 when 2 then 3 else 1 end,
      other_id = case id when 1 then 3 when 2 then 4 else 2 end where id in (1, 2, 3)`);
  await up(context);
  await asFresh(context);
  const kept = await target`select from public.pairs where private = 'kept'`;
  assert.is(kept.length, 3);
});

test('rows of different chunks swap a unique value', async (context) => {
  const { source, target } = context;
  await target`update migration.source_tables set width = 10 where source_table = 'person'`;
  await up(context);
  await source.unsafe(`
    update person set login = concat('far ', login) where id in (6, 36);
    update person set login = concat('login ', 42 - id) where id in (6, 36)`);
  await up(context, { pieceRows: 1 });
  await asFresh(context);
});

test('also when everything is compared, and each range is a chunk', async (context) => {
  const { source } = context;
  await source.unsafe(`
    update person set login = concat('far ', login) where id in (5, 35);
    update person set login = concat('again ', 40 - id) where id in (5, 35)`);
  await up(context);
  await source.unsafe(`
    update person set login = concat('far ', login) where id in (5, 35);
    update person set login = concat('again ', id) where id in (5, 35)`);
  await up(context, { full: true, pieceRows: 1 });
  await asFresh(context);
});

test('rows of a link table swap across chunks: what the application has in them stays', async (context) => {
  const { source, target } = context;
  await target`update migration.source_tables set width = 10 where source_table = 'pair'`;
  await up(context);
  await target`
    update public.pairs set private = 'swapped' where id in (
      select id from ids.pairs where legacy_id in (5, 15))`;
  await source.unsafe(`
    create table was as select * from pair where id in (5, 15);
    update pair set one_id = w.one_id, other_id = w.other_id from was as w
    where (pair.id, w.id) in ((5, 15), (15, 5));
    drop table was`);
  await up(context, { full: true, pieceRows: 1 });
  await asFresh(context);
  const kept = await target`select from public.pairs where private = 'swapped'`;
  assert.is(kept.length, 2);
});

test('a row of a link table that waits for another in vain is gone like any refused row', async (context) => {
  const { source, target } = context;
  await target`
    insert into public.pairs (id, one_id, other_id)
    select gen_random_uuid(), a.id, b.id from ids.people as a, ids.people as b
    where (a.legacy_id, b.legacy_id) = (30, 31)`;
  await source`update pair set one_id = 30, other_id = 31 where id = 16`;
  await up(context);
  assert.equal(await rejects(context), ['pairs 16 23505']);
  const stored = async () => [
    ...(await target`select id from ids.pairs where legacy_id = 16`),
    ...(await target`select legacy_id from migration.gone where entity = 'pairs'`),
  ];
  assert.equal(await stored(), []);
  await target`
    delete from public.pairs as t using ids.people as a where a.id = t.one_id and a.legacy_id = 30`;
  await up(context);
  await asFresh(context);
});

test('a unique value moves to a row that is read before the one that had it', async (context) => {
  const { source } = context;
  await source.unsafe(`
    update person set login = 'gave away' where id = 37;
    update person set login = 'login 37' where id = 7`);
  await up(context, { pieceRows: 1 });
  await asFresh(context);
});

test('an account that is made again under another id takes the name of the one that is gone', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    delete from plan where person_id = 40;
    delete from pair where 40 in (one_id, other_id);
    delete from person where id = 40;
    insert into person values (41, 'login 40', 'mail 40', 'again')`);
  await up(context);
  const rows = await target`
    select p.login from public.people as p join ids.people as m on m.id = p.id
    where m.legacy_id = 41`;
  assert.equal([...rows], [{ login: 'login 40' }]);
  const images = await target`
    select image ->> 'login' as login, reason from migration.before_images
    where entity = 'people' and legacy_id = 40`;
  assert.equal([...images], [{ login: 'login 40', reason: 'released' }]);
  const [step] = await target`
    select (migration.inspect_entity('people') ->> 'touched')::integer as touched`;
  assert.is(step?.['touched'], 0, 'what we took from a row is no change of the application');
  // when it is back, it is written again: nobody has changed it
  await source`insert into person values (40, 'login 40 again', 'mail 40 again', 'back')`;
  await up(context, { policy: 'target' });
  await asFresh(context);
  assert.is((await target`select from migration.conflicts where entity = 'people'`).length, 0);
  await source`delete from person where id = 40`;
  await up(context);
  assert.equal(await rejects(context), []);
});

test('what the target refused is read again by the next run, without a word', async (context) => {
  const { source, target } = context;
  await target`alter table public.people add constraint no_bad check (note <> 'bad')`;
  await source`update person set note = 'bad' where id = 8`;
  await up(context);
  assert.equal(await rejects(context), ['people 8 23514']);
  await target`alter table public.people drop constraint no_bad`;
  await up(context);
  assert.equal(await rejects(context), []);
  await asFresh(context);
});

test('a row that lives in the source and is rejected gives nothing up: another waits for it', async (context) => {
  const { source, target } = context;
  await source`update person set note = 'reject', login = 'login 28 new' where id = 28`;
  await up(context);
  await source`update person set login = 'login 28' where id = 29`;
  await up(context);
  assert.equal(await rejects(context), ['people 28', 'people 29 23505']);
  const released = await target`
    select from migration.before_images where legacy_id = 28 and reason = 'released'`;
  assert.is(released.length, 0);
  await source`update person set note = 'mended' where id = 28`;
  await up(context);
  await asFresh(context);
});

test('a refused row of a ring takes the others not with it', async (context) => {
  const { source, target } = context;
  await source.unsafe(`
    insert into box values (21, 23, 'ring 21'), (22, 21, 'ring 22'), (23, 22, null)`);
  await up(context);
  assert.equal(await rejects(context), ['boxes 23 23502']);
  const ring = await target`
    select m.legacy_id::integer as key, o.legacy_id::integer as parent
    from ids.boxes as m join public.boxes as t on t.id = m.id
    left join ids.boxes as o on o.id = t.parent_id
    where m.legacy_id > 20 order by 1`;
  assert.equal(
    [...ring],
    [
      { key: 21, parent: null },
      { key: 22, parent: 21 },
    ],
  );
  await source`update box set name = 'ring 23' where id = 23`;
  await up(context);
  assert.equal(await rejects(context), []);
  const [row] = await target`
    select o.legacy_id::integer as parent from ids.boxes as m
    join public.boxes as t on t.id = m.id join ids.boxes as o on o.id = t.parent_id
    where m.legacy_id = 21`;
  assert.is(row?.['parent'], 23);
});

test('a row that is refused for what it refers to has no id, and nothing refers to it', async (context) => {
  const { source, target } = context;
  const boxes = async () => {
    const rows = await target<{ line: string }[]>`
      select concat_ws(' ', m.legacy_id, t.name) as line
      from ids.boxes as m left join public.boxes as t on t.id = m.id
      where m.legacy_id > 30 order by 1`;
    return rows.map(({ line }) => line);
  };
  await target.unsafe(`
    create table public.names as select distinct name from public.boxes;
    alter table public.names add primary key (name);
    alter table public.names owner to postgres;
    alter table public.boxes add constraint known foreign key (name) references public.names`);
  await source`insert into box values (31, null, 'unknown')`;
  await up(context);
  assert.equal(await rejects(context), ['boxes 31 23503']);
  assert.equal(await boxes(), []);
  await target.unsafe(`alter table public.boxes drop constraint known; drop table public.names`);
  await up(context);
  assert.equal(await rejects(context), []);
  assert.equal(await boxes(), ['31 unknown']);
});

test('an edit in a column no view supplies is saved before our write hides it', async (context) => {
  const { source, target } = context;
  await edit(target, 9, `private = 'theirs'`);
  await source`update person set note = 'newer' where id = 9`;
  await up(context);
  const images = await target`
    select reason, image ->> 'private' as private, image ->> 'note' as note
    from migration.before_images where entity = 'people' and legacy_id = 9`;
  assert.equal([...images], [{ reason: 'changed', private: 'theirs', note: 'note 9' }]);
  assert.equal([...(await target`select from migration.conflicts where legacy_id = 9`)], []);
});

test('policy and images hold for rows that are removed', async (context) => {
  const { source, target } = context;
  await target.unsafe(`
    update public.pairs set note = 'theirs' where id = (select id from ids.pairs where legacy_id = 11);
    update public.pairs set private = 'theirs' where id = (select id from ids.pairs where legacy_id = 12)`);
  await source`delete from pair where id in (11, 12, 13)`;
  await up(context, { policy: 'target' });
  const left = await target`
    select m.legacy_id::integer as key from ids.pairs as m join public.pairs as t on t.id = m.id
    where m.legacy_id in (11, 12, 13)`;
  assert.equal([...left], [{ key: 11 }]);
  const conflicts = await target`
    select legacy_id::integer as key, kind, resolution from migration.conflicts where entity = 'pairs'`;
  assert.equal([...conflicts], [{ key: 11, kind: 'changed', resolution: 'target' }]);
  const images = await target`
    select legacy_id::integer as key, image ->> 'private' as private from migration.before_images
    where entity = 'pairs' and legacy_id in (11, 12, 13) order by 1`;
  assert.equal([...images], [{ key: 12, private: 'theirs' }]);
  // nothing more to say about it
  await up(context, { policy: 'target' });
  assert.is((await target`select from migration.conflicts where entity = 'pairs'`).length, 1);
});

test('columns named like aliases: saved and rejected whole', async (context) => {
  const { source, target } = context;
  await target.unsafe(`
    update public.odds set t = 'theirs' where id = (select id from ids.odds where legacy_id = 1);
    alter table public.odds add constraint no_bad check (s <> 'bad')`);
  await source.unsafe(`
    update odd set t = 'newer' where id = 1; update odd set s = 'bad' where id = 2`);
  await up(context);
  const [image] = await target`select image from migration.before_images where entity = 'odds'`;
  // the nameless entry says that all others are text
  assert.equal(Object.keys(image?.['image'] as object).toSorted(), ['', 'id', 's', 't']);
  const [row] = await target`select source_row from migration.rejects where entity = 'odds'`;
  assert.equal(row?.['source_row'], { id: 2, t: 't2', s: 'bad' });
  await target`alter table public.odds drop constraint no_bad`;
  await source`delete from odd where id = 3`;
  await up(context);
});

test('a column that a view gains arrives; edits of the application are no conflict and stay', async (context) => {
  const { source, target, project } = context;
  await target`alter table public.plans add column extra text`;
  await source.unsafe(`alter table plan add column extra text;
    update plan set extra = concat('extra ', id)`);
  await up(context);
  await target`
    update public.plans set name = 'theirs'
    where id = (select id from ids.plans where legacy_id = 5)`;
  project.edit('sql/1-people/20_plans.sql', (text) =>
    text.replace('t.name as name', 't.name as name,\n  t.extra as extra'),
  );
  const before = await target`select from migration.conflicts`;
  await up(context, { policy: 'target' });
  const plans = await target`
    select m.legacy_id::integer as key, t.name, t.extra from public.plans as t
    join ids.plans as m on m.id = t.id where m.legacy_id in (5, 6) order by 1`;
  assert.equal(
    [...plans],
    [
      { key: 5, name: 'theirs', extra: 'extra 5' },
      { key: 6, name: 'plan 6', extra: 'extra 6' },
    ],
  );
  const images = await target`select from migration.before_images where entity = 'plans'`;
  assert.is(images.length, 1, 'only of the row that was edited');
  assert.is((await target`select from migration.conflicts`).length, before.length);
  // the edit is still known to be one
  await source`update plan set name = 'newer' where id = 5`;
  await up(context, { policy: 'target' });
  const conflicts = await target`
    select resolution from migration.conflicts where entity = 'plans' and legacy_id = 5`;
  assert.equal([...conflicts], [{ resolution: 'target' }]);
});

test('a trigger that gives rows another id stops the run', async (context) => {
  const { source, target } = context;
  await target.unsafe(`
    create function public.other_id() returns trigger language plpgsql as $$
    begin new.id := gen_random_uuid(); return new; end $$;
    create trigger other_id before insert on public.odds
      for each row execute function public.other_id()`);
  await source`insert into odd values (50, 't', 's')`;
  const error = await errorOf(up(context));
  assert.match(error.message, /odds: 1 of 1 rows written are not there under their id/);
  await target`drop function public.other_id() cascade`;
  await up(context);
});

test('a trigger that completes its own row afterwards makes no conflict', async (context) => {
  const { source, target } = context;
  await target.unsafe(`
    create function public.completing() returns trigger language plpgsql as $$
    begin
      update public.odds set s = concat(s, '!') where id = new.id and s not like '%!';
      return null;
    end $$;
    create trigger completing after insert or update on public.odds
      for each row execute function public.completing()`);
  await source`insert into odd values (51, 't', 's')`;
  await up(context);
  await source`update odd set t = 'newer' where id = 51`;
  await up(context);
  const found =
    await target`select from migration.conflicts where entity = 'odds' and legacy_id = 51`;
  assert.is(found.length, 0);
  await target`drop function public.completing() cascade`;
});

test('after a restore of the target edits made before it are seen, and nothing else is one', async (context) => {
  const { source, target } = context;
  await up(context);
  await edit(target, 30, `note = 'theirs'`);
  // as pg_restore --single-transaction does: every row is new, and of one transaction
  await target.begin(async (sql) => {
    const tables = await sql<{ name: string; column: string }[]>`
      select c.oid::regclass::text as name, quote_ident(a.attname) as column
      from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum = 1
      where c.relkind = 'r' and c.relnamespace in (
        'public'::regnamespace, 'ids'::regnamespace, 'migration'::regnamespace)
        and a.attidentity <> 'a'`;
    for (const { name, column } of tables) {
      await sql.unsafe(`update ${name} set ${column} = ${column}`);
    }
  });
  await edit(target, 31, `private = 'theirs'`);
  await source`update person set note = 'restored' where id between 28 and 32`;
  await up(context);
  const conflicts = await target`
    select legacy_id::integer as key from migration.conflicts
    where entity = 'people' and legacy_id between 28 and 32 order by 1`;
  assert.equal([...conflicts], [{ key: 30 }]);
  const events = await target`select from migration.events where what = 'the target was restored'`;
  assert.is(events.length, 1);
  const [step] = await target`
    select (migration.inspect_entity('boxes') ->> 'touched')::integer as touched`;
  assert.is(step?.['touched'], 0, 'down is not held up by rows that are as we wrote them');
  // from now on the marks count again
  await edit(target, 31, `private = 'again theirs'`);
  await source`update person set note = 'later' where id between 28 and 32`;
  await up(context);
  const images = await target`
    select legacy_id::integer as key, image ->> 'private' as private from migration.before_images
    where entity = 'people' and legacy_id between 28 and 32 order by image_id`;
  assert.equal(
    [...images],
    [
      { key: 30, private: null },
      { key: 31, private: 'again theirs' },
    ],
  );
});

test.run();

function up({ pair, project }: Context, options: Parameters<typeof migrate>[1] = {}) {
  return migrate(pair, {
    root: project.root,
    phases: 1,
    tolerance: 0.5,
    removeMany: true,
    ...options,
  });
}

async function edit(target: Sql, key: number, what: string): Promise<void> {
  await target.unsafe(
    `update public.people set ${what} where id = (select id from ids.people where legacy_id = ${key})`,
  );
}

async function rejects({ target }: Context): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity, legacy_id, sqlstate) as line from migration.rejects
    where resolved_run is null order by 1`;
  return rows.map(({ line }) => line);
}

/** Every row is as its source row says, and none is refused. */
async function asFresh(context: Context): Promise<void> {
  const { source, target } = context;
  assert.equal(await rejects(context), []);
  const people = await source`select id, login, mail, note from person order by 1`;
  const stored = await target`
    select m.legacy_id::integer as id, t.login, t.mail, t.note
    from ids.people as m join public.people as t on t.id = m.id
    where not exists (select from migration.gone as g where g.id = m.id) order by 1`;
  assert.equal([...stored], [...people]);
  const pairs = await source`select id, one_id, other_id, note from pair order by 1`;
  const linked = await target`
    select m.legacy_id::integer as id, a.legacy_id::integer as one_id, b.legacy_id::integer as other_id,
      t.note
    from ids.pairs as m join public.pairs as t on t.id = m.id
    join ids.people as a on a.id = t.one_id join ids.people as b on b.id = t.other_id order by 1`;
  assert.equal([...linked], [...pairs]);
}
