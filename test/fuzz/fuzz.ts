/*
 * Random changes of a source and of what the application has, round by round; after each the
 * incremental target must hold what a migration from nothing holds, but for what the application did.
 */
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { migrate } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, type Scratch, tinyProject } from '../runner.ts';

const people = 'left join ids.people as p on p.legacy_id = t.person_id';

const PROJECT = {
  'sql/1-first/10_people.sql': entityFile(
    'people',
    'person',
    [
      't.login as login',
      't.mail as mail',
      'k.name as kind',
      't.amount as amount',
      't.at as at',
      't.facts as facts',
      't.born as born',
    ],
    { joins: ['left join legacy.kind as k on k.id = t.kind_id'] },
  ),
  'sql/1-first/20_boxes.sql': entityFile('boxes', 'box', ['m.id as parent_id', 't.name as name'], {
    joins: ['left join ids.boxes as m on m.legacy_id = t.parent_id'],
  }),
  'sql/2-second/10_plans.sql': entityFile(
    'plans',
    'plan',
    ['p.id as person_id', 't.name as name', `case when p.id is null then 'people' end as missing`],
    { joins: [people], header: '-- commit   batch\n' },
  ),
  'sql/2-second/20_pairs.sql': entityFile(
    'pairs',
    'pair',
    [
      'a.id as one_id',
      'b.id as other_id',
      't.note as note',
      `case when a.id is null or b.id is null then 'orphan' end as reject`,
    ],
    {
      header: '-- deletes  remove\n-- tolerance  90 %\n',
      joins: [
        'left join ids.people as a on a.legacy_id = t.one_id',
        'left join ids.people as b on b.legacy_id = t.other_id',
      ],
    },
  ),
};

const TABLES = ['people', 'boxes', 'plans', 'pairs'] as const;
type Table = (typeof TABLES)[number];

/** A source, a target that is brought up to date, and one that is migrated anew each time. */
export interface World {
  pair: TestPair;
  fresh: TestPair;
  source: Sql;
  target: Sql;
  again: Sql;
  project: Scratch;
}

/** The figures of a number of rounds. */
export interface Told {
  rounds: number;
  statements: number;
  compared: number;
  conflicts: number;
}

export async function makeWorld(): Promise<World> {
  const project = tinyProject(PROJECT);
  const pair = await testPair({ name: 'fuzz', source: 'empty' });
  const fresh = await testPair({ name: 'fuzz_fresh', source: 'empty' });
  const source = open(pair.sourceAdminUrl);
  const [target, again] = [open(pair.targetAdminUrl), open(fresh.targetAdminUrl)];
  await source.unsafe(`
    create table kind (id integer primary key, name text);
    create table person (
      id integer primary key, login text not null unique, mail text unique, kind_id integer,
      amount numeric, at timestamptz, facts jsonb, born date);
    create table box (
      id integer primary key, parent_id integer references box on delete set null, name text);
    -- a reference to a row that is gone and kept leads to it: here every one is of a living row
    create table plan (
      id integer primary key, person_id integer references person on delete set null, name text);
    create table pair (id integer primary key, one_id integer references person on delete cascade,
      other_id integer references person on delete cascade, note text,
      unique (one_id, other_id));
    insert into kind select g, concat('kind ', g) from generate_series(1, 5) as g;
    insert into person select g, concat('login ', g), concat('mail ', g), g % 6, g / 7.0,
      timestamptz '2024-01-01' + g * interval '1 hour', jsonb_build_object('a', g), date '2000-01-01' + g
    from generate_series(1, 60) as g;
    insert into box select g, nullif(g / 2, 0), concat('box ', g) from generate_series(1, 30) as g;
    insert into plan select g, nullif(g % 60, 0), concat('plan ', g) from generate_series(1, 120) as g;
    insert into pair select g, g, g % 60 + 1, concat('pair ', g) from generate_series(1, 60) as g;
    grant select on all tables in schema public to legacy_reader`);
  for (const sql of [target, again]) {
    await sql.unsafe(`
      create table public.people (
        id uuid primary key, login text not null unique, mail text unique, kind text, amount numeric,
        at timestamptz, facts jsonb, born date, private text);
      create table public.boxes (id uuid primary key, parent_id uuid references public.boxes, name text);
      create table public.plans (
        id uuid primary key, person_id uuid references public.people, name text, private text);
      create table public.pairs (
        id uuid primary key, one_id uuid not null references public.people,
        other_id uuid not null references public.people, note text, private text,
        unique (one_id, other_id))`);
    for (const table of TABLES) await sql.unsafe(`alter table public.${table} owner to postgres`);
  }
  const world = { pair, fresh, source, target, again, project };
  await up(world);
  // several ranges, so that values move between chunks
  await target`update migration.source_tables set width = 15`;
  await up(world);
  return world;
}

