import { openSecret } from '../archive.ts';
import type { ArchiveTable } from '../catalog.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import type { Endpoint } from '../config.ts';
import { type Session, throughLink, transaction } from '../database.ts';
import { installedHash } from '../ledger.ts';
import { login, openLink, pointLink } from '../link.ts';
import { HASH_METHOD, quoted, type Shape } from '../render.ts';
import { readShapes } from '../preflight.ts';
import { Interrupted } from '../run.ts';
import { note, say, sayJson, table, words } from '../terminal.ts';
import { differences, type EntityFindings, verifyArchive, verifyEntity } from '../verify.ts';

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
  const { source } = await context.config();
  const session = await context.session('runner verify');
  context.interrupt.cancel = () => {
    session.cancel();
  };
  if ((await installedHash(session)) === undefined) {
    note('nothing is migrated yet');
    return 1;
  }
  await login(session, source);
  const found = await throughLink(source, () =>
    transaction(session, () => verifyAll(context, session, source), {
      commit: false,
      lockTimeout: '1s',
    }),
  );
  if (found.length === 0) {
    note('nothing is migrated yet');
    return 1;
  }
  const total = found.reduce((sum, each) => sum + differences(each), 0);
  if (context.has('json')) sayJson({ differences: total, entities: found });
  else show(found, total);
  return total === 0 ? 0 : 1;
}

async function verifyAll(
  context: Context,
  session: Session,
  source: Endpoint,
): Promise<EntityFindings[]> {
  const catalog = context.catalog();
  const wanted = context.positionals;
  const done = new Set(
    (
      await session.query<{ entity: string }>(
        `select entity from migration.entities where status <> 'new'`,
      )
    ).map(({ entity }) => entity),
  );
  await refuseOtherHashes(session);
  const shapes = await readShapes(session, catalog);
  const known = [...shapes.keys(), ...catalog.archive.map(({ name }) => name)];
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new UsageError(`there is no entity ${unknown.join(', ')}`);
  const isWanted = (name: string) => (wanted.length === 0 ? done.has(name) : wanted.includes(name));
  const archive = catalog.archive.filter(({ name }) => isWanted(name));

  await pointLink(session, source);
  await openLink(session);
  const sources = new Map<ArchiveTable, string>();
  for (const each of archive) {
    sources.set(
      each,
      each.secret === null ? `legacy.${quoted(each.source)}` : await openSecret(session, each),
    );
  }
  await session.query('set transaction read only');
  const found: EntityFindings[] = [];
  for (const [name, shape] of shapes) {
    if (isWanted(name)) found.push(await verifyOne(context, session, shape));
  }
  for (const [each, from] of sources) found.push(await verifyArchive(session, each, from));
  return found;
}

/** Hashes of another method say nothing; a ledger of an older release has no column for it. */
async function refuseOtherHashes(session: Session): Promise<void> {
  const others = await session.query(
    `select from migration.ranges as r
     where coalesce(to_jsonb(r) ->> 'method', '1') <> '${HASH_METHOD}' limit 1`,
  );
  if (others.length === 0) return;
  throw new Error(
    'the rows were written by another release, which compared them in another way; ' +
      'run `runner up` first: it compares everything once',
  );
}

function verifyOne(context: Context, session: Session, shape: Shape): Promise<EntityFindings> {
  return verifyEntity(session, shape, {
    showData: context.has('show-data'),
    checkpoint: () => {
      if (context.interrupt.requested) throw new Interrupted('interrupted');
    },
  });
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
