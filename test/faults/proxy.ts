import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Where the proxy stands and what it does. */
export interface Proxy {
  port: number;
  /**
   * Cuts every connection, both ways and for good, before the n-th request reaches the server or
   * before the first byte of the n-th reply reaches the client. n counts from 1, since the last
   * call and over all connections; connections made afterwards are cut at once. `first` is called
   * before the sockets close: to kill the client, say.
   */
  cutBefore(kind: 'request' | 'reply', n: number, first?: () => void): void;
  /**
   * Calls `action` when the n-th request whose text matches has been passed on to the server, or
   * (`reply`) when the first byte of its reply has come and is not yet passed on. `cut` closes that
   * connection, both ways.
   */
  when(
    text: RegExp,
    kind: 'request' | 'reply',
    action: (cut: () => void) => void,
    n?: number,
  ): void;
  /** Closes every connection, both ways; later ones are let through. */
  drop(): void;
  /** Holds back what passes, each way, for so many milliseconds. */
  delay(milliseconds: number): void;
  /** Lets everything pass again and counts from 0. */
  pass(): void;
  /** Stops reading from both sides without closing, until `pass`: a frozen network. */
  freeze(): void;
  /** What passed since the last cutBefore or pass, and whether the cut was reached. */
  counts(): { requests: number; replies: number; cut: boolean };
  stop(): Promise<void>;
}

interface Awaited {
  text: RegExp;
  kind: 'request' | 'reply';
  action: (cut: () => void) => void;
  /** How many more have to match. */
  n: number;
}

/** Messages of a client after which it waits: simple query, sync, password, COPY's end. */
const WAITS = new Set(['Q', 'S', 'p', 'c', 'f']);
const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

/**
 * Starts a TCP proxy in front of a PostgreSQL server that knows where messages begin. A request is
 * a message after which the client waits for an answer (the start of a session is one as well);
 * a reply is everything the server sends until it is ready for the next one. Towards the server a
 * cut is what SIGKILL of the client is: the socket closes between two messages.
 */
export async function startProxy(server: { port: number; host?: string }): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let target: { kind: 'request' | 'reply'; n: number; first: () => void } | undefined;
  let awaited: Awaited | undefined;
  let latency = 0;
  let requests = 0;
  let replies = 0;
  let cut = false;
  let frozen = false;

  const reached = (kind: 'request' | 'reply', count: number): boolean => {
    if (target === undefined || target.kind !== kind || count < target.n) return false;
    cut = true;
    target.first();
    for (const socket of sockets) socket.destroy();
    return true;
  };
  const send = (socket: Socket, message: Buffer): void => {
    if (latency === 0) socket.write(message);
    else setTimeout(() => !socket.destroyed && socket.write(message), latency);
  };
  const listener = createServer((client) => {
    if (cut) {
      client.destroy();
      return;
    }
    const backend = connect(server.port, server.host ?? '127.0.0.1');
    for (const [socket, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      if (frozen) socket.pause();
    }
    let started = false;
    let answersOneByte = false;
    let inReply = false;
    let answer: Awaited['action'] | undefined;
    const cutBoth = (): void => {
      client.destroy();
      backend.destroy();
    };

    const fromClient = messages((buffer) => {
      if (started) return buffer.length < 5 ? undefined : 1 + buffer.readInt32BE(1);
      return buffer.length < 8 ? undefined : buffer.readInt32BE(0);
    });
    client.on('data', (chunk) => {
      for (const message of fromClient(chunk)) {
        const code = started ? 0 : message.readInt32BE(4);
        const isRequest = !started || WAITS.has(String.fromCharCode(message[0] ?? 0));
        if (!started) {
          answersOneByte = code === SSL_REQUEST || code === GSS_REQUEST;
          started = !answersOneByte;
        }
        if (isRequest) {
          if (reached('request', requests + 1)) return;
          requests += 1;
        }
        send(backend, message);
        // the text of a statement is in Q, or in P long before the S that asks for an answer
        if (awaited?.text.test(message.toString('utf8'))) {
          awaited.n -= 1;
          if (awaited.n > 0) continue;
          const { kind, action } = awaited;
          awaited = undefined;
          if (kind === 'reply') answer = action;
          else action(cutBoth);
        }
      }
    });

    const fromServer = messages((buffer) => {
      if (answersOneByte) return 1;
      return buffer.length < 5 ? undefined : 1 + buffer.readInt32BE(1);
    });
    backend.on('data', (chunk) => {
      for (const message of fromServer(chunk)) {
        if (!inReply) {
          if (reached('reply', replies + 1)) return;
          answer?.(cutBoth);
          answer = undefined;
          if (client.destroyed) return;
          replies += 1;
          inReply = true;
        }
        const type = String.fromCharCode(message[0] ?? 0);
        // 'Z' ready for query; 'R' asks for a password, but 0 and 12 say it was right; 'G' COPY
        const asks = type === 'R' && ![0, 12].includes(message.readInt32BE(5));
        if (answersOneByte || type === 'Z' || type === 'G' || asks) inReply = false;
        answersOneByte = false;
        send(client, message);
      }
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));

  const restart = (): void => {
    requests = 0;
    replies = 0;
    cut = false;
  };
  return {
    port: (listener.address() as AddressInfo).port,
    cutBefore: (kind, n, first = () => {}) => {
      restart();
      target = { kind, n, first };
    },
    when: (text, kind, action, n = 1) => {
      awaited = { text, kind, action, n };
    },
    drop: () => {
      for (const socket of sockets) socket.destroy();
    },
    delay: (milliseconds) => {
      latency = milliseconds;
    },
    pass: () => {
      restart();
      target = undefined;
      awaited = undefined;
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    freeze: () => {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    counts: () => ({ requests, replies, cut }),
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        listener.close(() => resolve());
      }),
  };
}

/** Cuts a stream into messages; `length` says how long the first one is, once it can be seen. */
function messages(length: (buffer: Buffer) => number | undefined) {
  let rest: Buffer = Buffer.alloc(0);
  return function* take(chunk: Buffer): Generator<Buffer> {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const size = rest.length === 0 ? undefined : length(rest);
      if (size === undefined || rest.length < size) return;
      const message = rest.subarray(0, size);
      rest = rest.subarray(size);
      yield message;
    }
  };
}
