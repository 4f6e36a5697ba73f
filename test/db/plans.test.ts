// deadline 300
/*
 * How the target reads the link. Foreign tables have no statistics: a nested loop over one of 700,000 rows
 * never ends, and a merge join believes the order in which the source sorts texts.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { note, open, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

/** A node of a plan as EXPLAIN prints it. */
interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  Plans?: Plan[];
}

const test = suite<Context>('plans');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'plans', source: 'sample' }));
});

test.after(dropPair);

test('no join but by hash reads the link: first run, changes, verify, check', async ({
  pair,
  source,
  target,
}) => {
  const log = await logged(target, async () => {
    await migrate(pair, { phases: 7, archive: true });
    await source.unsafe(`
      update dispatch_task set text = concat(text, '.') where id % 100 = 7;
      update dispatch_file set name = concat(name, '.') where id % 100 = 7;
      delete from dispatch_record where id % 100 = 7;
      update dispatch_template set action_name = concat(action_name, '.') where id % 10 = 7`);
    await migrate(pair, { phases: 7, archive: true, removeMany: true });
    await succeed(pair, ['verify']);
    await succeed(pair, ['check', 'texts', 'money', 'references', 'archive', 'source_drift']);
  });
  const plans = plansIn(log);
  const reading = plans.filter(({ plan }) => foreignTables(plan).length > 0);
  assert.ok(reading.length > 200, `only ${reading.length} plans read the link`);
  const wrong = reading.flatMap(({ plan, query }) =>
    joins(plan)
      .filter((join) => join['Node Type'] !== 'Hash Join' && foreignTables(join).length > 0)
      .map((join) => `${join['Node Type']} over ${foreignTables(join).join(', ')}: ${query}`),
  );
  assert.equal([...new Set(wrong)], []);
  note(`${plans.length} plans, ${reading.length} of them read the link`);
});

test('the test sees what it looks for', async ({ target, pair }) => {
  const log = await logged(target, async () => {
    const session = open(pair.targetUrl);
    await session.unsafe(`
      set enable_hashjoin = off; set enable_mergejoin = off;
      create temporary table few (id integer);
      select count(*) from few as f join information_schema.tables as t on true where f.id = 1`);
    await session.end();
  });
  assert.ok(
    plansIn(log).some(({ plan }) => joins(plan).some((j) => j['Node Type'] === 'Nested Loop')),
  );
});

test.run();

/** What the target's server logs meanwhile: every plan of every statement of new sessions. */
async function logged(target: Sql, work: () => Promise<unknown>): Promise<string> {
  const [place] = await target<{ data: string; name: string }[]>`
    select current_setting('data_directory') as data, current_database() as name`;
  assert.ok(place);
  const file = join(dirname(place.data), 'server.log');
  const set = (name: string, value: string) =>
    target.unsafe(`alter role postgres in database ${place.name} set ${name} = '${value}'`);
  await set('session_preload_libraries', 'auto_explain');
  await set('auto_explain.log_min_duration', '0');
  await set('auto_explain.log_nested_statements', 'on');
  await set('auto_explain.log_format', 'json');
  const from = statSync(file).size;
  await work();
  await target.unsafe(`alter role postgres in database ${place.name} reset all`);
  const length = statSync(file).size - from;
  const buffer = Buffer.alloc(length);
  const descriptor = openSync(file, 'r');
  readSync(descriptor, buffer, 0, length, from);
  closeSync(descriptor);
  return buffer.toString();
}

/** Plans are JSON, indented by a tab, behind `plan:`. */
function plansIn(log: string): { query: string; plan: Plan }[] {
  return [...log.matchAll(/plan:\n((?:\t[^\n]*\n)+)/g)].map(([, text = '']) => {
    const { 'Query Text': query, Plan: plan } = JSON.parse(text) as {
      'Query Text': string;
      Plan: Plan;
    };
    return { query: query.replaceAll(/\s+/g, ' ').slice(0, 120), plan };
  });
}

function nodes(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodes)];
}

function joins(plan: Plan): Plan[] {
  return nodes(plan).filter((node) => /Join|Nested Loop/.test(node['Node Type']));
}

function foreignTables(plan: Plan): string[] {
  return nodes(plan).flatMap((node) =>
    node['Node Type'] === 'Foreign Scan' ? [node['Relation Name'] ?? 'a join'] : [],
  );
}
