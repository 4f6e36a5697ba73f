import {
  type Catalog,
  definedEntities,
  functionsHash,
  type Phase,
  targetSchemas,
} from './catalog.ts';
import { hashOf, type Problem } from './text.ts';
import { runArchive } from './archive.ts';
import { readChecks } from './checks.ts';
import { whoAmI, type Config, type Endpoint } from '../config.ts';
import {
  batch,
  connect,
  ConnectionLost,
  CouldNotConnect,
  failureOf,
  type Session,
  transaction,
} from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { type Diagnosis, examinePooler, examineTarget } from './doctor.ts';
import type { Happening } from './events.ts';
import { type Keeper, keepLock } from './lock.ts';
import * as ledger from './ledger.ts';
import { awaitLink, CLOSE_LINK, closeLink, login } from './link.ts';
import type { RunContext } from './entity.ts';
import { inOne, runPhase } from './phase.ts';
import { nameOf, trackRun } from './progress.ts';
import { type Prepared, prepare } from './prepare.ts';
import { type ConflictPolicy, HASH_METHOD } from './render.ts';
import { literal } from '../quote.ts';

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
  /** Clear secrets of the source that stand in tables of the application. */
  clearSecrets?: boolean;
  /** Rows read and written at once; default 60,000. */
  pieceRows?: number;
  /** Applies pending additive schema changes; returns their names. */
  applySchema: (session: Session) => Promise<string[]>;
  /** Makes them in a transaction that will be rolled back: for a dry run. */
  previewSchema?: (session: Session) => Promise<void>;
  /** Called when the sums of the source are taken; throws where that is not what was approved. */
  approve?: (session: Session) => Promise<void>;
  /** What happens, in its order. */
  report: (event: Happening) => void;
  /** What a person should know; `check`: which check before the first write says it. */
  remark: (line: string, check?: string) => void;
  /** Called when the run is done, with the session that did it; of a dry run, before it is undone. */
  conclude?: (session: Session, run: number) => Promise<void>;
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
  readonly problems: Problem[];
  constructor(problems: Problem[]) {
    super(
      `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'} found before the first ` +
        'write; no row was changed',
    );
    this.problems = problems;
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
  const command = commandOf(options);
  const keeper = await keepLock(
    config.target,
    (error) => {
      lost = error;
      stop(error);
    },
    nameOf(command, undefined),
  );
  const told = tellKeeper(keeper, command, options);
  interrupt.cancel = () => {
    for (const session of sessions) session.cancel();
  };
  const checkpoint = () => {
    if (lost !== undefined) throw lost;
    keeper.check();
    if (interrupt.requested) throw new Interrupted('interrupted');
  };
  try {
    return await Promise.race([silence, runWith(told, sessions, checkpoint)]);
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

/** The keeper's name says how far the run is, to whoever looks at the sessions of the target. */
function tellKeeper(keeper: Keeper, command: string, options: UpOptions): UpOptions {
  const tracker = trackRun();
  keeper.says(() => nameOf(command, tracker.standing()));
  return {
    ...options,
    report: (event) => {
      tracker.hear(event);
      options.report(event);
    },
  };
}

function commandOf({ retry, dryRun }: UpOptions): string {
  return retry ? 'retry' : dryRun ? 'up --dry-run' : 'up';
}

async function runWith(
  options: UpOptions,
  sessions: Session[],
  checkpoint: () => void,
): Promise<number> {
  const { config, catalog } = options;
  const session = await connect(config.target, 'runner');
  sessions.push(session);
  refuseIfNotReady(await examineTarget(session, targetSchemas(catalog)));
  // once per way to the target: it takes two more connections
  const installed = await ledger.installed(session, catalog);
  if (installed?.way !== wayTo(config.target)) {
    refuseIfNotReady([await examinePooler(config.target)]);
  }
  const body = () => prepareAndRun(options, sessions as [Session, ...Session[]], checkpoint);
  if (!options.dryRun) {
    await ledger.install(session, catalog, undefined, installed);
    for (const file of await options.applySchema(session)) {
      options.report({ type: 'schema.applied', file });
    }
    const done = await body();
    await options.conclude?.(session, done);
    return done;
  }
  let run = 0;
  await transaction(
    session,
    async () => {
      await ledger.install(session, catalog, (make) => make());
      await options.previewSchema?.(session);
      run = await body();
      await options.conclude?.(session, run);
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
  const run = await ledger.startRun(
    session,
    commandOf(options),
    {
      phases: [...options.phases.map(({ name }) => name), ...(options.archive ? ['archive'] : [])],
      way: wayTo(config.target),
      // whom `status` names
      ...whoAmI(),
      ...runOptions(options),
    },
    !dryRun,
  );
  try {
    await login(session, config.source);
    const { entities, archive, unproven } = await throughLink(config.source, () =>
      prepareRun(options, session, run),
    );
    checkpoint();
    const checks = readChecks(options.root, 'checks');
    const chosen = new Set(options.phases.map(({ name }) => name));
    const planned = [
      ...entities.filter(({ phase }) => chosen.has(phase)),
      ...(options.archive ? archive : []),
    ];
    const sum = (key: 'row_count' | 'source_rows') =>
      planned.reduce((total, plan) => total + plan[key], 0);
    options.report({
      type: 'run.started',
      run,
      command: commandOf(options),
      target: config.target.host,
      dryRun,
      phases: new Set(planned.map(({ phase }) => phase)).size,
      entities: planned.length,
      rows: sum('row_count'),
      sourceRows: sum('source_rows'),
    });
    const context: RunContext = {
      run,
      catalog,
      plans: new Map([...entities, ...archive].map((plan) => [plan.entity, plan])),
      unproven: new Set(unproven),
      grown: new Set(),
      dryRun,
      sessions,
      checks: checks.filter(({ severity }) => severity === 'error'),
      defined: definedEntities(catalog),
      remark: options.remark,
      report: options.report,
      checkpoint,
      cancel: () => {
        for (const each of sessions) each.cancel();
      },
    };
    if (options.clearSecrets === true) await clearSecrets(context);
    await hireWorkers(options, context);
    for (const phase of options.phases) await runPhase(context, phase);
    if (options.archive && archive.some(({ open }) => open)) {
      await runArchive(context, catalog.archive);
    }
    const remarks = checks
      .filter(({ verdict }) => verdict !== null)
      .map(({ name, text, verdict }) => ({ name, text, says: verdict }));
    const ends = [
      'select migration.enter_idle()',
      `select migration.enter_findings(${run}, ${literal(JSON.stringify(remarks))})`,
      `select migration.finish_run(${run}, 'done')`,
    ];
    await (dryRun ? session.batch(ends) : batch(session, ends));
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

/** Of every source column that has a private copy in the archive: in one transaction, before the phases. */
async function clearSecrets(context: RunContext): Promise<void> {
  const secrets = context.catalog.archive.filter(({ secret }) => secret !== null);
  await inOne(context, async (session) => {
    await awaitLink(session);
    for (const { source, secret } of secrets) {
      const [row] = await session.query<{ cleared: Record<string, number> }>(
        'select migration.clear_leaked_secrets($1, $2) as cleared',
        [source, secret],
      );
      for (const [place, rows] of Object.entries(row?.cleared ?? {})) {
        context.remark(`${rows} leaked secrets cleared in ${place}`);
      }
    }
    await closeLink(session);
    return [];
  });
}

/** Further sessions, where chunks are committed one by one and reads and writes can overlap. */
async function hireWorkers(options: UpOptions, { plans, sessions }: RunContext): Promise<void> {
  const { config, dryRun, jobs, phases } = options;
  const several = phases.some(
    ({ entities }) =>
      entities.some(({ commitBatch }) => commitBatch) &&
      entities.some(({ name }) => (plans.get(name)?.chunks ?? 0) > 0),
  );
  if (!several || dryRun) return;
  for (let number = sessions.length + 1; number <= jobs; number += 1) {
    const worker = await connect(config.target, `runner worker ${number}`);
    sessions.push(worker);
    await login(worker, config.source);
  }
}

/** Link, views, functions, findings and plan: one transaction. Throws NotReady, PreflightFailed. */
async function prepareRun(options: UpOptions, session: Session, run: number): Promise<Prepared> {
  const body = async (): Promise<Prepared> => {
    const prepared = await prepare(session, {
      ...options,
      source: options.config.source,
      run,
      refuse: refuseIfNotReady,
    });
    if (prepared.problems.length > 0) throw new PreflightFailed(prepared.problems);
    await options.approve?.(session);
    return prepared;
  };
  if (!options.dryRun) {
    return transaction(session, body, {
      first: [`select migration.hold_lease(${run})`],
      last: [CLOSE_LINK],
    });
  }
  const prepared = await body();
  await closeLink(session);
  return prepared;
}

/** One word for the way to a database: what was found out about it holds as long as it is the same. */
function wayTo({ host, port, database, user }: Endpoint): string {
  return hashOf([host, port, database, user].join('\n')).slice(0, 32);
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
