/* A runner at a pseudo-terminal of its own: Node makes none, python3 does. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { widthOf } from '../runner/terminal/text.ts';
import { callOf, type Databases, ROOT, waitFor } from './runner.ts';

/** A runner at a terminal of its own. */
export interface Terminal {
  /** Waits until the terminal shows this. */
  shows(text: string): Promise<void>;
  type(text: string): void;
  /** What is seen now. */
  screen(): string;
  /** Of python3, whose child the runner is. */
  pid: number | undefined;
  ended: Promise<{ code: number | null; output: string; screen: string }>;
}

/** A test that needs a pseudo-terminal; skipped where there is no python3. */
export function atTerminal<Context>(
  test: Test<Context>,
  name: string,
  body: (context: Context) => Promise<void>,
): void {
  const there = spawnSync('python3', ['-c', 'import pty']).status === 0;
  if (there) test(name, body);
  else test.skip(`${name}: needs python3 for a pseudo-terminal`);
}

const GOLDEN = join(ROOT, 'test/golden/terminal');

/**
 * A screen fits its terminal and, but for what `settle` takes out, is what is kept; `GOLDEN=write` keeps what is
 * seen now.
 */
export function sameScreen(
  name: string,
  screen: string,
  columns: number,
  settle: (screen: string) => string,
): void {
  const lines = screen.replace(/‹\d+›/g, '').split('\n');
  const wide = lines.filter((line) => widthOf(line) > columns);
  assert.equal(wide, [], `${name}: wider than ${columns} columns`);
  const shown = settle(screen);
  const file = join(GOLDEN, `${name}.txt`);
  if (process.env['GOLDEN'] === 'write') {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(file, shown);
  }
  assert.fixture(shown, readFileSync(file, 'utf8'), name);
}

/** Starts `runner <args>` of a project, at a terminal of so many columns; `redirect` as a shell takes it. */
export function atWork(
  pair: Databases,
  { root }: { root: string },
  args: string[],
  {
    columns = 80,
    env = {},
    redirect = '',
  }: { columns?: number; env?: Record<string, string>; redirect?: string } = {},
): Terminal {
  const child = spawn(
    'python3',
    [
      ...['-c', TERMINAL, '/bin/sh', '-c', `exec "$@" ${redirect}`, 'sh'],
      ...[process.execPath, '--import', import.meta.resolve('tsx')],
      ...callOf(root, args),
    ],
    {
      cwd: root,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...process.env,
        CI: undefined,
        NO_COLOR: undefined,
        FORCE_COLOR: undefined,
        COLUMNS: undefined,
        TERM: 'xterm-256color',
        COLUMNS_OF_TERMINAL: String(columns),
        ...env,
        SOURCE_DATABASE_URL: pair.sourceUrl,
        TARGET_DATABASE_URL: pair.targetUrl,
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  const ended = new Promise<Awaited<Terminal['ended']>>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done({ code, output, screen: screenOf(output) }));
  });
  return {
    pid: child.pid,
    screen: () => screenOf(output),
    shows: async (text) => {
      await waitFor(`the terminal shows ${text}`, () =>
        Promise.resolve(output.includes(text) ? [{}] : []),
      );
    },
    type: (text) => child.stdin.write(text),
    ended,
  };
}

/** What is typed comes from its input, what the terminal shows goes to its output. */
const TERMINAL = `
import fcntl, os, pty, select, signal, struct, sys, termios
signal.alarm(120)
pid, terminal = pty.fork()
if pid == 0:
    size = struct.pack('HHHH', 50, int(os.environ.pop('COLUMNS_OF_TERMINAL')), 0, 0)
    fcntl.ioctl(1, termios.TIOCSWINSZ, size)
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    ready, _, _ = select.select([terminal, 0], [], [])
    if 0 in ready:
        os.write(terminal, os.read(0, 1024))
    if terminal not in ready:
        continue
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if part == b'':
        break
    os.write(1, part)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

const ESC = '\u001b';
/** Escape sequences, line ends, text between them. */
const PARTS = new RegExp(`${ESC}\\[\\d*[A-Za-z]|\\r|\\n|[^${ESC}\\r\\n]+|[^]`, 'g');

/**
 * The screen after everything that a program has written: what moves is where it stands last. Colours are
 * written as `‹32›`. Only what the runner sends is understood; anything else stays to be seen.
 */
export function screenOf(output: string): string {
  const lines = [''];
  let row = 0;
  for (const [part] of output.matchAll(PARTS)) {
    const line = lines[row] ?? '';
    if (part === '\n') {
      row += 1;
      lines[row] ??= '';
    } else if (/\[\d+A$/.test(part)) row -= Number(part.slice(2, -1));
    else if (part === '\u001b[J') lines.splice(row, lines.length, '');
    else if (part === '\u001b[2J') lines.fill('');
    else if (part === '\u001b[H') row = 0;
    else if (/\[\d+m$/.test(part)) lines[row] = `${line}‹${part.slice(2, -1)}›`;
    else if (part !== '\r') lines[row] = line + part;
  }
  return lines.join('\n');
}
