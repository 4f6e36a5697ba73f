import {
  type Catalog,
  definedEntities,
  functionsHash,
  type Phase,
  type Problem,
  targetSchemas,
} from './catalog.ts';
import { runArchive } from './archive.ts';
import { readChecks } from './checks.ts';
import type { Config } from './config.ts';
import {
  connect,
  ConnectionLost,
  CouldNotConnect,
  failureOf,
  type Session,
  throughLink,
  transaction,
} from './database.ts';
import { type Diagnosis, examinePooler, examineTarget } from './doctor.ts';
import { keepLock } from './keeper.ts';
import * as ledger from './ledger.ts';
import { closeLink, login } from './link.ts';
import { type Progress, type RunContext, runPhase } from './phase.ts';
import { prepare } from './prepare.ts';
import { type ConflictPolicy, HASH_METHOD } from './render.ts';
import { previewChanges } from './schema-pending.ts';

/** What `up` is asked to do. */
export interface UpOptions {
  root: string;
  config: Config;
  catalog: Catalog;
  /** Phases to run; all when empty. */
  phases: Phase[];
  /** Copy the archive tables after the phases. */
  archive?: boolean;
  /** Read open rejects again, whatever the row versions say. */
  retry?: boolean;
  dryRun: boolean;
  full: boolean;
  jobs: number;
  policy: ConflictPolicy;
  removeMany: boolean;
  /** Rows read and written at once; default 60,000. */
  pieceRows?: number;
  /** Applies pending additive schema changes; returns their names. */
  applySchema: () => Promise<string[]>;
  report: (progress: Progress) => void;
  remark: (line: string) => void;
  interrupt: Interrupt;
}

/** Rows of a chunk: large enough that a commit and a round trip do not count. */
const CHUNK_ROWS = 60_000;

/** Set by a signal; `cancel` is called once, to stop what runs now. */
export interface Interrupt {
  requested: boolean;
  cancel: () => void;
}

/** The user stopped the run; what was not committed is rolled back. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The views do not fit source and target, or a check before the first write found an error. */
export class PreflightFailed extends Error {
  override readonly name = 'PreflightFailed';
  constructor(readonly problems: Problem[]) {
    super(
      `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'} found before the first ` +
        'write; no row was changed',
    );
  }
}

/** Source or target is not as it must be; found before anything was written. */
export class NotReady extends Error {
  override readonly name = 'NotReady';
  constructor(diagnoses: Diagnosis[]) {
    const lines = diagnoses.map(({ what, found, fix }) => `  ${what}: ${found}\n    fix: ${fix}`);
    super(`source or target is not ready; no row was changed\n${lines.join('\n')}`);
  }
}

function refuseIfNotReady(diagnoses: Diagnosis[]): void {
  const bad = diagnoses.filter(({ state }) => state === 'error');
  if (bad.length > 0) throw new NotReady(bad);
}

/**
 * Runs the phases. Returns the number of the run. Throws PreflightFailed, PhaseFailed, RunnerBusy,
 * Interrupted, ConnectionLost, CouldNotConnect (before the first row); the run is closed in the
 * ledger wherever that is still possible.
 */
export async function runUp(options: UpOptions): Promise<number> {
  const { config, interrupt } = options;
  const sessions: Session[] = [];
  let lost: ConnectionLost | undefined;
  let stop: (error: ConnectionLost) => void = () => {};
  // a frozen connection never answers: the run ends without waiting for it
  const silence = new Promise<never>((_, reject) => {
    stop = reject;
  });
  silence.catch(() => {});
  const keeper = await keepLock(config.target, (error) => {
    lost = error;
    stop(error);
  });
  interrupt.cancel = () => {
    for (const session of sessions) session.cancel();
  };
  const checkpoint = () => {
    if (lost !== undefined) throw lost;
    keeper.check();
    if (interrupt.requested) throw new Interrupted('interrupted');
  };
  try {
    return await Promise.race([silence, runWith(options, sessions, checkpoint)]);
  } catch (error) {
    if (lost !== undefined) throw lost;
    const refused = error instanceof CouldNotConnect ? error : undefined;
    const code = refused?.refusal.code ?? failureOf(error)?.code;
    if (interrupt.requested && code === '57014') throw new Interrupted('interrupted');
    if (refused === undefined) throw error;
    // every connection is made before the first phase
    throw new CouldNotConnect(refused.side, refused.refusal, 'no row was changed');
  } finally {
    await Promise.all(sessions.map((session) => session.close()));
    await keeper.release();
  }
}

