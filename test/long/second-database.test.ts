// deadline 400
/* A source that is a second database on the target's own server, made by the commands of the page. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasBinaries } from '../../runner/embedded/binaries.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import {
  copyRows,
  dropPair,
  freshRows,
  liveRows,
  preparePair,
  rowsRead,
  rowsWritten,
} from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import {
  type Databases,
  type Dump,
  dumpRows,
  lastLine,
  open,
  ROOT,
  sameDump,
  succeed,
  touches,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  /** The legacy server, which the target is never told of. */
  source: Sql;
  target: Sql;
  before: Dump;
}

const PAGE = readFileSync(join(ROOT, 'runner/docs/unreachable-source.md'), 'utf8');
const UNIQUE = randomBytes(4).toString('hex');
const NAMES = { legacy: `legacy_${UNIQUE}`, legacy_reader: `legacy_reader_${UNIQUE}` };
const TEXT = { encoding: 'utf8' } as const;
const PASSWORD = randomBytes(12).toString('hex');
const folder = mkdtempSync(join(tmpdir(), 'legacy-dump-'));
const { phases } = readCatalog(ROOT);

const test = suite<Context>('second database');
// a source that the pg_dump of this machine can read; where there is none, the tests are skipped
const release = Number(
  /\d+/.exec(spawnSync('pg_dump', ['--version'], TEXT).stdout ?? '')?.[0] ?? 0,
);
const sourceMajor = ([10, 15, 17] as const).find((each) => each <= release && hasBinaries(each));
const run: typeof test.skip = (name, body) =>
  sourceMajor === undefined ? test.skip(name, body) : test(name ?? '', body ?? (() => {}));

test.before(async (context) => {
  const major = sourceMajor === undefined ? {} : { sourceMajor };
  Object.assign(context, await preparePair({ name: 'second', source: 'sample', ...major }));
  context.before = await dumpRows(context.target, { clock: true });
});

test.after(async (context) => {
  rmSync(folder, { recursive: true, force: true });
  const admin = open(new URL('/postgres', context.pair.targetAdminUrl).href);
  await admin`drop database if exists ${admin(NAMES.legacy)} with (force)`;
  await admin`drop role if exists ${admin(NAMES.legacy_reader)}`;
  await admin.end();
  await dropPair(context);
});

run(
  'the copy is made by the commands of the page, read by the target, and migrated whole',
  async ({ pair, source, target }) => {
    follow(pair, 'once');
    follow(pair, 'every time');
    const urls = copyOf(pair);
    await succeed(urls, ['doctor', '--json']);
    await succeed(urls, ['up']);
    const there = await source<{ rows: number }[]>`
    select count(*)::integer as rows from dispatch_office`;
    assert.is((await rowsRead(target, await lastRun(target)))['offices'], there[0]?.rows);
    assert.is(await differences(urls), 0);
  },
);

run('up again, without another restore: nothing to do', async ({ pair, target }) => {
  const before = await touches(target, ['public', 'ids'], { locks: true });
  await succeed(copyOf(pair), ['up']);
  assert.equal(await rowsRead(target, await lastRun(target)), {});
  sameDump(await touches(target, ['public', 'ids'], { locks: true }), before);
});

run(
  'restored again, the same data: everything is compared, that is said, nothing is written',
  async ({ pair, target }) => {
    follow(pair, 'every time');
    const before = await touches(target);
    const { stderr } = await succeed(copyOf(pair), ['up']);
    assert.match(stderr, /the source is not the server, or not the history, of the last run/);
    const read = await rowsRead(target, await lastRun(target));
    assert.equal(read, await whole(target));
    sameDump(await touches(target), before);
  },
);

