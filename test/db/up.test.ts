// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL } from '../pair.ts';
import { dumpRows, lastLine, runner, sameDump, succeed, touches } from '../runner.ts';
import {
  catalogOf,
  changed,
  downTests,
  onWhole,
  schemasOf,
  up,
  upTests,
  type Whole,
} from './whole.ts';

/* One migration of the sample, from the first run to the last row taken back: in this order. */

const OF = { root: NEUTRAL };
const SCHEMAS = schemasOf(NEUTRAL);

const test = suite<Whole>('up');

onWhole(test, NEUTRAL, { name: 'up', source: 'neutral', target: 'neutral' }, plant);

test('a dry run on a fresh target shows what would be and leaves nothing', async (context) => {
  const { pair, target, before } = context;
  const { code, stdout, stderr } = await runner(pair, ['up', '--dry-run'], OF);
  assert.is(code, 0, stderr);
  assert.match(stdout, 'nothing is changed');
  sameDump(await dumpRows(target, { clock: true, ...OF }), before.rows);
  sameDump(await catalogOf(target, NEUTRAL), before.catalog);
});

test('one phase only', async ({ pair, target }) => {
  const summary = await up(pair, NEUTRAL, '1-catalogue');
  const states = Object.fromEntries(summary.phases.map(({ phase, status }) => [phase, status]));
  assert.equal(states, {
    '1-catalogue': 'complete',
    '2-customers': 'new',
    '3-rentals': 'new',
    archive: 'new',
  });
  const [rows] = await target<{ films: number; customers: number; archive: number }[]>`
    select (select count(*)::integer from public.films) as films,
      (select count(*)::integer from public.customers) as customers,
      (select count(*)::integer from pg_class
       where relnamespace = 'legacy_archive'::regnamespace) as archive`;
  // one of them is the application's
  assert.equal({ ...rows }, { films: 296, customers: 1, archive: 0 });
});

upTests(test, NEUTRAL);

test('a dry run counts what changed in the source and changes nothing', async (context) => {
  const { pair, source, target } = context;
  await source`update film set title = 'moved' where film_id = 1`;
  await source`
    insert into film (film_id, title, changed_at) values (100000, 'new', '2024-01-01')`;
  const before = await touches(target, [...SCHEMAS, 'migration']);
  const { code, stdout, stderr } = await runner(pair, ['up', '--dry-run'], OF);
  assert.is(code, 0, stderr);
  assert.match(stderr, /✓ 1-catalogue +\d of 5 +1 new +1 changed/);
  assert.match(stdout, 'nothing is changed');
  sameDump(await touches(target, [...SCHEMAS, 'migration']), before);
});

test('the next run brings just that', async ({ pair, target }) => {
  const summary = await up(pair, NEUTRAL);
  assert.equal(changed(summary), ['films 1 1']);
  const rows = await target`
    select f.title from public.films as f join ids.films as m on m.id = f.id
    where m.legacy_id = 100000 or f.title = 'moved' order by 1`;
  assert.equal(
    rows.map(({ title }) => title as string),
    ['moved', 'new'],
  );
});

for (const [phase, later, others] of [
  ['1-catalogue', ['2-customers', '3-rentals'], []],
  ['2-customers', ['3-rentals'], ['1-catalogue']],
] as const) {
  test(`${phase}, with others on top of it, is not taken down, and they are named`, async (context) => {
    const { pair, target } = context;
    const before = await touches(target, [...SCHEMAS, 'migration']);
    const { code, stderr } = await runner(pair, ['down', phase, '--yes'], OF);
    assert.is(code, 1);
    for (const name of later) assert.match(stderr, name);
    for (const name of others) assert.not.match(stderr, name);
    assert.match(stderr, '--cascade');
    sameDump(await touches(target, [...SCHEMAS, 'migration']), before);
  });
}

test('down --dry-run shows the rows and changes nothing', async ({ pair, target }) => {
  const before = await touches(target, [...SCHEMAS, 'migration']);
  const triggers = await catalogOf(target, NEUTRAL);
  const shown = await succeed(pair, ['down', '2-customers', '--cascade', '--dry-run'], OF);
  assert.match(shown.stdout, /2-customers +customers +197\b/);
  assert.match(shown.stdout, 'nothing was changed');
  sameDump(await touches(target, [...SCHEMAS, 'migration']), before);
  sameDump(await catalogOf(target, NEUTRAL), triggers);
});

downTests(test, NEUTRAL, () => {
  test('down refuses where the application changed our rows, and lists them; --force does it', async ({
    pair,
    target,
  }) => {
    const edited = await target`
      update billing.payments set method = 'voucher'
      where id = (select id from ids.payments order by legacy_id limit 1) and method <> 'voucher'
      returning id`;
    assert.is(edited.length, 1);
    const before = await touches(target, SCHEMAS);
    const refused = await runner(pair, ['down', '3-rentals', '--yes', '--json'], OF);
    assert.is(refused.code, 1);
    const { verdict, entities: steps } = lastLine<{
      verdict: string;
      entities: { entity: string; touched: number }[];
    }>(refused);
    assert.is(verdict, 'stopped');
    assert.equal(
      steps.filter(({ touched }) => touched > 0).map(({ entity }) => entity),
      ['payments'],
    );
    sameDump(await touches(target, SCHEMAS), before);
    await succeed(pair, ['down', '3-rentals', '--force', '--yes'], OF);
    const [rows] = await target<{ count: number }[]>`
      select count(*)::integer as count from billing.payments`;
    assert.is(rows?.count, 0);
  });
});

/** Rows of the application: one that is recognised, one that nobody knows. */
async function plant(target: Sql): Promise<void> {
  await target`
    insert into public.customers (legacy_customer_id, first_name, last_name, email, created_at)
    values (5, 'Number', 'Five', 'five@example.org', '2020-02-02')`;
  await target`insert into public.actors values (gen_random_uuid(), 'No', 'Body', '2020-02-02')`;
}

test.run();
