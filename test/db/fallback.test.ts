// deadline 300
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Summary } from '../../runner/engine/summary.ts';
import { dropPair, preparePair } from '../migrate.ts';
import { NEUTRAL, type TestPair } from '../pair.ts';
import {
  lastLine,
  neutralProject,
  noResidue,
  runner,
  sameDump,
  succeed,
  touches,
} from '../runner.ts';

/* Rows that cannot be read or written, and tables that do not take what they are given. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
}

interface Reject {
  legacy_id: string;
  kind: string;
  reason: string;
  sqlstate: string | null;
  constraint_name: string | null;
  raw: boolean;
}

const OF = { root: NEUTRAL };
const SCHEMAS = ['public', 'billing', 'ids'];

const test = suite<Context>('fallback');

test.before(async (context) => {
  Object.assign(
    context,
    await preparePair({ name: 'fallback', source: 'neutral', target: 'neutral' }, NEUTRAL),
  );
  // the refused rows are to be those of the tests; and rentals enough for pieces of changed keys
  await context.source.unsafe(`
    update rental set returned_at = null where returned_at < rented_at;
    insert into rental
    select n * 10, 1 + n % 69, 1 + n % 66, timestamptz '2024-01-01' + n * interval '1 hour', null
    from generate_series(451, 7450) as n`);
});

test.after(dropPair);

test('a row that cannot be read is found by halving and rejected with its key', async (context) => {
  const { pair, source, target } = context;
  const project = neutralProject();
  project.edit('sql/1-catalogue/30_films.sql', (text) =>
    text.replace(/f\.description( +as)/, '(f.description::integer)::text$1'),
  );
  await source`update film set description = film_id::text`;
  await source`update film set description = 'B 7' where film_id = 14`;
  const ended = await succeed(pair, ['up', '1-catalogue', '--json'], project);
  project.remove();
  const films = lastLine(ended).entities.find(({ entity }) => entity === 'films');
  assert.equal([films?.inserted, films?.rejected, films?.balanced], [295, 1, true]);
  assert.equal(await rejects(target, 'films', 'film_id'), [
    {
      legacy_id: '14',
      kind: 'error',
      reason: 'error_22P02',
      sqlstate: '22P02',
      constraint_name: null,
      raw: true,
    },
  ]);
  const wrong = await target`
    select m.legacy_id from ids.films as m left join public.films as f on f.id = m.id
    where m.legacy_id::text is distinct from f.description`;
  assert.equal([...wrong], []);
});

test('when the file is corrected the row comes in and the reject is resolved', async (context) => {
  const { pair, target } = context;
  const { entities } = await up(pair, '1-catalogue');
  const films = entities.find(({ entity }) => entity === 'films');
  assert.equal([films?.inserted, films?.updated, films?.rejected], [1, 0, 0]);
  assert.equal(await rejects(target, 'films', 'film_id'), []);
  const [row] = await target`select description from public.films where legacy_film_id = 14`;
  assert.is(row?.['description'], 'B 7');
});

test('a row whose filter fails in the source is isolated too', async ({ pair, source, target }) => {
  const project = neutralProject();
  project.edit('sql/1-catalogue/30_films.sql', (text) =>
    text.replace(
      'when f.withdrawn then',
      'when f.withdrawn or 1000000 / (f.film_id - 20) > 999999999 then',
    ),
  );
  const [there] = await source`select from film where film_id = 20`;
  assert.ok(there);
  const ended = await runner(pair, ['up', '1-catalogue', '--json'], project);
  project.remove();
  // the row was stored before: it is rejected now and listed as gone
  assert.is(ended.code, 0, ended.stderr);
  assert.equal(
    (await rejects(target, 'films', 'film_id')).map(({ legacy_id, sqlstate }) => [
      legacy_id,
      sqlstate,
    ]),
    [['20', '22012']],
  );
  const gone = await target`select entity, legacy_id::text, reason from migration.gone`;
  assert.equal([...gone], [{ entity: 'films', legacy_id: '20', reason: 'rejected' }]);
});

test('more refused rows than the limit: the phase fails and leaves nothing', async (context) => {
  const { pair, target } = context;
  await up(pair, '1-catalogue');
  await target`
    alter table public.customers add constraint no_bad check (legacy_customer_id not in (5, 7))`;
  const before = await touches(target, SCHEMAS);
  const ended = await runner(pair, ['up', '2-customers'], OF);
  assert.is(ended.code, 1);
  assert.match(
    ended.stderr,
    /customers: 2 of 198 rows were refused by the target .* 1 are allowed/,
  );
  assert.match(ended.stderr, 'nothing that this run did in it is in the target');
  sameDump(await touches(target, SCHEMAS), before);
  await failedIn(context, '2-customers', 'customers');
});

test('refused rows within the limit become rejects, all others are in', async (context) => {
  const { pair, source, target } = context;
  await source`
    update "Customer" set "HomePhone" = 'a number that is much too long' where "CustomerId" = 185`;
  // a customer without a phone: no other row is to be rejected for this one
  await target.unsafe(`
    alter table public.contacts alter column phone type varchar(20);
    alter table public.customers drop constraint no_bad;
    alter table public.customers add constraint no_bad check (legacy_customer_id <> 183)`);
  const { entities } = await up(pair, '2-customers');
  const counts = entities
    .filter(({ phase }) => phase === '2-customers')
    .map((e) => [e.entity, e.source, e.inserted, e.rejected, e.balanced]);
  assert.equal(counts, [
    ['customers', 200, 197, 1, true],
    ['contacts_home', 200, 131, 1, true],
    ['contacts_work', 200, 50, 0, true],
  ]);
  assert.equal(await rejects(target, 'customers', 'CustomerId'), [
    {
      legacy_id: '183',
      kind: 'error',
      reason: 'error_23514',
      sqlstate: '23514',
      constraint_name: 'no_bad',
      raw: true,
    },
  ]);
  assert.equal(await rejects(target, 'contacts_home', 'CustomerId'), [
    {
      legacy_id: '185',
      kind: 'error',
      reason: 'error_22001',
      sqlstate: '22001',
      constraint_name: null,
      raw: true,
    },
  ]);
  // halves, not single rows: each mark is a subtransaction that wrote
  const [marks] = await target<{ count: number }[]>`
    select count(*)::integer as count from migration.writes
    where run = (select max(run) from migration.runs)`;
  assert.ok(
    (marks?.count ?? 0) < 40,
    `${marks?.count} writes for three entities and two refused rows`,
  );
  const customers = await target<{ key: number }[]>`
    select legacy_customer_id as key from public.customers order by 1`;
  const there = await source<{ key: number }[]>`
    select "CustomerId" as key from "Customer"
    where not "IsTest" and "CustomerId" <> 183 order by 1`;
  assert.equal([...customers], [...there]);
  const phones = await target<{ key: number; phone: string }[]>`
    select c.legacy_customer_id as key, t.phone from public.contacts as t
    join public.customers as c on c.id = t.customer_id where t.kind = 'home' order by 1`;
  const known = await source<{ key: number; phone: string }[]>`
    select "CustomerId" as key, "HomePhone" as phone from "Customer"
    where not "IsTest" and "CustomerId" <> 185 and "HomePhone" is not null order by 1`;
  assert.equal([...phones], [...known]);
});

test('--full brings them in when nothing speaks against them any more', async (context) => {
  const { pair, source, target } = context;
  await target`alter table public.customers drop constraint no_bad`;
  await source`update "Customer" set "HomePhone" = '+43 1 10185' where "CustomerId" = 185`;
  const { entities } = await up(pair, '--full', '2-customers');
  const counts = entities
    .filter(({ inserted, updated }) => inserted || updated)
    .map((e) => [e.entity, e.inserted, e.updated, e.rejected]);
  assert.equal(counts, [
    ['customers', 1, 0, 0],
    ['contacts_home', 1, 0, 0],
  ]);
  assert.equal(await rejects(target, 'customers', 'CustomerId'), []);
  assert.equal(await rejects(target, 'contacts_home', 'CustomerId'), []);
  await target`alter table public.contacts alter column phone type text`;
  await succeed(pair, ['down', '2-customers', '--cascade', '--yes'], OF);
});

test('a trigger that drops rows fails the phase, in words that say so', async (context) => {
  const { pair, target } = context;
  await dropping(target, 'contacts', `new.phone = '+43 1 10001'`);
  const before = await touches(target, SCHEMAS);
  const ended = await runner(pair, ['up', '2-customers'], OF);
  assert.is(ended.code, 1);
  assert.match(ended.stderr, /contacts: 132 rows to insert .* 131 .* trigger .* drops rows/);
  sameDump(await touches(target, SCHEMAS), before);
  await failedIn(context, '2-customers', 'contacts_home');
});

test('also when another row is refused and the batch is written row by row', async (context) => {
  const { pair, target } = context;
  await target`
    alter table public.contacts add constraint no_bad check (phone <> '+43 1 10200')`;
  const ended = await runner(pair, ['up', '2-customers'], OF);
  const lost = await target`
    select m.legacy_id::integer from ids.contacts_home as m
    where not exists (select from public.contacts as t where t.id = m.id)`;
  await target.unsafe(`
    alter table public.contacts drop constraint no_bad;
    drop function public.app_dropping() cascade`);
  assert.equal([...lost], [], 'these rows are in the id map and not in the target');
  assert.is(ended.code, 1);
  assert.match(ended.stderr, 'drops rows');
});

test('checks of foreign keys keep their plans while rows are written and removed', async (context) => {
  const { pair, source, target } = context;
  // a trigger runs under the settings under which the checks of foreign keys run
  await target.unsafe(`
    create schema app;
    create table app.modes (event text, mode text);
    create function app.note_mode() returns trigger language plpgsql security definer as $$
    begin
      insert into app.modes values (tg_op, current_setting('plan_cache_mode'));
      return null;
    end $$;
    create trigger moding after insert or update or delete on public.contacts
      for each row execute function app.note_mode()`);
  await up(pair, '2-customers');
  await source`update "Customer" set "HomePhone" = null where "CustomerId" = 1`;
  await up(pair, '2-customers');
  const modes = await target`select distinct event, mode from app.modes order by 1`;
  await target.unsafe('drop schema app cascade');
  assert.equal(
    [...modes],
    [
      { event: 'DELETE', mode: 'auto' },
      { event: 'INSERT', mode: 'auto' },
    ],
  );
});

test('what a trigger rewrites is no change: later runs leave it, down takes it', async (context) => {
  const { pair, source, target } = context;
  await succeed(pair, ['down', '2-customers', '--cascade', '--force', '--yes'], OF);
  await target.unsafe(`
    create function public.app_rewrite() returns trigger language plpgsql as $$
    begin new.first_name := upper(new.first_name); return new; end $$;
    create trigger rewriting before insert or update on public.customers
      for each row execute function public.app_rewrite()`);
  await up(pair, '2-customers');
  const [stored] = await target<{ odd: number; rows: number }[]>`
    select count(*) filter (where first_name <> upper(first_name))::integer as odd,
      count(*)::integer as rows
    from public.customers`;
  assert.equal({ ...stored }, { odd: 0, rows: 198 });
  const before = await touches(target);
  for (const more of [[], ['--full']]) {
    const { entities } = await up(pair, '2-customers', ...more);
    const changed = entities.filter(({ inserted, updated }) => inserted || updated);
    assert.equal(
      changed.map(({ entity }) => entity),
      [],
    );
    sameDump(await touches(target), before, more.join());
  }
  // a change in the source is written, and no conflict
  await source`update "Customer" set "FirstName" = 'from the source' where "CustomerId" = 1`;
  const { entities } = await up(pair, '2-customers');
  assert.is(entities.find(({ entity }) => entity === 'customers')?.updated, 1);
  const [row] = await target<{ first_name: string }[]>`
    select first_name from public.customers where legacy_customer_id = 1`;
  assert.is(row?.first_name, 'FROM THE SOURCE');
  assert.equal([...(await target`select from migration.conflicts`)], []);
  await succeed(pair, ['down', '2-customers', '--cascade', '--yes'], OF);
  await target`drop function public.app_rewrite() cascade`;
});

test('a phase that commits range by range keeps what is committed, and goes on from there', async (context) => {
  const { pair, source, target } = context;
  // a tenth of the keys per range instead of all in one
  const [rental] = await source<{ width: number }[]>`
    select ceil((max(rental_id) - min(rental_id) + 1) / 10.0)::integer as width from rental`;
  assert.ok(rental);
  await target`
    update migration.source_tables set width = ${rental.width} where source_table = 'rental'`;
  await up(pair, '2-customers', '3-rentals');
  // rows of three ranges with others between them: three pieces
  const keys = await source<{ key: number }[]>`
    select min(rental_id) as key from rental where customer_id <= 66
    group by rental_id / ${rental.width} order by 1`;
  const [first, , second, , third] = keys.map(({ key }) => key);
  assert.ok(first && second && third);
  const touched = [first, second, third];
  await source`
    update rental set returned_at = rented_at + interval '99 days'
    where rental_id in ${source(touched)}`;
  await dropping(target, 'rentals', `new.legacy_rental_id = ${second}`);
  const ended = await runner(pair, ['up', '--json', '--jobs', '1'], OF);
  assert.is(ended.code, 1);
  assert.match(ended.stderr, /rentals: 0 rows to insert and 1 to update, 0 and 0 written/);
  assert.match(ended.stderr, 'ranges committed before stay');
  assert.equal(await changedRentals(target), [first]);
  await failedIn(context, '3-rentals', 'rentals');
  await target`drop function public.app_dropping() cascade`;
  const { entities } = await up(pair, '3-rentals');
  assert.is(entities.find(({ entity }) => entity === 'rentals')?.updated, 2);
  assert.equal(await changedRentals(target), touched);
});

test('above the limit such a phase fails too; later phases do not start', async (context) => {
  const { pair, source, target } = context;
  const keys = await target<{ key: number }[]>`
    select legacy_rental_id::integer as key from public.rentals order by 1 limit 8`;
  const bad = keys.map(({ key }) => key);
  await target`
    alter table public.rentals add constraint no_bad check (returned_at <> '2099-01-01')`;
  await source`update rental set returned_at = '2099-01-01' where rental_id in ${source(bad)}`;
  await source`
    update rental set returned_at = '2098-01-01'
    where rental_id = (select max(rental_id) from rental where customer_id <= 66)`;
  const ended = await runner(pair, ['up', '--json'], OF);
  assert.is(ended.code, 1);
  assert.match(ended.stderr, /rentals: 8 of 7450 rows were refused by the target .* 7 are allowed/);
  assert.match(ended.stderr, 'later phases did not start');
  await failedIn(context, '3-rentals', 'rentals');
  assert.equal(
    (await rejects(target, 'rentals', 'rental_id'))
      .filter(({ kind }) => kind === 'error')
      .map(({ legacy_id, constraint_name }) => [Number(legacy_id), constraint_name]),
    bad.map((key) => [key, 'no_bad']),
  );
  const [good] = await target`select from public.rentals where returned_at = '2098-01-01'`;
  assert.ok(good, 'the rows that are right are not in');
});

test('after all of this nothing of the runner is left', async ({ source, target }) => {
  await noResidue(target, source);
});

/** A trigger that drops the rows for which the condition holds. */
async function dropping(target: Sql, table: string, condition: string): Promise<void> {
  await target.unsafe(`
    create function public.app_dropping() returns trigger language plpgsql as $$
    begin
      if ${condition} then return null; end if;
      return new;
    end $$;
    create trigger dropping before insert or update on public.${table}
      for each row execute function public.app_dropping()`);
}

