/* Who makes a report, and with what. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { PACKAGE } from '../project.ts';
import type { Maker } from './facts.ts';

/** Version of the package, commit of the project where git knows one, user of the machine. */
export async function readMaker(root: string): Promise<Maker> {
  const text = readFileSync(join(PACKAGE, 'package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  const commit = await git(root, ['rev-parse', 'HEAD']);
  // what stands in other folders decides nothing
  const folders = ['runner', 'sql', 'checks', 'schema-changes'];
  const changes = await git(root, ['status', '--porcelain', '--', ...folders]);
  return {
    version,
    commit: commit?.trim() ?? null,
    dirty: commit === null || changes === null ? null : changes.trim() !== '',
    who: userName(),
  };
}

async function git(root: string, args: string[]): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', ['-C', root, ...args], { timeout: 10_000 });
    return stdout;
  } catch {
    return null;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}
