import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A transaction pooler in front of a server: where it stands, and what it did. */
export interface Pooler {
  port: number;
  /** Transactions that did not run in the server session the client logged in with. */
  moved(): number;
  stop(): Promise<void>;
}

interface ServerSession {
  socket: Socket;
  client: ClientSession | undefined;
}

interface ClientSession {
  socket: Socket;
  server: ServerSession | undefined;
  own: ServerSession;
  waiting: Buffer[];
  /** Requests that the server has not answered with "ready" yet. */
  open: number;
  inTransaction: boolean;
}

/**
 * Starts one. A client logs in to a server session of its own; from its first statement on, the
 * server session goes back to the pool whenever no transaction is open, and the next one is taken
 * from there: the one used last (as pgbouncer does) or the one used first.
 */
export async function startPooler(
  server: { host: string; port: number },
  order: 'last' | 'first',
): Promise<Pooler> {
  const sockets = new Set<Socket>();
  const idle: ServerSession[] = [];
  const queue: ClientSession[] = [];
  let moved = 0;

  const assign = (client: ClientSession): boolean => {
    const session = order === 'last' ? idle.pop() : idle.shift();
    if (session === undefined) return false;
    if (session !== client.own) moved += 1;
    session.client = client;
    client.server = session;
    for (const chunk of client.waiting.splice(0)) session.socket.write(chunk);
    return true;
  };
  const release = (session: ServerSession): void => {
    if (session.client) session.client.server = undefined;
    session.client = undefined;
    idle.push(session);
    const next = queue.shift();
    if (next !== undefined) assign(next);
  };

  const listener = createServer((socket) => {
    const upstream = connect(server.port, server.host);
    const own: ServerSession = { socket: upstream, client: undefined };
    const client: ClientSession = {
      socket,
      server: own,
      own,
      waiting: [],
      open: 1,
      inTransaction: false,
    };
    own.client = client;
    sockets.add(socket).add(upstream);
    let startup = true;
    const requests = messages(() => startup);
    socket.on('data', (chunk) => {
      for (const message of requests(chunk)) {
        const type = startup ? '' : String.fromCharCode(message[0] ?? 0);
        startup = false;
        if (type === 'X') {
          socket.end();
          continue;
        }
        if (type === 'Q' || type === 'S') client.open += 1;
        if (client.server === undefined && client.waiting.length === 0) {
          client.waiting.push(message);
          if (!assign(client)) queue.push(client);
        } else if (client.server === undefined) client.waiting.push(message);
        else client.server.socket.write(message);
      }
    });
    const replies = messages(() => false);
    upstream.on('data', (chunk) => {
      for (const message of replies(chunk)) {
        own.client?.socket.write(message);
        if (message[0] !== 'Z'.charCodeAt(0) || own.client === undefined) continue;
        own.client.open -= 1;
        own.client.inTransaction = message[5] !== 'I'.charCodeAt(0);
        if (!own.client.inTransaction && own.client.open === 0) release(own);
      }
    });
    const drop = (): void => {
      const session = client.server;
      client.server = undefined;
      // in the middle of something: closed, as pgbouncer does
      if (session !== undefined && (client.open > 0 || client.inTransaction)) {
        session.client = undefined;
        session.socket.destroy();
      } else if (session !== undefined) release(session);
    };
    socket.on('error', () => {}).on('close', drop);
    upstream
      .on('error', () => {})
      .on('close', () => {
        const at = idle.indexOf(own);
        if (at >= 0) idle.splice(at, 1);
        own.client?.socket.destroy();
      });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    moved: () => moved,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        listener.close(() => resolve());
      }),
  };
}

/** Cuts a stream into messages; the first one of a client has no type byte. */
function messages(untyped: () => boolean) {
  let rest: Buffer = Buffer.alloc(0);
  return function* take(chunk: Buffer): Generator<Buffer> {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const at = untyped() ? 0 : 1;
      if (rest.length < at + 4) return;
      const size = at + rest.readInt32BE(at);
      if (rest.length < size) return;
      const message = rest.subarray(0, size);
      rest = rest.subarray(size);
      yield message;
    }
  };
}