async function runWith(
  options: UpOptions,
  sessions: Session[],
  checkpoint: () => void,
): Promise<number> {
  const { config, catalog } = options;
  const session = await connect(config.target, 'runner');
  sessions.push(session);
  refuseIfNotReady([
    ...(await examineTarget(session, targetSchemas(catalog))),
    await examinePooler(config.target),
  ]);
  const body = () => prepareAndRun(options, sessions as [Session, ...Session[]], checkpoint);
  if (!options.dryRun) {
    await ledger.install(session, catalog);
    for (const name of await options.applySchema()) options.remark(`schema change ${name}`);
    return body();
  }
  let run = 0;
  await transaction(
    session,
    async () => {
      await ledger.install(session, catalog, (make) => make());
      await previewChanges(session, options.root);
      run = await body();
    },
    { commit: false },
  );
  return run;
}

async function prepareAndRun(
  options: UpOptions,
  sessions: [Session, ...Session[]],
  checkpoint: () => void,
): Promise<number> {
  const { catalog, config, dryRun } = options;
  const [session] = sessions;
  const inOwn = dryRun
    ? <T>(body: () => Promise<T>) => body()
    : <T>(body: () => Promise<T>) => transaction(session, body);
  const run = await inOwn(() =>
    ledger.startRun(session, options.retry ? 'retry' : dryRun ? 'up --dry-run' : 'up', {
      phases: [...options.phases.map(({ name }) => name), ...(options.archive ? ['archive'] : [])],
      ...runOptions(options),
    }),
  );
  try {
    await login(session, config.source);
    const plans = await throughLink(config.source, () =>
      inOwn(() => prepareRun(options, session, run)),
    );
    checkpoint();
    const context: RunContext = {
      run,
      catalog,
      plans: new Map(plans.map((plan) => [plan.entity, plan])),
      grown: new Set(),
      full: options.full,
      dryRun,
      sessions,
      checks: readChecks(options.root, 'checks').filter(({ severity }) => severity === 'error'),
      defined: definedEntities(catalog),
      remark: options.remark,
      report: options.report,
      checkpoint,
    };
    await hireWorkers(options, sessions);
    for (const phase of options.phases) await runPhase(context, phase);
    if (options.archive) await runArchive(context, catalog.archive);
    await inOwn(async () => {
      await session.query('select migration.enter_idle()');
      await ledger.finishRun(session, run, 'done');
    });
    return run;
  } catch (error) {
    if (dryRun || error instanceof ConnectionLost) throw error;
    const stopped = options.interrupt.requested;
    const message = error instanceof Error ? error.message : String(error);
    await transaction(session, () =>
      ledger.finishRun(session, run, stopped ? 'interrupted' : 'failed', message),
    ).catch(() => {});
    throw error;
  }
}

/** Further sessions, where phases commit range by range and reads and writes can overlap. */
async function hireWorkers(options: UpOptions, sessions: Session[]): Promise<void> {
  const { config, dryRun, jobs, phases } = options;
  const byRange = phases.some(({ entities }) => entities.some((entity) => entity.commitBatch));
  if (!byRange || dryRun) return;
  for (let number = sessions.length + 1; number <= jobs; number += 1) {
    const worker = await connect(config.target, `runner worker ${number}`);
    sessions.push(worker);
    await login(worker, config.source);
  }
}

/** Link, views, functions, findings and plan: one transaction. Throws NotReady, PreflightFailed. */
async function prepareRun(options: UpOptions, session: Session, run: number) {
  await ledger.holdLease(session, run);
  const { problems, entities } = await prepare(session, {
    ...options,
    source: options.config.source,
    run,
    refuse: refuseIfNotReady,
  });
  if (problems.length > 0) throw new PreflightFailed(problems);
  await closeLink(session);
  return entities;
}

/** What the engine in the target has to know of a run. */
export function runOptions(
  options: Pick<UpOptions, 'catalog' | 'config' | 'full' | 'jobs' | 'policy' | 'removeMany'> &
    Partial<Pick<UpOptions, 'retry' | 'pieceRows'>>,
): Record<string, unknown> {
  return {
    full: options.full,
    jobs: options.jobs,
    onConflict: options.policy,
    retry: options.retry ?? false,
    removeMany: options.removeMany,
    chunkRows: options.pieceRows ?? CHUNK_ROWS,
    tolerance: options.config.rejectTolerance,
    functionsHash: functionsHash(options.catalog),
    hashMethod: HASH_METHOD,
  };
}
