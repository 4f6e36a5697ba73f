import { type Command, type Context, Refused, UsageError } from './command.ts';
import { showAfter } from './context.ts';
import type { Endpoint } from '../config.ts';
import { agreed, notAgreed } from './consent.ts';
import { ConnectionLost, CouldNotConnect, type Session, tlsOf } from '../database.ts';
import { keepLock, RunnerBusy } from '../engine/lock.ts';
import { install, installed } from '../engine/ledger.ts';
import { LAST_PHASE, readRemoval, unfinishedEntities } from '../schema/removal.ts';
import { type CodeUse, findCodeUses } from '../schema/removal-code.ts';
import { Interrupted } from '../engine/run.ts';
import type { ApplyOptions, SchemaStatus } from '../schema/changes.ts';
import type { Connection } from '../schema/client.ts';
import { SchemaChangeError } from '../schema/error.ts';
import type { Folder } from '../schema/folder.ts';
import { showCode, showFiles, showRemoval } from '../schema/report.ts';
import { note, problems, say, sayJson } from '../terminal/terminal.ts';
import { LOG, recorded } from './record.ts';

export const schema: Command = {
  options: {
    folder: { text: 'additive (default) or removal; status shows both', value: 'folder' },
    to: { text: 'go to this file (removal: phase); 0 = none applied', value: 'n' },
    code: { text: 'removal: look for the columns in this application code', value: 'dir' },
    'accept-evidence': {
      text: 'removal, phase 4: drop in spite of writes or reads seen; goes to the audit trail',
      value: 'reason',
    },
    yes: { text: 'down: do not ask; needed where there is no terminal' },
    log: LOG,
  },
  run: (context) => recorded(context, 'schema', () => runCommand(context)),
};

async function runCommand(context: Context): Promise<number> {
  const [verb, ...more] = context.positionals;
  if ((verb !== 'up' && verb !== 'down' && verb !== 'status') || more.length > 0) {
    throw new UsageError('say up, down or status');
  }
  const folder = context.value('folder');
  if (folder !== undefined && !isFolder(folder)) {
    throw new UsageError('--folder takes additive or removal');
  }
  const reason = context.value('accept-evidence')?.trim();
  if (reason !== undefined && (folder !== 'removal' || verb !== 'up')) {
    throw new UsageError('--accept-evidence belongs to `schema up --folder removal`');
  }
  if (reason === '') throw new UsageError('--accept-evidence needs a reason');
  if (verb === 'status') return showStatus(context, folder);
  const { target } = await context.config();
  const keeper = await keepLock(target, () => {}, 'runner schema');
  context.onEnd(() => keeper.release());
  if (folder === 'removal' && verb === 'up') return removeColumns(context, reason);
  if (verb === 'up') return apply(context, folder ?? 'additive', verb, {});
  return takeBack(context, folder ?? 'additive');
}

/** Files taken back drop columns and tables, with what is in them. */
async function takeBack(context: Context, folder: Folder): Promise<number> {
  const { applied } = await readStatus(context, folder);
  const to = context.value('to');
  const first =
    to === undefined && folder === 'removal' ? applied.length - 1 : wholeNumber(to ?? '0');
  // more than one phase of the removal is refused, whoever agrees
  if (folder === 'removal' && first < applied.length - 1) return apply(context, folder, 'down', {});
  const files = applied
    .slice(Math.max(first, 0))
    .map(({ name }) => ({ name, direction: 'down' as const }))
    .toReversed();
  if (files.length > 0) {
    if (!context.has('json')) for (const { name } of files) say(`to be taken back: down  ${name}`);
    const answer = await agreed(context, 'take these schema changes back?');
    if (answer === undefined) throw notAgreed({ folder, direction: 'down', files });
    if (!answer) {
      say('nothing was changed');
      return 0;
    }
  }
  return apply(context, folder, 'down', {});
}

/** One phase of the removal, if nothing speaks against it. */
async function removeColumns(context: Context, reason: string | undefined): Promise<number> {
  const session = await context.session('runner schema');
  const catalog = context.catalog();
  if ((await installed(session, catalog)) === undefined) {
    throw new Refused(
      'nothing is migrated yet: the column removal comes after `up`; nothing was changed',
    );
  }
  const malformed = catalog.problems.filter(({ rule }) => rule === 'settings');
  if (malformed.length > 0) {
    problems(malformed, () => undefined);
    throw new Refused('the settings cannot be read; nothing was changed');
  }
  await install(session, catalog);
  const unfinished = await unfinishedEntities(session, catalog);
  if (unfinished.length > 0) {
    throw new Refused(
      `not complete: ${unfinished.join(', ')}; nothing was changed`,
      'they fill or read the tables of the columns: run `up` to its end first',
    );
  }
  const { applied } = await readStatus(context, 'removal');
  const phase = applied.length + 1;
  if (reason !== undefined && phase !== LAST_PHASE) {
    throw new UsageError(`--accept-evidence belongs to phase ${LAST_PHASE}; the next is ${phase}`);
  }
  const code = await codeUses(context, session);
  const blocking = code.filter(({ blocks }) => blocks);
  const wanted = Number(context.value('to') ?? phase);
  if (phase === LAST_PHASE && wanted >= phase && blocking.length > 0) {
    if (!context.has('json')) showCode(code);
    throw new Refused('the application still uses the columns; nothing was changed', '', {
      folder: 'removal',
      direction: 'up',
      files: [],
      code,
    });
  }
  if (!context.has('json')) showCode(code);
  return apply(context, 'removal', 'up', {
    afterBegin: async (client) => {
      await client.query(`select pg_catalog.set_config('migration.accepted_evidence', $1, true)`, [
        reason ?? '',
      ]);
    },
  });
}

