/* The door: what stands between argv and a command. No database, no configuration. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS, GROUPS } from '../../runner/commands/list.ts';
import { ROOT, runner, succeed } from '../runner.ts';

const VERSION = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
).version;

/** Text fits into 80 columns, and is broken between words. */
function fits(text: string, lines: number): void {
  const found = text.trimEnd().split('\n');
  assert.ok(found.length <= lines, `${found.length} lines`);
  for (const line of found) assert.ok(line.length <= 80, `${line.length} columns: ${line}`);
}

test('the overview: every command in its group, with all of its summary, in 80 columns', async () => {
  const { stdout, stderr } = await succeed(null, ['--help']);
  assert.is(stderr, '');
  fits(stdout, 49);
  const places = GROUPS.map((group) => stdout.search(new RegExp(`^${group}\\b`, 'im')));
  assert.ok(
    places.every((place) => place > 0),
    stdout,
  );
  assert.equal(
    places,
    places.toSorted((a, b) => a - b),
  );
  for (const { name, group, usage, summary } of COMMANDS) {
    const line = stdout.split('\n').find((each) => each.startsWith(`  ${name} `)) ?? '';
    assert.is(line.replace(/ +/g, ' '), ` ${`${name} ${usage}`.trim()} ${summary}`);
    const place = stdout.search(new RegExp(`^  ${name}\\b`, 'm'));
    const next = places[GROUPS.indexOf(group) + 1] ?? stdout.length;
    assert.ok(place > (places[GROUPS.indexOf(group)] ?? 0) && place < next, `${name}: ${group}`);
  }
  for (const code of [0, 1, 2, 3, 4, 5, 130]) assert.match(stdout, new RegExp(`\\b${code} \\w`));
});

test('-h, --help and help are one; so are help <command> and <command> --help', async () => {
  const [long, ...others] = await Promise.all(
    [['--help'], ['-h'], ['help']].map((args) => succeed(null, args)),
  );
  for (const { stdout } of others) assert.is(stdout, long?.stdout);
  for (const { name, usage } of COMMANDS) {
    const [own, short, asked] = await Promise.all(
      [
        [name, '--help'],
        [name, '-h'],
        ['help', name],
      ].map((args) => succeed(null, args)),
    );
    assert.is(short?.stdout, own?.stdout, name);
    assert.is(asked?.stdout, own?.stdout, name);
    const text = own?.stdout ?? '';
    assert.ok(text.includes(`runner ${`${name} ${usage}`.trim()}`), text);
    for (const option of ['--json', '--embedded', '--env-file <file>', '--help']) {
      assert.ok(text.includes(option), `${name}: ${option}`);
    }
    fits(text, 30);
  }
});

test('--version is that of package.json', async () => {
  for (const option of ['--version', '-V']) {
    assert.is((await succeed(null, [option])).stdout, `${VERSION}\n`);
  }
});

test('options of every command may stand before it', async () => {
  const { stdout } = await succeed(null, ['--json', 'help', 'status']);
  assert.is((JSON.parse(stdout) as { name: string }).name, 'status');
});

test('no command: exit 2, the overview on standard error', async () => {
  const { stdout } = await succeed(null, ['--help']);
  const { code, stdout: out, stderr } = await runner(null, []);
  assert.is(code, 2);
  assert.is(out, '');
  assert.ok(stderr.includes(stdout.trimEnd()), stderr);
});

