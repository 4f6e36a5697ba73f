import type { Phase } from './catalog.ts';
import type { Entity } from './entity-file.ts';
import { mergeByChunks } from './chunks.ts';
import {
  again,
  type Begin,
  type Done,
  hasWork,
  mergeTogether,
  type RunContext,
  settling,
  takeTogether,
} from './entity.ts';
import { addCounts } from './events.ts';
import { type Checked, checkPhase, ending, LawBroken } from './phase-checks.ts';
import { blamedOn } from '../conditions.ts';
import { beginning, ConnectionLost, failureOf, type Session, transaction } from '../database.ts';
import { holdLease } from './ledger.ts';
import { AWAIT_LINK, CLOSE_LINK } from './link.ts';
import { bound } from '../quote.ts';

/** A phase that did not come out right; the message says what, the rest what is true now. */
export class PhaseFailed extends Error {
  override readonly name = 'PhaseFailed';
  readonly phase: string;
  readonly entity: string | undefined;
  /** True where ranges were committed before the failure. */
  readonly committed: boolean;
  constructor(
    phase: string,
    entity: string | undefined,
    message: string,
    committed: boolean,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.phase = phase;
    this.entity = entity;
    this.committed = committed;
  }
}

/**
 * Runs a phase: in one transaction, or chunk by chunk where an entity says `commit batch`. Entities
 * without work are not called. After an error that time may heal (lock, deadlock, serialization) it
 * is tried again, reading included. Throws PhaseFailed; the failed attempt is in the ledger then,
 * unless it is a dry run.
 */
export async function runPhase(context: RunContext, phase: Phase): Promise<void> {
  if (!phase.entities.some((entity) => hasWork(context, entity))) return;
  const byChunk = !context.dryRun && phase.entities.some(({ commitBatch }) => commitBatch);
  await attemptPhase(context, phase, byChunk, (begin) =>
    byChunk
      ? runByChunks(context, phase, begin)
      : inOne(context, (session) => runWhole(context, session, phase, begin)),
  );
}

/**
 * Runs a phase, or the archive. A law or a statement that fails is entered in the ledger, in a
 * transaction of its own, unless it is a dry run: what is blamed is open again. Throws PhaseFailed.
 */
export async function attemptPhase(
  context: RunContext,
  checked: Checked,
  committed: boolean,
  body: (begin: Begin) => Promise<Done[]>,
): Promise<void> {
  const { name: phase, entities } = checked;
  const plans = entities.flatMap(({ name }) => context.plans.get(name) ?? []);
  const rows = plans.reduce((sum, plan) => sum + plan.row_count, 0);
  const open = plans.filter((plan) => plan.open).length;
  const started = Date.now();
  context.report({ type: 'phase.started', phase, entities: open, rows });
  try {
    const all = await tryPhase(context, checked, committed, body);
    const done = new Map(all.map((each) => [each.entity, each]));
    context.report({
      type: context.dryRun ? 'phase.rehearsed' : 'phase.committed',
      phase,
      entities: done.size,
      of: entities.length,
      counts: addCounts([...done.values()].map(({ counts }) => counts)),
      ms: Date.now() - started,
    });
  } catch (error) {
    // of a COMMIT that was sent nothing is known
    if (!(error instanceof ConnectionLost)) {
      context.report({
        type: committed ? 'phase.failed' : 'phase.rolledback',
        phase,
        entity: error instanceof PhaseFailed ? (error.entity ?? null) : null,
        message: error instanceof Error ? error.message : String(error),
        ms: Date.now() - started,
      });
    }
    throw error;
  }
}

async function tryPhase(
  context: RunContext,
  { name, entities }: Checked,
  committed: boolean,
  body: (begin: Begin) => Promise<Done[]>,
): Promise<Done[]> {
  let at: string | undefined;
  let started = new Date();
  const begin = (entity?: string) => {
    if (at === entity) return;
    at = entity;
    started = new Date();
  };
  try {
    return await body(begin);
  } catch (error) {
    const failure = failureOf(error);
    if (!(error instanceof LawBroken) && failure === undefined) throw error;
    context.checkpoint();
    const said = error instanceof Error ? error.message : String(error);
    // the laws of the engine name what they are about, the server does not
    const named = failure?.code.startsWith('MIG') ?? true;
    const file = entities.find((entity) => entity.name === at)?.file;
    const message = named || failure === undefined ? said : blamedOn(at, file, failure.code, said);
    const blamed = at === undefined ? entities.map((entity) => entity.name) : [at];
    if (!context.dryRun) {
      await noteFailure(context, { blamed, started, message, refused: failure?.refused });
    }
    throw new PhaseFailed(name, at, message, committed, error);
  }
}

