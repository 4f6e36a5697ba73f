import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Files of a project by their path in it. */
export type Files = Map<string, string>;

const FOLDER = fileURLToPath(new URL('./', import.meta.url));

/** The files every project begins with. */
export function projectFiles(): Files {
  return templates('project');
}

/** An entity of made-up tables with its case: for a project that knows no database yet. */
export function exampleFiles(): Files {
  return templates('example');
}

/** `sql/settings.json`. */
export function settingsText(
  schemas: readonly string[],
  secrets: Record<string, string[]>,
): string {
  const settings = {
    sourceSchema: schemas.length > 1 ? schemas : (schemas[0] ?? 'public'),
    secrets,
    functions: [],
    mappings: null,
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

/** The files that are there already, sorted: they are never overwritten. */
export function present(directory: string, files: Files): string[] {
  return [...files.keys()].filter((file) => existsSync(join(directory, file))).toSorted();
}

/** Writes files that are not there. */
export function writeFiles(directory: string, files: Files): void {
  for (const [file, text] of files) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), text, { flag: 'wx' });
  }
}

/** `dot-` stands for the dot of names that a packer would take for its own. */
function templates(name: string): Files {
  const folder = join(FOLDER, name);
  return new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => statSync(join(folder, path)).isFile())
      .toSorted()
      .map((path) => {
        const file = path.replaceAll('\\', '/').replaceAll(/(^|\/)dot-/g, '$1.');
        return [file, readFileSync(join(folder, path), 'utf8')] as const;
      }),
  );
}
