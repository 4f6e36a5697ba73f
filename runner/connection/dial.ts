import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/**
 * Opens a socket to a server and agrees on TLS; `tls` false = clear text, else options for Node.
 * Throws what Node says, and errors with code CONNECT_TIMEOUT, CONNECTION_CLOSED and TLS_REFUSED:
 * the driver takes the last two for a reason to try again, for ever.
 */
export async function dial(
  host: string,
  port: number,
  tls: false | object,
  seconds: number,
): Promise<Socket> {
  // the driver writes what belongs together in pieces: a second one would wait for the answer to the first
  let socket = connectTcp({ port, host, noDelay: true });
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failure.catch(() => {});
  const closed = () => fail(failureOf('CONNECTION_CLOSED', 'the connection was closed'));
  const timer = setTimeout(
    () => fail(failureOf('CONNECT_TIMEOUT', `no answer for ${seconds} s`)),
    seconds * 1000,
  );
  const next = <T>(event: string): Promise<T> => {
    const current = socket;
    const answer = new Promise<T>((resolve) => current.once(event, resolve));
    return Promise.race([answer, failure]);
  };
  const watch = (on: 'on' | 'off') => socket[on]('error', fail)[on]('close', closed);
  watch('on');
  try {
    await next('connect');
    if (tls !== false) {
      socket.write(SSL_REQUEST);
      const answer = await next<Buffer>('data');
      // more than one byte would be taken for what comes encrypted
      if (answer.toString('latin1') !== 'S') {
        throw failureOf('TLS_REFUSED', 'the server does not support SSL');
      }
      watch('off');
      const name = isIP(host) === 0 ? { servername: host } : {};
      socket = connectTls({ host, ...name, ...tls, socket });
      watch('on');
      await next('secureConnect');
    }
    watch('off');
    return socket;
  } catch (error) {
    socket.on('error', () => {}).destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function failureOf(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
