// deadline 180
/* What stands on what is taken back: phases on phases, and rows of the application on ours. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Ended, lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** The last line of `down --json`. */
interface Report {
  verdict: string;
  entities: {
    entity: string;
    created: number;
    restored: number;
    touched: number;
    references: string[];
  }[];
}

const test = suite<Context>('down');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'down', source: 'empty' }), {
    project: projectOf(),
  });
  const { pair, source, target, project } = context;
  await source.unsafe(`
    create table public.makers (id integer primary key, name text);
    create table public.parts (id integer primary key, maker_id integer);
    create table public.tools (id integer primary key);
    create table public.uses (id integer primary key, tool_id integer);
    grant select on all tables in schema public to legacy_reader;
    insert into makers values (1, 'one'), (2, 'two');
    insert into parts values (1, 1);
    insert into tools values (1), (2);
    insert into uses values (1, 2)`);
  await target.unsafe(`
    set role postgres;
    create table public.makers (
      id uuid primary key, legacy_id integer unique, name text, unique (id, name));
    create table public.parts (
      id uuid primary key, legacy_id integer, maker_id uuid references public.makers);
    create table public.tools (id uuid primary key, legacy_id integer);
    create table public.uses (
      id uuid primary key, legacy_id integer,
      tool_id uuid references public.tools on delete cascade);
    reset role`);
  await migrate(pair, { root: project.root });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a phase is refused with all phases that stand on it, also on a neighbour of what does', async ({
  pair,
  project,
}) => {
  const { code, stderr } = await runner(pair, ['down', '1-one', '--yes'], { root: project.root });
  assert.is(code, 1);
  assert.match(stderr, '1-one carries 2-two, 3-three; nothing was changed');
});

test('--cascade takes them all', async ({ pair, target, project }) => {
  const ended = await down(pair, project, '--cascade', '--dry-run');
  assert.equal(
    lastLine<Report>(ended).entities.map(({ entity, created }) => `${entity} ${created}`),
    ['uses 1', 'tools 2', 'parts 1', 'makers 2'],
  );
  await down(pair, project, '--cascade');
  const [left] = await target`
    select (select count(*) from public.makers)::integer as makers,
      (select count(*) from public.uses)::integer as uses,
      (select count(*) from ids.tools)::integer as mapped`;
  assert.equal({ ...left }, { makers: 0, uses: 0, mapped: 0 });
  await migrate(pair, { root: project.root });
});

test('rows of the application are listed by every key that leads to ours, whatever its columns', async ({
  pair,
  target,
  project,
}) => {
  await target.unsafe(`
    set role postgres;
    create table public.app_both (
      maker uuid, label text,
      foreign key (maker, label) references public.makers (id, name) on delete cascade);
    create table public.app_number (
      number bigint references public.makers (legacy_id) on delete cascade);
    create table public.app_parted (part integer, maker uuid references public.makers)
      partition by list (part);
    create table public.app_parted_1 partition of public.app_parted for values in (1);
    insert into public.app_both select m.id, m.name from public.makers as m;
    insert into public.app_both values (null, 'one'), (gen_random_uuid(), null);
    insert into public.app_number values (2), (null);
    insert into public.app_parted select 1, m.id from public.makers as m where m.name = 'one';
    reset role`);
  const before = await target`select * from public.app_both order by maker`;
  const refused = await runner(pair, ['down', '1-one', '--cascade', '--yes', '--json'], {
    root: project.root,
  });
  assert.is(refused.code, 1, refused.stderr);
  const { verdict, entities } = lastLine<Report>(refused);
  assert.is(verdict, 'held');
  assert.equal(entities.find(({ entity }) => entity === 'makers')?.references, [
    'public.app_both.(maker, label) (2)',
    'public.app_number.number (1)',
    'public.app_parted.maker (1)',
  ]);
  assert.equal(await target`select * from public.app_both order by maker`, before);
});

test('with --force they go as their keys say, unless a key holds them', async ({
  pair,
  target,
  project,
}) => {
  const args = ['down', '1-one', '--cascade', '--force', '--yes', '--json'];
  const held = await runner(pair, args, { root: project.root });
  assert.is(held.code, 1, held.stderr);
  assert.is(lastLine<Report>(held).verdict, 'held');
  await target`drop table public.app_parted`;
  await succeed(pair, args, { root: project.root });
  const [left] = await target`
    select (select count(*) from public.app_both)::integer as both,
      (select count(*) from public.app_number)::integer as number`;
  assert.equal({ ...left }, { both: 2, number: 1 });
  await target`drop table public.app_both, public.app_number`;
});

test('columns that are newer than an image keep their value', async ({
  pair,
  source,
  target,
  project,
}) => {
  await target`insert into public.makers values (gen_random_uuid(), 3, 'of the application')`;
  await source`insert into makers values (3, 'of the source')`;
  await migrate(pair, { root: project.root });
  await target`alter table public.makers add column newer text default 'kept'`;
  const ended = await down(pair, project, '--cascade', '--force');
  assert.is(lastLine<Report>(ended).entities.at(-1)?.restored, 1);
  const rows = await target`select name, newer from public.makers`;
  assert.equal([...rows], [{ name: 'of the application', newer: 'kept' }]);
});

test.run();

function down(pair: TestPair, project: Scratch, ...options: string[]): Promise<Ended> {
  return succeed(pair, ['down', '1-one', '--yes', '--json', ...options], { root: project.root });
}

/** 2-two stands on 1-one by its parts; its tools stand on nothing, and 3-three on them. */
function projectOf(): Scratch {
  const file = (entity: string, lines: string[], adopt = 'none') => `-- For the test.
--
-- target   public.${entity}
-- source   ${entity}
-- adopt    ${adopt}

create view transform.${entity} as
select
  s.id as legacy_key,
  s.id::integer as legacy_id${lines.join('')}
`;
  return tinyProject({
    'sql/1-one/10_makers.sql': file(
      'makers',
      [',\n  s.name as name', '\nfrom legacy.makers as s;'],
      'legacy_id',
    ),
    'sql/2-two/10_parts.sql': file('parts', [
      ',\n  maker.id as maker_id',
      '\nfrom legacy.parts as s left join ids.makers as maker on maker.legacy_id = s.maker_id;',
    ]),
    'sql/2-two/20_tools.sql': file('tools', ['\nfrom legacy.tools as s;']),
    'sql/3-three/10_uses.sql': file('uses', [
      ',\n  tool.id as tool_id',
      '\nfrom legacy.uses as s left join ids.tools as tool on tool.legacy_id = s.tool_id;',
    ]),
  });
}
