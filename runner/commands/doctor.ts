import { type Catalog, targetSchemas, targetTables } from '../engine/catalog.ts';
import { readAccepted, reasonOf } from '../engine/accepted.ts';
import { type Command, type Context } from './command.ts';
import type { Config } from '../config.ts';
import { CouldNotConnect, failureOf, savepoint, type Session, transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import {
  type Diagnosis,
  examinePooler,
  examineReferences,
  examineSource,
  examineTables,
  examineTarget,
  isAnotherSource,
  unreachable,
} from '../engine/doctor.ts';
import { install, OtherEdition } from '../engine/ledger.ts';
import { buildLink, login, linkBasis } from '../engine/link.ts';
import { examineFromHere, examineLink, examineSurroundings } from '../engine/surroundings.ts';
import { wrap } from '../terminal/text.ts';
import { say, sayJson, words } from '../terminal/terminal.ts';

export const doctor: Command = {
  options: {
    all: { text: 'notes that were accepted (checks/accepted.txt) as well' },
  },
  run: runCommand,
};

/** A finding, and why it is no note any more. */
type Judged = Diagnosis & { accepted?: string };

async function runCommand(context: Context): Promise<number> {
  const found = await examine(context);
  found.push({
    what: 'write-ahead log',
    state: 'warning',
    found: 'the user mapping of a reading transaction is in the WAL and its archives',
    fix: 'use a reader account made for the migration, and drop it afterwards',
  });
  const accepted = readAccepted(context.root);
  const list = found.map((each): Judged => {
    if (each.state !== 'warning') return each;
    const reason = reasonOf(accepted, 'doctor', `${each.what}: ${each.found}`);
    return reason === undefined ? each : { ...each, accepted: reason };
  });
  const errors = list.filter(({ state }) => state === 'error').length;
  if (context.has('json')) sayJson({ verdict: verdictOf(list), findings: list });
  else {
    for (const each of list) show(each, context.has('all'));
    const verdict = verdictOf(list);
    say(errors > 0 ? words.bad(verdict) : words.good(verdict));
  }
  return errors > 0 ? 1 : 0;
}

const MARKS = { ok: 'ok', warning: 'note', error: 'ERROR' };

function show({ what, state, found, fix, accepted }: Judged, all: boolean): void {
  if (accepted !== undefined && !all) return;
  // measured without the codes of its colour
  const mark = MARKS[state].padEnd(6);
  const painted = { ok: words.good(mark), warning: mark, error: words.bad(mark) }[state];
  const lines = wrap(`${what}: ${found}`, 73);
  say(`${painted} ${lines[0] ?? ''}`);
  for (const line of lines.slice(1)) say(`       ${line}`);
  if (accepted !== undefined)
    for (const line of wrap(`accepted: ${accepted}`, 73)) say(`       ${line}`);
  else if (fix !== '') for (const line of wrap(`fix: ${fix}`, 73)) say(`       ${line}`);
}

/** `14 ok, 2 notes, 0 errors: ready` */
function verdictOf(list: Judged[]): string {
  const count = (of: (each: Judged) => boolean) => list.filter(of).length;
  const silent = count(({ accepted }) => accepted !== undefined);
  const notes = count(({ state, accepted }) => state === 'warning' && accepted === undefined);
  const errors = count(({ state }) => state === 'error');
  const parts = [
    `${count(({ state }) => state === 'ok')} ok`,
    `${notes} ${notes === 1 ? 'note' : 'notes'}`,
    ...(silent === 0 ? [] : [`${silent} accepted`]),
    `${errors} ${errors === 1 ? 'error' : 'errors'}`,
  ];
  return `${parts.join(', ')}: ${errors === 0 ? 'ready' : 'not ready, `up` would stop'}`;
}

/** A connection that cannot be made comes first; the other side is looked at all the same. */
async function examine(context: Context): Promise<Diagnosis[]> {
  const catalog = context.catalog();
  const config = await context.config();
  const list: Diagnosis[] = [];
  let through = false;
  try {
    const session = await context.session('runner doctor');
    list.push(...(await examineTarget(session, targetSchemas(catalog))));
    list.push(await examinePooler(config.target));
    list.push(...(await examineSurroundings(session, config.target, targetTables(catalog))));
    if (list.every(({ state }) => state !== 'error')) {
      list.push(...(await reachSource(session, catalog, config)));
      through = true;
    }
  } catch (error) {
    if (!(error instanceof CouldNotConnect)) throw error;
    list.unshift(unreachable(error));
    through = error.side === 'source';
  }
  if (!through) list.push(await examineFromHere(config.source));
  return list;
}

/** Builds the link in a transaction that is rolled back, and looks through it. */
async function reachSource(
  session: Session,
  catalog: Catalog,
  config: Config,
): Promise<Diagnosis[]> {
  const basis = linkBasis(catalog);
  const { tables } = basis;
  let step = 'ledger';
  const body = async () => {
    await install(session, catalog, (make) => make());
    step = 'link';
    const missing = await buildLink(session, config.source, basis);
    if (isAnotherSource(missing, tables)) return [examineTables(missing, tables, config.source)];
    step = 'source';
    const found = await examineSource(session, tables);
    found.push(...(await examineLink(session, config.source, tables)));
    step = 'foreign keys';
    found.push(await examineReferences(session, targetTables(catalog)));
    found.push(examineTables(missing, tables, config.source));
    return found;
  };
  await login(session, config.source);
  return transaction(
    session,
    async () => {
      try {
        return await throughLink(config.source, () => savepoint(session, body));
      } catch (error) {
        return [stoppedBy(step, error)];
      }
    },
    { commit: false },
  );
}

/** What keeps the doctor from looking on is a finding; of what it was doing. */
function stoppedBy(what: string, error: unknown): Diagnosis {
  const failure = failureOf(error);
  if (failure !== undefined) {
    const fix = failure.hint ?? 'settle what the message says; `up` would fail with it too';
    return { what, state: 'error', found: `${failure.message} (SQLSTATE ${failure.code})`, fix };
  }
  if (!(error instanceof OtherEdition)) throw error;
  const [found = '', ...fix] = error.message.split('\n');
  return { what, state: 'error', found, fix: fix.join(' ') };
}
