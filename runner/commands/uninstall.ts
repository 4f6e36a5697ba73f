import { writeFileSync } from 'node:fs';

import { type Command, type Context } from '../command.ts';
import { agreed, notAgreed } from '../consent.ts';
import { transaction } from '../database.ts';
import { keepLock } from '../keeper.ts';
import { installedHash } from '../ledger.ts';
import { complain, say, sayJson } from '../terminal.ts';

export const uninstall: Command = {
  name: 'uninstall',
  summary: 'writes the audit trail to a file, then removes link, views, id maps and ledger',
  usage: 'uninstall',
  options: {
    audit: { text: 'file for the audit trail (default: audit.jsonl)', value: 'file' },
    yes: { text: 'do not ask; needed where there is no terminal' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const { target } = await context.config();
  const keeper = await keepLock(target, () => {});
  context.onEnd(() => keeper.release());
  const session = await context.session('runner uninstall');
  if ((await installedHash(session)) === undefined) {
    say('nothing is installed');
    return 0;
  }
  const [removal] = await session.query<{ begun: boolean }>(
    `select exists (
       select from migration.schema_change_hashes where folder = 'removal') as begun`,
  );
  if (removal?.begun === true) {
    complain(
      'the column removal has begun and its backups are in schema migration; nothing was changed\n' +
        'take it back with `runner schema down --folder removal` first, or keep the ledger',
    );
    return 1;
  }
  const answer = await agreed(
    context,
    'after this, incremental runs and `down` are no longer possible. Remove?',
  );
  if (answer === undefined) {
    if (context.has('json')) sayJson({ verdict: 'not agreed' });
    throw notAgreed();
  }
  if (!answer) {
    say('nothing was changed');
    return 0;
  }
  const file = context.value('audit') ?? 'audit.jsonl';
  const events = await session.query<{ line: string }>(
    'select to_json(e)::text as line from migration.events as e order by e.event',
  );
  writeFileSync(file, events.map(({ line }) => `${line}\n`).join(''), { mode: 0o600 });
  await transaction(session, async () => {
    await session.query('drop server if exists legacy_source cascade');
    for (const schema of ['transform', 'legacy', 'legacy_versions', 'ids', 'migration']) {
      await session.query(`drop schema if exists ${schema} cascade`);
    }
  });
  if (context.has('json')) {
    sayJson({ verdict: 'done', events: events.length, audit: file });
    return 0;
  }
  say(`${events.length} events written to ${file}; link, views, id maps and ledger are removed`);
  say('the migrated rows and schema legacy_archive stay; a later `up` would adopt the rows');
  return 0;
}
