// deadline 300
import { randomBytes } from 'node:crypto';
import type { Sql } from 'postgres';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hasBinaries } from '../../runner/embedded/binaries.ts';
import { migratedPair, testPair } from '../pair.ts';
import { type Databases, dumpRows, open, runner, sameDump, up } from '../runner.ts';

/* The whole sample between all releases that matter, as roles that are no superusers. */

const PASSWORD = `a#b/c@d%e'f"g h?i&j=k:l\\m$n%40`;

if (hasBinaries(10)) {
  test('source 10, target 15: counts and rows of the pair that all tests share', async () => {
    const pair = await testPair({
      name: 'platform',
      source: 'sample',
      sourceMajor: 10,
      targetMajor: 15,
    });
    const shared = await migratedPair();
    const source = open(pair.sourceUrl);
    const target = open(pair.targetUrl);
    const other = open(shared.targetUrl);
    try {
      assert.equal(await roleOf(source), { version: 10, super: 'off' });
      assert.equal(await roleOf(target), { version: 15, super: 'off' });
      assert.equal(await roleOf(other), { version: 17, super: 'off' });
      await up(pair);
      assert.equal(await countsOf(target), await countsOf(other));
      const before = await dumpRows(target, { clock: true });
      const { verdict } = await up(pair, '--full');
      assert.match(verdict, 'All 8 phases are complete');
      sameDump(await dumpRows(target, { clock: true }), before);
    } finally {
      await Promise.all([source.end(), target.end(), other.end()]);
      await pair.drop();
      await shared.drop();
    }
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

/** What the first run did with the rows of each entity. */
async function countsOf(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity, source, inserted, updated, unchanged, rejected, filtered) as line
    from migration.control where run = 1 order by entity`;
  return rows.map(({ line }) => line);
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
