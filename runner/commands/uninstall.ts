import { writeFileSync } from 'node:fs';

import { type Command, type Context, Refused } from './command.ts';
import { agreed, notAgreed } from './consent.ts';
import { transaction } from '../database.ts';
import { keepLock } from '../engine/lock.ts';
import { consult, installed, lendFunctions } from '../engine/ledger.ts';
import { say, sayJson } from '../terminal/terminal.ts';
import { LOG, recorded } from './record.ts';

export const uninstall: Command = {
  options: {
    audit: { text: 'file for the audit trail (default: audit.jsonl)', value: 'file' },
    yes: { text: 'do not ask; needed where there is no terminal' },
    log: LOG,
  },
  run: (context) => recorded(context, 'uninstall', () => runCommand(context)),
};

async function runCommand(context: Context): Promise<number> {
  const { target } = await context.config();
  const keeper = await keepLock(target, () => {}, 'runner uninstall');
  context.onEnd(() => keeper.release());
  const session = await context.session('runner uninstall');
  const catalog = context.catalog();
  const removal = await consult(session, catalog, () =>
    session.query<{ begun: boolean }>('select migration.removal_has_begun() as begun'),
  );
  if (removal === undefined) {
    if (context.has('json')) sayJson({ verdict: 'nothing' });
    else say('nothing is installed');
    return 0;
  }
  if (removal[0]?.begun === true) {
    throw new Refused(
      'the column removal has begun and its backups are in schema migration; nothing was changed',
      'take it back with `runner schema down --folder removal` first, or keep the ledger',
    );
  }
  const answer = await agreed(
    context,
    'after this, incremental runs and `down` are no longer possible. Remove?',
  );
  if (answer === undefined) throw notAgreed({});
  if (!answer) {
    say('nothing was changed');
    return 0;
  }
  const file = context.value('audit') ?? 'audit.jsonl';
  const events = await transaction(session, async () => {
    await lendFunctions(session, catalog, await installed(session, catalog));
    const lines = await session.query<{ line: string }>('select line from migration.audit_lines()');
    writeFileSync(file, lines.map(({ line }) => `${line}\n`).join(''), { mode: 0o600 });
    await session.query('select migration.uninstall()');
    return lines;
  });
  if (context.has('json')) {
    sayJson({ verdict: 'done', events: events.length, audit: file });
    return 0;
  }
  say(`${events.length} events written to ${file}; link, views, id maps and ledger are removed`);
  say('the migrated rows and schema legacy_archive stay; a later `up` would adopt the rows');
  return 0;
}
