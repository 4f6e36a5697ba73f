// deadline 240
/*
 * Views in which one row changes another, in ways that are easy to miss: whatever happens in the
 * source, a run that compares every row has nothing left to write.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { dropPair, errorOf, migrate, preparePair, rowsRead } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** More than the engine compares whole without being told to. */
const ROWS = 1200;

/** Views over `thing`: columns and joins. */
const VIEWS: Record<string, string> = {
  // the form that is followed: rows wait by the name of the map
  waiting: `k.id as kind_id,
  case when t.kind_id is not null and k.id is null then 'kinds' end as missing
from legacy.thing as t
left join ids.kinds as k on k.legacy_id = t.kind_id`,
  // rows are removed from this map
  shrinking: `k.id as kind_id,
  case when t.kind_id is not null and k.id is null then 'sorts' end as missing
from legacy.thing as t
left join ids.sorts as k on k.legacy_id = t.kind_id`,
  unnamed: `k.id as kind_id
from legacy.thing as t
left join ids.kinds as k on k.legacy_id = t.kind_id`,
  misnamed: `k.id as kind_id,
  case when k.id is null then 'things' end as missing
from legacy.thing as t
left join ids.kinds as k on k.legacy_id = t.kind_id`,
  hidden: `k.id as kind_id,
  case when t.name is null then 'colors' when k.id is null then 'kinds' end as missing
from legacy.thing as t
left join ids.kinds as k on k.legacy_id = t.kind_id`,
  filtered: `k.id as kind_id,
  case when k.id is null then 'no_kind' end as filter,
  case when k.id is null then 'kinds' end as missing
from legacy.thing as t
left join ids.kinds as k on k.legacy_id = t.kind_id`,
  filtered_beside: `k.id as kind_id,
  case when of.nothing then 'no_kind' end as filter,
  case when k.id is null then 'kinds' end as missing
from legacy.thing as t
left join ids.kinds as k on k.legacy_id = t.kind_id
cross join lateral (select k.id is null as nothing) as of`,
  quoted_map: `k.id as kind_id
from legacy.thing as t
left join "ids"."kinds" as k on k.legacy_id = t.kind_id`,
  gathered: `t.name as name,
  case when max_of.id < t.kind_id then 'kinds' end as missing
from legacy.thing as t
left join (select max(k.legacy_id) as id from ids.kinds as k) as max_of on true`,
  counted: `(select count(*) from ids.kinds as k where k.legacy_id <= t.kind_id)::bigint as count
from legacy.thing as t`,
  grouped: `n.count as count
from legacy.thing as t
left join (
  select k.legacy_id % 10 as digit, count(*) as count from ids.kinds as k group by 1
) as n on n.digit = t.kind_id % 10`,
  windowed: `lag(t.name) over (order by t.id) as name
from legacy.thing as t`,
  windowed_inside: `s.name as name
from (select d.id, lag(d.name) over (order by d.id) as name from legacy.thing as d) as s`,
  quoted: `o.name as name
from legacy.thing as t
left join "legacy".thing as o on o.id = t.id + 1`,
  common: `o.name as name
from things as t
left join things as o on o.id = t.id + 1`,
};

const COMMON = 'with things as (select d.id, d.name from legacy.thing as d)\n';

const test = suite<Context>('reader');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'reader', source: 'empty', sourceMajor: 17 }), {
    project: projectOf(),
  });
  const { pair, source, target, project } = context;
  await source.unsafe(`
    create table public.kind (id integer primary key, name text);
    create table public.thing (id integer primary key, kind_id integer, name text);
    insert into public.kind select n, concat('kind ', n) from generate_series(1, 9) as n;
    insert into public.thing
    select n, 1 + n % 12, case when n % 50 > 0 then concat('thing ', n) end from generate_series(1, ${ROWS}) as n;
    grant select on public.kind, public.thing to legacy_reader`);
  await target.unsafe(
    ['kinds', 'sorts', ...Object.keys(VIEWS)]
      .map(
        (name) => `
          create table public.${name} (
            id uuid primary key, legacy_id bigint, name text, kind_id uuid, count bigint);
          alter table public.${name} owner to postgres;`,
      )
      .join(''),
  );
  await migrate(pair, { root: project.root, phases: 2 });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('nothing has changed: nothing is read', async ({ pair, target, project }) => {
  const run = await migrate(pair, { root: project.root, phases: 2 });
  assert.equal(await rowsRead(target, run), {});
});

