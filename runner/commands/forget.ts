import type { Catalog } from '../engine/catalog.ts';
import { type Command, type Context, Refused, UsageError } from './command.ts';
import { agreed, notAgreed } from './consent.ts';
import { transaction } from '../database.ts';
import { keepLock } from '../engine/lock.ts';
import { finishRun, holdLease, install, installed, startRun } from '../engine/ledger.ts';
import { type Stray, strayEntities } from '../engine/strays.ts';
import { LOG, recorded } from './record.ts';
import { say, sayJson } from '../terminal/terminal.ts';

export const forget: Command = {
  options: { yes: { text: 'do not ask; needed where there is no terminal' }, log: LOG },
  run: (context) => recorded(context, 'forget', () => runCommand(context)),
};

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const [name, ...more] = context.positionals;
  if (name === undefined || more.length > 0) throw new UsageError('say one entity');
  const { target } = await context.config();
  const keeper = await keepLock(target, () => {}, 'runner forget');
  context.onEnd(() => keeper.release());
  const session = await context.session('runner forget');
  if ((await installed(session, catalog)) === undefined) {
    if (context.has('json')) sayJson({ verdict: 'nothing', entity: name });
    else say('nothing is migrated: there is nothing to forget');
    return 0;
  }
  await install(session, catalog);
  const stray = (await strayEntities(session, catalog)).find(({ entity }) => entity === name);
  const reason = stray === undefined ? notStray(catalog, name) : unsafe(catalog, stray);
  if (reason !== undefined) throw reason;
  const question = `after this \`down\` cannot take the rows of ${name} back. Forget it?`;
  const answer = await agreed(context, question);
  if (answer === undefined) throw notAgreed({ entity: name });
  if (!answer) {
    say('nothing was changed');
    return 0;
  }
  const was = await transaction(session, async () => {
    const run = await startRun(session, `forget ${name}`, {});
    await holdLease(session, run);
    const [row] = await session.query<{ was: { target: string; rows: number } }>(
      'select migration.forget_entity($1) as was',
      [name],
    );
    await finishRun(session, run, 'done');
    return row?.was;
  });
  if (context.has('json')) sayJson({ verdict: 'done', entity: name, ...was });
  else say(`${name} is forgotten; its ${was?.rows} rows stay in ${was?.target}`);
  return 0;
}

/** Why there is nothing to forget. */
function notStray({ phases, archive, problems }: Catalog, name: string): Refused {
  if (problems.length > 0) {
    return new Refused(
      'a file of sql/ cannot be read; nothing was changed',
      '`runner check --static` says which',
    );
  }
  const defined = [...phases.flatMap(({ entities }) => entities), ...archive].find(
    (entity) => entity.name === name,
  );
  return defined === undefined
    ? new Refused(`the ledger has no rows of an entity ${name}; nothing was changed`)
    : new Refused(
        `${name} is as ${defined.file} says; nothing was changed`,
        `\`runner down ${defined.phase}\` takes its phase back`,
      );
}

/** Why it must not be forgotten now: what `up` would do next. */
function unsafe({ phases }: Catalog, { entity, phase, defined, renamed }: Stray) {
  if (renamed !== null) {
    return new Refused(
      `${renamed} has the source and the target of ${entity}: after this \`up\` would bring every row ` +
        `a second time; nothing was changed`,
      `name the file as before, or take the rows back: \`runner down ${phase}\``,
    );
  }
  const readers = phases
    .flatMap(({ entities }) => entities)
    .filter(({ idMaps }) => !defined && idMaps.includes(entity));
  if (readers.length === 0) return undefined;
  return new Refused(
    `${readers.map(({ file }) => file).join(', ')} read ids.${entity}: after this their rows would lose ` +
      'what they refer to; nothing was changed',
    'put the file back, or take it out of these first',
  );
}
