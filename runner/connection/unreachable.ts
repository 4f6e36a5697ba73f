/** The two databases: the runner opens the target, the target opens the source. */
export type Side = 'target' | 'source';

/** Why a connection was not made, as whoever tried it was told. */
export interface Refusal {
  /** host:port */
  place: string;
  /** SQLSTATE, errno or name of a TLS error; '' where only words are known (libpq). */
  code: string;
  /** The words, without secrets; may be ''. */
  said: string;
}

interface Cause {
  /** What Node and the server call it. */
  codes: string[];
  /** What libpq says of it, in English; and `pg`, where it has no code. */
  words: RegExp;
  cause: string;
  fix: (url: string, side: Side) => string;
}

/** Every cause that is known, the first that fits counts. */
const CAUSES: Cause[] = [
  {
    codes: [],
    words: /tenant or user not found/i,
    cause: 'the pooler does not know this user',
    fix: (url) => `behind the pooler of Supabase the user in ${url} is <role>.<project ref>`,
  },
  {
    codes: ['28P01'],
    words: /password authentication failed|no password supplied/i,
    cause: 'it refuses user or password',
    fix: (url) => `correct user and password in ${url}`,
  },
  {
    codes: ['2F003'],
    words: /password (is )?required|password or gssapi|non-superuser/i,
    cause: 'it lets this account in without a password, and such a link is forbidden',
    fix: () => 'ask the account for a password: scram-sha-256 or md5 in pg_hba.conf, not trust',
  },
  {
    codes: ['28000'],
    words:
      /no pg_hba\.conf entry|rejects connection|not permitted to log in|role "[^"]*" does not/i,
    cause: 'it does not let this account in from here',
    fix: (url) =>
      `alter role ... login password '...', and a line in pg_hba.conf for account, database and ` +
      `address; or another user or sslmode in ${url}`,
  },
  {
    codes: ['3D000'],
    words: /database "[^"]*" does not exist/i,
    cause: 'there is no such database',
    fix: (url) => `correct the name of the database in ${url}`,
  },
  {
    codes: ['42501'],
    words: /permission denied for database/i,
    cause: 'this account may not connect to the database',
    fix: (url) => `grant connect on database ... to the user in ${url}`,
  },
  {
    codes: ['57P03', '57P01', '57P02'],
    words: /database system is|shutting down|starting up|recovery mode/i,
    cause: 'the server is starting or stopping',
    fix: () => 'wait until it is up, then run the same command again',
  },
  {
    codes: ['53300', '53400'],
    words: /too many (clients|connections)|connection slots|max client/i,
    cause: 'it has no connection left for this account',
    fix: () =>
      'end sessions that are not needed, or raise max_connections, the connection limit of the ' +
      'role or the size of the pool; lower --jobs needs fewer',
  },
  {
    codes: ['ENOTFOUND', 'EAI_AGAIN', 'EAI_NONAME', 'EAI_FAIL', 'EAI_NODATA'],
    words: /could not translate host name|name or service not known/i,
    cause: 'the host is not known',
    fix: (url, side) => `correct the host in ${url}, or the name service${seenFrom(side)}`,
  },
  {
    codes: ['TLS_REFUSED'],
    words: /does not support SSL|SSL was required/i,
    cause: 'it offers no TLS',
    fix: (url) =>
      `set ssl = on in the server; where the network is trusted, ?sslmode=disable in ${url}`,
  },
  {
    codes: ['ERR_TLS_CERT_ALTNAME_INVALID'],
    words: /does not match host name/i,
    cause: 'its certificate is for another host',
    fix: (url) => `use the name of the certificate as host in ${url}, or ?sslmode=verify-ca`,
  },
  {
    codes: ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'],
    words: /certificate (has expired|is not yet valid)/i,
    cause: 'its certificate is not valid today',
    fix: () => 'give the server a new certificate; look at the clock of this machine',
  },
  {
    codes: [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_UNTRUSTED',
      'CERT_SIGNATURE_FAILURE',
    ],
    words: /certificate verify failed|self-signed certificate/i,
    cause: 'its certificate is not from an authority that is trusted here',
    fix: (url) => `sslrootcert=<file of that authority> in ${url}; unchecked: ?sslmode=require`,
  },
  {
    codes: ['ENOENT', 'EACCES', 'EISDIR'],
    words: /root certificate file/i,
    cause: 'the file of sslrootcert cannot be read',
    fix: (url, side) =>
      `correct sslrootcert in ${url}` +
      (side === 'source' ? '; the file has to be on the server of the target' : ''),
  },
  {
    codes: ['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER'],
    words: /SSL (error|SYSCALL)|secure TLS connection/i,
    cause: 'TLS could not be agreed on',
    fix: (url) => `look at the TLS settings of the server and at sslmode in ${url}`,
  },
  {
    codes: ['ECONNREFUSED'],
    words: /connection refused/i,
    cause: 'nothing listens there',
    fix: (url, side) => `is the server up, and is the port in ${url} right?${seenFrom(side)}`,
  },
  {
    codes: ['ETIMEDOUT', 'CONNECT_TIMEOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', '57014'],
    words: /timed out|timeout expired|no route to host|unreachable|statement timeout/i,
    cause: 'no answer',
    fix: (url, side) =>
      `is host in ${url} right, and the way open (firewall, VPN, list of allowed addresses)? The ` +
      `direct address of a Supabase project is IPv6 only: without it, use its session pooler` +
      seenFrom(side),
  },
  {
    codes: ['08P01'],
    words: /unsupported startup parameter/i,
    cause: 'something that is no PostgreSQL server, or a pooler that takes no settings, answers',
    fix: (url) => `use the direct address of the server, or a session-mode pooler, in ${url}`,
  },
  {
    codes: ['ECONNRESET', 'CONNECTION_CLOSED', 'CONNECTION_ENDED', 'CONNECTION_DESTROYED', 'EPIPE'],
    words: /closed the connection|reset by peer|terminated unexpectedly/i,
    cause: 'it closed the connection before the session began',
    fix: (url) =>
      `is that the port of a PostgreSQL server? Its log, or that of the proxy before it, says ` +
      `why; look at port and sslmode in ${url}`,
  },
];

/** What a refusal means and what to do about it. */
export function explainRefusal(
  { place, code, said }: Refusal,
  side: Side,
): { cause: string; fix: string } {
  const url = side === 'target' ? 'TARGET_DATABASE_URL' : 'SOURCE_DATABASE_URL';
  const known =
    CAUSES.find(({ codes }) => codes.includes(code)) ??
    CAUSES.find(({ words }) => words.test(said));
  const words = said.replace(/\s+/g, ' ').trim();
  const told = words.includes(code)
    ? words
    : [code, words].filter((part) => part !== '').join(': ');
  const what =
    side === 'target'
      ? 'could not connect to the target'
      : 'the target could not connect to the source';
  return {
    cause:
      known === undefined
        ? `${what} at ${place}: ${told}`
        : `${what} at ${place}: ${known.cause}${told === '' ? '' : ` (${told})`}`,
    fix:
      known?.fix(url, side) ??
      `look at host, port, database, user and sslmode in ${url}${seenFrom(side)}`,
  };
}

/** The target reaches the source, not this machine: only where the address may be the reason. */
function seenFrom(side: Side): string {
  return side === 'target'
    ? ''
    : '; the target opens this connection: where it sees the source under another address, set ' +
        'SOURCE_HOST_FROM_TARGET and SOURCE_PORT_FROM_TARGET; where it cannot reach it at all: ' +
        'runner/docs/unreachable-source.md';
}
