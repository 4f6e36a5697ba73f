/*
 * Speed and memory, side by side in one run; everybody takes turns, medians and ratios count,
 * these machines are noisy:
 *   npm run bench -- [--scale 1|full] [--runs 3] [--json] [--source 17] [--target 17] [--jobs 2]
 *     [--only toolkit,elt,rows500,pgcopydb,delay50] [--first | --proofs] [--keep] [--left entity]
 *     [--profile]
 * --first: the first run of the toolkit only; --proofs: and what proves it, `verify` and `check`.
 * --profile: where the time of one first run goes, per entity and step; nothing else.
 * --keep: the sample stays for the next time; --left: the ELT leaves entities out, to see it noticed.
 * --json: the last line is one object; it and the contenders are explained in test/README.md.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { removePair, startPair, type Pair } from '../../runner/embedded/pair.ts';
import type { Major } from '../../runner/embedded/releases.ts';
import { changeSchema, ROOT } from '../runner.ts';
import { CONTENDERS, type Contender, type Found, type Settings } from './contenders.ts';
import { freshPlace } from './place.ts';
import { profile, PROFILE_SETTINGS } from './profile.ts';
import { printReport, reportOf } from './report.ts';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    runs: { type: 'string' },
    json: { type: 'boolean', default: false },
    source: { type: 'string', default: '17' },
    target: { type: 'string', default: '17' },
    jobs: { type: 'string', default: '2' },
    only: { type: 'string' },
    first: { type: 'boolean', default: false },
    proofs: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    left: { type: 'string', default: '' },
  },
});

const alone = values.first || values.proofs;
const contenders = chosen(values.only ?? (alone ? 'toolkit' : CONTENDERS.map(nameOf).join(',')));
const rounds = Number(values.runs ?? (alone ? '1' : '3'));
if (!(rounds >= 1)) throw new Error(`--runs ${values.runs}: a number from 1`);
const settings: Settings = {
  jobs: values.jobs,
  extent: { increments: !alone, proofs: !values.first },
  left: values.left.split(',').filter((name) => name !== ''),
};
const directory = join(
  ROOT,
  '.embedded',
  `bench-${values.source}-${values.target}-${values.scale}`,
);

if (!values.keep) removePair(directory);
const pair = await startPair({
  directory,
  scale: values.scale,
  sourceMajor: Number(values.source) as Major,
  targetMajor: Number(values.target) as Major,
  ...(values.profile ? { targetSettings: PROFILE_SETTINGS } : {}),
});
try {
  await (values.profile ? profile(pair, values.jobs) : bench(pair));
} finally {
  await pair.stop();
  if (!values.keep) removePair(directory);
}

async function bench(servers: Pair): Promise<void> {
  const found: Found = { seconds: new Map(), runs: [], rows: undefined, differing: [], failed: [] };
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      console.log(`round ${round} of ${rounds}: ${contender.name}`);
      await takeTurn(servers, contender, found);
    }
  }
  console.log(`\nsource ${values.source}, target ${values.target}, scale ${values.scale}`);
  printReport(found);
  if (found.differing.length > 0)
    console.log(`not comparable, other numbers of rows: ${found.differing.join(', ')}`);
  if (found.failed.length > 0) console.log(`failed: ${found.failed.join(', ')}`);
  if (found.differing.length + found.failed.length > 0) process.exitCode = 1;
  if (values.json) console.log(JSON.stringify(reportOf(found)));
}

async function takeTurn(servers: Pair, contender: Contender, found: Found): Promise<void> {
  const place = await freshPlace(servers, contender.wishes);
  try {
    // tables and columns of the schema changes are not what is compared
    if (contender.changedSchema) await changeSchema(place);
    await contender.run(place, settings, found);
  } catch (error) {
    // the others go on, and what was measured is not lost
    console.log(`  FAILED: ${error instanceof Error ? error.message : String(error)}`);
    found.failed.push(contender.name);
  } finally {
    await place.drop();
  }
}

function nameOf({ name }: Contender): string {
  return name;
}

/** `elt` is both of them. */
function chosen(words: string): Contender[] {
  const names = words
    .split(',')
    .flatMap((word) => (word === 'elt' ? ['eltKeys', 'eltDropped'] : word));
  const unknown = names.find((name) => !CONTENDERS.some((each) => each.name === name));
  if (unknown !== undefined)
    throw new Error(`--only ${unknown}: there is ${CONTENDERS.map(nameOf).join(', ')}`);
  return CONTENDERS.filter(({ name }) => names.includes(name));
}
