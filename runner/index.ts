import type { Interrupt } from './engine/run.ts';
import { complain, note, say, sayJson } from './terminal/terminal.ts';

const argv = process.argv.slice(2);
const json = argv.includes('--json');
const interrupt: Interrupt = { requested: false, cancel: () => {} };

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupt.requested) process.exit(130);
    interrupt.requested = true;
    note('interrupted: rolling back what is not committed (again: stop at once)');
    interrupt.cancel();
  });
}
for (const stream of [process.stdout, process.stderr]) {
  // `runner up | head` closes the pipe: nothing is wrong, and no reason to stop
  stream.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE' && code !== 'ERR_STREAM_DESTROYED') process.exit(1);
  });
}
// An error that no await sees comes from a lost connection: the outcome is not known here.
process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  const fix = 'the outcome is not known here: run the same command again';
  complain(`${error.message}\n${fix}`);
  if (json) {
    sayJson({ type: 'error', exit: 4, code: error.code ?? null, message: error.message, fix });
  }
  process.exit(4);
});

process.exit(await main());

/** Loads what the command needs and nothing else: a help that takes two seconds is not asked for. */
async function main(): Promise<number> {
  const { readCall, usageOf } = await import('./commands/door.ts');
  try {
    const call = await readCall(argv);
    if ('text' in call) {
      if (json) sayJson(call.json);
      else say(call.text);
      return 0;
    }
    const { contextOf } = await import('./commands/context.ts');
    const context = contextOf(call, interrupt);
    try {
      return await call.command.run(context);
    } finally {
      await context.end();
    }
  } catch (reason) {
    const { endOf, errorLine, exitCodeOf, explanationOf } = await import('./commands/outcome.ts');
    const error = endOf(reason, interrupt.requested);
    const usage = usageOf(argv);
    complain(explanationOf(error, usage));
    if (json) sayJson(errorLine(error, usage));
    return exitCodeOf(error);
  }
}
