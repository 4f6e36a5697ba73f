/* Old and new ids: what the runner says is what anybody can compute who knows the recipe of the README. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { lastLine, open, ROOT, runner, succeed, up } from '../runner.ts';

interface Context {
  pair: TestPair;
  target: Sql;
}

const test = suite<Context>('id');

test.before(async (context) => {
  context.pair = await testPair({ name: 'id', source: 'sample' });
  context.target = open(context.pair.targetAdminUrl);
  // one office was there before: it keeps its id
  await up(context.pair, '1-foundation');
  await succeed(context.pair, ['down', '1-foundation', '--yes']);
  const [row] = await open(context.pair.sourceAdminUrl)`select min(id) as id from dispatch_office`;
  await context.target`
    insert into public.offices (id, legacy_office_id, name)
    values ('00000000-0000-4000-8000-00000000000a', ${row?.['id'] as number}, 'there before')`;
  await up(context.pair, '1-foundation', '2-core');
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

const NAMESPACE = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';

/** The recipe, by hand: RFC 9562, version 5. */
function recipe(entity: string, key: number): string {
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
    select entity from migration.entities where status = 'complete' and phase <> 'archive'`;
  assert.ok(entities.length > 10);
  let rows = 0;
  for (const { entity } of entities) {
    const pairs = await target<{ legacy_id: string; id: string }[]>`
      select legacy_id, id from ids.${target(entity)} where not adopted`;
    for (const pair of pairs) assert.is(pair.id, recipe(entity, Number(pair.legacy_id)), entity);
    rows += pairs.length;
  }
  assert.ok(rows > 1000, `${rows} rows`);
});

test('there and back: of a key its id, of the id its key; in SQL as well', async ({
  pair,
  target,
}) => {
  const [known] = await target<{ legacy_id: number; id: string }[]>`
    select legacy_id::integer, id from ids.patients order by 1 limit 1`;
  const key = known?.legacy_id ?? 0;
  const { stdout } = await succeed(pair, ['id', 'patients', String(key)]);
  assert.match(stdout, `patients ${key}  →  ${known?.id}  public.patients`);
  assert.match(stdout, /stored, last by run \d+; the row is there/);
  const back = await succeed(pair, ['id', (known?.id ?? '').toUpperCase()]);
  assert.match(back.stdout, `${known?.id}  ←  patients ${key}  dispatch_patient`);
  const [sql] = await target`
    select migration.new_id('patients', ${key}) as id, l.entity, l.legacy_id::integer as key
    from migration.legacy_id(${known?.id ?? ''}) as l`;
  assert.equal(sql, { id: known?.id, entity: 'patients', key });
  assert.equal(lastLine(await succeed(pair, ['id', known?.id ?? '', '--json'])), {
    id: known?.id,
    rows: [{ entity: 'patients', key }],
  });
});

test('a row that was there before us has the id it had', async ({ pair, target }) => {
  const [row] = await target<{ legacy_id: number }[]>`
    select legacy_id::integer from ids.offices where adopted`;
  const said = lastLine<{ id: string; adopted: boolean; state: string }>(
    await succeed(pair, ['id', 'offices', String(row?.legacy_id), '--json']),
  );
  assert.is(said.id, '00000000-0000-4000-8000-00000000000a');
  assert.equal([said.adopted, said.state], [true, 'stored']);
});

test('rejected, left out, gone, unknown: said, with what the id would be', async ({
  pair,
  target,
}) => {
  const [reject] = await target<{ entity: string; key: number; reason: string }[]>`
    select entity, legacy_id::integer as key, reason from migration.rejects limit 1`;
  assert.ok(reject !== undefined);
  const said = await succeed(pair, ['id', reject.entity, String(reject.key)]);
  assert.match(said.stdout, `would be  ${recipe(reject.entity, reject.key)}`);
  assert.match(said.stdout, `rejected: ${reject.reason}, last in run`);
  const [left] = await target<{ entity: string; key: number; reason: string }[]>`
    select entity, legacy_id::integer as key, reason from migration.filtered limit 1`;
  assert.ok(left !== undefined);
  const out = await succeed(pair, ['id', left.entity, String(left.key)]);
  assert.match(out.stdout, `left out on purpose: ${left.reason}`);
  const unknown = await runner(pair, ['id', 'patients', '999999999']);
  assert.is(unknown.code, 1);
  assert.match(unknown.stdout, `would be  ${recipe('patients', 999999999)}`);
  assert.match(unknown.stdout, 'the ledger knows no such source row');
  const nobody = await runner(pair, ['id', '00000000-0000-4000-8000-0000000000ff']);
  assert.is(nobody.code, 1);
  assert.match(nobody.stderr, 'no source row became');
  const later = await runner(pair, ['id', 'tasks', '1']);
  assert.is(later.code, 1);
});

test('--csv: every pair, and nothing else on standard output', async ({ pair, target }) => {
  const { stdout } = await succeed(pair, ['id', '--csv', 'offices']);
  const rows = await target<{ line: string }[]>`
    select concat(legacy_id, ',', id) as line from ids.offices order by legacy_id`;
  assert.equal(stdout.trimEnd().split('\n'), ['legacy_id,id', ...rows.map(({ line }) => line)]);
});

test('a wrong call: exit 2', async ({ pair }) => {
  for (const args of [
    ['id'],
    ['id', 'patients'],
    ['id', 'nobody', '1'],
    ['id', 'patients', 'x'],
    ['id', 'patients', '1', '2'],
    ['id', '--csv', 'nobody'],
  ]) {
    const { code, stdout } = await runner(pair, args);
    assert.is(code, 2, args.join(' '));
    assert.is(stdout, '');
  }
});

test.run();
