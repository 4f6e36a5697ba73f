// deadline 120
/* A trigger of the application that gives new rows another id: our rows would not be found again. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, errorOf, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Scratch, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const test = suite<Context>('given id');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'given_id', source: 'empty' }), {
    project: tinyProject({
      'sql/1-one/10_things.sql': `-- For the test.
--
-- target   public.things
-- source   things
-- adopt    none

create view transform.things as
select s.id as legacy_key, s.id::integer as legacy_id from legacy.things as s;
`,
    }),
  });
  const { source, target } = context;
  await source.unsafe(`
    create table public.things (id integer primary key);
    grant select on all tables in schema public to legacy_reader;
    insert into things values (1), (2)`);
  await target.unsafe(`
    set role postgres;
    create table public.things (id uuid primary key, legacy_id integer);
    create function public.give_id() returns trigger language plpgsql as $$
      begin new.id := gen_random_uuid(); return new; end $$;
    create trigger give_id before insert on public.things
      for each row execute function public.give_id();
    reset role`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('up stops, says so, and leaves nothing', async ({ pair, target, project }) => {
  const error = await errorOf(migrate(pair, { root: project.root }));
  assert.match(error.message, /things: 2 rows? .*not found by (its|their) id.*trigger/);
  assert.is((await target`select from public.things`).length, 0);
  assert.is((await target`select from ids.things`).length, 0);
});

test.run();
