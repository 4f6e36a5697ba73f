// deadline 180
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
import { lastLine, neutralProject, ROOT, runner, succeed } from '../runner.ts';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';

const COUNTRIES = 'sql/1-catalogue/20_countries.sql';

let pair: TestPair;
let coverage: Coverage;
const catalog = readCatalog(NEUTRAL);

test.before(async () => {
  pair = await testPair({ name: 'coverage', source: 'neutral', target: 'neutral' });
  await succeed(pair, ['up'], { root: NEUTRAL });
  coverage = await readCoverage(NEUTRAL);
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
      ['--import', 'tsx', 'runner/index.ts', '--project', NEUTRAL, 'check', 'coverage', '--json'],
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
    'alter table film add column fax text',
    'alter table film drop column fax',
    () => {
      const bad = run();
      assert.equal([bad.status, bad.problems.length], [1, 1]);
    },
  );
});

test('a view that reads more than its file says is found', async () => {
  const [view] = catalog.phases
    .flatMap(({ entities }) => entities)
    .filter(({ name }) => name === 'countries');
  const text = (view?.text ?? '').replace('create view', 'create or replace view');
  await between(
    pair.targetAdminUrl,
    text.replace(
      /;\s*$/,
      ' left join legacy."Customer" as u on u."CustomerId" = 1 and u."IsTest" and false;',
    ),
    text,
    async () => {
      assert.equal((await found()).toSorted(), [
        `${COUNTRIES}: pg_depend says that the view reads legacy.Customer.CustomerId, the parser does not`,
        `${COUNTRIES}: pg_depend says that the view reads legacy.Customer.IsTest, the parser does not`,
      ]);
    },
  );
  assert.equal(await found(), []);
});

test('a view whose file changed since its last run is not compared', async () => {
  const phases = catalog.phases.map((phase) => ({
    ...phase,
    entities: phase.entities.map((each) =>
      each.name === 'countries' ? { ...each, hash: 'another' } : each,
    ),
  }));
  const { dependencies } = await facts({ ...catalog, phases });
  assert.not(dependencies.has('countries'));
  assert.ok(dependencies.has('languages'));
});

test('a new column and a new table in the source are found', async () => {
  await between(
    pair.sourceAdminUrl,
    'alter table film add column fax text; create table fax (id integer)',
    'alter table film drop column fax; drop table fax',
    async () => {
      const list = 'checks/coverage/source-columns.txt';
      assert.equal(await found(), [
        `${list}: fax.id is new in the source: nobody decided on it`,
        `${list}: film.fax is new in the source: nobody decided on it`,
      ]);
    },
  );
});

test('check coverage --write writes the lists as they are, and says what has changed', async () => {
  const project = neutralProject();
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
  // the words of the reviewed lists, in lines of its own; once more, the same text
  const words = (texts: string[]) => texts.map((text) => text.split(/\s+/));
  const written = read(project.root);
  assert.equal(words(written), words(read(NEUTRAL)));
  await write();
  assert.equal(read(project.root), written);
  await between(
    pair.sourceAdminUrl,
    `alter table film add column "Fax Number" text;
     create table "Old Fax" (id integer, "at" date);
     create table fax_log (id integer); create table fax_log_2023 () inherits (fax_log);
     create table fax_log_2024 (said text) inherits (fax_log); alter table actor rename born to birthday`,
    `alter table film drop column "Fax Number"; drop table "Old Fax"; drop table fax_log cascade;
     alter table actor rename birthday to born`,
    async () => {
      const [source] = await write();
      assert.equal(source, {
        file: lists[0],
        added: [
          ...['Old Fax.at', 'Old Fax.id', 'actor.birthday'],
          // a child without a column of its own is its parent
          ...['fax_log.id', 'fax_log_2024.id', 'fax_log_2024.said', 'film.Fax Number'],
        ],
        removed: ['actor.born'],
      });
      const { sourceColumns } = readLists(project.root);
      assert.ok(sourceColumns.some(({ name }) => name === 'film.Fax Number'));
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
  assert.is((await runner(pair, ['check', 'spent', '--write'], { root: NEUTRAL })).code, 2);
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

test('columns that are NULL in every row are listed', async () => {
  const empty = async () => {
    const ended = await succeed(pair, ['check', 'coverage', '--target', '--json'], {
      root: NEUTRAL,
    });
    const { emptyColumns } = lastLine<{
      emptyColumns: { table_name: string; column_names: string[]; row_count: number }[];
    }>(ended);
    return emptyColumns;
  };
  await between(
    pair.targetAdminUrl,
    `alter table public.films add column shelf text, add column sticker text;
     update public.films set sticker = 'x' where legacy_film_id = 1`,
    'alter table public.films drop column shelf, drop column sticker',
    async () => {
      assert.equal(await empty(), [
        { table_name: 'public.films', column_names: ['shelf'], row_count: 296 },
      ]);
    },
  );
  assert.equal(await empty(), []);
});

test.run();