async function apply(
  context: Context,
  folder: Folder,
  direction: 'up' | 'down',
  hooks: Pick<ApplyOptions, 'afterBegin'>,
): Promise<number> {
  const { target } = await context.config();
  const { applySchemaChanges } = await import('../schema/changes.ts');
  const to = context.value('to');
  const stop = () => {
    if (context.interrupt.requested) throw new Interrupted('interrupted');
  };
  let applied: { name: string; direction: 'up' | 'down' }[];
  try {
    applied = await applySchemaChanges({
      connection: connectionOf(target),
      root: context.root,
      folder,
      direction,
      ...(to === undefined ? {} : { to: wholeNumber(to) }),
      afterBegin: async (client) => {
        stop();
        await hooks.afterBegin?.(client);
      },
      onRetry: ({ attempt, wait, reason }) => {
        note(`attempt ${attempt}: ${reason} Again in ${wait} ms`);
        stop();
      },
      beforeCommit: async (client) => {
        stop();
        // the ledger comes with the first `up`
        const { rows } = await client.query<{ there: boolean }>(
          `select pg_catalog.to_regproc('migration.record_schema_change') is not null as there`,
        );
        if (rows[0]?.there !== true) return;
        await client.query('select migration.record_schema_change($1, $2)', [folder, direction]);
      },
    });
  } catch (error) {
    if (context.interrupt.requested && isUndone(error)) stop();
    throw translated(error);
  }
  if (context.has('json')) sayJson({ folder, direction, files: applied });
  else if (applied.length === 0) say(`${folder}: nothing to do`);
  else for (const { name, direction: way } of applied) say(`${way}  ${name}`);
  if (folder !== 'removal' || context.has('json')) return 0;
  return showAfter(
    context,
    'this is committed; `runner schema status` shows the rest',
    async () => {
      const session = await context.session('runner schema');
      showRemoval(await readRemoval(session), await readStatus(context, folder));
      return 0;
    },
  );
}

async function showStatus(context: Context, only: Folder | undefined): Promise<number> {
  const folders: Folder[] = only === undefined ? ['additive', 'removal'] : [only];
  const states: SchemaStatus[] = [];
  for (const folder of folders) states.push(await readStatus(context, folder));
  const session = await context.session('runner schema');
  const removal = folders.includes('removal') ? await readRemoval(session) : undefined;
  const code = await codeUses(context, session);
  if (context.has('json')) {
    const [first] = states;
    sayJson({
      ...(only === undefined ? {} : first),
      folders: states,
      ...(removal === undefined ? {} : { removal: { ...removal, code } }),
    });
  } else {
    for (const state of states) {
      showFiles(state);
      if (state.folder === 'removal') showRemoval(removal, state);
    }
    showCode(code);
  }
  return states.some(({ edited, missing }) => edited.length + missing.length > 0) ? 1 : 0;
}

async function codeUses(context: Context, session: Session): Promise<CodeUse[]> {
  const folder = context.value('code');
  const removal = folder === undefined ? undefined : await readRemoval(session);
  if (folder === undefined || removal === undefined) return [];
  try {
    return findCodeUses(folder, removal.columns);
  } catch {
    throw new UsageError(`--code: ${folder} cannot be read`);
  }
}

async function readStatus(context: Context, folder: Folder): Promise<SchemaStatus> {
  const { target } = await context.config();
  const { schemaStatus } = await import('../schema/changes.ts');
  try {
    return await schemaStatus({ connection: connectionOf(target), root: context.root, folder });
  } catch (error) {
    throw translated(error);
  }
}

/** False when something is, or may be, there in spite of the error. */
function isUndone(error: unknown): boolean {
  return !(error instanceof SchemaChangeError && /^(unknown|lost|unseen)$/.test(error.code));
}

/** The error whose exit code says the same. */
function translated(error: unknown): unknown {
  if (!(error instanceof SchemaChangeError)) return error;
  if (error.code === 'usage') return new UsageError(error.message);
  if (error.code === 'busy') return new RunnerBusy(error.message);
  if (error.refusal !== undefined) {
    return new CouldNotConnect('target', error.refusal, 'no schema change was made');
  }
  if (error.code === 'unknown') return new ConnectionLost(error.message);
  return error;
}

/** An endpoint in the form node-pg-migrate's driver takes. */
export function connectionOf(endpoint: Endpoint): Connection {
  return {
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    password: endpoint.password.reveal(),
    database: endpoint.database,
    ssl: tlsOf(endpoint),
  };
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError('--to takes a whole number');
  return Number(text);
}

function isFolder(word: string): word is Folder {
  return word === 'additive' || word === 'removal';
}