export async function endWorld({ pair, fresh, source, target, again, project }: World) {
  project.remove();
  await Promise.all([source.end(), target.end(), again.end()]);
  await pair.drop();
  await fresh.drop();
}

/** A generator of whole numbers below a limit: the same for the same seed. */
export function generator(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

/** So many rounds; throws at the first that does not hold, with its statements. */
export async function rounds(world: World, seed: number, count: number): Promise<Told> {
  const below = generator(seed);
  const told: Told = { rounds: 0, statements: 0, compared: 0, conflicts: 0 };
  const edited = new Map<string, string>();
  for (let round = 1; round <= count; round += 1) {
    const statements: string[] = [];
    try {
      await changeSource(world, below, statements);
      await editTarget(world, below, statements, edited);
      await up(world, { full: below(12) === 0, jobs: 1 + below(2), pieceRows: below(2) ? 1 : 50 });
      // a second one has nothing to do but what was refused
      await up(world);
      told.compared += await compare(world, edited);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${seed}, round ${round}: ${said}\n${statements.join(';\n')}`, {
        cause: error,
      });
    }
    told.rounds += 1;
    told.statements += statements.length;
  }
  const [row] = await world.target<{ count: number }[]>`
    select count(*)::integer as count from migration.conflicts`;
  told.conflicts = row?.count ?? 0;
  return told;
}

function up({ pair, project }: World, options: Parameters<typeof migrate>[1] = {}) {
  return migrate(pair, {
    ...{ root: project.root, phases: 2, tolerance: 0.9, removeMany: true, jobs: 1 },
    ...options,
  });
}

/** A few changes of each kind, each in a transaction of its own; what a constraint refuses is no change. */
async function changeSource({ source }: World, below: (limit: number) => number, said: string[]) {
  const person = () => 1 + below(70);
  const word = () => below(100_000);
  const kinds: (() => string)[] = [
    () => `update person set amount = -amount where id = ${person()}`,
    () => `update person set amount = amount + 0.01 where id = ${person()}`,
    () =>
      `update person set amount = round(amount, 9) || '0' where id = ${person()}`.replace(
        `round(amount, 9) || '0'`,
        `(round(amount, 9)::text || '0')::numeric`,
      ),
    () => `update person set mail = upper(mail) where id = ${person()}`,
    () => `update person set mail = concat(mail, ' ') where id = ${person()}`,
    () => `update person set mail = null where id = ${person()}`,
    () => `update person set at = at + interval '1 microsecond' where id = ${person()}`,
    () => `update person set facts = '{"b": 1.0, "a": ${word()}}' where id = ${person()}`,
    () => `update person set facts = jsonb_set(facts, '{a}', '1.00') where id = ${person()}`,
    () => `update person set born = null where id = ${person()}`,
    () => `update person set kind_id = ${below(7)} where id = ${person()}`,
    () => `update person set login = 'login ${word()}' where id = ${person()}`,
    () =>
      `insert into person (id, login, mail) values (${person()}, 'login ${word()}', 'mail ${word()}')`,
    () => `delete from person where id = ${person()}`,
    () => `update kind set name = 'kind ${word()}' where id = ${1 + below(6)}`,
    () => `delete from kind where id = ${1 + below(6)}`,
    () => `insert into kind values (${1 + below(6)}, 'kind ${word()}')`,
    () => `update plan set person_id = ${person()} where id = ${1 + below(130)}`,
    () => `update plan set name = 'plan ${word()}' where id % 10 = ${below(10)}`,
    () => `insert into plan values (${1 + below(140)}, ${person()}, 'plan ${word()}')`,
    () => `delete from plan where id = ${1 + below(140)}`,
    () => `insert into pair values (${1 + below(80)}, ${person()}, ${person()}, 'pair ${word()}')`,
    () => `delete from pair where id = ${1 + below(80)}`,
    () => `update pair set note = 'pair ${word()}' where id = ${1 + below(80)}`,
    () => `update box set name = 'box ${word()}' where id = ${1 + below(40)}`,
    () => `insert into box values (${1 + below(40)}, ${1 + below(40)}, 'box ${word()}')`,
    () => `update box set parent_id = ${1 + below(40)} where id = ${1 + below(40)}`,
    () => `update plan set person_id = null where id = ${1 + below(130)}`,
    () => `delete from box where id = ${1 + below(40)}`,
    // two rows swap a unique value, and a whole rotation
    () => swap('person', 'login', [person(), person()], word()),
    () => swap('person', 'login', [person(), person(), person()], word()),
    () => swapPairs(1 + below(60), 1 + below(60)),
  ];
  for (let n = 1 + below(12); n > 0; n -= 1) {
    const text = kinds[below(kinds.length)]?.() ?? '';
    try {
      await source.begin((sql) => sql.unsafe(text));
      said.push(text);
    } catch (error) {
      // a key that is there
      if ((error as { code?: string }).code?.startsWith('23') !== true) throw error;
    }
  }
}

function swap(table: string, column: string, ids: number[], word: number): string {
  const list = ids.join(', ');
  const turned = ids.map((id, n) => `when ${id} then ${ids[(n + 1) % ids.length]}`).join(' ');
  return `create temporary table was on commit drop as select id, ${column} as value from ${table} where id in (${list});
    update ${table} set ${column} = concat('turning ${word} ', id) where id in (${list});
    update ${table} as t set ${column} = w.value from was as w
    where t.id in (${list}) and w.id = case t.id ${turned} end`;
}

function swapPairs(one: number, other: number): string {
  return `create temporary table was on commit drop as select * from pair where id in (${one}, ${other});
    delete from pair where id in (${one}, ${other});
    insert into pair select case id when ${one} then ${other} else ${one} end, one_id, other_id, note from was`;
}

/** The application edits and deletes rows of ours; what it did is noted by table and key. */
async function editTarget(
  { target }: World,
  below: (limit: number) => number,
  said: string[],
  edited: Map<string, string>,
) {
  const edits: [Table, string][] = [
    ['people', `amount = coalesce(amount, 0) + 1000`],
    ['people', `private = 'theirs'`],
    ['plans', `name = concat(name, ' edited')`],
    ['plans', `private = 'theirs'`],
    ['pairs', `note = concat(note, ' edited')`],
    ['boxes', `name = concat(name, ' edited')`],
  ];
  for (let n = below(4); n > 0; n -= 1) {
    const [table, what] = edits[below(edits.length)] ?? ['people', 'private = null'];
    const key = 1 + below(60);
    const gone = table === 'plans' && below(3) === 0;
    const where = `id = (select id from ids.${table} where legacy_id = ${key})`;
    const text = gone
      ? `delete from public.plans where ${where}`
      : `update public.${table} set ${what} where ${where}`;
    await target.unsafe(text);
    said.push(text);
    if (!what.startsWith('private') || gone)
      edited.set(`${table} ${key}`, gone ? 'deleted' : 'changed');
  }
}

/** Compares with a migration from nothing; the number of rows. */
async function compare(world: World, edited: Map<string, string>): Promise<number> {
  const { again, fresh, pair, project, target } = world;
  await again.unsafe(`truncate ${TABLES.map((table) => `public.${table}`).join(', ')}`);
  await again.unsafe(`
    do $$ begin
      if to_regclass('migration.entities') is not null then
        truncate ${TABLES.map((table) => `ids.${table}`).join(', ')}, migration.ranges, migration.rejects,
          migration.gone, migration.filtered, migration.conflicts, migration.before_images;
        update migration.entities set status = 'new', map_size = 0, maps_seen = '{}', removed = 0;
      end if;
    end $$`);
  await migrate(
    { ...fresh, sourceUrl: pair.sourceUrl },
    { root: project.root, phases: 2, tolerance: 0.9, jobs: 1 },
  );
  let compared = 0;
  for (const table of TABLES) {
    const [here, there] = [await rowsOf(target, table), await rowsOf(again, table)];
    for (const [key, row] of there) {
      const mine = here.get(key);
      compared += 1;
      if (mine === row) {
        edited.delete(`${table} ${key}`);
        continue;
      }
      const known = edited.get(`${table} ${key}`);
      // what the application did stays while the source row is as it was
      if (known !== undefined && (known === 'changed' || mine === undefined)) continue;
      assert.is(mine, row, `${table} ${key}: ${mine} is not ${row}`);
    }
    const gone = new Set(
      (
        await target<{ key: string }[]>`
        select legacy_id::text as key from migration.gone where entity = ${table}`
      ).map(({ key }) => key),
    );
    for (const [key, row] of here) {
      if (!there.has(key)) assert.ok(gone.has(key), `${table} ${key} is in no source: ${row}`);
    }
  }
  const open = await rejectsOf(target);
  assert.equal(open, await rejectsOf(again), 'rejects');
  return compared;
}

async function rowsOf(target: Sql, table: Table): Promise<Map<string, string>> {
  const rows = await target.unsafe<{ key: string; row: string }[]>(`
    select m.legacy_id::text as key, (to_jsonb(t.*) - 'private')::text as row
    from ids.${table} as m join public.${table} as t on t.id = m.id`);
  return new Map(rows.map(({ key, row }) => [key, row]));
}

async function rejectsOf(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity, legacy_id, reason) as line from migration.rejects
    where resolved_run is null order by 1`;
  return rows.map(({ line }) => line);
}
