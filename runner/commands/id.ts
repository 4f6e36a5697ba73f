import { type Command, type Context, Refused, UsageError } from './command.ts';
import { isThere, type Session, transaction } from '../database.ts';
import { install, installed } from '../engine/ledger.ts';
import { quoted } from '../quote.ts';
import { note, say, sayJson } from '../terminal/terminal.ts';

export const id: Command = {
  options: {
    csv: { text: 'print all pairs of an entity: legacy_id,id', value: 'entity' },
  },
  run: runCommand,
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Pairs of ids asked for at once. */
const PAGE = 20_000;

async function runCommand(context: Context): Promise<number> {
  const asked = askedFor(context);
  const catalog = context.catalog();
  const session = await context.session('runner id');
  if ((await installed(session, catalog)) === undefined) {
    throw new Refused('nothing is migrated yet');
  }
  return transaction(
    session,
    async () => {
      await install(session, catalog, (make) => make());
      return asked(session);
    },
    { commit: false },
  );
}

/** What the words of the call ask for. Throws UsageError. */
function askedFor(context: Context): (session: Session) => Promise<number> {
  const [first, ...given] = context.positionals;
  const csv = context.value('csv');
  if (csv !== undefined) {
    if (first !== undefined) throw new UsageError('--csv is for a whole entity');
    known(context, csv);
    return (session) => printAll(session, csv);
  }
  if (first !== undefined && given.length === 0 && UUID.test(first)) {
    return (session) => showOrigin(context, session, first.toLowerCase());
  }
  if (first === undefined || given.length === 0) {
    throw new UsageError('say an entity and a key (of several columns: each), or a new id');
  }
  known(context, first);
  return (session) => showRow(context, session, first, given);
}

function known(context: Context, name: string): void {
  const all = context.catalog().phases.flatMap((phase) => phase.entities);
  if (all.some((entity) => entity.name === name)) return;
  throw new UsageError(`there is no entity ${name}`);
}

/** A row of `migration.what_became`. */
interface Row {
  /** null where the view gives it and the row is not known. */
  id: string | null;
  target: string | null;
  state: 'stored' | 'rejected' | 'left out' | 'gone' | 'unknown';
  reason: string | null;
  adopted: boolean | null;
  run: number | null;
  is_there: boolean;
}

async function showRow(
  context: Context,
  session: Session,
  entity: string,
  given: string[],
): Promise<number> {
  if (!(await isThere(session, `ids.${quoted(entity)}`))) {
    throw new Refused(`${entity} is not migrated yet`);
  }
  const [asked] = await session.query<{ key: number | null; columns: string[] }>(
    'select * from migration.given_key($1, $2)',
    [entity, given],
  );
  const key = asked?.key ?? null;
  if (key === null) {
    const columns = asked?.columns.join(' ') ?? 'id';
    throw new UsageError(`${given.join(' ')} is no key of ${entity}: say ${columns}`);
  }
  const [row] = await session.query<Row>('select * from migration.what_became($1, $2)', [
    entity,
    key,
  ]);
  if (row === undefined) return 1;
  if (context.has('json')) sayJson({ entity, key, ...row });
  else {
    const has = row.state === 'stored' || row.state === 'gone';
    const uuid = row.id ?? 'the id of its source row';
    say(`${entity} ${given.join(' ')}  ${has ? '→' : 'would be'}  ${uuid}  ${row.target ?? ''}`);
    say(`  ${sentenceOf(row)}`);
  }
  return row.state === 'unknown' ? 1 : 0;
}

function sentenceOf({ state, reason, adopted, run, is_there: there }: Row): string {
  if (state === 'unknown')
    return 'the ledger knows no such source row: is the key right, is it new?';
  if (state === 'rejected') return `rejected: ${reason ?? ''}, last in run ${run ?? ''}`;
  if (state === 'left out') return `left out on purpose: ${reason ?? ''}`;
  const is = there ? 'the row is there' : 'the row is not there any more';
  if (state === 'gone') {
    return `gone: its source row is ${reason ?? ''}, seen by run ${run ?? ''}; ${is}`;
  }
  const how = adopted === true ? 'recognised, it was there before us' : 'stored';
  return `${how}, last by run ${run ?? ''}; ${is}`;
}

async function showOrigin(context: Context, session: Session, uuid: string): Promise<number> {
  const rows = await session.query<{ entity: string; legacy_id: number }>(
    'select * from migration.legacy_id($1)',
    [uuid],
  );
  if (context.has('json')) {
    sayJson({ id: uuid, rows: rows.map(({ entity, legacy_id: key }) => ({ entity, key })) });
  } else if (rows.length === 0) note(`no source row became ${uuid}`);
  const all = context.catalog().phases.flatMap((phase) => phase.entities);
  for (const { entity, legacy_id: key } of context.has('json') ? [] : rows) {
    const found = all.find(({ name }) => name === entity);
    const source = found === undefined ? '' : `  ${found.source ?? 'no source'}`;
    say(`${uuid}  ←  ${entity} ${key}${source}`);
  }
  return rows.length === 0 ? 1 : 0;
}

async function printAll(session: Session, entity: string): Promise<number> {
  if (!(await isThere(session, `ids.${quoted(entity)}`))) {
    throw new Refused(`${entity} is not migrated yet`);
  }
  say('legacy_id,id');
  let behind = -(2 ** 53);
  for (;;) {
    const page = await session.query<{ legacy_id: number; id: string }>(
      'select * from migration.id_page($1, $2, $3)',
      [entity, behind, PAGE],
    );
    const last = page.at(-1);
    if (last === undefined) return 0;
    say(page.map((row) => `${row.legacy_id},${row.id}`).join('\n'));
    behind = last.legacy_id;
  }
}