/** `up --json` of the project, which must succeed: its summary. */
async function up(pair: TestPair, ...args: string[]): Promise<Summary> {
  return lastLine(await succeed(pair, ['up', '--json', ...args], OF));
}

async function changedRentals(target: Sql): Promise<number[]> {
  const rows = await target<{ key: number }[]>`
    select legacy_rental_id::integer as key from public.rentals
    where returned_at = rented_at + interval '99 days' order by 1`;
  return rows.map(({ key }) => key);
}

/** The ledger says that this phase failed in that entity, and that no later phase was tried. */
async function failedIn({ pair, target }: Context, phase: string, entity: string): Promise<void> {
  const summary = lastLine(await succeed(pair, ['status', '--json'], OF));
  assert.match(summary.verdict, `Failed in ${entity}`);
  assert.is(summary.phases.find((each) => each.phase === phase)?.status, 'failed');
  const tried = await target<{ phase: string; status: string; error: string | null }[]>`
    select phase, status, error from migration.control
    where run = (select max(run) from migration.runs) order by started_at`;
  assert.equal(
    tried.filter(({ status: state }) => state === 'failed').map((row) => row.phase),
    [phase],
  );
  assert.ok(tried.every((row) => row.phase <= phase));
}

/** Open rejects of an entity; `raw`: the source row is kept, with its key in this column. */
async function rejects(target: Sql, entity: string, key: string): Promise<Reject[]> {
  const rows = await target<Reject[]>`
    select legacy_id::text, kind, reason, sqlstate, constraint_name,
      source_row ->> ${key}::text = legacy_id::text as raw
    from migration.rejects
    where entity = ${entity} and resolved_run is null order by legacy_id`;
  return rows.map((row) => ({ ...row }));
}

test.run();
