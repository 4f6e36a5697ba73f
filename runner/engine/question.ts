import { readFileSync } from 'node:fs';

const FOLDER = new URL('../../sql/engine/questions/', import.meta.url);

/**
 * The text of `sql/engine/questions/<name>.sql`: for a target in which nothing may be installed yet,
 * so that it cannot be a function.
 */
export function question(name: string): string {
  return readFileSync(new URL(`${name}.sql`, FOLDER), 'utf8');
}

/** `sql/engine/templates/asked/<name>.sql`: rendered when a command asks for it, and never installed. */
export function askedTemplate(name: string): { file: string; text: string } {
  const file = `sql/engine/templates/asked/${name}.sql`;
  return { file, text: readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8') };
}
