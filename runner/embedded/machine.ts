import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from './binaries.ts';

/* What the machine is asked: processes, files that are locks, free ports. */

/** Whether a process with that number runs; one that ended and was not waited for does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!hasCode(error, 'EPERM')) return false;
  }
  return commandLine(pid) !== '';
}

/** Undefined where the system does not tell, empty when the process has ended. */
export function commandLine(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EACCES')) return undefined;
    if (hasCode(error, 'ESRCH')) return '';
    throw error;
  }
}

/** Runs `work` while this process alone holds the lock; a lock whose holder is gone is taken over. */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  while (!tryLock(file)) await sleep(100);
  const beat = setInterval(() => utimesSync(file, new Date(), new Date()), 1000);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    rmSync(file, { force: true });
  }
}

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
  // The holder writes its number and touches the file every second. Its number alone proves
  // nothing: in another container it belongs to somebody else.
  const touched = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
  const holder = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const dead = holder !== '' && !isAlive(Number(holder));
  if (dead || Date.now() - touched > 15_000) rmSync(file, { force: true });
  return false;
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
