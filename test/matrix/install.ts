/* Releases of PostgreSQL that are no part of the project, fetched when they are asked for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { hasBinaries } from '../../runner/embedded/binaries.ts';
import { withLock } from '../../runner/embedded/machine.ts';
import { CACHE, folderOf, type Major, packageOf } from '../../runner/embedded/releases.ts';

/**
 * Installs the binaries of a release into `.embedded/releases`, unless they are there: by npm, from
 * wherever it installs from, without running scripts. package.json stays as it is. Throws when there
 * is no such package for this platform.
 */
export async function installRelease(major: Major): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  await withLock(join(CACHE, `${major}.lock`), async () => {
    if (hasBinaries(major)) return;
    const { name, version } = packageOf(major);
    const folder = folderOf(major);
    const partial = `${folder}.partial`;
    for (const old of [partial, folder]) rmSync(old, { recursive: true, force: true });
    mkdirSync(partial);
    const said = await npmInstall(partial, `${name}@${version}`);
    if (said !== undefined) {
      rmSync(partial, { recursive: true, force: true });
      throw new Error(`${name}@${version} cannot be installed: ${said}`);
    }
    renameSync(partial, folder);
  });
}

/** What npm said, where it failed. */
async function npmInstall(folder: string, what: string): Promise<string | undefined> {
  const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = spawn('npm', ['install', '--prefix', folder, '--ignore-scripts', ...quiet, what], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32',
  });
  let said = '';
  npm.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(npm, 'close')) as [number | null];
  return code === 0 ? undefined : said.trim().split('\n').slice(0, 3).join(' ');
}