test('an id map has grown', async (context) => {
  const { source, target } = context;
  await source`insert into kind values (10, 'kind 10')`;
  const read = await rowsRead(target, await increment(context));
  const [waiting] = await source<{ count: number }[]>`
    select count(*)::integer as count from thing where kind_id > 9`;
  assert.is(read['waiting'], waiting?.count, 'rows that wait for the map by its name');
  assert.is(read['windowed'], undefined);
});

test('a row of the driving table has changed', async (context) => {
  await context.source`update thing set name = 'another' where id = 700`;
  const read = await rowsRead(context.target, await increment(context));
  assert.is(read['waiting'], 1);
  assert.is(read['windowed'], ROWS);
});

test('a row has gone from an id map', async (context) => {
  await context.source`delete from kind where id = 3`;
  const read = await rowsRead(context.target, await increment(context));
  assert.is(read['shrinking'], ROWS);
  assert.is(read['waiting'], undefined);
});

test('and again nothing is read', async ({ pair, target, project }) => {
  const run = await migrate(pair, { root: project.root, phases: 2 });
  assert.equal(await rowsRead(target, run), {});
});

test('a name that only the grammar recognises is refused, with its file', async ({
  pair,
  target,
  project,
}) => {
  const file = 'sql/2-things/10_waiting.sql';
  const plain = 'left join ids.kinds as k';
  const hidden = `left join U&"leg\\0061cy".kind as x on x.id = t.kind_id\n${plain}`;
  project.edit(file, (text) => text.replace(plain, () => hidden));
  const error = await errorOf(migrate(pair, { root: project.root, phases: 2 }));
  assert.instance(error, PreflightFailed);
  assert.equal(
    (error as PreflightFailed).problems.map(({ rule, file: where, message }) => [
      rule,
      where,
      /legacy\.kind/.test(message),
    ]),
    [['names', file, true]],
  );
  project.edit(file, (text) => text.replace(hidden, () => plain));
  const run = await migrate(pair, { root: project.root, phases: 2 });
  assert.equal(await rowsRead(target, run), {});
});

test.run();

/** Migrates; a run that compares everything finds nothing that was missed. Its number. */
async function increment({ pair, target, project }: Context): Promise<number> {
  const run = await migrate(pair, { root: project.root, phases: 2 });
  const whole = await migrate(pair, { root: project.root, phases: 2, full: true });
  // rows that have gone from `kinds` are listed by every run that reads it
  const missed = await target<{ line: string }[]>`
    select concat_ws(' ', entity, inserted, updated) as line from migration.control
    where run = ${whole} and inserted + updated > 0 order by entity`;
  assert.equal([...missed], []);
  return run;
}

function projectOf(): Scratch {
  const header = (name: string, source: string, more = '') =>
    `-- Rows of ${source}.\n--\n-- target   public.${name}\n-- source   ${source}\n-- adopt    none\n${more}\n`;
  return tinyProject({
    'sql/1-kinds/10_kinds.sql': `${header('kinds', 'kind')}
create view transform.kinds as
select k.id as legacy_key, k.id as legacy_id, k.name as name from legacy.kind as k;
`,
    'sql/1-kinds/20_sorts.sql': `${header('sorts', 'kind', '-- deletes  remove\n')}
create view transform.sorts as
select k.id as legacy_key, k.id as legacy_id, k.name as name from legacy.kind as k;
`,
    ...Object.fromEntries(
      Object.entries(VIEWS).map(([name, text], index) => {
        const from = text.includes('as s') ? 's' : 't';
        return [
          `sql/2-things/${index + 10}_${name}.sql`,
          `${header(name, 'thing')}
create view transform.${name} as
${name === 'common' ? COMMON : ''}select
  ${from}.id as legacy_key,
  ${from}.id as legacy_id,
  ${text};
`,
        ];
      }),
    ),
  });
}
