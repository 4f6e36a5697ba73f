// deadline 300
import { randomBytes } from 'node:crypto';
import type { Sql } from 'postgres';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hasBinaries } from '../../runner/embedded/binaries.ts';
import type { Summary } from '../../runner/engine/summary.ts';
import { testPair } from '../pair.ts';
import { type Databases, dumpRows, open, runner, sameDump, up } from '../runner.ts';

/* The whole sample between all releases that matter, as roles that are no superusers. */

const PASSWORD = `a#b/c@d%e'f"g h?i&j=k:l\\m$n%40`;

const counts: string[][] = [];

if (hasBinaries(10)) {
  test('source 10, target 15', () => migrate({ sourceMajor: 10, targetMajor: 15 }));
  // the pair that all tests share
  test('source 10, target 17', () => migrate({}));

  test('the same counts everywhere', () => {
    assert.is(counts.length, 2);
    assert.equal(counts[0], counts[1]);
  });
}

test('any password, on both sides, encoded or not', async () => {
  const pair = await testPair({ name: 'password', source: 'sample' });
  const source = open(pair.sourceAdminUrl);
  const target = open(pair.targetAdminUrl);
  const suffix = randomBytes(4).toString('hex');
  const [reader, migrator] = [`reader_${suffix}`, `migrator_${suffix}`];
  try {
    await createRole(source, reader, 'legacy_reader', '');
    await createRole(target, migrator, 'postgres', 'bypassrls');
    const raw = { sourceUrl: as(pair.sourceUrl, reader), targetUrl: as(pair.targetUrl, migrator) };
    await up(raw, '1-foundation');
    const encoded = {
      sourceUrl: as(pair.sourceUrl, reader, encodeURIComponent),
      targetUrl: as(pair.targetUrl, migrator, encodeURIComponent),
    };
    const { entities } = await up(encoded, '1-foundation');
    assert.ok(entities.some(({ balanced }) => balanced === true));
    // and not because no password is asked for
    for (const side of ['sourceUrl', 'targetUrl'] as const) {
      const wrong: Databases = { ...raw, [side]: raw[side].replace(PASSWORD, 'wrong') };
      const { code, stdout, stderr } = await runner(wrong, ['up']);
      assert.is.not(code, 0, side);
      assert.not.ok((stdout + stderr).includes(PASSWORD));
    }
  } finally {
    await source.end();
    await target.end();
    await pair.drop();
    await dropRole(pair.sourceAdminUrl, reader);
    await dropRole(pair.targetAdminUrl, migrator);
  }
});

async function migrate(
  majors: Pick<Parameters<typeof testPair>[0], 'sourceMajor' | 'targetMajor'>,
) {
  const pair = await testPair({ name: 'platform', source: 'sample', ...majors });
  const source = open(pair.sourceUrl);
  const target = open(pair.targetUrl);
  try {
    assert.equal(await roleOf(source), { version: 10, super: 'off' });
    assert.equal(await roleOf(target), { version: majors.targetMajor ?? 17, super: 'off' });
    counts.push(countsOf(await up(pair)));
    const before = await dumpRows(target, { clock: true });
    const { verdict } = await up(pair, '--full');
    assert.match(verdict, 'All 8 phases are complete');
    sameDump(await dumpRows(target, { clock: true }), before);
  } finally {
    await source.end();
    await target.end();
    await pair.drop();
  }
}

function countsOf({ entities }: Summary): string[] {
  return entities.map((e) =>
    [e.entity, e.source, e.inserted, e.updated, e.unchanged, e.rejected, e.filtered].join(' '),
  );
}

async function roleOf(sql: Sql): Promise<object> {
  const [row] = await sql`
    select current_setting('server_version_num')::integer / 10000 as version,
      current_setting('is_superuser') as super`;
  return { ...row };
}

async function createRole(sql: Sql, name: string, member: string, more: string): Promise<void> {
  const [row] = await sql<{ create: string }[]>`
    select format('create role %I login ${sql.unsafe(more)} in role %I password %L',
      ${name}::text, ${member}::text, ${PASSWORD}::text) as create`;
  await sql.unsafe(row?.create ?? '');
}

async function dropRole(adminUrl: string, name: string): Promise<void> {
  const server = open(new URL('/postgres', adminUrl).href);
  await server`drop role if exists ${server(name)}`;
  await server.end();
}

/** The URL with another role and the hard password, as it is or encoded. */
function as(url: string, role: string, encode = (text: string): string => text): string {
  const { host, pathname } = new URL(url);
  return `postgresql://${role}:${encode(PASSWORD)}@${host}${pathname}`;
}

test.run();
