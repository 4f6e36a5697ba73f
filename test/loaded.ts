/*
 * Processes that have loaded the runner: one that is idle carries out a command. Under run.ts they serve all
 * test files.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Answered, Asked } from './runner-child.ts';

/** How a command ended: exit code (null after a signal) and output. */
type Carried = { code: number | null; stdout: string; stderr: string };

const HOME = fileURLToPath(new URL('..', import.meta.url));

/** These have carried out a command and wait for the next one; no more of them. */
const idle: ChildProcess[] = [];
const IDLE = 4;

/** Has an idle process carry out a command; it is killed when nobody waits for that any more. */
export async function carryOut(asked: Asked, abandoned?: AbortSignal): Promise<Carried> {
  const child = idle.pop() ?? forkRunner();
  const kill = (): void => void child.kill('SIGKILL');
  abandoned?.addEventListener('abort', kill);
  child.ref();
  child.channel?.ref();
  const output: string[] = [];
  const hear = (chunk: Buffer): void => void output.push(chunk.toString());
  child.stderr?.on('data', hear);
  const ended = new Promise<Answered | { code: number | null }>((done) => {
    child.once('message', (answered: Answered) => done(answered));
    child.once('close', (code) => done({ code }));
  });
  child.send(asked);
  const end = await ended;
  child.removeAllListeners('message');
  child.removeAllListeners('close');
  child.stderr?.off('data', hear);
  abandoned?.removeEventListener('abort', kill);
  if (!('spoiled' in end)) return { code: end.code, stdout: '', stderr: output.join('') };
  const { spoiled, ...said } = end;
  if (spoiled || idle.length >= IDLE) {
    child.kill('SIGKILL');
    return said;
  }
  child.unref();
  child.channel?.unref();
  idle.push(child);
  return said;
}

function forkRunner(): ChildProcess {
  const child = fork(fileURLToPath(new URL('runner-child.ts', import.meta.url)), [], {
    cwd: HOME,
    execArgv: ['--import', import.meta.resolve('tsx')],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  (child.stderr as Socket | null)?.unref();
  return child;
}
