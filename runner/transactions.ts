/* What holds for the transactions of both drivers: their settings, and when one is tried again. */

/** Limits of a transaction, as PostgreSQL reads them: `10s`. */
export interface Limits {
  lock: string;
  statement: string;
  /** Silence after which the server ends the session. */
  idle: string;
}

/**
 * One call that says what decides how values are stored and hashed, and the limits; `local`: until
 * the transaction ends.
 */
export function settings({ lock, statement, idle }: Limits, local: boolean): string {
  const values: [string, string][] = [
    ['search_path', 'pg_catalog, pg_temp'],
    ['TimeZone', 'UTC'],
    ['DateStyle', 'ISO, MDY'],
    ['IntervalStyle', 'postgres'],
    ['extra_float_digits', '1'],
    ['bytea_output', 'hex'],
    ['row_security', 'off'],
    ['statement_timeout', statement],
    ['lock_timeout', lock],
    ['idle_in_transaction_session_timeout', idle],
    ['jit', 'off'],
  ];
  const calls = values.map(
    ([name, value]) => `pg_catalog.set_config('${name}', '${value}', ${String(local)})`,
  );
  return `select ${calls.join(', ')}`;
}

/** Lock, deadlock, serialization; MIG03: the link is in use. */
const PASSING = new Set(['55P03', '40P01', '40001', 'MIG03']);

/** True for a SQLSTATE after which the same transaction may simply be tried again. */
export function isPassing(code: string | undefined): boolean {
  return code !== undefined && PASSING.has(code);
}

/**
 * Milliseconds to wait after an attempt (from 1): twice as long each time, up to 5 s, with jitter, so
 * that two waiting sessions do not meet again.
 */
export function pauseAfter(attempt: number): number {
  return Math.round(Math.min(100 * 2 ** attempt, 5000) * (0.5 + Math.random() / 2));
}
