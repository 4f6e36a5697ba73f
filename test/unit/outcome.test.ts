import postgres from 'postgres';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { exitCodeOf, explanationOf } from '../../runner/commands/outcome.ts';
import { PhaseFailed } from '../../runner/engine/phase.ts';

/** What the server says: the driver's types leave the constructor out. */
function raised(code: string, message = 'it was refused'): Error {
  const Raised = postgres.PostgresError as unknown as new (fields: object) => Error;
  return new Raised({ code, message, severity: 'ERROR' });
}

test('the exit code is that of the SQLSTATE, not of words in the message', () => {
  assert.is(exitCodeOf(raised('MIG02')), 3);
  assert.is(exitCodeOf(raised('MIG03')), 3);
  assert.is(exitCodeOf(raised('MIG01')), 1);
  assert.is(exitCodeOf(raised('55P03', 'the link is in use')), 1);
  assert.is(exitCodeOf(new Error('the link')), 1);
  assert.is(exitCodeOf('thrown'), 1);
});

test('what a phase failed by counts', () => {
  const failed = (cause?: unknown) => new PhaseFailed('2-core', 'customers', 'no', false, cause);
  assert.is(exitCodeOf(failed(raised('MIG02'))), 3);
  assert.is(exitCodeOf(failed(raised('23505'))), 1);
  assert.is(exitCodeOf(failed()), 1);
});

test('the explanation holds the SQLSTATE', () => {
  assert.is(explanationOf(raised('MIG03'), 'up'), 'it was refused (SQLSTATE MIG03)');
});

test.run();