run(
  'restored again with changed data: everything is compared, only differences are written',
  async ({ pair, source, target }) => {
    const stored = await target<{ key: number }[]>`
      select legacy_id::integer as key from ids.tasks where missing is null order by 1 limit 3`;
    const [copied = 0, changed = 0, deleted = 0] = stored.map(({ key }) => key);
    await copyRows(source, 'dispatch_task', { where: `id = ${copied}`, id: '900001' });
    await source`update dispatch_task set text = concat(text, ' changed') where id = ${changed}`;
    await source`delete from dispatch_task where id = ${deleted}`;
    await source`
      update dispatch_payment set total_price = total_price + 0.01
      where id = (select min(id) from dispatch_payment)`;
    follow(pair, 'every time');
    const { stderr } = await succeed(copyOf(pair), ['up']);
    assert.match(stderr, /the source is not the server, or not the history, of the last run/);
    const last = await lastRun(target);
    assert.equal(await rowsRead(target, last), await whole(target));
    const { tasks, payments, ...others } = await rowsWritten(target, last);
    assert.equal([tasks, payments], ['1 1 0 1', '0 1 0 0']);
    assert.equal(others, {});
    const { sourceUrl } = copyOf(pair);
    sameDump(
      await liveRows(target),
      await freshRows({ sourceUrl, majors: pair.majors }, undefined, { phases: phases.length }),
      'as a new migration',
    );
    assert.is(await differences(copyOf(pair)), 0);
  },
);

run(
  'down takes all of it back, and the copy goes by the commands of the page',
  async ({ pair, target, before }) => {
    const urls = copyOf(pair);
    await succeed(urls, ['down', '1-foundation', '--cascade', '--yes']);
    await succeed(urls, ['down', 'archive', '--yes']);
    sameDump(await dumpRows(target, { clock: true }), before);
    follow(pair, 'at the end');
    const left = await target`
    select datname from pg_database where datname = ${NAMES.legacy}
    union all select rolname from pg_roles where rolname = ${NAMES.legacy_reader}`;
    assert.equal([...left], []);
  },
);

test.run();

/** Runs a block of the page, with names of this test's own. */
function follow(pair: TestPair, block: string): void {
  const text = new RegExp(`^\`\`\`sh ${block}\n([^]*?)^\`\`\``, 'm').exec(PAGE)?.[1];
  assert.ok(text, `the page has a block "${block}"`);
  const commands = (text ?? '')
    .replaceAll('reader-password', PASSWORD)
    .replaceAll(/\blegacy(_reader)?\b(?!\.dump)/g, (name) => NAMES[name as keyof typeof NAMES]);
  const server = new URL(pair.targetUrl);
  const copy = new URL(pair.targetUrl);
  copy.pathname = `/${NAMES.legacy}`;
  server.pathname = '/postgres';
  const ended = spawnSync('sh', ['-eu', '-c', commands], {
    ...TEXT,
    cwd: folder,
    env: {
      ...process.env,
      LEGACY: pair.sourceAdminUrl,
      TARGET: server.href,
      COPY: copy.href,
    },
  });
  assert.is(ended.status, 0, `${block}: ${ended.stdout}${ended.stderr}`);
}

/** What .env says according to the page. */
function copyOf(pair: TestPair): Databases {
  const { host } = new URL(pair.targetUrl);
  const sourceUrl = `postgresql://${NAMES.legacy_reader}:${PASSWORD}@${host}/${NAMES.legacy}`;
  return { sourceUrl, targetUrl: pair.targetUrl };
}

/** Rows of each entity that a run that compares everything reads; one entity has no source. */
async function whole(target: Sql): Promise<Record<string, number>> {
  const rows = await target<{ entity: string; rows: number }[]>`
    select entity, (source - filtered - rejected)::integer as rows from migration.control
    where run = ${await lastRun(target)} and source - filtered - rejected > 0
      and entity <> 'system_profile'
    order by entity`;
  return Object.fromEntries(rows.map(({ entity, rows: all }) => [entity, all]));
}

async function lastRun(target: Sql): Promise<number> {
  const [row] = await target<{ run: number }[]>`
    select max(run)::integer as run from migration.runs`;
  return row?.run ?? 0;
}

async function differences(urls: Databases): Promise<number> {
  const ended = await succeed(urls, ['verify', '--json']);
  return lastLine<{ differences: number }>(ended).differences;
}
