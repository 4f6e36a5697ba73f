import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { countRows, type Place } from './place.ts';

/** Whether the program is there. */
export function hasPgcopydb(): boolean {
  return spawnSync('pgcopydb', ['version']).status === 0;
}

/** Seconds to copy these source tables as they are, keys and indexes included. */
export async function runPgcopydb(place: Place, tables: string[], jobs: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-pgcopydb-'));
  const filters = join(directory, 'filters.ini');
  const only = tables.map((table) => `public.${table}`).join('\n');
  writeFileSync(filters, `[include-only-table]\n${only}\n`);
  const began = performance.now();
  try {
    await clone([
      ...['clone', '--no-owner', '--no-acl', '--filters', filters],
      ...['--dir', join(directory, 'work'), '--table-jobs', jobs, '--index-jobs', jobs],
      ...['--source', place.sourceAdminUrl, '--target', place.targetAdminUrl],
    ]);
    const seconds = (performance.now() - began) / 1000;
    await assertSame(place, tables);
    return seconds;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function clone(args: string[]): Promise<void> {
  // when it fails it ends its whole process group: that must not be ours
  const child = spawn('pgcopydb', args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`pgcopydb: exit ${code}: ${stderr.slice(-2000)}`);
}

async function assertSame(place: Place, tables: string[]): Promise<void> {
  const names = tables.map((table) => `public.${table}`);
  const there = await countRows(place.sourceAdminUrl, names);
  const here = await countRows(place.targetAdminUrl, names);
  const differing = names.filter((name) => there.get(name) !== here.get(name));
  if (differing.length > 0) throw new Error(`pgcopydb left rows out of ${differing.join(', ')}`);
}
