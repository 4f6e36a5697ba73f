import { fileURLToPath } from 'node:url';

import { acknowledge } from './commands/acknowledge.ts';
import { check } from './commands/check.ts';
import { conflicts } from './commands/conflicts.ts';
import { doctor } from './commands/doctor.ts';
import { down } from './commands/down.ts';
import { embedded } from './commands/embedded.ts';
import { forget } from './commands/forget.ts';
import { plan } from './commands/plan.ts';
import { rejects } from './commands/rejects.ts';
import { retry } from './commands/retry.ts';
import { schema } from './commands/schema.ts';
import { status } from './commands/status.ts';
import { uninstall } from './commands/uninstall.ts';
import { up } from './commands/up.ts';
import { verify } from './commands/verify.ts';
import { type Command, contextOf, helpOf } from './commands/command.ts';
import { endOf, exitCodeOf, explanationOf } from './commands/outcome.ts';
import type { Interrupt } from './engine/run.ts';
import { complain, note, say } from './terminal/terminal.ts';

const COMMANDS: Command[] = [
  up,
  down,
  plan,
  status,
  check,
  acknowledge,
  verify,
  rejects,
  conflicts,
  retry,
  schema,
  doctor,
  embedded,
  forget,
  uninstall,
];

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const interrupt: Interrupt = { requested: false, cancel: () => {} };

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupt.requested) process.exit(130);
    interrupt.requested = true;
    note('interrupted: rolling back what is not committed (again: stop at once)');
    interrupt.cancel();
  });
}
// `runner rejects | head` closes the pipe: nothing is wrong then.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
// An error that no await sees comes from a lost connection: the outcome is not known here.
process.on('uncaughtException', (error) => {
  complain(`${error.message}\nthe outcome is not known here: run the same command again`);
  process.exit(4);
});

process.exit(await main(process.argv.slice(2)));

async function main([name, ...argv]: string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    overview();
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS.find((other) => other.name === name);
  if (command === undefined) {
    complain(`there is no command ${name}`);
    overview();
    return 2;
  }
  try {
    const context = contextOf(command, argv, root, interrupt);
    if (context.help) {
      say(helpOf(command));
      return 0;
    }
    try {
      return await command.run(context);
    } finally {
      await context.end();
    }
  } catch (reason) {
    const error = endOf(reason, interrupt.requested);
    complain(explanationOf(error, command.usage));
    return exitCodeOf(error);
  }
}

function overview(): void {
  say('runner: moves a legacy PostgreSQL database into its new schema, every row accounted for\n');
  for (const { usage, summary } of COMMANDS) say(`  ${usage.padEnd(34)} ${summary}`);
  say('\n`runner <command> --help` shows the options. `runner up --embedded` tries it out.');
  say('exit codes: 0 done · 1 failed or found something · 2 usage · 3 another runner is at work ·');
  say('            4 connection lost, run again · 5 could not connect, nothing was sent ·');
  say('            130 interrupted, rolled back');
}
