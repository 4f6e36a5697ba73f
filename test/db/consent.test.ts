// deadline 300
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
  open,
  ROOT,
  runner,
  sameDump,
  succeed,
  touches,
  up,
} from '../runner.ts';
import { atTerminal, atWork } from '../terminal.ts';

/* What takes data away is done by --yes or by a person at a terminal, and says what became of it. */

interface Context {
  pair: TestPair;
  target: Sql;
  proxy: Proxy;
}

const DOWN = ['down', '1-foundation'];
const CLAIMS = /nothing was changed|as it was/;

const test = suite<Context>('consent');

test.before(async (context) => {
  context.pair = await testPair({ name: 'consent', source: 'sample' });
  context.target = open(context.pair.targetAdminUrl);
  context.proxy = await startProxy({ port: Number(new URL(context.pair.targetUrl).port) });
  await up(context.pair, '1-foundation');
});

test.after(async ({ pair, target, proxy }) => {
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
      const { code, stdout, stderr } = await runner(
        context.pair,
        DOWN,
        input === undefined ? {} : { input },
      );
      assert.is(code, 2, stdout + stderr);
      assert.match(stdout, /rows to delete[^]*1-foundation +offices +13/);
      assert.match(stderr, /nothing was changed[^]*--yes/);
      assert.not.match(stdout, 'is taken back');
    });
  });
}

test('down --json without --yes: its verdict says that it was not done, exit 2', (context) =>
  unchanged(context, async () => {
    const ended = await runner(context.pair, [...DOWN, '--json']);
    assert.is(ended.code, 2, ended.stdout + ended.stderr);
    const { verdict, entities } = JSON.parse(ended.stdout) as {
      verdict: string;
      entities: { entity: string; created: number }[];
    };
    assert.is(verdict, 'not agreed');
    assert.is(entities.find(({ entity }) => entity === 'offices')?.created, 13);
  }));

test('uninstall without a terminal and --yes: changes nothing, exit 2, also as JSON', (context) =>
  unchanged(context, async () => {
    const text = await runner(context.pair, ['uninstall'], { input: 'y\n' });
    assert.is(text.code, 2, text.stderr);
    assert.match(text.stderr, /nothing was changed[^]*--yes/);
    const json = await runner(context.pair, ['uninstall', '--json']);
    assert.is(json.code, 2, json.stderr);
    assert.is(lastLine<{ verdict: string }>(json).verdict, 'not agreed');
  }));

test('schema down without a terminal and --yes: lists the files, changes nothing, exit 2', (context) =>
  unchanged(context, async () => {
    const before = await dumpCatalog(context.target);
    const text = await runner(context.pair, ['schema', 'down', '--to', '1'], { input: 'y\n' });
    assert.is(text.code, 2, text.stdout + text.stderr);
    const files = appliedIn((await succeed(context.pair, ['schema', 'status', '--json'])).stdout)
      .slice(1)
      .toReversed();
    assert.ok(files.length > 0);
    for (const { name } of files) assert.match(text.stdout, `down  ${name}`);
    assert.match(text.stderr, /nothing was changed[^]*--yes/);
    const json = await runner(context.pair, ['schema', 'down', '--to', '1', '--json']);
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
      const { code, output } = await typed(context.pair, DOWN, answer);
      assert.is(code, 0, output);
      assert.match(output, /rows to delete[^]*\[y\/N\][^]*nothing was changed/);
    }),
  );
}

for (const [what, kind] of [
  ['when COMMIT has been sent', 'request'],
  ['before the reply of COMMIT', 'reply'],
] as const) {
  test(`down, cut off ${what}: no claim, exit 4`, async ({ pair, target, proxy }) => {
    proxy.when(/^Q....commit\0/s, kind, (cut) => cut());
    const targetUrl = through(pair.targetUrl, proxy.port);
    const { code, stdout, stderr } = await runner({ ...pair, targetUrl }, [...DOWN, '--yes']);
    assert.is(code, 4, stderr);
    assert.match(stderr, RUN_AGAIN);
    assert.not.match(stdout + stderr, CLAIMS);
    const { stdout: again } = await succeed(pair, [...DOWN, '--yes']);
    assert.match(again, /1-foundation is taken back|^nothing of 1-foundation is in the target$/m);
    // nor is anybody asked
    const { stdout: nothing } = await succeed(pair, DOWN);
    assert.is(nothing.trim(), 'nothing of 1-foundation is in the target');
    const [row] = await target`select count(*)::integer as rows from public.offices`;
    assert.is(row?.['rows'], 0);
    await up(pair, '1-foundation');
  });
}

atTerminal(test, 'down at a terminal, y: it is done', async ({ pair, target }) => {
  const { code, output } = await typed(pair, DOWN, 'y\n');
  assert.is(code, 0, output);
  assert.match(output, '1-foundation is taken back');
  const [row] = await target`select count(*)::integer as rows from public.offices`;
  assert.is(row?.['rows'], 0);
});

test.run();

async function unchanged({ target }: Context, body: () => Promise<void>): Promise<void> {
  const schemas = ['public', 'ids', 'migration'];
  const [rows, versions] = [
    await dumpRows(target, { clock: true }),
    await touches(target, schemas),
  ];
  await body();
  sameDump(await dumpRows(target, { clock: true }), rows);
  sameDump(await touches(target, schemas), versions);
}

function appliedIn(status: string): { name: string }[] {
  const { folders } = JSON.parse(status) as {
    folders: { folder: string; applied: { name: string }[] }[];
  };
  return folders.find(({ folder }) => folder === 'additive')?.applied ?? [];
}

/** Runs `runner <args>` at a terminal of its own; types `answer` when it is asked. */
async function typed(
  pair: TestPair,
  args: string[],
  answer: string,
): Promise<{ code: number | null; output: string }> {
  const terminal = atWork(pair, { root: ROOT }, args);
  await terminal.shows('[y/N]');
  terminal.type(answer);
  return terminal.ended;
}
