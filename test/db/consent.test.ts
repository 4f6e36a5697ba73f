// deadline 240
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Sql } from 'postgres';
import { RUN_AGAIN, through } from '../faults/world.ts';
import { type Proxy, startProxy } from '../faults/proxy.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  dumpCatalog,
  dumpRows,
  lastLine,
  neutralProject,
  open,
  runner,
  sameDump,
  type Scratch,
  succeed,
  touches,
} from '../runner.ts';
import { atTerminal, atWork } from '../terminal.ts';

/* What takes data away is done by --yes or by a person at a terminal, and says what became of it. */

interface Context {
  pair: TestPair;
  target: Sql;
  proxy: Proxy;
  /** With three schema changes. */
  project: Scratch;
}

const DOWN = ['down', '1-catalogue'];
const UP = ['up', '1-catalogue'];
const CHANGES = { '20260101000000002_notes': 'note', '20260101000000003_agents': 'agent' };
const CLAIMS = /nothing was changed|as it was/;

const test = suite<Context>('consent');

test.before(async (context) => {
  context.pair = await testPair({ name: 'consent', source: 'neutral', target: 'neutral' });
  context.project = neutralProject();
  for (const [name, column] of Object.entries(CHANGES)) {
    const text = `-- Up Migration

alter table public.actors add column if not exists ${column} text;

-- Down Migration

alter table public.actors drop column if exists ${column};
`;
    writeFileSync(join(context.project.root, `schema-changes/additive/${name}.sql`), text);
  }
  context.target = open(context.pair.targetAdminUrl);
  context.proxy = await startProxy({ port: Number(new URL(context.pair.targetUrl).port) });
  await succeed(context.pair, UP, { root: context.project.root });
});

test.after(async ({ pair, target, proxy, project }) => {
  project.remove();
  await proxy.stop();
  await target.end();
  await pair.drop();
});

for (const [what, input] of [
  ['an answer through a pipe', 'n\n'],
  ['y through a pipe', 'y\n'],
  ['no standard input', undefined],
] as const) {
  test(`down without a terminal, ${what}: shows it, changes nothing, exit 2`, async (context) => {
    await unchanged(context, async () => {
      const { root } = context.project;
      const { code, stdout, stderr } = await runner(
        context.pair,
        DOWN,
        input === undefined ? { root } : { root, input },
      );
      assert.is(code, 2, stdout + stderr);
      assert.match(stdout, /rows to delete[^]*1-catalogue +languages +6/);
      assert.match(stderr, /nothing was changed[^]*--yes/);
      assert.not.match(stdout, 'is taken back');
    });
  });
}

test('down --json without --yes: its verdict says that it was not done, exit 2', (context) =>
  unchanged(context, async () => {
    const ended = await runner(context.pair, [...DOWN, '--json'], { root: context.project.root });
    assert.is(ended.code, 2, ended.stdout + ended.stderr);
    const { verdict, entities } = JSON.parse(ended.stdout) as {
      verdict: string;
      entities: { entity: string; created: number }[];
    };
    assert.is(verdict, 'not agreed');
    assert.is(entities.find(({ entity }) => entity === 'languages')?.created, 6);
  }));

test('uninstall without a terminal and --yes: changes nothing, exit 2, also as JSON', (context) =>
  unchanged(context, async () => {
    const text = await runner(context.pair, ['uninstall'], {
      root: context.project.root,
      input: 'y\n',
    });
    assert.is(text.code, 2, text.stderr);
    assert.match(text.stderr, /nothing was changed[^]*--yes/);
    const json = await runner(context.pair, ['uninstall', '--json'], {
      root: context.project.root,
    });
    assert.is(json.code, 2, json.stderr);
    assert.is(lastLine<{ verdict: string }>(json).verdict, 'not agreed');
  }));

