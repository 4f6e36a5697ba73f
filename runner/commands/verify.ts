import type { Problem } from '../engine/text.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { throughLink, transaction } from '../database.ts';
import { install, installed } from '../engine/ledger.ts';
import { login } from '../engine/link.ts';
import { prepareReading } from '../engine/prepare.ts';
import { Interrupted } from '../engine/run.ts';
import { note, problems, say, sayJson, table, words } from '../terminal/terminal.ts';
import { differences, type EntityFindings, verifyAll } from '../engine/verify.ts';

export const verify: Command = {
  name: 'verify',
  summary: 'every row of every view against the target; exit 1 on any difference',
  usage: 'verify [entity...]',
  options: {
    'show-data': { text: 'print the values that differ, not only the names of the columns' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const names = context.positionals;
  const known = [...entities, ...catalog.archive].map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new UsageError(`there is no entity ${unknown.join(', ')}`);
  const { source } = await context.config();
  const session = await context.session('runner verify');
  context.interrupt.cancel = () => {
    session.cancel();
  };
  if ((await installed(session, catalog)) === undefined) {
    note('nothing is migrated yet');
    return 1;
  }
  await login(session, source);
  let wrong: Problem[] = [];
  let found: EntityFindings[] = [];
  const body = async () => {
    await install(session, catalog, (make) => make());
    wrong = await prepareReading(session, { catalog, source });
    if (wrong.length > 0) return;
    found = await verifyAll(session, catalog, {
      names,
      showData: context.has('show-data'),
      checkpoint: () => {
        if (context.interrupt.requested) throw new Interrupted('interrupted');
      },
    });
  };
  await throughLink(source, () => transaction(session, body, { commit: false, lockTimeout: '1s' }));
  if (wrong.length > 0) {
    if (context.has('json')) sayJson({ problems: wrong });
    else problems(wrong, (file) => entities.find((entity) => entity.file === file)?.text);
    return 1;
  }
  if (found.length === 0) {
    note('nothing is migrated yet');
    return 1;
  }
  const total = found.reduce((sum, each) => sum + differences(each), 0);
  if (context.has('json')) sayJson({ differences: total, entities: found });
  else show(found, total);
  return total === 0 ? 0 : 1;
}

function show(found: EntityFindings[], total: number): void {
  const bad = found.filter((each) => differences(each) > 0);
  if (bad.length > 0) {
    table(
      ['entity', 'rows', 'missing', 'surplus', 'differs', 'changed', 'duplicate'],
      bad.map(({ entity, compared, counts }) => [
        entity,
        compared,
        counts.missing ?? 0,
        counts.surplus ?? 0,
        counts.differs ?? 0,
        counts.changed ?? 0,
        counts.duplicate ?? 0,
      ]),
    );
    say();
    for (const { rows } of bad) {
      for (const { entity, legacyKey, kind, columns, values } of rows.slice(0, 20)) {
        const which = values.length > 0 ? values.join('; ') : columns.join(', ');
        say(`${entity} ${legacyKey}  ${kind}${which === '' ? '' : `  ${which}`}`);
      }
      if (rows.length > 20) say(words.dim(`  and more; --json lists up to 200 per entity`));
    }
    say();
    say(
      'missing: not in the target · surplus: mapped, but no row to store any more · differs: the source',
    );
    say(
      'or the file says something else now (`up` brings it) · changed: the target was changed since',
    );
  }
  const rows = found.reduce((sum, { compared }) => sum + compared, 0);
  const verdict = `${rows.toLocaleString('en-US')} rows of ${found.length} entities compared, ${total} differences`;
  say(total === 0 ? words.good(verdict) : words.bad(verdict));
}
