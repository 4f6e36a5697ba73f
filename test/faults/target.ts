/* A source with sample rows and, for each fault, a new target; and the end of every fault test. */
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import type { Major } from '../../runner/embedded/releases.ts';
import { liveRows, migrate, type MigrateOptions } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { changeSchema, type Databases, type Dump, open, sameDump } from '../runner.ts';
import { noTraces } from './invariants.ts';

/** The source all tests of a file share. */
export interface Shared {
  pair: TestPair;
  source: Sql;
  /** Rows of a migration of the source without a fault, by number of phases. */
  expected(phases: number): Promise<Dump>;
  /** Has to be called when the source changed. */
  forget(): void;
  drop(): Promise<void>;
}

/** A target of one test's own. */
export interface Stage extends Databases {
  targetAdminUrl: string;
  source: Sql;
  /** As the superuser. */
  target: Sql;
  /** As the role that migrates, as the application does. */
  application: Sql;
  /**
   * A plain re-run; then all rows are those of a run without a fault, the ledger holds and no
   * session, login or lock is left.
   */
  settles(what: string, options?: MigrateOptions): Promise<void>;
}

/** Makes the source; `change` fits it to the tests before the first migration. */
export async function share(
  name: string,
  {
    sourceMajor,
    change = () => Promise.resolve(),
  }: {
    sourceMajor?: Major;
    change?: (source: Sql) => Promise<unknown>;
  } = {},
): Promise<Shared> {
  const pair = await testPair({
    name,
    source: 'sample',
    ...(sourceMajor === undefined ? {} : { sourceMajor }),
  });
  const source = open(pair.sourceAdminUrl);
  await change(source);
  const expected = new Map<number, Promise<Dump>>();
  const shared: Shared = {
    pair,
    source,
    expected: (phases) => {
      const known =
        expected.get(phases) ??
        onStage(shared, async (stage) => {
          await migrate(stage, { phases });
          return liveRows(stage.target);
        });
      expected.set(phases, known);
      return known;
    },
    forget: () => expected.clear(),
    drop: async () => {
      await source.end();
      await pair.drop();
    },
  };
  return shared;
}

/** Gives `test` a target with the schema changes and no rows, and drops it afterwards. */
export async function onStage<T>(shared: Shared, test: (stage: Stage) => Promise<T>): Promise<T> {
  const { pair, source } = shared;
  const own = await testPair({ name: 'stage', source: 'empty', target: 'schema' });
  const urls = { sourceUrl: pair.sourceUrl, targetUrl: own.targetUrl };
  await changeSchema(urls);
  const target = open(own.targetAdminUrl);
  const application = open(own.targetUrl);
  const stage: Stage = {
    ...urls,
    targetAdminUrl: own.targetAdminUrl,
    source,
    target,
    application,
    settles: async (what, options = {}) => {
      const { phases = 3 } = options;
      await migrate(urls, options);
      sameDump(await liveRows(target), await shared.expected(phases), what);
      await ledgerHolds(target, what);
      await noTraces(target, source, what);
    },
  };
  try {
    return await test(stage);
  } finally {
    await target.end();
    await application.end();
    await own.drop();
  }
}

/** As in invariants.ts, for a run of some phases only: the others are still new. */
async function ledgerHolds(target: Sql, what: string): Promise<void> {
  const wrong = await target`
    select entity as what, status from migration.entities where status = 'partial'
    union all
    select concat('run ', run), status from migration.runs
    where status = 'running' or (status <> 'done' and run = (select max(run) from migration.runs))
    union all
    select entity, 'does not balance' from migration.ranges
    where source_rows <> merged + rejected + filtered`;
  assert.equal([...wrong], [], `${what}: the ledger does not hold`);
}
