import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '../../runner/embedded/server.ts';

/** The most memory a process ever had, in MB; 0 where it is gone or the system does not tell. */
export function peakMemory(pid: number): number {
  return megabytes(pid, /VmHWM:\s+(\d+)/);
}

/** What the largest process of these servers has for itself, in MB: no shared buffers. */
export function largestBackend(servers: Server[]): number {
  const masters = servers.map(({ directory }) =>
    Number(readFileSync(join(directory, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]),
  );
  const backends = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => masters.includes(parentOf(pid)));
  return Math.max(0, ...backends.map((pid) => megabytes(pid, /RssAnon:\s+(\d+)/)));
}

function megabytes(pid: number, pattern: RegExp): number {
  try {
    const found = pattern.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Math.round(Number(found?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}

function parentOf(pid: number): number {
  try {
    return Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}
