// deadline 240
/* The package as it is installed elsewhere: its command, its functions, its types. No network. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, open, ROOT } from '../runner.ts';

const NAME = 'legacy-to-supabase';

interface Context {
  /** Somebody's folder: node_modules with the package, and a project of three files. */
  root: string;
  packed: string[];
  pair: TestPair;
  source: Sql;
  target: Sql;
}

const test = suite<Context>('package');

test.before(async (context) => {
  const { root, packed } = install();
  const pair = await testPair({ name: 'package', source: 'empty' });
  const [source, target] = [open(pair.sourceAdminUrl), open(pair.targetAdminUrl)];
  Object.assign(context, { root, packed, pair, source, target });
  await source.unsafe(`
    create table public.book (id integer primary key, title text);
    grant select on public.book to legacy_reader;
    insert into public.book values (1, 'one'), (2, 'two')`);
  await target.unsafe(`
    create table public.books (id uuid primary key, title text);
    alter table public.books owner to postgres`);
  write(root, {
    'sql/settings.json': '{ "sourceSchema": "public" }\n',
    'sql/1-first/10_books.sql': entityFile('books', 'book', ['t.title as title']),
    '.env': `SOURCE_DATABASE_URL=${pair.sourceUrl}\nTARGET_DATABASE_URL=${pair.targetUrl}\n`,
  });
});

test.after(async ({ root, pair, source, target }) => {
  await source.end();
  await target.end();
  await pair.drop();
  rmSync(root, { recursive: true });
});

/** What `npm install` of the packed package leaves; what it depends on is linked. */
function install(): Pick<Context, 'root' | 'packed'> {
  const root = mkdtempSync(join(tmpdir(), 'package-'));
  process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  const args = ['pack', '--json', '--pack-destination', root];
  const said = execFileSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [made] = JSON.parse(said.slice(said.indexOf('[\n'))) as {
    filename: string;
    files: { path: string }[];
  }[];
  const place = join(root, 'node_modules', NAME);
  mkdirSync(place, { recursive: true });
  execFileSync('tar', [
    '-xzf',
    join(root, made?.filename ?? ''),
    '-C',
    place,
    '--strip-components=1',
  ]);
  const { dependencies } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  // the compiler is the consumer's own
  for (const name of [...Object.keys(dependencies), 'typescript', '@types/node']) {
    const link = join(root, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), link);
  }
  const bin = join(root, 'node_modules/.bin');
  mkdirSync(bin);
  chmodSync(join(place, 'runner/bin.js'), 0o755);
  symlinkSync(`../${NAME}/runner/bin.js`, join(bin, 'runner'));
  return { root, packed: (made?.files ?? []).map(({ path }) => path) };
}

function write(root: string, files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
}

/** Runs a program in that folder, with nothing in the environment that says where the databases are. */
function run(root: string, program: string, args: string[]) {
  const env = { ...process.env, SOURCE_DATABASE_URL: undefined, TARGET_DATABASE_URL: undefined };
  return spawnSync(program, args, { cwd: root, env, encoding: 'utf8' });
}

test('what is packed is the engine: no test, no sample, no file of a project', ({ packed }) => {
  const rooms =
    /^(package\.json|README\.md|(runner|types|sql\/engine|checks\/(cases|engine|static))\/.*|checks\/child\.ts|checks\/coverage\/[\w-]+\.ts)$/;
  assert.equal(
    packed.filter((file) => !rooms.test(file)),
    [],
  );
  for (const file of [
    'runner/bin.js',
    'runner/api.js',
    'types/runner/api.d.ts',
    'runner/index.ts',
  ]) {
    assert.ok(packed.includes(file), file);
  }
  assert.ok(packed.some((file) => file.startsWith('sql/engine/templates/')));
  assert.ok(packed.includes('checks/engine/balance.sql'));
});

