import { type Catalog, sourceTables, targetSchemas, targetTables } from '../engine/catalog.ts';
import { type Command, type Context } from './command.ts';
import type { Config } from '../config.ts';
import {
  CouldNotConnect,
  failureOf,
  savepoint,
  type Session,
  throughLink,
  transaction,
} from '../database.ts';
import {
  type Diagnosis,
  examinePooler,
  examineReferences,
  examineSource,
  examineTarget,
  unreachable,
} from '../engine/doctor.ts';
import { install } from '../engine/ledger.ts';
import { buildLink, login } from '../engine/link.ts';
import { say, sayJson, words } from '../terminal/terminal.ts';

export const doctor: Command = {
  options: {},
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const list = await examine(context);
  list.push({
    what: 'write-ahead log',
    state: 'warning',
    found: 'the user mapping of a reading transaction is in the WAL and its archives',
    fix: 'use a reader account made for the migration, and drop it afterwards',
  });
  if (context.has('json')) sayJson({ findings: list });
  else {
    for (const { what, state, found, fix } of list) {
      const mark = { ok: words.good('ok'), warning: 'note', error: words.bad('ERROR') }[state];
      say(`${mark.padEnd(6)} ${what}: ${found}`);
      if (fix !== '') say(`       fix: ${fix}`);
    }
  }
  return list.some(({ state }) => state === 'error') ? 1 : 0;
}

/** A connection that cannot be made comes first, and what lies behind it is not looked at. */
async function examine(context: Context): Promise<Diagnosis[]> {
  const catalog = context.catalog();
  const config = await context.config();
  const list: Diagnosis[] = [];
  try {
    const session = await context.session('runner doctor');
    list.push(...(await examineTarget(session, targetSchemas(catalog))));
    list.push(await examinePooler(config.target));
    if (list.every(({ state }) => state !== 'error')) {
      list.push(...(await reachSource(session, catalog, config)));
    }
  } catch (error) {
    if (!(error instanceof CouldNotConnect)) throw error;
    list.unshift(unreachable(error));
  }
  return list;
}

/** Builds the link in a transaction that is rolled back, and looks through it. */
async function reachSource(
  session: Session,
  catalog: Catalog,
  config: Config,
): Promise<Diagnosis[]> {
  await login(session, config.source);
  return transaction(
    session,
    async () => {
      try {
        const body = async () => {
          await install(session, catalog, (make) => make());
          const tables = sourceTables(catalog);
          const missing = await buildLink(session, config.source, tables, catalog.settings.secrets);
          const found = await examineSource(session, tables);
          found.push(await examineReferences(session, targetTables(catalog)));
          found.push({
            what: 'source tables',
            state: missing.length === 0 ? 'ok' : 'error',
            found: missing.length === 0 ? `${tables.length}` : `not there: ${missing.join(', ')}`,
            fix: missing.length === 0 ? '' : 'restore them, or take them out of the files',
          });
          return found;
        };
        return await throughLink(config.source, () => savepoint(session, body));
      } catch (error) {
        const failure = failureOf(error);
        if (failure === undefined) throw error;
        const fix = failure.hint ?? 'settle what the message says; `up` would fail with it too';
        return [{ what: 'link', state: 'error' as const, found: failure.message, fix }];
      }
    },
    { commit: false },
  );
}
