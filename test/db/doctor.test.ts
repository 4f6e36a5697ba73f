// deadline 240
/* `doctor` never dies of what it is there to find, and says on one line how things stand. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Diagnosis } from '../../runner/engine/doctor.ts';
import { testPair, type TestPair } from '../pair.ts';
import { open, runner, scratch, succeed } from '../runner.ts';
import { atTerminal, atWork } from '../terminal.ts';

interface Context {
  pair: TestPair;
  target: Sql;
}

const test = suite<Context>('doctor');

test.before(async (context) => {
  context.pair = await testPair({ name: 'doctor', source: 'schema' });
  context.target = open(context.pair.targetAdminUrl);
});

test.after(async ({ pair, target }) => {
  await target.end();
  await pair.drop();
});

interface Said {
  verdict: string;
  findings: (Diagnosis & { accepted?: string })[];
}

function read(stdout: string): Said {
  return JSON.parse(stdout) as Said;
}

function changed(url: string, change: (url: URL) => void): string {
  const other = new URL(url);
  change(other);
  return other.href;
}

test('the verdict is one line that counts; what is measured is there, of both sides', async ({
  pair,
}) => {
  const { verdict, findings } = read((await succeed(pair, ['doctor', '--json'])).stdout);
  const of = (state: string) => findings.filter((each) => each.state === state).length;
  assert.match(verdict, new RegExp(`^${of('ok')} ok, ${of('warning')} notes?, 0 errors: ready$`));
  const found = new Map(findings.map((each) => [each.what, each.found]));
  assert.match(found.get('round trip to the target') ?? '', /^\d+\.\d ms$/);
  assert.match(found.get('round trip target to source') ?? '', /^\d+\.\d ms$/);
  assert.match(found.get('encryption to the target') ?? '', 'none, on this machine');
  assert.match(found.get('encryption target to source') ?? '', 'none, on this machine');
  assert.match(found.get('collations') ?? '', /^source libc .+, target .+/);
  assert.match(found.get('triggers on target tables') ?? '', 'app_touch_updated_at');
  assert.match(found.get('target tables') ?? '', /^\d+, the database has \d/);
  assert.match(found.get('space') ?? '', 'a first run needs about');
  assert.is(found.get('limits of the role'), 'none; each transaction of ours sets its own');
  const { stdout } = await succeed(pair, ['doctor']);
  assert.match(stdout.trimEnd().split('\n').at(-1) ?? '', /\d+ ok, \d+ notes?, 0 errors: ready$/);
  assert.ok(
    stdout.split('\n').every((line) => line.length <= 80),
    stdout,
  );
});

test('limits of the role are said; those of our transactions are others', async ({
  pair,
  target,
}) => {
  const [database] = await target<{ name: string }[]>`select current_database() as name`;
  const role = `alter role postgres in database ${database?.name ?? ''}`;
  await target.unsafe(`${role} set statement_timeout = '120s'`);
  const { findings } = read((await succeed(pair, ['doctor', '--json'])).stdout);
  await target.unsafe(`${role} reset statement_timeout`);
  const limits = findings.find(({ what }) => what === 'limits of the role');
  assert.match(limits?.found ?? '', 'statement_timeout 120 s');
});

const WRONG: [string, 'sourceUrl' | 'targetUrl', (url: URL) => void, RegExp][] = [
  ['password', 'targetUrl', (url) => (url.password = 'hunter2'), /refuses user or password/],
  [
    'host',
    'targetUrl',
    (url) => (url.hostname = 'nowhere.invalid'),
    /the host is not known|no answer/,
  ],
  ['database', 'targetUrl', (url) => (url.pathname = '/nothing'), /no such database/],
  ['password', 'sourceUrl', (url) => (url.password = 'hunter2'), /refuses user or password/],
  [
    'host',
    'sourceUrl',
    (url) => (url.hostname = 'nowhere.invalid'),
    /the host is not known|no answer/,
  ],
  ['database', 'sourceUrl', (url) => (url.pathname = '/nothing'), /no such database/],
];

test('wrong password, unknown host, missing database, on either side: the first finding; the other side is looked at', async ({
  pair,
}) => {
  for (const [what, side, change, cause] of WRONG) {
    const urls = { ...pair, [side]: changed(pair[side], change) };
    const { code, stdout, stderr } = await runner(urls, ['doctor', '--json']);
    const about = `${what} of ${side}: ${stdout} ${stderr}`;
    assert.is(code, 1, about);
    const { findings, verdict } = read(stdout);
    const [first] = findings;
    assert.is(
      first?.what,
      `connection to the ${side === 'sourceUrl' ? 'source' : 'target'}`,
      about,
    );
    assert.is(first?.state, 'error');
    assert.match(first?.found ?? '', cause);
    assert.match(verdict, /1 error: not ready/);
    const other = side === 'sourceUrl' ? 'target version' : 'source, seen from this machine';
    assert.is(findings.find((each) => each.what === other)?.state, 'ok', about);
    assert.not.match(stdout + stderr, 'hunter2');
  }
  const both = {
    sourceUrl: changed(pair.sourceUrl, (url) => (url.password = 'hunter2')),
    targetUrl: changed(pair.targetUrl, (url) => (url.password = 'hunter3')),
  };
  const { stdout } = await runner(both, ['doctor', '--json']);
  assert.equal(
    read(stdout)
      .findings.filter(({ state }) => state === 'error')
      .map(({ what }) => what),
    ['connection to the target', 'source, seen from this machine'],
  );
});

test('what stops it on the way is named: the ledger of another release, a schema that is not ours', async ({
  pair,
  target,
}) => {
  await target`create schema migration authorization supabase_admin`;
  const foreign = await runner(pair, ['doctor', '--json']);
  await target`drop schema migration`;
  assert.is(foreign.code, 1);
  const [ledger] = read(foreign.stdout).findings.filter(({ state }) => state === 'error');
  assert.is(ledger?.what, 'ledger');
  assert.match(ledger?.found ?? '', '(SQLSTATE 42501)');
  assert.match(read(foreign.stdout).verdict, '1 error: not ready');
});

test('a note that is accepted in a file, with a reason, is silent; other words are another note', async ({
  pair,
}) => {
  const project = scratch();
  const { root } = project;
  const file = join(root, 'checks/accepted.txt');
  writeFileSync(file, 'doctor  write-ahead log: *  the archive is ours\n');
  const silent = await succeed(pair, ['doctor'], { root });
  assert.not.match(silent.stdout, 'write-ahead log');
  assert.match(silent.stdout, /\d+ ok, 0 notes, 1 accepted, 0 errors: ready/);
  const all = await succeed(pair, ['doctor', '--all'], { root });
  assert.match(all.stdout, /write-ahead log[^]*accepted: the archive is ours/);
  writeFileSync(file, 'doctor  write-ahead log: something else  the archive is ours\n');
  assert.match((await succeed(pair, ['doctor'], { root })).stdout, 'write-ahead log');
  // an error is not for a file to accept
  writeFileSync(file, 'doctor  connection to the target: *  never mind\n');
  const urls = { ...pair, targetUrl: changed(pair.targetUrl, (url) => (url.password = 'x')) };
  assert.is((await runner(urls, ['doctor'], { root })).code, 1);
  writeFileSync(file, 'doctor  write-ahead log\n');
  const wrong = await runner(pair, ['doctor'], { root });
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, 'checks/accepted.txt:1: say who finds it');
  project.remove();
});

atTerminal(test, 'in colour the columns stand where they stand without', async ({ pair }) => {
  const { code, output } = await atWork(pair, scratch(), ['doctor']).ended;
  assert.is(code, 0, output);
  assert.match(output, '\u001b[');
  const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');
  const lines = output.replace(ESCAPES, '').replaceAll('\r', '').split('\n');
  const marked = lines.filter((line) => /^(ok|note|ERROR) /.test(line));
  assert.ok(marked.length > 20);
  for (const line of marked) assert.match(line, /^(ok {5}|note {3}|ERROR {2})\S/);
});

test.run();
