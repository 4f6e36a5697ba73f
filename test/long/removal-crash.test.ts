// deadline 360
import type { Client } from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { SchemaChangeError } from '../../runner/schema/error.ts';
import { type Proxy, startProxy } from '../faults/proxy.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  connected,
  dump,
  installSetup,
  otherValues,
  phase,
  PHASES,
  removedValues,
} from '../project/removal-pair.ts';

// To the server a killed client is a socket that closes. The proxy closes it before each request
// and before each reply in turn, until a phase gets through.
const test = suite('column removal: killed at any point');
let pair: TestPair;
let db: Client;
let proxy: Proxy;
let through: string;

test.before(async () => {
  pair = await testPair({ name: 'crash', source: 'empty', target: 'schema' });
  await installSetup(pair.targetUrl);
  db = await connected(pair.targetUrl);
  await db.query(`
    insert into profiles (profile_type, first_name, last_name, insurance_info, medical_history)
    select 'client', 'A', n::text, jsonb_build_object('n', n), case when n % 2 = 0 then 'null'::jsonb end
    from generate_series(1, 200) as n;
    insert into products (name, course_type, sku)
    select n::text, 'main', nullif(n % 3, 0)::text from generate_series(1, 30) as n`);
  const url = new URL(pair.targetUrl);
  proxy = await startProxy({ port: Number(url.port) });
  url.port = String(proxy.port);
  through = url.href;
  // the table node-pg-migrate keeps its history in comes with the first phase and stays
  await phase(pair.targetUrl, 'up');
  await phase(pair.targetUrl, 'down');
});
test.after(async () => {
  await proxy.stop();
  await db.end();
  await pair.drop();
});

for (const number of [1, 2, 3, 4]) {
  test(`phase ${number}, up and down: there whole or not at all`, async () => {
    const below = await state();
    await phase(pair.targetUrl, 'up');
    const above = await state();
    await phase(pair.targetUrl, 'down');

    // the way to BEGIN is the same for all
    const first = number === 1 ? 1 : 8;
    let cuts = await cutEverywhere('up', below, above, first);
    cuts += await cutEverywhere('down', above, below, first);
    console.log(`phase ${number}: ${cuts} cuts`);
    // session, lock, history, BEGIN, guard, the file, guard, COMMIT: each way, twice
    assert.ok(cuts > 60, `only ${cuts} cuts`);
    assert.equal(await state(), below);
    assert.equal(await phase(pair.targetUrl, 'up'), [{ name: PHASES[number], direction: 'up' }]);
    assert.equal(await state(), above);
  });
}

test.run();

/** From `from`, cuts before each request and each reply in turn; ends when the phase is done. */
async function cutEverywhere(
  direction: 'up' | 'down',
  from: string,
  to: string,
  first: number,
): Promise<number> {
  const back = direction === 'up' ? 'down' : 'up';
  let cuts = 0;
  for (const kind of ['request', 'reply'] as const) {
    for (let n = first; ; n += 1) {
      proxy.cutBefore(kind, n);
      const error = await phase(through, direction).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const { cut } = proxy.counts();
      proxy.pass();
      await quiet();
      const now = await state();
      const at = `${direction}, cut before ${kind} ${n}`;
      if (!cut) {
        assert.is(error, undefined, at);
        assert.is(now, to, at);
        break;
      }
      cuts += 1;
      assert.ok(now === from || now === to, `${at}: half of the phase is there`);
      // what the runner says is what is true: "nothing changed" only where that is so
      if (error instanceof SchemaChangeError && error.code !== 'unknown') {
        assert.is(now, error.code === 'unseen' ? to : from, at);
      }
      if (now === to) await phase(pair.targetUrl, back);
    }
    // the last one got through
    if (kind === 'request') await phase(pair.targetUrl, back);
  }
  return cuts;
}

/** Everything that a phase touches, in one string: schema, rows, ledger, history. */
async function state(): Promise<string> {
  const { rows: there } = await db.query(
    `select from pg_attribute where attrelid = 'products'::regclass and attname = 'sku'`,
  );
  const { rows: ledger } = await db.query<{ line: string }>(`
    select concat('backup ', table_name, column_name, id, value) as line from migration.column_backups
    union all select to_jsonb(d)::text from migration.column_definitions as d
    union all select to_jsonb(p)::text from migration.column_privileges as p
    union all select concat(object, definition) from migration.replaced_definitions
    union all select name from migration.schema_changes_removal
    union all select concat(name, hash) from migration.schema_change_hashes
    order by 1`);
  return JSON.stringify([
    await dump(db),
    there.length === 0 ? [] : await removedValues(db),
    await otherValues(db, ['products', 'profiles']),
    ledger.map(({ line }) => line),
  ]);
}

/** Waits until no backend of the killed runner is left; 20 seconds at most. */
async function quiet(): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    const { rows } = await db.query(`
      select from pg_stat_activity
      where datname = current_database() and application_name ~ 'schema changes'`);
    if (rows.length === 0) return;
  }
  throw new Error('a backend is still there after 20 seconds');
}
