// deadline 240
/*
 * What `legacy_key` may be. Changes are found by the id of the driving table: by any other key, however
 * unique it is, rows would be read that have not changed, and the changed ones not.
 */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PreflightFailed } from '../../runner/engine/run.ts';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

const ROWS = 1200;
const PLAIN = 'from legacy.thing as t';

/** Views by the id of the thing: whatever the form. */
const FOLLOWED: Record<string, string> = {
  plain: `select t.id as legacy_key, t.name as name ${PLAIN}`,
  cast: `select t.id::bigint as legacy_key, t.name as name ${PLAIN}`,
  alone: 'select id as legacy_key, name as name from legacy.thing',
  inside: `select s.number as legacy_key, s.name as name
from (select d.id as number, d.name from legacy.thing as d) as s`,
  common: `with things as (select d.id as number, d.name from legacy.thing as d)
select c.number as legacy_key, c.name as name from things as c`,
};

/** Views by another key. The codes of the things are their ids, backwards. */
const REFUSED: Record<string, string> = {
  code: `select t.code as legacy_key, t.name as name ${PLAIN}`,
  code_inside: `select s.id as legacy_key, s.name as name
from (select d.code as id, d.name from legacy.thing as d) as s`,
  code_common: `with things as (select d.code as id, d.name from legacy.thing as d)
select c.id as legacy_key, c.name as name from things as c`,
  renamed: `select s.id as legacy_key, s.name as name
from (select d.id, d.code, d.name from legacy.thing as d) as s (code, id, name)`,
  // one to one: every thing has a person of its own
  joined: `select u.id as legacy_key, t.name as name ${PLAIN}
left join legacy.person as u on u.id = t.person_id`,
  expression: `select ${ROWS + 1} - t.id as legacy_key, t.name as name ${PLAIN}`,
  chosen: `select coalesce(t.code, t.id) as legacy_key, t.name as name ${PLAIN}`,
  question: `select (select u.id from legacy.person as u where u.id = t.person_id) as legacy_key,
  t.name as name
${PLAIN}`,
};

const test = suite<Context>('legacy key');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'legacy_key', source: 'empty' }));
  await context.source.unsafe(`
    create table public.person (id integer primary key, name text);
    create table public.thing (
      id integer primary key, code bigint not null unique, person_id bigint not null unique, name text);
    insert into public.person select n, concat('person ', n) from generate_series(1, ${ROWS}) as n;
    insert into public.thing
    select n, ${ROWS + 1} - n, ${ROWS + 1} - n, concat('thing ', n) from generate_series(1, ${ROWS}) as n;
    grant select on public.person, public.thing to legacy_reader`);
  await context.target.unsafe(
    Object.keys({ ...FOLLOWED, ...REFUSED })
      .map(
        (name) => `
          create table public.${name} (id uuid primary key, name text);
          alter table public.${name} owner to postgres;`,
      )
      .join(''),
  );
});

test.after(dropPair);

test('the id of the driving table, whatever the form: no change is missed', async (context) => {
  assert.equal(await fates(context, FOLLOWED), []);
});

test('another key is refused before the first write, with its place', async (context) => {
  assert.equal(
    await fates(context, { ...FOLLOWED, ...REFUSED }),
    Object.keys(REFUSED).map((name) => `${name} refused in line ${name === 'code_common' ? 9 : 8}`),
  );
});

test.run();

/** What became of views: how many changes were missed, or where each was refused. */
async function fates(
  { pair, source, target }: Context,
  views: Record<string, string>,
): Promise<string[]> {
  const project = projectOf(views);
  const options = { root: project.root, phases: 1 };
  try {
    await migrate(pair, options);
    await source`update thing set name = concat('not ', name) where id in (7, 700, 1100)`;
    await migrate(pair, options);
    const whole = await migrate(pair, { ...options, full: true });
    const missed = await target<{ line: string }[]>`
      select concat(entity, ' missed ', inserted + updated) as line from migration.control
      where run = ${whole} and inserted + updated > 0 order by entity`;
    return missed.map(({ line }) => line);
  } catch (error) {
    if (!(error instanceof PreflightFailed)) throw error;
    return error.problems.map(({ rule, file, line, fix }) => {
      assert.is(rule, 'legacy-key');
      assert.match(fix, '.id as legacy_key');
      return `${/_(.*)\.sql/.exec(file)?.[1]} refused in line ${line}`;
    });
  } finally {
    project.remove();
  }
}

function projectOf(views: Record<string, string>): Scratch {
  return tinyProject(
    Object.fromEntries(
      Object.entries(views).map(([name, view], index) => [
        `sql/1-things/${index + 10}_${name}.sql`,
        `-- Things.
--
-- target   public.${name}
-- source   thing
-- adopt    none

create view transform.${name} as
${view};
`,
      ]),
    ),
  );
}
