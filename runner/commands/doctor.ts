import { type Catalog, sourceTables, targetSchemas } from '../catalog.ts';
import { type Command, type Context } from '../command.ts';
import type { Config } from '../config.ts';
import { failureOf, savepoint, type Session, transaction } from '../database.ts';
import { type Diagnosis, examinePooler, examineSource, examineTarget, reachOf } from '../doctor.ts';
import { install } from '../ledger.ts';
import { buildLink, login } from '../link.ts';
import { say, sayJson, words } from '../terminal.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'connections, versions, roles, rights, pooler, clocks, logging: each with its fix',
  usage: 'doctor',
  options: {},
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const config = await context.config();
  const session = await context.session('runner doctor');
  const list = [
    ...(await examineTarget(session, targetSchemas(catalog))),
    await examinePooler(config.target),
  ];
  if (list.every(({ state }) => state !== 'error')) {
    list.push(...(await reachSource(session, catalog, config)));
  }
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
        return await savepoint(session, async () => {
          await install(session, catalog, (make) => make());
          const tables = sourceTables(catalog);
          const { missing } = await buildLink(session, config.source, tables);
          const found = await examineSource(session, tables);
          found.push({
            what: 'source tables',
            state: missing.length === 0 ? 'ok' : 'error',
            found: missing.length === 0 ? `${tables.length}` : `not there: ${missing.join(', ')}`,
            fix: missing.length === 0 ? '' : 'restore them, or take them out of the files',
          });
          return found;
        });
      } catch (error) {
        const failure = failureOf(error);
        if (failure === undefined) throw error;
        return [
          { what: 'reach', state: 'error' as const, found: failure.message, fix: reachOf(config) },
        ];
      }
    },
    { commit: false },
  );
}
