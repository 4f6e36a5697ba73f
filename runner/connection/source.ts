import type postgres from 'postgres';

import type { Endpoint } from '../config.ts';
import { CouldNotConnect, failureOf, placeOf } from '../database.ts';

/**
 * The source could not be reached from the target, or refused the account: what libpq said of it.
 * undefined when the error is of another kind.
 */
export function sourceRefusal(error: unknown, source: Endpoint): CouldNotConnect | undefined {
  const { code, message } = failureOf(error) ?? {};
  // sqlclient_unable_to_establish_sqlconnection; and a link without a password
  if (code !== '08001' && code !== '2F003') return undefined;
  const detail = (error as postgres.PostgresError).detail ?? message ?? '';
  return new CouldNotConnect('source', {
    place: placeOf(source),
    code: code === '08001' ? '' : code,
    said: detail,
  });
}

/** Runs what reads through the link; throws CouldNotConnect where that cannot be opened. */
export async function throughLink<T>(source: Endpoint, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw sourceRefusal(error, source) ?? error;
  }
}
