// deadline 300
/* A source that sorts texts another way than the target. */
import { randomBytes } from 'node:crypto';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { grantReader } from '../../runner/embedded/pair.ts';
import { dropPair, migrate } from '../migrate.ts';
import { testPair, type TestPair, type Urls } from '../pair.ts';
import { entityFile, open, runner, type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** The target, with a source in which `a` comes before `B`: in the target it does not. */
  sorted: Pick<Urls, 'sourceUrl' | 'targetUrl'>;
  /** One view, over tables that only this test has. */
  project: Scratch;
}

const ROWS = 40_000;
// narrow tables: the planner believes in more rows and sorts them for a merge join
const TABLES = `
  create table code (id integer primary key, code text);
  create table thing (id integer primary key, code text);
  insert into code
  select g, concat(substr('aBcD', g % 4 + 1, 1), g) from generate_series(1, ${ROWS}) as g;
  insert into thing select * from code;
  analyze`;
const VIEW = entityFile('things', 'thing', ['t.code as name', 'code.code as found'], {
  joins: [
    `left join (
  select distinct on (c.code)
    c.code
  from legacy.code as c
  order by c.code, c.id
) as code on code.code = t.code`,
  ],
});

const test = suite<Context>('collation');

test.before(async (context) => {
  const empty = { source: 'empty', target: 'empty', sourceMajor: 17 } as const;
  const pair = await testPair({ name: 'collation', ...empty });
  const [source, target] = [open(pair.sourceAdminUrl), open(pair.targetAdminUrl)];
  const project = tinyProject({ 'sql/1-one/10_things.sql': VIEW });
  Object.assign(context, { pair, source, target, project });
  const name = `icu_${randomBytes(4).toString('hex')}`;
  await source.unsafe(
    `create database ${name} template template0 locale_provider icu icu_locale 'en'`,
  );
  const adminUrl = within(pair.sourceAdminUrl, name);
  const icu = open(adminUrl);
  await icu.unsafe(TABLES);
  await icu.end();
  await grantReader(adminUrl);
  await target.unsafe(`
    set role postgres;
    create table public.things (id uuid primary key, name text, found text);
    reset role`);
  context.sorted = { sourceUrl: within(pair.sourceUrl, name), targetUrl: pair.targetUrl };
});

test.after(async (context) => {
  context.project.remove();
  const name = new URL(context.sorted.sourceUrl).pathname.slice(1);
  await context.source`drop database ${context.source(name)} with (force)`;
  await dropPair(context);
});

test('a join over texts that the source sorts its own way finds every partner', async ({
  sorted,
  target,
  project: { root },
}) => {
  await migrate(sorted, { root, phases: 1 });
  const lost =
    await target`select count(*)::integer as rows from public.things where found is null`;
  assert.equal([...lost], [{ rows: 0 }]);
  const found = await target`
    select count(*)::integer as rows from public.things where found = name`;
  assert.equal([...found], [{ rows: ROWS }]);
  const verified = await runner(sorted, ['verify'], { root });
  assert.is(verified.code, 0, verified.stdout);
});

test('every function that keeps nested loops from the link keeps merge joins from it', async ({
  target,
}) => {
  const rows = await target`
    select p.proname from pg_proc as p
    where p.pronamespace = 'migration'::regnamespace
      and ('enable_nestloop=off' = any (p.proconfig)) is distinct from
        ('enable_mergejoin=off' = any (p.proconfig))`;
  assert.equal([...rows], []);
});

test('doctor notes that source and target sort texts in different ways', async ({
  pair,
  source,
  sorted,
  project: { root },
}) => {
  const other = await runner(sorted, ['doctor'], { root });
  assert.match(other.stdout, /^note +collations: source icu en [\d.]+, target libc C$/m);
  assert.is(other.code, 0, other.stdout);
  // a database without any of the tables is another one, and not looked at
  await source.unsafe(`create table thing (id integer primary key, code text);
    grant select on thing to legacy_reader`);
  const same = await runner(pair, ['doctor'], { root });
  assert.match(same.stdout, /^ok +collations: source libc C, target libc C$/m);
});

test.run();

function within(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
