/* What tests of the second project (test/neutral) share: its pair, migrated, and the strongest assertion. */
import type { Sql } from 'postgres';
import type { uvu } from 'uvu';
import * as assert from 'uvu/assert';
import {
  dropPair,
  freshRows,
  liveRows,
  migrate,
  type MigrateOptions,
  preparePair,
  rowsWritten,
} from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Dump, dumpRows, neutralProject, sameDump, type Scratch } from '../runner.ts';

/** A migrated pair. */
export interface Neutral {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
  /** All rows of the target before the first run, with what `plant` put there. */
  before: Dump;
  /** The number of the first run. */
  first: number;
}

/** Adds to a suite: a pair that is migrated once, in a target that `plant` fills before. */
export function onNeutral(
  test: uvu.Test<Neutral>,
  name: string,
  plant: (target: Sql) => Promise<unknown> = () => Promise.resolve(),
): void {
  test.before(async (context) => {
    const project = neutralProject();
    const { root } = project;
    Object.assign(context, { project });
    Object.assign(context, await preparePair({ name, source: 'neutral', target: 'neutral' }, root));
    await plant(context.target);
    context.before = await dumpRows(context.target, { clock: true, root });
    context.first = await again(context, { archive: true });
  });
  test.after(async (context) => {
    context.project.remove();
    await dropPair(context);
  });
}

/** One more run. */
export function again(
  { pair, project }: Pick<Neutral, 'pair' | 'project'>,
  options: MigrateOptions = {},
): Promise<number> {
  return migrate(pair, { root: project.root, ...options });
}

/**
 * All rows equal those of a migration from nothing, into a target that `plant` fills before; and a run
 * that compares every row writes nothing.
 */
export async function asFromNothing(
  context: Neutral,
  plant?: (target: Sql) => Promise<unknown>,
): Promise<void> {
  const { pair, target, project } = context;
  const fresh = await freshRows(pair, plant, { root: project.root });
  sameDump(await liveRows(target, project.root), fresh, 'as a migration from nothing');
  assert.equal(await wholeWrites(context), {}, 'up --full has something to write');
}

/** What a run that compares every row writes; rows that are gone it lists once more. */
export async function wholeWrites(context: Neutral): Promise<Record<string, string>> {
  const written = await rowsWritten(context.target, await again(context, { full: true }));
  return Object.fromEntries(
    Object.entries(written).filter(([, line]) => !line.startsWith('0 0 0 ')),
  );
}
