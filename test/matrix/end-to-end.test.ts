// deadline 900
/* The life of a migration between two releases, by the runner as a process: in this order. */
import { createHash } from 'node:crypto';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { copyRows, dropPair, freshRows, liveRows, preparePair, rowsRead } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import {
  type Dump,
  dumpRows,
  lastLine,
  note,
  open,
  ROOT,
  sameDump,
  succeed,
  touches,
  up,
} from '../runner.ts';
import { majorsOfRun } from './pairs.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  before: Dump;
}

const OURS = ['public', 'ids', 'legacy_archive'];
const majors = majorsOfRun();
const { phases } = readCatalog(ROOT);

const test = suite<Context>(`source ${majors.sourceMajor}, target ${majors.targetMajor}`);

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'matrix', source: 'sample', ...majors }));
  context.before = await dumpRows(context.target, { clock: true });
});

test.after(dropPair);

test('the servers are of these releases, the roles no superusers', async ({ pair }) => {
  assert.equal(await roleOf(pair.sourceUrl), { version: majors.sourceMajor, super: 'off' });
  assert.equal(await roleOf(pair.targetUrl), { version: majors.targetMajor, super: 'off' });
});

test('doctor finds nothing that stands in the way', async ({ pair }) => {
  await succeed(pair, ['doctor', '--json']);
});

test('up: all phases and the archive, every row accounted for', async ({ pair, target }) => {
  const summary = await up(pair);
  assert.match(summary.verdict, 'All 8 phases are complete');
  assert.ok(summary.entities.every(({ balanced }) => balanced === true));
  // compared from pair to pair by index.ts
  note(`rows ${digestOf(await liveRows(target))}`);
});

test('verify finds no difference', async ({ pair }) => {
  assert.is(await differences(pair), 0);
});

test('up again has nothing to do', async ({ pair, target }) => {
  await nothingToDo(pair, target);
});

test('up after inserts, updates, deletes and the smallest changes: as a new migration', async ({
  pair,
  source,
  target,
}) => {
  await copyRows(source, 'dispatch_task', { where: 'id % 50 = 1', id: 'id + 100000' });
  await source`update dispatch_task set text = concat(text, ' ') where id % 40 = 2`;
  await source`delete from dispatch_task where id % 60 = 3`;
  // by sign, last digit and case; a row that is written and says the same
  await source`update dispatch_payment set paid_price = -paid_price where id % 10 = 1`;
  await source`update dispatch_payment set total_price = total_price + 0.01 where id % 10 = 2`;
  await source`update dispatch_record set text = upper(text) where id % 10 = 3`;
  await source`
    update dispatch_patient set updated_at = updated_at + interval '1 microsecond'
    where id % 10 = 4`;
  await source`update dispatch_file set name = name where id % 10 = 5`;
  await source`delete from dispatch_template_view_roles where id = (
    select max(id) from dispatch_template_view_roles)`;
  await up(pair, '--yes');
  const last = await lastRun(target);
  const [written] = await target<{ inserted: number; updated: number }[]>`
    select sum(inserted)::integer as inserted, sum(updated)::integer as updated
    from migration.control where run = ${last}`;
  assert.ok((written?.inserted ?? 0) > 0 && (written?.updated ?? 0) > 0, JSON.stringify(written));
  const read = await rowsRead(target, last);
  assert.is(read['offices'], undefined, 'what did not change is not read');
  sameDump(
    await liveRows(target),
    await freshRows(pair, undefined, { phases: phases.length }),
    'as a new migration',
  );
});

test('verify finds no difference after it, and up nothing to do', async ({ pair, target }) => {
  assert.is(await differences(pair), 0);
  await nothingToDo(pair, target);
});

test('--full reads every row and changes none', async ({ pair, target }) => {
  const before = await touches(target, ['public', 'legacy_archive']);
  await up(pair, '--full');
  assert.ok((await rowsRead(target, await lastRun(target)))['offices']);
  sameDump(await touches(target, ['public', 'legacy_archive']), before);
});

test('down of everything: the rows are those from before the first run', async (context) => {
  const { pair, target, before } = context;
  await succeed(pair, ['down', '1-foundation', '--cascade', '--yes']);
  await succeed(pair, ['down', 'archive', '--yes']);
  sameDump(await dumpRows(target, { clock: true }), before);
  const summary = lastLine(await succeed(pair, ['status', '--json']));
  assert.is(summary.verdict, 'Nothing is migrated yet.');
});

test.run();

async function nothingToDo(pair: TestPair, target: Sql): Promise<void> {
  const before = await touches(target, OURS, { locks: true });
  await up(pair);
  assert.equal(await rowsRead(target, await lastRun(target)), {});
  sameDump(await touches(target, OURS, { locks: true }), before);
}

async function differences(pair: TestPair): Promise<number> {
  const ended = await succeed(pair, ['verify', '--json']);
  return lastLine<{ differences: number }>(ended).differences;
}

async function lastRun(target: Sql): Promise<number> {
  const [row] = await target<{ run: number }[]>`
    select max(run)::integer as run from migration.runs`;
  return row?.run ?? 0;
}

async function roleOf(url: string): Promise<object> {
  const sql = open(url);
  const [row] = await sql`
    select current_setting('server_version_num')::integer / 10000 as version,
      current_setting('is_superuser') as super`;
  await sql.end();
  return { ...row };
}

function digestOf(dump: Dump): string {
  const rows = [...dump].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(rows)).digest('hex').slice(0, 16);
}
