/* A real network between two ends of this machine, which can be taken down: Linux, root, iproute2. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** A namespace with a cable to it. What is sent while the cable is out is lost without a word. */
export interface Network {
  /** Address of this side of the cable. */
  here: string;
  /**
   * A way through the other side: what connects to the port at `host` comes back over the cable to
   * `here`, to `port`.
   */
  detour(port: number): Promise<{ host: string; port: number }>;
  /** Lets this side send at most so many bytes a second; what is more is dropped, not queued. */
  throttle(bytes: number): void;
  /** Packets dropped by the throttle. */
  dropped(): number;
  down(): void;
  up(): void;
  close(): void;
}

const NAME = `runner${process.pid}`;
const [CABLE, PLUG] = [`rt${process.pid}a`.slice(-15), `rt${process.pid}b`.slice(-15)];

/** Why there can be no such network here, or undefined. */
export function noNetwork(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs Linux and root';
  try {
    ip('netns', 'add', `${NAME}try`);
    ip('netns', 'del', `${NAME}try`);
    return undefined;
  } catch {
    return 'needs iproute2 and the right to make network namespaces';
  }
}

/** Makes one; its addresses end with `n`, 1 to 60. */
export function openNetwork(n: number): Network {
  const [here, there] = [`10.213.77.${n * 4 + 1}`, `10.213.77.${n * 4 + 2}`];
  ip('netns', 'add', NAME);
  ip('link', 'add', CABLE, 'type', 'veth', 'peer', 'name', PLUG, 'netns', NAME);
  ip('addr', 'add', `${here}/30`, 'dev', CABLE);
  ip('link', 'set', CABLE, 'up');
  ip('-n', NAME, 'addr', 'add', `${there}/30`, 'dev', PLUG);
  ip('-n', NAME, 'link', 'set', PLUG, 'up');
  const relays: ChildProcess[] = [];
  return {
    here,
    detour: async (port) => {
      const relay = spawn(
        'ip',
        ['netns', 'exec', NAME, process.execPath, '-e', RELAY, there, here, String(port)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      relays.push(relay);
      const [line] = (await once(relay.stdout, 'data')) as [Buffer];
      return { host: there, port: Number(line.toString()) };
    },
    throttle: (bytes) => {
      const rate = ['rate', `${bytes}bps`, 'burst', '3000', 'limit', '6000'];
      execFileSync('tc', ['qdisc', 'replace', 'dev', CABLE, 'root', 'tbf', ...rate]);
    },
    dropped: () => {
      const shown = execFileSync('tc', ['-s', 'qdisc', 'show', 'dev', CABLE]).toString();
      return Number(/dropped (\d+)/.exec(shown)?.[1]);
    },
    down: () => ip('-n', NAME, 'link', 'set', PLUG, 'down'),
    up: () => ip('-n', NAME, 'link', 'set', PLUG, 'up'),
    close: () => {
      for (const relay of relays) relay.kill('SIGKILL');
      ip('link', 'del', CABLE);
      ip('netns', 'del', NAME);
    },
  };
}

/** A plain relay from an address of this side to a port that listens on 127.0.0.1 only. */
export async function startRelay(
  host: string,
  port: number,
): Promise<{ port: number; stop(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  await new Promise<void>((done) => server.listen(0, host, done));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const RELAY = `
  const { createServer, connect } = require('node:net');
  const [here, host, port] = process.argv.slice(1);
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.on('error', () => {}).on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  server.listen(0, here, () => console.log(server.address().port));`;

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: 'pipe' });
}
