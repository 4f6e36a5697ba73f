/* The decisions of the engine, by calling its functions: what is read, in which chunks, what is allowed. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { connect } from '../../runner/database.ts';
import { consult, editionOf, install, OtherEdition } from '../../runner/engine/ledger.ts';
import { configOf, errorOf } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, ROOT } from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
}

/** A range of the source, or of the ledger: rows and a sum that stands for their versions. */
type Range = [range: number, rows: number, sum: number];

const test = suite<Context>('engine');
const WIDTH = 100;

test.before(async (context) => {
  context.pair = await testPair({ name: 'engine', source: 'empty' });
  context.target = open(context.pair.targetUrl);
  const session = await connect(configOf(context.pair).target, 'test');
  await install(session, readCatalog(ROOT));
  await session.close();
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

test('intervals: neighbours become one, a gap begins another, in any order and twice', async ({
  target,
}) => {
  const of = async (...ranges: number[]): Promise<string[]> => {
    const rows = await target<{ interval: string }[]>`
      select concat(first_key, '-', end_key) as interval
      from migration.intervals(${ranges}::bigint[], 100)`;
    return rows.map(({ interval }) => interval);
  };
  assert.equal(await of(), []);
  assert.equal(await of(7), ['700-800']);
  assert.equal(await of(2, 0, 1, 7, 5, 8, 1), ['0-300', '500-600', '700-900']);
  assert.equal(await of(300_000, 300_001), ['30000000-30000200']);
});

test('equal sums and an equal basis: nothing is read', async ({ target }) => {
  assert.equal(await planned(target, [[0, 10, 1]], [[0, 10, 1]]), []);
});

test('a range the ledger does not know, or knows by another basis, is read whole', async ({
  target,
}) => {
  assert.equal(await planned(target, [[0, 50, 1]], []), ['range 0-100: 50']);
  assert.equal(await planned(target, [[0, 50, 1]], [[0, 50, 1]], { basis: 'another' }), [
    'range 0-100: 50',
  ]);
});

test('of a range with other sums only keys are read, of a small entity all', async ({ target }) => {
  const big: Range = [9, 2000, 1];
  assert.equal(await planned(target, [[0, 50, 2], big], [[0, 50, 1], big]), ['keys {0}: 50']);
  assert.equal(await planned(target, [[0, 50, 2]], [[0, 50, 1]]), ['range 0-100: 50']);
});

test('ranges that are gone from the source, or new in it', async ({ target }) => {
  const big: Range = [9, 2000, 1];
  assert.equal(await planned(target, [big], [[0, 50, 1], big]), ['keys {0}: 0']);
  assert.equal(await planned(target, [big, [10, 5, 1]], [big]), ['range 1000-1100: 5']);
});

test('neighbours share a chunk up to its size; what is unchanged parts them', async ({
  target,
}) => {
  const sums: Range[] = [0, 1, 2, 3, 4].map((range) => [range, 400, 1]);
  assert.equal(await planned(target, sums, [[3, 400, 1]], { chunkRows: 900 }), [
    'range 0-200: 800',
    'range 200-300: 400',
    'range 400-500: 400',
  ]);
});

test('a chunk of keys holds ten times the rows', async ({ target }) => {
  const sums: Range[] = Array.from({ length: 12 }, (_, range) => [range, 100, 2]);
  const known: Range[] = sums.map(([range, rows]) => [range, rows, 1]);
  assert.equal(await planned(target, sums, known, { chunkRows: 100 }), [
    'keys {0,1,2,3,4,5,6,7,8,9}: 1000',
    'keys {10,11}: 200',
  ]);
});

test('--full reads every range whole', async ({ target }) => {
  assert.equal(await planned(target, [[0, 50, 1]], [[0, 50, 1]], { full: true }), [
    'range 0-100: 50',
  ]);
});

test('one range for everything: one chunk', async ({ target }) => {
  assert.equal(
    await planned(
      target,
      [
        [0, 50, 1],
        [1, 60, 1],
      ],
      [],
      { width: 0 },
    ),
    ['all : 110'],
  );
});

test('an entity that refers to itself is read at once', async ({ target }) => {
  assert.equal(
    await planned(
      target,
      [
        [0, 50, 2],
        [1, 60, 1],
      ],
      [
        [0, 50, 1],
        [1, 60, 1],
      ],
      { self: true },
    ),
    ['all : 110'],
  );
});

test('hashes of another method are known as such', async ({ target }) => {
  assert.equal(
    await planned(target, [[0, 50, 1]], [[0, 50, 1]], { method: 1, basis: 'of that method' }),
    ['range 0-100: 50, rehash'],
  );
});

test('limits: three rows of rules and one error are always allowed, then shares', async ({
  target,
}) => {
  const check = (rows: number, rules: number, errors: number, tolerance: number | null = null) =>
    target.begin(async (sql) => {
      await sql`select set_config('migration.options', '{"tolerance": 0.01}', true)`;
      await sql`select migration.check_limits('things', ${tolerance}, ${rows}, ${rules}, ${errors})`;
    });
  await check(10, 3, 1);
  await check(1000, 10, 1);
  await check(1000, 50, 1, 0.05);
  for (const [rows, rules, errors, message] of [
    [10, 4, 0, /4 of 10 rows are rejected by its rules, 3 are allowed/],
    [1000, 11, 0, /11 of 1000 rows are rejected by its rules, 10 are allowed/],
    [10, 0, 2, /2 of 10 rows were refused by the target or unreadable, 1 are allowed/],
    [3000, 0, 4, /4 of 3000 rows were refused by the target or unreadable, 3 are allowed/],
  ] as const) {
    const error = await errorOf(check(rows, rules, errors));
    assert.match(error.message, message);
    assert.is((error as { code?: string }).code, 'MIG01');
  }
});

test('a ledger of another release is refused, and left as it is', async ({ pair, target }) => {
  const session = await connect(configOf(pair).target, 'test');
  const catalog = readCatalog(ROOT);
  await target`update migration.installed set edition = edition + 1`;
  const newer = await errorOf(install(session, catalog));
  assert.instance(newer, OtherEdition);
  assert.match(newer.message, 'newer release');
  await target`alter table migration.installed rename column edition to was`;
  const older = await errorOf(install(session, catalog));
  assert.instance(older, OtherEdition);
  assert.match(older.message, /older release.*uninstall/s);
  await target`alter table migration.installed rename column was to edition`;
  await target`update migration.installed set edition = edition - 1`;
  await install(session, catalog);
  await session.close();
});

test('a ledger of the release before is upgraded, once, with everything in it', async ({
  pair,
  target,
}) => {
  const session = await connect(configOf(pair).target, 'test');
  const catalog = readCatalog(ROOT);
  const upgrade = (edition: number, text: string) => ({
    ...{ file: `sql/engine/upgrades/${edition}_test.sql`, text, hash: text, edition },
  });
  const now = editionOf(catalog);
  const next = {
    ...catalog,
    upgrades: [
      ...catalog.upgrades,
      upgrade(now + 1, 'create table migration.upgraded (edition integer)'),
      upgrade(now + 2, `insert into migration.upgraded values (${now + 2})`),
    ],
  };
  const found = async () => {
    const [row] = await target<{ edition: number; upgraded: string | null }[]>`
      select i.edition, to_regclass('migration.upgraded')::text as upgraded
      from migration.installed as i`;
    return { ...row };
  };
  await target`insert into migration.events (what) values ('before the upgrade')`;
  // who only looks sees the new form, and leaves the old one
  const seen = await consult(session, next, () =>
    session.query('select edition from migration.upgraded'),
  );
  assert.equal(seen, [{ edition: now + 2 }]);
  assert.equal(await found(), { edition: now, upgraded: null });
  // an upgrade that fails leaves nothing
  const failing = { ...next, upgrades: [...next.upgrades, upgrade(now + 3, 'select 1 / 0')] };
  assert.match((await errorOf(install(session, failing))).message, 'division_by_zero');
  assert.equal(await found(), { edition: now, upgraded: null });
  await install(session, next);
  await install(session, next);
  assert.equal(await found(), { edition: now + 2, upgraded: 'migration.upgraded' });
  const rows = await target`select * from migration.upgraded`;
  assert.equal([...rows], [{ edition: now + 2 }]);
  const events = await target`select from migration.events where what = 'before the upgrade'`;
  assert.is(events.length, 1);
  assert.instance(await errorOf(install(session, catalog)), OtherEdition);
  // a new target has the newest form at once
  await target`drop table migration.upgraded`;
  await target`update migration.installed set edition = ${now}`;
  await install(session, catalog);
  await session.close();
});

test('upgrades are numbered without a gap', () => {
  const root = mkdtempSync(join(tmpdir(), 'engine-'));
  cpSync(join(ROOT, 'sql/engine'), join(root, 'sql/engine'), { recursive: true });
  writeFileSync(join(root, 'sql/engine/upgrades/99_more.sql'), 'select 1;\n');
  const { problems } = readCatalog(root, root);
  const next = editionOf(readCatalog(ROOT)) + 1;
  assert.equal(
    problems.map(({ file, fix }) => [file, fix]),
    [
      [
        'sql/engine/upgrades/99_more.sql',
        `number it ${next}: every edition has one file, in order`,
      ],
    ],
  );
  rmSync(root, { recursive: true });
});

test.run();

/** What is planned for an entity over these sums of the source and of the ledger, chunk by chunk. */
async function planned(
  target: Sql,
  source: Range[],
  ledger: Range[],
  options: {
    width?: number;
    basis?: string;
    method?: number;
    chunkRows?: number;
    full?: boolean;
    self?: boolean;
  } = {},
): Promise<string[]> {
  const {
    width = WIDTH,
    basis,
    method = 2,
    chunkRows = 1000,
    full = false,
    self = false,
  } = options;
  let chunks: string[] = [];
  await target.begin(async (sql) => {
    await sql`select set_config('migration.options', ${JSON.stringify({
      full,
      chunkRows,
      hashMethod: 2,
      functionsHash: 'functions',
    })}, true)`;
    await sql`
      insert into migration.entities (entity, phase, position, target, source, width, id_maps,
        defined_hash)
      values ('things', '1-things', 0, 'public.things', 'thing', ${width},
        ${self ? ['things'] : []}, 'file')`;
    await sql`select migration.plan_entity('things')`;
    const [known] = await sql<{ basis: string }[]>`select basis from migration.work`;
    for (const [range, rows, sum] of source) {
      await sql`insert into migration.sums values ('thing', ${range}, ${rows}, ${sum}, ${sum})`;
    }
    for (const [range, rows, sum] of ledger) {
      await sql`
        insert into migration.ranges (entity, range, row_count, sum_a, sum_b, basis, source_rows,
          merged, rejected, filtered, run, method)
        values ('things', ${range}, ${rows}, ${sum}, ${sum}, ${basis ?? known?.basis ?? ''},
          ${rows}, ${rows}, 0, 0, 1, ${method})`;
    }
    await sql`select migration.plan_entity('things')`;
    const found = await sql<{ line: string }[]>`
      select concat(kind, ' ', case kind when 'keys' then ranges::text when 'range'
        then concat(first_key, '-', end_key) end, ': ', row_count,
        case when rehash then ', rehash' end) as line
      from migration.chunks where entity = 'things' order by chunk`;
    chunks = found.map(({ line }) => line);
    await sql`
      with e as (delete from migration.entities where entity = 'things'),
        s as (delete from migration.sums), r as (delete from migration.ranges),
        w as (delete from migration.work)
      delete from migration.chunks`;
  });
  return chunks;
}
