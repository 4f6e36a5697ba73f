/*
 * Children of the runner (runner/child.ts) in the processes of the tests: each is started once and asked
 * again, and what the reader said of a view is kept for the whole run. A child that loads the grammar and
 * reads the views of the project costs two seconds, and most migrations of the tests ask of the same views.
 */
import childProcess, { type ChildProcess, type ForkOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';

type Fork = (module: string, args: string[], options: ForkOptions) => ChildProcess;

/** The variable that names the folder of answers, which run.ts removes when the run ends. */
export const ANSWERS = 'TEST_ANSWERS';

const CHILDREN = /\/(runner\/engine\/reader-child|checks\/child)\.ts$/;
/** Is asked of a list, one answer for each; they depend on nothing else but the code, which stays as it is. */
const READER = /\/reader-child\.ts$/;

const idle = new Map<string, ChildProcess>();

/** From here on `fork` of this process starts each of these children once. */
export function keepChildren(): void {
  const folder = process.env[ANSWERS];
  const fork = childProcess.fork as Fork;
  const instead: Fork = (module, args, options) =>
    CHILDREN.test(module)
      ? (stand(module, () => fork(module, args, options), folder) as unknown as ChildProcess)
      : fork(module, args, options);
  Object.assign(childProcess, { fork: instead });
  syncBuiltinESMExports();
}

/** Stands for a child: as much of it as askChild uses. */
function stand(module: string, start: () => ChildProcess, folder?: string): EventEmitter {
  let child: ChildProcess | undefined;
  const standing = new EventEmitter();
  const say = (reply: object): void => void standing.emit('message', reply);
  const ask = (message: object, hear: (reply: object) => void): void => {
    child = idle.get(module) ?? start();
    idle.delete(module);
    child.ref();
    child.channel?.ref();
    child.once('message', hear);
    child.once('error', (error) => standing.emit('error', error));
    child.once('exit', (...end) => standing.emit('exit', ...end));
    child.send(message);
  };
  const send = (message: object): void => {
    if (folder === undefined || !READER.test(module)) return ask(message, say);
    mkdirSync(folder, { recursive: true });
    const items = message as object[];
    const files = items.map((item) => answerFile(folder, item));
    const unread = items.filter((_, index) => !existsSync(files[index] ?? ''));
    const known = (): void => {
      say({ answer: files.map((file): unknown => deserialize(readFileSync(file))) });
    };
    if (unread.length === 0) return process.nextTick(known);
    ask(unread, (reply) => {
      if (!('answer' in reply)) return say(reply);
      for (const [index, answer] of (reply.answer as object[]).entries()) {
        keep(answerFile(folder, unread[index] ?? {}), answer);
      }
      known();
    });
  };
  const disconnect = (): void => {
    if (child === undefined || !child.connected) return;
    for (const event of ['message', 'error', 'exit']) child.removeAllListeners(event);
    child.unref();
    child.channel?.unref();
    idle.set(module, child);
  };
  return Object.assign(standing, { send, disconnect });
}

function answerFile(folder: string, item: object): string {
  return join(folder, createHash('sha256').update(serialize(item)).digest('hex'));
}

/** Whole or not at all: others look for it meanwhile. */
function keep(file: string, answer: object): void {
  writeFileSync(`${file}-${process.pid}`, serialize(answer));
  renameSync(`${file}-${process.pid}`, file);
}
