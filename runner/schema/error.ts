import type { Refusal } from '../connection/unreachable.ts';

/**
 * Why a schema change did not happen:
 * `usage` (wrong call), `connect`, `busy` (another runner holds the lock), `refused` (a file breaks
 * a rule), `history` (an applied file is edited or missing, or a file arrived out of order),
 * `protected` (the result would lose a protected column), `locked` (no lock after all attempts),
 * `failed` (the database refused), `unknown` (connection lost during COMMIT).
 *
 * And two that are no comfort: `lost` (a protected column is not what it was, and no ROLLBACK helps;
 * the message says whether the change is committed), `unseen` (it is committed, and the protected
 * columns could not be looked at afterwards).
 */
export type SchemaErrorCode =
  | 'usage'
  | 'connect'
  | 'busy'
  | 'refused'
  | 'history'
  | 'protected'
  | 'locked'
  | 'failed'
  | 'unknown'
  | 'lost'
  | 'unseen';

/** Ends the message of a change that left nothing. */
export const ROLLED_BACK = 'Rolled back, nothing changed.';

/** Message: what, where, what is true now. Never a password, never a row value. */
export class SchemaChangeError extends Error {
  override readonly name = 'SchemaChangeError';
  readonly code: SchemaErrorCode;
  /** Relative to the project root, when one file is to blame; line and column count from 1. */
  readonly at: { file: string; line?: number; column?: number } | undefined;
  /** Of `connect`: why. */
  readonly refusal: Refusal | undefined;

  constructor(
    code: SchemaErrorCode,
    message: string,
    at?: SchemaChangeError['at'],
    refusal?: Refusal,
  ) {
    super(message);
    this.code = code;
    this.at = at;
    this.refusal = refusal;
  }
}

/** `code` of an error that has one (SQLSTATE, errno name), else ''. */
export function codeOf(error: unknown): string {
  const code = isRow(error) ? error['code'] : undefined;
  return typeof code === 'string' ? code : '';
}

/** A plain object: a parse tree node, a parsed JSON object. */
export function isRow(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
