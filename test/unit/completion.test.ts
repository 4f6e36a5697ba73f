/* Shell completion, asked as a shell asks it: bash is everywhere, zsh and fish where they are installed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../runner/commands/list.ts';
import { note, runner, succeed } from '../runner.ts';

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const { stdout } = await succeed(null, ['completion', 'bash']);
  const line = words.map((word) => `'${word}'`).join(' ');
  const ended = spawnSync(
    'bash',
    [
      '--norc',
      '-c',
      `${stdout}\nCOMP_WORDS=(runner ${line}) COMP_CWORD=${words.length}\n_runner\n` +
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ],
    { encoding: 'utf8', cwd: '/' },
  );
  assert.is(ended.stderr, '');
  return ended.stdout.split('\n').filter((word) => word !== '');
}

test('bash: commands, options of the command, its words, files where a file is taken', async () => {
  assert.equal(await offered('un'), ['uninstall']);
  assert.equal(
    (await offered('')).filter((word) => !word.startsWith('-')),
    ['help', ...COMMANDS.map(({ name }) => name)],
  );
  assert.equal(await offered('help', 'rej'), ['rejects']);
  assert.equal(await offered('up', '--on'), ['--on-conflict']);
  assert.equal(await offered('status', '--on'), []);
  assert.equal(await offered('up', '--full', '--js'), ['--json']);
  assert.equal(await offered('schema', 's'), ['status']);
  assert.equal(await offered('up', '--env-file', '/bi'), ['/bin']);
});

test('zsh and fish: every command and its options are in it, and the shell can read it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'completion-'));
  for (const [shell, option] of [
    ['zsh', '--show-data['],
    ['fish', '-l show-data'],
  ] as const) {
    const { stdout } = await succeed(null, ['completion', shell]);
    for (const { name, summary } of COMMANDS) {
      assert.ok(stdout.includes(name) && stdout.includes(summary), `${shell}: ${name}`);
    }
    assert.ok(stdout.includes(option), shell);
    const file = join(folder, shell);
    writeFileSync(file, stdout);
    const read = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    if (read.error === undefined) assert.is(read.stderr, '', shell);
    else note(`${shell} is not installed: not read by it`);
  }
  rmSync(folder, { recursive: true });
});

test('fish offers what the list says', async () => {
  const { stdout } = await succeed(null, ['completion', 'fish']);
  const ask = (line: string) =>
    spawnSync('fish', ['--no-config', '-c', `${stdout}\ncomplete -C '${line}'`], {
      encoding: 'utf8',
    });
  const { error, stdout: words } = ask('runner un');
  if (error !== undefined) return note('fish is not installed: not asked');
  assert.match(words, /^uninstall\twrites the audit trail/);
  assert.match(ask('runner schema s').stdout, /^status/);
  assert.match(ask('runner up --on').stdout, /^--on-conflict/);
});

test('a shell that is not known: exit 2, those that are', async () => {
  for (const args of [['completion'], ['completion', 'tcsh']]) {
    const { code, stderr } = await runner(null, args);
    assert.is(code, 2);
    assert.match(stderr, /^say bash, zsh or fish\nusage: runner completion bash\|zsh\|fish/);
  }
});

test.run();
