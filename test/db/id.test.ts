/* Old and new ids: what the runner says is what anybody can compute who knows the recipe of the README. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { lastLine, open, ROOT, runner, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
}

const OF = { root: NEUTRAL };
const THERE = '00000000-0000-4000-8000-00000000000a';
const ACTOR = createHash('md5')
  .update('actor 1')
  .digest('hex')
  .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

const test = suite<Context>('id');

test.before(async (context) => {
  context.pair = await testPair({ name: 'id', source: 'neutral', target: 'neutral' });
  context.target = open(context.pair.targetAdminUrl);
  // one language was there before: it keeps its id
  await context.target`
    insert into public.languages (id, legacy_language_id, name) values (${THERE}, 1, 'there before')`;
  await succeed(context.pair, ['up', '1', '2'], OF);
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

const NAMESPACE = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';

/** The recipe, by hand: RFC 9562, version 5. */
function recipe(entity: string, key: number | string): string {
  const hash = createHash('sha1')
    .update(Buffer.from(NAMESPACE.replaceAll('-', ''), 'hex'))
    .update(`${entity}:${key}`)
    .digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.subarray(0, 16).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

test('every id that was not there before follows the recipe of the README', async ({ target }) => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  assert.match(readme, '## Old and new ids');
  assert.match(readme, NAMESPACE);
  const entities = await target<{ entity: string }[]>`
    select entity from migration.entities where status = 'complete' and phase <> 'archive' and entity <> 'actors'`;
  assert.is(entities.length, 7);
  let rows = 0;
  for (const { entity } of entities) {
    const pairs = await target<{ legacy_id: string; id: string }[]>`
      select legacy_id, id from ids.${target(entity)} where not adopted`;
    for (const pair of pairs) assert.is(pair.id, recipe(entity, pair.legacy_id), entity);
    rows += pairs.length;
  }
  assert.ok(rows > 1000, `${rows} rows`);
});

test('there and back: of a key its id, of the id its key; in SQL as well', async ({
  pair,
  target,
}) => {
  const [known] = await target<{ legacy_id: number; id: string }[]>`
    select legacy_id::integer, id from ids.films order by 1 limit 1`;
  const key = known?.legacy_id ?? 0;
  const { stdout } = await succeed(pair, ['id', 'films', String(key)], OF);
  assert.match(stdout, `films ${key}  →  ${known?.id}  public.films`);
  assert.match(stdout, /stored, last by run \d+; the row is there/);
  const back = await succeed(pair, ['id', (known?.id ?? '').toUpperCase()], OF);
  assert.match(back.stdout, `${known?.id}  ←  films ${key}  film`);
  const [sql] = await target`
    select migration.new_id('films', ${key}) as id, l.entity, l.legacy_id::integer as key
    from migration.legacy_id(${known?.id ?? ''}) as l`;
  assert.equal(sql, { id: known?.id, entity: 'films', key });
  assert.equal(lastLine(await succeed(pair, ['id', known?.id ?? '', '--json'], OF)), {
    id: known?.id,
    rows: [{ entity: 'films', key }],
  });
});

test('a row that was there before us has the id it had', async ({ pair, target }) => {
  const [row] = await target<{ legacy_id: number }[]>`
    select legacy_id::integer from ids.languages where adopted`;
  const said = lastLine<{ id: string; adopted: boolean; state: string }>(
    await succeed(pair, ['id', 'languages', String(row?.legacy_id), '--json'], OF),
  );
  assert.is(said.id, THERE);
  assert.equal([said.adopted, said.state], [true, 'stored']);
});

test('rejected, left out, gone, unknown: said, with what the id would be', async ({
  pair,
  target,
}) => {
  const [reject] = await target<{ key: string }[]>`
    select legacy_id::text as key from migration.rejects where reason = 'orphan_film'`;
  const said = await succeed(pair, ['id', 'credits', '999', ACTOR], OF);
  assert.match(said.stdout, `would be  ${recipe('credits', reject?.key ?? '')}`);
  assert.match(said.stdout, 'rejected: orphan_film, last in run');
  const out = await succeed(pair, ['id', 'films', '70'], OF);
  assert.match(out.stdout, 'left out on purpose: withdrawn');
  const unknown = await runner(pair, ['id', 'films', '999999999'], OF);
  assert.is(unknown.code, 1);
  assert.match(unknown.stdout, `would be  ${recipe('films', 999999999)}`);
  assert.match(unknown.stdout, 'the ledger knows no such source row');
  const nobody = await runner(pair, ['id', '00000000-0000-4000-8000-0000000000ff'], OF);
  assert.is(nobody.code, 1);
  assert.match(nobody.stderr, 'no source row became');
  const later = await runner(pair, ['id', 'rentals', '10'], OF);
  assert.is(later.code, 1);
});

test('keys that are no whole numbers: said as the source has them', async ({ pair, target }) => {
  for (const [entity, key, column, of] of [
    ['countries', ['ÅL'], 'code', 'public.countries'],
    ['actors', [ACTOR], 'id', 'public.actors'],
    ['credits', ['1', ACTOR], 'film_id', 'public.credits'],
  ] as const) {
    const { id, state } = lastLine<{ id: string; state: string }>(
      await succeed(pair, ['id', entity, ...key, '--json'], OF),
    );
    assert.is(state, 'stored', entity);
    const [row] = await target.unsafe(
      `select ${column}::text as value from ${of} where id = '${id}'`,
    );
    if (entity !== 'credits') assert.equal(row, { value: key[0] });
    assert.ok(row !== undefined, entity);
    const back = await succeed(pair, ['id', id], OF);
    assert.match(back.stdout, `${id}  ←  ${entity} `);
  }
});

test('--csv: every pair, and nothing else on standard output', async ({ pair, target }) => {
  const { stdout } = await succeed(pair, ['id', '--csv', 'languages'], OF);
  const rows = await target<{ line: string }[]>`
    select concat(legacy_id, ',', id) as line from ids.languages order by legacy_id`;
  assert.equal(stdout.trimEnd().split('\n'), ['legacy_id,id', ...rows.map(({ line }) => line)]);
});

test('a wrong call: exit 2', async ({ pair }) => {
  for (const args of [
    ['id'],
    ['id', 'films'],
    ['id', 'nobody', '1'],
    ['id', 'films', 'x'],
    ['id', 'films', '1', '2'],
    ['id', '--csv', 'nobody'],
  ]) {
    const { code, stdout } = await runner(pair, args, OF);
    assert.is(code, 2, args.join(' '));
    assert.is(stdout, '');
  }
});

test.run();
