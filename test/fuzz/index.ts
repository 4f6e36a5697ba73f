/* npm run test:fuzz -- [--seed n] [--rounds n]: the differential test, as long as one likes. */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rounds: { type: 'string', default: '1000' },
  },
});
const args = ['--import', 'tsx', 'test/run.ts', 'test/fuzz/fuzz.test.ts'];
const env = { ...process.env, FUZZ_SEED: values.seed, FUZZ_ROUNDS: values.rounds };
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit', env }).status ?? 1;
