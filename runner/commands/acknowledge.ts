import { definedEntities } from '../engine/catalog.ts';
import { type Check, readChecks, runChecks } from '../engine/checks.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { install, installed } from '../engine/ledger.ts';
import { login, pointLink } from '../engine/link.ts';
import { keepLock } from '../engine/lock.ts';
import { LOG, recorded } from './record.ts';
import { say, sayJson } from '../terminal/terminal.ts';

export const acknowledge: Command = {
  options: {
    reason: { text: 'why it is right as it is; kept in the ledger, shown by check', value: 'text' },
    log: LOG,
  },
  run: (context) => recorded(context, 'acknowledge', () => runCommand(context)),
};

/** All findings, not only the first. */
const ALL = 2 ** 31 - 1;
/** Of them are shown. */
const SHOWN = 20;

async function runCommand(context: Context): Promise<number> {
  const checks = readChecks(context.root, 'checks');
  const [name, ...more] = context.positionals;
  const check = checks.find((known) => known.name === name);
  if (check === undefined || more.length > 0) {
    throw new UsageError(`say one check: ${checks.map((known) => known.name).join(', ')}`);
  }
  const reason = context.value('reason')?.trim() ?? '';
  if (reason === '') throw new UsageError('say why it is right as it is: --reason "..."');
  const { source, target } = await context.config();
  const keeper = await keepLock(target, () => {}, 'runner acknowledge');
  context.onEnd(() => keeper.release());
  const session = await context.session('runner acknowledge');
  const catalog = context.catalog();
  let found: string[] = [];
  if ((await installed(session, catalog)) !== undefined) {
    await install(session, catalog);
    await login(session, source);
    found = await throughLink(source, () =>
      transaction(
        session,
        async () => {
          await pointLink(session, source);
          return findingsOf(
            check,
            await runChecks(session, [check], definedEntities(catalog), '', ALL),
          );
        },
        { commit: false, lockTimeout: '1s' },
      ),
    );
  }
  if (found.length > 0) {
    await transaction(session, () =>
      session.query('select migration.acknowledge($1, $2, $3)', [check.name, found, reason]),
    );
  }
  if (context.has('json')) sayJson({ check: name, reason, acknowledged: found });
  else if (found.length === 0) say(`${name} finds nothing that is not acknowledged`);
  else {
    say(`${found.length} findings of ${name} are acknowledged:`);
    for (const line of found.slice(0, SHOWN)) say(`  ${line}`);
    if (found.length > SHOWN) say(`  and ${found.length - SHOWN} more`);
  }
  return 0;
}

/** Throws where the check could not be run: that is nothing to accept. */
function findingsOf(check: Check, [result]: Awaited<ReturnType<typeof runChecks>>): string[] {
  const { problem } = result ?? {};
  if (problem === undefined) return result?.sample ?? [];
  throw new Error(
    `${check.file}:${problem.line} could not be run: ${problem.message}; nothing was acknowledged`,
  );
}
