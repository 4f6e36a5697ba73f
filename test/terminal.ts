/* A runner at a pseudo-terminal of its own: Node makes none, python3 does. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'uvu';
import { type Databases, waitFor } from './runner.ts';

/** A runner at a terminal of its own. */
export interface Terminal {
  /** Waits until the terminal shows this. */
  shows(text: string): Promise<void>;
  type(text: string): void;
  ended: Promise<{ code: number | null; output: string }>;
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

/** Starts `runner <args>` of a project. */
export function atWork(pair: Databases, { root }: { root: string }, args: string[]): Terminal {
  const child = spawn(
    'python3',
    [
      ...['-c', TERMINAL, process.execPath, '--import', import.meta.resolve('tsx')],
      ...[join(root, 'runner/index.ts'), ...args],
    ],
    {
      cwd: root,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...process.env,
        SOURCE_DATABASE_URL: pair.sourceUrl,
        TARGET_DATABASE_URL: pair.targetUrl,
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  const ended = new Promise<{ code: number | null; output: string }>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done({ code, output }));
  });
  return {
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
import os, pty, select, signal, sys
signal.alarm(60)
pid, terminal = pty.fork()
if pid == 0:
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