/** One transaction of the run, tried again where time may heal; part of the one of a dry run. */
export async function inOne(
  context: RunContext,
  body: (session: Session) => Promise<Done[]>,
): Promise<Done[]> {
  const [session] = context.sessions;
  const lease = `select migration.hold_lease(${context.run})`;
  const done = await again(context, async () => {
    if (!context.dryRun) return transaction(session, () => body(session), { first: [lease] });
    await session.query(lease);
    return body(session);
  });
  for (const each of done) context.report(each);
  return done;
}

/** `refused`: the rows it failed for, as the engine says them; they fell with the transaction. */
async function noteFailure(
  { run, sessions: [session] }: RunContext,
  what: { blamed: string[]; started: Date; message: string; refused: string | undefined },
): Promise<void> {
  const { blamed, started, message, refused } = what;
  await transaction(session, async () => {
    await holdLease(session, run);
    await session.query('select migration.fail_entities($1, $2, $3)', [
      blamed,
      started.toISOString(),
      message,
    ]);
    if (refused === undefined) return;
    await session.query('select migration.keep_refused($1, $2::text::jsonb)', [blamed, refused]);
  });
}

/** All entities in one message, and a second one where only new ids tell whether one has work. */
async function runWhole(
  context: RunContext,
  session: Session,
  phase: Phase,
  begin: Begin,
): Promise<Done[]> {
  const done: Done[] = [];
  const unproven = context.unproven.has(phase.name);
  let refused: Entity[] = [];
  const merge = async (entities: Entity[], retrying: boolean): Promise<void> => {
    if (entities.length === 0) return;
    context.checkpoint();
    const how = { complete: true, retrying, begin };
    const merged = await mergeTogether(context, entities, how, async (calls, listener) => {
      const before = [patience(context, entities), AWAIT_LINK];
      const after = [settling(entities.map(nameOf)), refusing(phase), CLOSE_LINK];
      const rows = await session.batch([...before, ...calls, ...after], listener);
      refused = refusedIn(rows, phase);
      return rows;
    });
    done.push(...merged);
  };
  const left = [...phase.entities];
  while (left.length > 0) await merge(takeTogether(context, left), false);
  await merge(refused, true);
  context.checkpoint();
  begin();
  await checkPhase(context, session, phase, done, unproven);
  return done;
}

function nameOf({ name }: Entity): string {
  return name;
}

/** A statement that merges chunk by chunk has the time of so many. */
function patience({ plans }: RunContext, entities: readonly Entity[]): string {
  const chunks = entities.map(({ name }) => plans.get(name)?.chunks ?? 1);
  return `set local statement_timeout = '${30 * Math.min(1000, Math.max(1, ...chunks))}min'`;
}

/** What is large chunk by chunk; the checks look at what is written, and it is complete if they pass. */
async function runByChunks(context: RunContext, phase: Phase, begin: Begin): Promise<Done[]> {
  const [session] = context.sessions;
  const unproven = context.unproven.has(phase.name);
  const done = await mergeByChunks(context, phase.entities, { unproven, retrying: false, begin });
  const refused = refusedIn(await session.batch([refusing(phase)]), phase);
  if (refused.length > 0) {
    done.push(...(await mergeByChunks(context, refused, { unproven, retrying: true, begin })));
  }
  context.checkpoint();
  begin();
  const names = phase.entities.map(nameOf);
  const lease = `select migration.hold_lease(${context.run})`;
  const settled = [AWAIT_LINK, settling(done.map(({ entity }) => entity)), CLOSE_LINK];
  const check = () => checkPhase(context, session, phase, done, unproven, context.sessions[1]);
  await again(context, () =>
    transaction(session, check, {
      // two transactions: what has been read stays where a check finds something
      first: [lease, ...settled, 'commit', ...beginning('10s'), lease, ending(phase.name)],
      last: [bound('select migration.complete_entities($1)', [names])],
    }),
  );
  return done;
}

/** Asks for entities whose rows may be taken now that all others of the phase are there. */
function refusing({ name }: Phase): string {
  return bound('select * from migration.refused_entities($1)', [name]);
}

/** Those among the rows of several calls. */
function refusedIn(rows: Record<string, unknown>[], { entities }: Phase): Entity[] {
  return entities.filter(({ name }) => rows.some((row) => row['refused'] === name));
}
