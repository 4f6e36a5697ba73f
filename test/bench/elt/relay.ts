import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Client } from 'pg';

/**
 * Copies from one server into another without looking at a row: the frames of COPY are the same in
 * both directions, so what the source sends is passed on as it comes. This is `psql | psql` without
 * the two programs, and faster than streams of a driver, which cut the bytes into rows.
 */
export interface Relay {
  /** Runs `copy ... to stdout` there and `copy ... from stdin` here; both in the same format. */
  copy(from: string, into: string): Promise<void>;
  end(): void;
}

const COPY_DONE = Buffer.from([99, 0, 0, 0, 4]);
const TERMINATE = Buffer.from([88, 0, 0, 0, 4]);

/** Opens the two connections of a relay. */
export async function openRelay(sourceUrl: string, targetUrl: string): Promise<Relay> {
  const [source, target] = await Promise.all([rawSocket(sourceUrl), rawSocket(targetUrl)]);
  return {
    async copy(from, into) {
      target.write(query(into));
      await answer(target, 'G');
      source.write(query(from));
      await passOn(source, target);
      await answer(target, 'Z');
    },
    end() {
      for (const socket of [source, target]) socket.end(TERMINATE);
    },
  };
}

/** A connection that has logged in, from then on without its driver. */
async function rawSocket(url: string): Promise<Socket> {
  const client = new Client(url);
  await client.connect();
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  for (const event of ['data', 'close', 'error', 'end']) stream.removeAllListeners(event);
  stream.on('error', () => {});
  stream.pause();
  return stream;
}

function query(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const head = Buffer.alloc(5, 'Q');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** Reads until that message; throws what the server says is wrong. */
async function answer(socket: Socket, type: string): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await read(socket);
    rest = Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length >= at + 5) {
      const size = 1 + rest.readInt32BE(at + 1);
      if (rest.length < at + size) break;
      const letter = String.fromCharCode(rest[at] ?? 0);
      if (letter === 'E') throw new Error(rest.toString('utf8', at + 5, at + size));
      if (letter === type) return;
      at += size;
    }
    rest = rest.subarray(at);
  }
}

async function read(socket: Socket): Promise<Buffer> {
  const chunk = socket.read() as Buffer | null;
  if (chunk !== null) return chunk;
  return new Promise((resolve, reject) => {
    const stop = () => {
      socket.pause();
      socket.off('data', take);
      socket.off('close', lost);
    };
    const take = (data: Buffer) => {
      stop();
      resolve(data);
    };
    const lost = () => {
      stop();
      reject(new Error('the connection is lost'));
    };
    socket.on('data', take);
    socket.on('close', lost);
    socket.resume();
  });
}

/** Passes CopyData on until the source is ready again, then says that that was all. */
async function passOn(source: Socket, target: Socket): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  // bytes of a message that has begun to be passed on
  let open = 0;
  for (let ready = false; !ready;) {
    const chunk = Buffer.concat([rest, await read(source)]);
    let [from, writable] = [0, true];
    const send = (to: number): void => {
      if (to > from) writable = target.write(chunk.subarray(from, to));
    };
    let at = Math.min(open, chunk.length);
    open -= at;
    while (open === 0 && chunk.length - at >= 5) {
      const type = String.fromCharCode(chunk[at] ?? 0);
      const size = 1 + chunk.readInt32BE(at + 1);
      const there = Math.min(size, chunk.length - at);
      if (type === 'd') {
        open = size - there;
        at += there;
        continue;
      }
      if (there < size) break;
      if (type === 'E') throw new Error(chunk.toString('utf8', at + 5, at + size));
      ready ||= type === 'Z';
      send(at);
      at += size;
      from = at;
    }
    send(at);
    rest = chunk.subarray(at);
    if (!writable) await once(target, 'drain');
  }
  target.write(COPY_DONE);
}