test('`npx runner` works, on the project in the current folder', ({ root }) => {
  const help = run(root, 'npx', ['--no-install', 'runner', '--help']);
  assert.is(help.status, 0, help.stderr);
  assert.match(help.stdout, '--project');
  const checked = run(root, 'npx', ['--no-install', 'runner', 'check', '--static', '--json']);
  assert.match(
    checked.stdout,
    'source-columns.txt',
    'the project is read, and its lists asked for',
  );
  const up = run(root, 'npx', ['--no-install', 'runner', 'up', '--json']);
  assert.is(up.status, 0, up.stderr);
  const { entities } = JSON.parse(up.stdout.trimEnd().split('\n').at(-1) ?? '') as {
    entities: object[];
  };
  assert.is(entities.length, 1);
});

test('outside of a project it says what is missing', ({ root }) => {
  const place = join(root, 'elsewhere');
  mkdirSync(place);
  const { status, stderr } = run(place, join(root, 'node_modules/.bin/runner'), ['up']);
  assert.is(status, 2);
  assert.match(stderr, /^\. is no project directory/);
});

test('a program that is plain JavaScript: plan, up, status, verify, report, and what they throw', async ({
  root,
  source,
  target,
}) => {
  await source`insert into public.book values (3, 'three')`;
  write(root, {
    'program.mjs': `
import { plan, report, status, up, verify } from '${NAME}';

const events = [];
const forecast = await plan();
const before = await status();
const run = await up({ jobs: 1, onEvent: ({ type }) => events.push(type) });
const verified = await verify({ entities: ['books'] });
const facts = await report();
const wrong = [];
for (const call of [
  () => up({ phases: ['9-none'] }),
  () => status({ project: 'nowhere' }),
  () => status({ target: 'postgresql://a:b@127.0.0.1:1/c' }),
  () => up({ signal: AbortSignal.abort() }),
]) await call().catch(({ name }) => wrong.push(name));
console.log(JSON.stringify({
  planned: forecast.entities.map(({ entity }) => entity),
  before: before.entities.map(({ inserted }) => inserted),
  inserted: run.entities.map(({ inserted }) => inserted),
  ok: run.ok,
  events: events.filter((type) => type.startsWith('phase')),
  differences: verified.differences,
  compared: verified.entities.map(({ compared }) => compared),
  rows: facts.entities.length,
  wrong,
}));
`,
  });
  const { status, stdout, stderr } = run(root, process.execPath, ['program.mjs']);
  assert.is(status, 0, stderr);
  assert.is(stderr, '');
  assert.equal(JSON.parse(stdout), {
    planned: ['books'],
    before: [2],
    inserted: [1],
    ok: true,
    events: ['phase.started', 'phase.committed'],
    differences: 0,
    compared: [3],
    rows: 1,
    wrong: ['UsageError', 'UsageError', 'CouldNotConnect', 'Interrupted'],
  });
  const rows = await target`select from public.books`;
  assert.is(rows.length, 3);
});

test('a program in TypeScript knows what it gets', ({ root }) => {
  write(root, {
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        ...{ strict: true, noEmit: true, module: 'NodeNext', target: 'ES2022' },
        ...{ skipLibCheck: true, types: ['node'] },
      },
      files: ['program.mts'],
    }),
    'program.mts': `
import { type Facts, status, up, verify } from '${NAME}';

const summary = await up({ phases: ['1-first'], onEvent: ({ type }) => console.log(type) });
const verdict: string = summary.verdict;
const rows: number | null | undefined = (await status())?.entities[0]?.inserted;
const kinds: number | undefined = (await verify()).entities[0]?.counts.missing;
const version = (facts: Facts): string => facts.maker.version;
// @ts-expect-error a verdict is a text
const wrong: number = summary.verdict;
// @ts-expect-error there is no such side
await up({ onConflict: 'both' });
console.log(verdict, rows, kinds, version, wrong);
`,
  });
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const bin = existsSync(tsc) ? tsc : join(ROOT, 'node_modules/.bin/tsc');
  const { status, stdout } = run(root, bin, ['--project', '.']);
  assert.is(status, 0, stdout);
});

test.run();