test('schema down without a terminal and --yes: lists the files, changes nothing, exit 2', (context) =>
  unchanged(context, async () => {
    const before = await dumpCatalog(context.target);
    const text = await runner(context.pair, ['schema', 'down', '--to', '1'], {
      root: context.project.root,
      input: 'y\n',
    });
    assert.is(text.code, 2, text.stdout + text.stderr);
    const files = appliedIn(
      (await succeed(context.pair, ['schema', 'status', '--json'], { root: context.project.root }))
        .stdout,
    )
      .slice(1)
      .toReversed();
    assert.equal(
      files.map(({ name }) => name),
      Object.keys(CHANGES).toReversed(),
    );
    for (const { name } of files) assert.match(text.stdout, `down  ${name}`);
    assert.match(text.stderr, /nothing was changed[^]*--yes/);
    const json = await runner(context.pair, ['schema', 'down', '--to', '1', '--json'], {
      root: context.project.root,
    });
    assert.is(json.code, 2, json.stderr);
    const { verdict, folder, direction, files: named } = lastLine<Record<string, unknown>>(json);
    assert.equal([verdict, folder, direction], ['not agreed', 'additive', 'down']);
    assert.equal(
      named,
      files.map(({ name }) => ({ name, direction: 'down' })),
    );
    sameDump(await dumpCatalog(context.target), before);
  }));

for (const [name, answer] of [
  ['n', 'n\n'],
  ['Enter', '\n'],
  ['yess', 'yess\n'],
  ['Ctrl-D', '\u0004'],
] as const) {
  atTerminal(test, `down at a terminal, ${name}: nothing is done`, (context) =>
    unchanged(context, async () => {
      const { code, output } = await typed(context, answer);
      assert.is(code, 0, output);
      assert.match(output, /rows to delete[^]*\[y\/N\][^]*nothing was changed/);
    }),
  );
}

for (const [what, kind] of [
  ['when COMMIT has been sent', 'request'],
  ['before the reply of COMMIT', 'reply'],
] as const) {
  test(`down, cut off ${what}: no claim, exit 4`, async ({ pair, target, proxy, project }) => {
    const { root } = project;
    proxy.when(/^Q....commit\0/s, kind, (cut) => cut());
    const targetUrl = through(pair.targetUrl, proxy.port);
    const { code, stdout, stderr } = await runner({ ...pair, targetUrl }, [...DOWN, '--yes'], {
      root,
    });
    assert.is(code, 4, stderr);
    assert.match(stderr, RUN_AGAIN);
    assert.not.match(stdout + stderr, CLAIMS);
    const { stdout: again } = await succeed(pair, [...DOWN, '--yes'], { root });
    assert.match(again, /1-catalogue is taken back|^nothing of 1-catalogue is in the target$/m);
    // nor is anybody asked
    const { stdout: nothing } = await succeed(pair, DOWN, { root });
    assert.is(nothing.trim(), 'nothing of 1-catalogue is in the target');
    const [row] = await target`select count(*)::integer as rows from public.languages`;
    assert.is(row?.['rows'], 0);
    await succeed(pair, UP, { root });
  });
}

atTerminal(test, 'down at a terminal, y: it is done', async (context) => {
  const { code, output } = await typed(context, 'y\n');
  assert.is(code, 0, output);
  assert.match(output, '1-catalogue is taken back');
  const [row] = await context.target`select count(*)::integer as rows from public.languages`;
  assert.is(row?.['rows'], 0);
});

test.run();

async function unchanged({ target, project }: Context, body: () => Promise<void>): Promise<void> {
  const schemas = ['public', 'billing', 'ids', 'migration'];
  const { root } = project;
  const [rows, versions] = [
    await dumpRows(target, { clock: true, root }),
    await touches(target, schemas),
  ];
  await body();
  sameDump(await dumpRows(target, { clock: true, root }), rows);
  sameDump(await touches(target, schemas), versions);
}

function appliedIn(status: string): { name: string }[] {
  const { folders } = JSON.parse(status) as {
    folders: { folder: string; applied: { name: string }[] }[];
  };
  return folders.find(({ folder }) => folder === 'additive')?.applied ?? [];
}

/** Runs `down` at a terminal of its own; types `answer` when it is asked. */
async function typed(
  { pair, project }: Context,
  answer: string,
): Promise<{ code: number | null; output: string }> {
  const terminal = atWork(pair, project, DOWN);
  await terminal.shows('[y/N]');
  terminal.type(answer);
  return terminal.ended;
}
