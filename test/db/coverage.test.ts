// deadline 300
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLists } from '../../checks/coverage/lists.ts';
import { readCoverage, type Coverage } from '../../checks/coverage/index.ts';
import { liveProblems, type LiveFacts } from '../../checks/coverage/live.ts';
import { readCatalog, type Catalog } from '../../runner/engine/catalog.ts';
import { parseUrl, type Endpoint } from '../../runner/config.ts';
import { readLiveFacts } from '../../runner/commands/coverage.ts';
import { connect, transaction } from '../../runner/database.ts';
import { login, openLink } from '../../runner/engine/link.ts';
import { migratedPair, type TestPair } from '../pair.ts';
import { lastLine, ROOT, runner, succeed, tinyProject } from '../runner.ts';

const ROLES = 'sql/1-foundation/70_roles.sql';

let pair: TestPair;
let coverage: Coverage;
const catalog = readCatalog(ROOT);

test.before(async () => {
  pair = await migratedPair();
  coverage = await readCoverage(ROOT);
});

test.after(() => pair.drop());

function endpoint(url: string): Endpoint {
  const parsed = parseUrl(url);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
}

async function facts(of: Catalog = catalog): Promise<LiveFacts> {
  const session = await connect(endpoint(pair.targetUrl), 'coverage test');
  try {
    await login(session, endpoint(pair.sourceUrl));
    const read = async () => {
      await openLink(session);
      await session.query('set transaction read only');
      return readLiveFacts(session, of, coverage.lists);
    };
    return await transaction(session, read, { commit: false });
  } finally {
    await session.close();
  }
}

async function found(): Promise<string[]> {
  const problems = liveProblems(coverage.lineage, coverage.lists, await facts());
  return problems.map(({ file, message }) => `${file}: ${message}`);
}

/** Runs statements of a superuser around `work`. */
async function between(
  url: string,
  before: string,
  after: string,
  work: () => Promise<void> | void,
) {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(before);
    await work();
  } finally {
    await sql.unsafe(after);
    await sql.end();
  }
}

test('the parser finds in every view exactly what pg_depend knows', async () => {
  const { dependencies } = await facts();
  const entities = catalog.phases.flatMap((phase) => phase.entities.map(({ name }) => name));
  assert.equal([...dependencies.keys()].toSorted(), entities.toSorted());
  for (const [entity, columns] of dependencies) {
    const parsed = coverage.lineage.reads.get(entity)?.columns ?? new Set();
    assert.equal([...parsed].toSorted(), [...columns].toSorted(), entity);
  }
});

test('the reviewed lists are those of the databases', async () => {
  assert.equal(await found(), []);
});

test('the command: exit code, counts and lineage', async () => {
  const run = () => {
    const { sourceUrl: SOURCE_DATABASE_URL, targetUrl: TARGET_DATABASE_URL } = pair;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'runner/index.ts', 'check', 'coverage', '--json'],
      {
        cwd: ROOT,
        env: { ...process.env, SOURCE_DATABASE_URL, TARGET_DATABASE_URL },
        encoding: 'utf8',
      },
    );
    assert.is(stderr, '');
    return { status, ...(JSON.parse(stdout) as Record<'problems' | 'lineage', unknown[]>) };
  };
  const good = run();
  assert.equal([good.status, good.problems], [0, []]);
  assert.is(good.lineage.length, coverage.lineage.links.length);
  await between(
    pair.sourceAdminUrl,
    'alter table dispatch_office add column fax text',
    'alter table dispatch_office drop column fax',
    () => {
      const bad = run();
      assert.equal([bad.status, bad.problems.length], [1, 1]);
    },
  );
});

