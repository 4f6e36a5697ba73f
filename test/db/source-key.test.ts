// deadline 180
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { open, runner } from '../runner.ts';

/* Rows are told apart by the key of their source table: which indexes prove that it is one. */

interface Context {
  pair: TestPair;
  source: Sql;
}

const test = suite<Context>('source key');

test.before(async (context) => {
  // covering indexes came with release 11
  context.pair = await testPair({ name: 'source_key', source: 'schema', sourceMajor: 17 });
  context.source = open(context.pair.sourceAdminUrl);
});

test.after(async ({ pair, source }) => {
  await source.end();
  await pair.drop();
});

const KEYS: [what: string, definition: string, isKey: boolean][] = [
  ['a covering primary key', 'add primary key (id) include (task_name)', true],
  ['a covering unique key', 'add unique (id) include (task_name)', true],
  ['a key that only includes the id', 'add primary key (predefined) include (id)', false],
  ['a key of two columns', 'add primary key (id, predefined)', false],
];

for (const [what, definition, isKey] of KEYS) {
  test(`${what} is ${isKey ? 'the' : 'not the'} key of its table`, async ({ pair, source }) => {
    await source.unsafe(`
      do $$
      declare
        key text;
      begin
        for key in
          select conname from pg_constraint
          where conrelid = 'dispatch_template'::regclass and contype in ('p', 'u')
        loop
          execute format('alter table dispatch_template drop constraint %I cascade', key);
        end loop;
      end $$;
      alter table dispatch_template ${definition}`);
    const { stderr } = await runner(pair, ['up', '1-foundation']);
    const refused = /dispatch_template\.id is not the unique key of the source table/;
    assert.is(refused.test(stderr), !isKey, stderr);
  });
}

test.run();