const WRONG: [string[], RegExp][] = [
  [['statsu'], /^unknown command 'statsu'\ndid you mean status\?\n$/],
  [['statsu', '--help'], /^unknown command 'statsu'\ndid you mean status\?/],
  [['help', 'statsu'], /^unknown command 'statsu'\ndid you mean status\?/],
  [['xyzzy'], /^unknown command 'xyzzy'\n[^]*\bverify \[entity\.\.\.\]/],
  [['help', 'up', 'down'], /^help takes one command: down is one too many/],
  [['status', 'x'], /^status takes no words: x is one too many\nusage: runner status \[options\]/],
  [['plan', 'customers'], /^plan takes no words: customers is one too many/],
  [['down', '1-foundation', '2-core'], /^down takes <phase>: 2-core is one too many/],
  [['rejects', 'orders', 'tasks'], /^rejects takes \[entity\]: tasks is one too many/],
  [['schema', 'up', 'removal'], /^schema takes up\|down\|status: removal is one too many/],
  [['up', '--ful'], /^unknown option '--ful'\ndid you mean --full\?\nusage: runner up \[phase/],
  [['up', '--jsn'], /^unknown option '--jsn'\ndid you mean --json\?/],
  [['up', '--xyzzy'], /^unknown option '--xyzzy'\nusage: runner up /],
  [['up', '-f'], /^unknown option '-f'\n/],
  [['--xyzzy', 'up'], /^unknown option '--xyzzy'\n/],
  [['up', '--full=yes'], /^unknown option '--full=yes'\n/],
  [['schema', 'up', '--folder', 'removal', '--accept-evidence', ''], /needs a reason/],
  [['up', '--jobs'], /^option '--jobs <n>' argument missing\nusage/],
  [
    ['status', '--env-file', '/nowhere/at all.env'],
    / the file \/nowhere\/at all\.env is not there/,
  ],
  [['--env-file', '/nowhere/else', 'status'], / the file \/nowhere\/else is not there/],
  [['status', '--env-file', ROOT], / the file .* cannot be read/],
];

test('a wrong call: exit 2, our own sentence and what to do, nothing on standard output', async () => {
  const ends = await Promise.all(WRONG.map(([args]) => runner(null, args)));
  for (const [i, { code, stdout, stderr }] of ends.entries()) {
    const [args, message] = WRONG[i] ?? [[], /./];
    assert.is(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, message, args.join(' '));
    assert.is(stdout, '', args.join(' '));
    fits(stderr, 50);
  }
});

test('each command is loaded under its name, says what is in the list, and nothing is twice', async () => {
  assert.is(new Set(COMMANDS.map(({ name }) => name)).size, COMMANDS.length);
  for (const { name, usage, load } of COMMANDS) {
    const command = await load();
    assert.ok('run' in command, name);
    for (const option of Object.keys(command.options))
      assert.match(option, /^[a-z]+(-[a-z]+)*$/, name);
    for (const word of usage.split(' ').filter((part) => part !== '')) {
      assert.match(word, /^(<[a-z|]+>|\[[a-z|]+(\.\.\.)?\]|[a-z|]+)$/, `${name}: ${usage}`);
    }
  }
});

test('--env-file: its settings count, those of the environment win over it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'door-'));
  const file = join(folder, 'staging.env');
  writeFileSync(file, 'SOURCE_DATABASE_URL=mysql://a\nTARGET_DATABASE_URL=mysql://b\nJOBS=many\n');
  const unset = 'env -u SOURCE_DATABASE_URL -u TARGET_DATABASE_URL';
  const given = shell(`${unset} ${command('status')} --env-file ${file}`);
  assert.is(given.status, 2, given.stderr);
  assert.match(given.stderr, /SOURCE_DATABASE_URL is not of the form/);
  assert.match(given.stderr, /JOBS must be a number/);
  const won = shell(`${unset} JOBS=2 ${command('status')} --env-file ${file}`);
  assert.match(won.stderr, /TARGET_DATABASE_URL is not of the form/);
  assert.not.match(won.stderr, /JOBS/);
  rmSync(folder, { recursive: true });
});

test('`| head` closes standard output, `2>&1 | head` both: no complaint, the exit code is honest', () => {
  for (const [args, code] of [
    ['help', 0],
    ['xyzzy', 2],
    ['status x', 2],
  ] as const) {
    for (const reader of ['head -n 1', 'true']) {
      const ended = shell(`${command(args)} 2>&1 | ${reader}; exit \${PIPESTATUS[0]}`);
      assert.is(ended.stderr, '', args);
      assert.match(ended.stdout, reader === 'true' ? /^$/ : /^.+\n$/, args);
      assert.is(ended.status, code, args);
    }
  }
});

test('`2> file`: what went wrong is in the file, without colours; standard output is empty', () => {
  const folder = mkdtempSync(join(tmpdir(), 'door-'));
  const file = join(folder, 'errors');
  const opened = openSync(file, 'w');
  const ended = spawnSync('sh', ['-c', `exec ${command('status x')}`], {
    stdio: ['ignore', 'pipe', opened],
    encoding: 'utf8',
  });
  closeSync(opened);
  assert.is(ended.status, 2);
  assert.is(ended.stdout, '');
  const text = readFileSync(file, 'utf8');
  assert.match(text, /^status takes no words/);
  assert.not.match(text, '\u001b');
  rmSync(folder, { recursive: true });
});

function command(args: string): string {
  const tsx = import.meta.resolve('tsx');
  return `'${process.execPath}' --import '${tsx}' '${join(ROOT, 'runner/index.ts')}' ${args}`;
}

function shell(text: string) {
  return spawnSync('bash', ['-c', text], { encoding: 'utf8', cwd: tmpdir() });
}

test.run();
