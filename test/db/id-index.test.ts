/*
 * The index of an id map by new id is made when all its entries are there, in a first run; wherever rows
 * can be recognised, or an earlier run has left some, it is there from the beginning.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, errorOf, migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('id index');
/** A trigger notes whether the index was there when rows were written. */
const SPY = `
  create table public.seen (indexed boolean);
  alter table public.seen owner to postgres;
  create function public.spy() returns trigger language plpgsql security definer as $$
  begin
    insert into public.seen select exists (
      select from pg_index where indrelid = 'ids.people'::regclass and not indisprimary and indisunique);
    if exists (select from public.people where login = 'login 35') and tg_argv[0] = 'fail' then
      raise exception 'not now' using errcode = 'P0001';
    end if;
    return null;
  end $$;
  create trigger spy after insert on public.people
  for each statement execute function public.spy()`;
const SPY_AGAIN = (how: string) => `
  drop trigger spy on public.people;
  create trigger spy after insert on public.people
  for each statement execute function public.spy('${how}')`;

test.before(async (context) => {
  context.project = tinyProject({
    'sql/1-people/10_people.sql': entityFile(
      'people',
      'person',
      ['t.login as login', 't.note as note'],
      { header: '-- commit   batch\n' },
    ).replace('adopt    none', 'adopt    login'),
  });
  context.pair = await testPair({ name: 'id_index', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, login text, note text);
    insert into person select g, concat('login ', g), concat('note ', g)
    from generate_series(1, 40) as g;
    grant select on person to legacy_reader`);
  await context.target.unsafe(`
    create table public.people (
      id uuid primary key default gen_random_uuid(), login text not null unique, note text);
    alter table public.people owner to postgres`);
  await context.target.unsafe(SPY);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a first run makes it at once, and two entries cannot have one id afterwards', async (context) => {
  await up(context);
  assert.equal(await seen(context), [false]);
  const twice = context.target`
    insert into ids.people (legacy_id, id, run) select 999, id, 1 from ids.people limit 1`;
  assert.is(await codeOf(twice), '23505');
});

test('a later run finds it there', async (context) => {
  await context.source`insert into person values (41, 'login 41', 'new')`;
  await up(context);
  assert.equal(await seen(context), [true]);
});

test('a run that failed in the middle leaves none; the next one makes it before it goes on', async (context) => {
  const { target } = context;
  await takeBack(context);
  // several ranges, each a chunk of its own
  await target`update migration.source_tables set width = 10`;
  await target.unsafe(SPY_AGAIN('fail'));
  const error = await errorOf(up(context, 10));
  assert.match(error.message, 'not now');
  assert.is(await isIndexed(context), false);
  await target.unsafe(SPY_AGAIN(''));
  await seen(context);
  await up(context, 10);
  const later = await seen(context);
  assert.ok(later.length > 0 && later.every((indexed) => indexed), JSON.stringify(later));
  assert.is(await isIndexed(context), true);
});

test('somebody reads the id map, a backup for one: the run goes on, and the index stays', async (context) => {
  const { pair, target } = context;
  await takeBack(context);
  await seen(context);
  const backup = open(pair.targetAdminUrl);
  await backup.unsafe('begin; lock table ids.people in access share mode');
  try {
    await up(context, 10);
  } finally {
    await backup.unsafe('rollback');
    await backup.end();
  }
  const all = await seen(context);
  assert.ok(all.length > 0 && all.every((indexed) => indexed), JSON.stringify(all));
  const [row] = await target<{ rows: number }[]>`select count(*)::integer as rows from ids.people`;
  assert.is(row?.rows, 41);
});

test('rows that can be recognised: it is there from the beginning', async (context) => {
  const { target } = context;
  await takeBack(context);
  await target`insert into public.people (login, note) values ('login 7', 'of the application')`;
  await seen(context);
  await up(context, 10);
  const later = await seen(context);
  assert.ok(later.length > 0 && later.every((indexed) => indexed), JSON.stringify(later));
  const [row] = await target<{ adopted: number }[]>`
    select count(*)::integer as adopted from ids.people where adopted`;
  assert.is(row?.adopted, 1);
});

test.run();

async function up({ pair, project }: Context, pieceRows?: number): Promise<void> {
  await migrate(pair, {
    root: project.root,
    phases: 1,
    jobs: 1,
    ...(pieceRows === undefined ? {} : { pieceRows }),
  });
}

/** Whether the index was there, statement by statement since the last look. */
async function seen({ target }: Context): Promise<boolean[]> {
  const rows = await target<{ indexed: boolean }[]>`delete from public.seen returning indexed`;
  return rows.map(({ indexed }) => indexed);
}

/** Without rows of ours, as before the first run. */
async function takeBack({ pair, project: { root } }: Context): Promise<void> {
  await succeed(pair, ['down', '1-people', '--yes', '--force'], { root });
}

async function isIndexed({ target }: Context): Promise<boolean | undefined> {
  const [row] = await target<{ indexed: boolean }[]>`
    select exists (
      select from pg_index where indrelid = 'ids.people'::regclass and not indisprimary and indisunique
    ) as indexed`;
  return row?.indexed;
}

async function codeOf(query: Promise<unknown>): Promise<string> {
  return query.then(
    () => '',
    (error: { code: string }) => error.code,
  );
}
