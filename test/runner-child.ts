/*
 * The process behind `runner()` of runner.ts: carries out one command after the other, each as runner/index.ts
 * does from its first line on. What a process takes to load the runner it takes once.
 */
import { pathToFileURL } from 'node:url';
import { keepChildren } from './kept-children.ts';

/** One command: where its index.ts is, in which folder and with what environment. */
export interface Asked {
  index: string;
  cwd: string;
  args: string[];
  env: NodeJS.ProcessEnv;
}

/** What came of it. `spoiled`: an error came where nobody waited for it, as before the end of a process. */
export interface Answered {
  code: number;
  stdout: string;
  stderr: string;
  spoiled: boolean;
}

const HOME = process.cwd();
const leave = process.exit.bind(process);
const STREAMS = ['stdout', 'stderr'] as const;
const EVENTS = ['SIGINT', 'SIGTERM', 'uncaughtException'] as const;
let commands = 0;

keepChildren();
process.on('disconnect', () => leave(1));
process.on('message', (asked: Asked) => {
  carryOut(asked).then(
    (answered) => process.send?.(answered),
    (error: unknown) => {
      console.error(error);
      leave(1);
    },
  );
});

async function carryOut({ index, cwd, args, env }: Asked): Promise<Answered> {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  process.chdir(cwd);
  process.argv = [process.execPath, index, ...args];
  const said = { stdout: '', stderr: '' };
  for (const name of STREAMS) {
    process[name].write = (chunk: Uint8Array | string): boolean => {
      said[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
      return true;
    };
  }
  let spoiled = false;
  const spoil = (): void => {
    spoiled = true;
  };
  process.on('uncaughtException', spoil);
  try {
    const ended = new Promise<number>((done) => {
      process.exit = ((code = 0) => done(Number(code))) as typeof process.exit;
    });
    commands += 1;
    // its last line is process.exit()
    const ran = import(`${pathToFileURL(index).href}?command=${commands}`).then(() => ended);
    const code = await Promise.race([ran, ended]);
    return { code, ...said, spoiled };
  } finally {
    process.exit = leave;
    for (const name of STREAMS) {
      // its own method is that of its class again
      Reflect.deleteProperty(process[name], 'write');
      process[name].removeAllListeners('error');
    }
    for (const event of EVENTS) process.removeAllListeners(event);
    process.chdir(HOME);
  }
}
