/* A runner that waits for a job, so that the one that kills it need not wait for it to start. */
import { downSmall, type Job, type State, upSmall } from './small.ts';

/** How the job ended, where the process did not end before: '' or an error. */
export type Outcome = { error: string };

process.once('disconnect', () => process.exit(0));
process.once('message', ({ state, job }: { state: State; job: Job }) => {
  const done = state === 'down' ? downSmall(job) : upSmall(job);
  done.then(
    () => process.send?.({ error: '' } satisfies Outcome),
    (error: unknown) =>
      process.send?.({ error: (error as Error).stack ?? String(error) } satisfies Outcome),
  );
});
