import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/* Two folders: the package, which holds the engine, and the project, which holds everything else. */

/** The root of the package: `runner/`, `sql/engine/`, `checks/engine/` and `package.json` lie in it. */
export const PACKAGE = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');

const ENGINE_FOLDER = /^(sql|checks)\/engine(\/|$)/;
const PHASE = /^[1-9]-[a-z][a-z0-9_]*$/;

/**
 * Where a file or folder is, named with forward slashes as messages name it: `sql/engine/…` and
 * `checks/engine/…` in the package, all else in the project.
 */
export function placeOf(root: string, name: string): string {
  return join(ENGINE_FOLDER.test(name) ? PACKAGE : root, name);
}

/**
 * The project directory: what `--project` names, or the package where that is a project itself, or the
 * current directory.
 */
export function projectOf(given: string | undefined): string {
  // the package's own path has no links in it either: the two are compared
  if (given !== undefined) return existsSync(given) ? realpathSync(given) : resolve(given);
  return isProject(PACKAGE) ? PACKAGE : process.cwd();
}

/** Whether a directory holds what a project has: settings, a phase or an archive in `sql/`. */
export function isProject(root: string): boolean {
  const folder = join(root, 'sql');
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some(
    (name) => name === 'settings.json' || name === 'archive' || PHASE.test(name),
  );
}

/** How a person at work in the current directory calls a directory. */
export function calledFrom(root: string): string {
  const path = relative(process.cwd(), root);
  return path === '' ? '.' : path.startsWith('..') ? root : path;
}
