// deadline 180
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { type Ended, open, startRunner, succeed } from '../runner.ts';

/* Exit 3, another runner is at work: by what the engine raises, whatever words are in the message. */

interface Context {
  pair: TestPair;
  target: Sql;
  admin: Sql;
}

/** In a process of its own: its exit code is what this is about. */
function runner(pair: TestPair, args: string[]): Promise<Ended> {
  return startRunner(pair, args, { root: NEUTRAL }).ended;
}

const test = suite<Context>('exit 3');

test.before(async (context) => {
  context.pair = await testPair({ name: 'exit_3', source: 'neutral', target: 'neutral' });
  context.target = open(context.pair.targetUrl);
  context.admin = open(context.pair.targetAdminUrl);
  await succeed(context.pair, ['up', '1-catalogue'], { root: NEUTRAL });
});

test.after(async ({ pair, target, admin }) => {
  await target.end();
  await admin.end();
  await pair.drop();
});

test('the link is in use by another session', async ({ pair, target }) => {
  await target`begin`;
  await target`select pg_advisory_xact_lock(20250401, 2)`;
  const { code, stderr } = await runner(pair, ['check', 'coverage']);
  await target`rollback`;
  assert.match(stderr, 'the link is in use by another session');
  assert.is(code, 3, stderr);
});

test('another run took the lease', async ({ pair, admin }) => {
  await admin.unsafe(`
    create function public.take_over() returns trigger
    language plpgsql security definer as $$
    begin
      with other as (
        insert into migration.runs (command, status) values ('up', 'running') returning run)
      update migration.lease set run = other.run from other;
      return null;
    end $$;
    create trigger take_over after insert on public.customers
    execute function public.take_over()`);
  const { code, stderr } = await runner(pair, ['up', '2-customers', '3-rentals']);
  assert.match(stderr, 'another runner has taken over; this one stopped before writing');
  assert.is(code, 3, stderr);
});

test.run();
