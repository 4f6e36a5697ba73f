/* A real network between two ends of this machine, which can be taken down: Linux, root, iproute2. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A namespace with a cable to it. */
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
  /** Takes the cable out: what is sent is lost without a word. */
  down(): void;
  close(): void;
}

const NAME = `runner${process.pid}`;
const [CABLE, PLUG] = [`rt${process.pid}a`.slice(-15), `rt${process.pid}b`.slice(-15)];

const MAC = '02:00:00:00:00:02';

/** Why there can be no such network here, or undefined. */
export function noNetwork(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs Linux and root';
  try {
    const network = openNetwork();
    try {
      network.throttle(60_000);
    } finally {
      network.close();
    }
    return undefined;
  } catch {
    return 'needs iproute2 and the right to make network namespaces';
  }
}

/** Makes one; a process has one at a time. */
export function openNetwork(): Network {
  const [here, there] = ['10.213.77.1', '10.213.77.2'];
  ip('netns', 'add', NAME);
  try {
    const peer = ['peer', 'name', PLUG, 'address', MAC, 'netns', NAME];
    ip('link', 'add', CABLE, 'type', 'veth', ...peer);
    ip('addr', 'add', `${here}/30`, 'dev', CABLE);
    ip('link', 'set', CABLE, 'up');
    // the other side is never asked for: nobody says that it is gone
    ip('neigh', 'replace', there, 'lladdr', MAC, 'dev', CABLE, 'nud', 'permanent');
    ip('-n', NAME, 'addr', 'add', `${there}/30`, 'dev', PLUG);
    ip('-n', NAME, 'link', 'set', PLUG, 'up');
  } catch (error) {
    // the cable goes with it
    ip('netns', 'del', NAME);
    throw error;
  }
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
    close: () => {
      for (const relay of relays) relay.kill('SIGKILL');
      ip('link', 'del', CABLE);
      ip('netns', 'del', NAME);
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
