// deadline 180
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { entityFile, lastLine, open, type Scratch, succeed, tinyProject } from '../runner.ts';

/* A folder of schema changes that holds none, or is not there, is as good as one that is done. */

interface Context {
  pair: TestPair;
  project: Scratch;
}

const FILE = '20260101000000001_colour.sql';
const CHANGE = `-- A column.

-- Up Migration
alter table public.words add column if not exists colour text;

-- Down Migration
alter table public.words drop column colour;
`;

const test = suite<Context>('schema folder');

test.before(async (context) => {
  context.pair = await testPair({ name: 'folder', source: 'empty' });
  context.project = tinyProject({
    'sql/1-words/10_words.sql': entityFile('words', 'word', ['t.id as legacy_id']),
  });
  const source = open(context.pair.sourceAdminUrl);
  await source.unsafe(`
    create table public.word (id integer primary key);
    grant select on public.word to legacy_reader;
    insert into public.word select generate_series(1, 9)`);
  await source.end();
  const target = open(context.pair.targetAdminUrl);
  await target.unsafe(`
    create table public.words (id uuid primary key, legacy_id bigint);
    alter table public.words owner to postgres`);
  await target.end();
});

test.after(async ({ pair, project }) => {
  project.remove();
  await pair.drop();
});

/** The folder `schema-changes` of the project anew, with these files of `additive`; null = no folder at all. */
function fill({ project: { root } }: Context, files: Record<string, string> | null): void {
  const folder = join(root, 'schema-changes');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, files === null ? '' : 'additive'), { recursive: true });
  writeFileSync(join(folder, 'protected.json'), '[]');
  for (const [file, text] of Object.entries(files ?? {})) {
    writeFileSync(join(folder, 'additive', file), text);
  }
}

async function pending({ pair, project: { root } }: Context): Promise<unknown> {
  const plan = await succeed(pair, ['plan', '--json'], { root });
  return lastLine<{ schemaChangesPending: boolean }>(plan).schemaChangesPending;
}

for (const [what, files] of [
  ['there is no folder', null],
  ['the folder is empty', {}],
  ['the folder holds .gitkeep', { '.gitkeep': '' }],
] as const) {
  test(`${what}: nothing is pending, before \`up\` and after`, async (context) => {
    const { pair, project } = context;
    const { root } = project;
    fill(context, files);
    assert.is(await pending(context), false);
    await succeed(pair, ['up'], { root });
    assert.is(await pending(context), false);
    assert.match((await succeed(pair, ['schema', 'up'], { root })).stdout, 'nothing to do');
    await succeed(pair, ['schema', 'status'], { root });
    await succeed(pair, ['schema', 'down', '--yes'], { root });
  });
}

test('a file that was applied is not pending, whatever ends its lines', async (context) => {
  const { pair, project } = context;
  fill(context, { '.gitkeep': '', [FILE]: CHANGE });
  assert.is(await pending(context), true);
  await succeed(pair, ['up'], { root: project.root });
  assert.is(await pending(context), false);
  fill(context, { [FILE]: CHANGE.replaceAll('\n', '\r\n') });
  assert.match(readFileSync(join(project.root, 'schema-changes/additive', FILE), 'utf8'), '\r\n');
  assert.is(await pending(context), false);
});

test('uninstall and `up` again: the changes are made again, and do no harm', async (context) => {
  const { pair, project } = context;
  fill(context, { [FILE]: CHANGE });
  const audit = join(project.root, 'audit.jsonl');
  await succeed(pair, ['uninstall', '--yes', '--audit', audit], { root: project.root });
  assert.is(await pending(context), true);
  await succeed(pair, ['up'], { root: project.root });
  assert.is(await pending(context), false);
});

test.run();
