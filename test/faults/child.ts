/* A runner that waits for a job, so that the one that kills it need not wait for it to start. */
import { type Job, upSmall } from './small.ts';

/** How the job ended, where the process did not end before. */
export type Outcome = { run: number } | { error: string };

process.once('disconnect', () => process.exit(0));
process.once('message', (job: Job) => {
  upSmall(job).then(
    (run) => process.send?.({ run } satisfies Outcome),
    (error: unknown) =>
      process.send?.({ error: (error as Error).stack ?? String(error) } satisfies Outcome),
  );
});