test('a view that reads more than its file says is found', async () => {
  const columns = `r.id as legacy_key, r.id::integer as legacy_id, btrim(r.name) as name,
    jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object('abbrev', r.abbrev, 'type',
      r.type, 'order', r."order", 'user_id', r.user_id, 'group_id', r.group_id))) as metadata`;
  const from = 'from legacy.dispatch_role as r';
  await between(
    pair.targetAdminUrl,
    `create or replace view transform.roles as select ${columns} ${from}
     left join legacy.auth_user as u on u.id = r.user_id and u.is_active`,
    `create or replace view transform.roles as select ${columns} ${from}`,
    async () => {
      assert.equal((await found()).toSorted(), [
        `${ROLES}: pg_depend says that the view reads legacy.auth_user.id, the parser does not`,
        `${ROLES}: pg_depend says that the view reads legacy.auth_user.is_active, the parser does not`,
      ]);
    },
  );
  assert.equal(await found(), []);
});

test('a view whose file changed since its last run is not compared', async () => {
  const phases = catalog.phases.map((phase) => ({
    ...phase,
    entities: phase.entities.map((each) =>
      each.name === 'roles' ? { ...each, hash: 'another' } : each,
    ),
  }));
  const { dependencies } = await facts({ ...catalog, phases });
  assert.not(dependencies.has('roles'));
  assert.ok(dependencies.has('teams'));
});

test('a new column and a new table in the source are found', async () => {
  await between(
    pair.sourceAdminUrl,
    'alter table dispatch_office add column fax text; create table dispatch_fax (id integer)',
    'alter table dispatch_office drop column fax; drop table dispatch_fax',
    async () => {
      const list = 'checks/coverage/source-columns.txt';
      assert.equal(await found(), [
        `${list}: dispatch_fax.id is new in the source: nobody decided on it`,
        `${list}: dispatch_office.fax is new in the source: nobody decided on it`,
      ]);
    },
  );
});

test('check coverage --write writes the lists as they are, and says what has changed', async () => {
  const project = tinyProject({ 'sql/settings.json': '{}' });
  const lists = ['checks/coverage/source-columns.txt', 'checks/coverage/target-tables.txt'];
  const read = (root: string) => lists.map((file) => readFileSync(join(root, file), 'utf8'));
  const write = async () =>
    lastLine<{ written: object[] }>(
      await succeed(pair, ['check', 'coverage', '--write', '--json'], { root: project.root }),
    ).written;
  assert.equal(
    await write(),
    lists.map((file) => ({ file, added: [], removed: [] })),
  );
  assert.equal(read(project.root), read(ROOT));
  await between(
    pair.sourceAdminUrl,
    `alter table dispatch_office add column "Fax Number" text;
     create table "Old Fax" (id integer, "at" date);
     create table fax_log (id integer); create table fax_log_2023 () inherits (fax_log);
     create table fax_log_2024 (said text) inherits (fax_log); alter table dispatch_role rename abbrev to short`,
    `alter table dispatch_office drop column "Fax Number"; drop table "Old Fax"; drop table fax_log cascade;
     alter table dispatch_role rename short to abbrev`,
    async () => {
      const [source] = await write();
      assert.equal(source, {
        file: lists[0],
        added: [
          ...['Old Fax.at', 'Old Fax.id', 'dispatch_office.Fax Number', 'dispatch_role.short'],
          // a child without a column of its own is its parent
          ...['fax_log.id', 'fax_log_2024.id', 'fax_log_2024.said'],
        ],
        removed: ['dispatch_role.abbrev'],
      });
      const { sourceColumns } = readLists(project.root);
      assert.ok(sourceColumns.some(({ name }) => name === 'dispatch_office.Fax Number'));
      assert.equal(
        sourceColumns.map(({ name }) => name).toSorted(),
        (await facts()).sourceColumns.toSorted(),
      );
      const { stdout } = await succeed(pair, ['check', 'coverage', '--write'], {
        root: project.root,
      });
      assert.match(stdout, `${lists[0]}: as it was`);
    },
  );
  assert.is((await runner(pair, ['check', 'money', '--write'])).code, 2);
  project.remove();
});

test('a new table in the target is found', async () => {
  await between(
    pair.targetAdminUrl,
    'create table public.invoices (id integer)',
    'drop table public.invoices',
    async () => {
      assert.equal(await found(), [
        'checks/coverage/target-tables.txt: public.invoices is new in the target: nobody decided on it',
      ]);
    },
  );
});

test.run();
