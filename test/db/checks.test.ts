// deadline 180
/* What the data checks of the engine find, and how any check is run. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { definedEntities, readCatalog } from '../../runner/engine/catalog.ts';
import { type CheckResult, COMPARING, readChecks, runChecks } from '../../runner/engine/checks.ts';
import { connect, failureOf, type Session, transaction } from '../../runner/database.ts';
import { login } from '../../runner/engine/link.ts';
import { configOf, dropPair, preparePair } from '../migrate.ts';
import { NEUTRAL, type TestPair } from '../pair.ts';
import { succeed, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** A superuser's in the target, in the role of `postgres`: only one can switch off the trigger of a foreign key. */
  session: Session;
}

/** What is done to a healthy migration, and the checks that must find it: no more, no fewer. */
interface Corruption {
  name: string;
  plant: string;
  found: string[];
}

const OF = { root: NEUTRAL };
const CHECKS = readChecks(NEUTRAL, 'checks');
const DEFINED = definedEntities(readCatalog(NEUTRAL));

const CORRUPTIONS: Corruption[] = [
  {
    name: 'a cent more in one payment',
    plant: `update billing.payments set amount = amount + 0.01 where number = 5000000002`,
    found: ['spent'],
  },
  {
    name: 'two amounts that cancel out, in different months',
    plant: `update billing.payments set amount = amount + case number when 5000000001 then 1 else -1 end
      where number in (5000000001, 5000000100) and paid_on < '2023-12-01'`,
    found: ['spent'],
  },
  {
    name: 'a wrong amount in a reject of an entity whose stored rows are right',
    plant: `update migration.rejects set source_row = jsonb_set(source_row, '{amount}', '12.34')
      where entity = 'payments' and legacy_id = (
        select min(r.legacy_id) from migration.rejects as r where r.entity = 'payments')`,
    found: ['spent'],
  },
  {
    name: 'a text in another case, of the same length',
    plant: `update public.customers set last_name = upper(last_name) where legacy_customer_id = 1`,
    found: ['names'],
  },
  {
    name: 'a reference to another row',
    plant: `update public.films set language_id = (
        select x.id from public.languages as x where x.id <> films.language_id limit 1)
      where legacy_film_id = 1`,
    found: ['references'],
  },
  {
    name: 'an optional reference lost',
    plant: `update public.films set sequel_of = null where legacy_film_id = 12`,
    found: ['references'],
  },
  {
    name: 'a reference that leads nowhere in the source, and somewhere in the target',
    plant: `update public.customers set country_id = (select min(x.id::text)::uuid from public.countries as x)
      where legacy_customer_id = 14`,
    found: ['references'],
  },
  {
    name: 'a row that is lost',
    plant: `delete from public.contacts where id = (select min(m.id::text)::uuid from ids.contacts_home as m)`,
    found: ['id_maps', 'names'],
  },
  {
    name: 'an orphan, made behind the back of its foreign key',
    plant: `alter table public.films disable trigger all;
      update public.films set original_language_id = gen_random_uuid() where legacy_film_id = 9;
      alter table public.films enable trigger all`,
    found: ['foreign_keys'],
  },
  {
    name: 'a foreign key that does not guard',
    plant: 'alter table public.rentals disable trigger all',
    found: ['foreign_keys'],
  },
  {
    name: 'a foreign key that was never validated',
    plant: `alter table billing.payments add constraint added foreign key (rental_id)
      references public.rentals not valid`,
    found: ['foreign_keys'],
  },
  {
    name: 'row level security switched off',
    plant: 'alter table billing.payments disable row level security',
    found: ['row_level_security'],
  },
  {
    name: 'the ledger open to people who signed in',
    plant: 'grant usage on schema migration to authenticated',
    found: ['private_schemas'],
  },
  {
    name: 'a table of the source open to everybody',
    plant: 'grant select on legacy."Customer" to public',
    found: ['private_schemas'],
  },
  {
    name: 'a column of the archive open to the API',
    plant: 'grant select (price) on legacy_archive.price_list to service_role',
    found: ['private_schemas'],
  },
  {
    name: 'a function that everybody may call',
    plant: `create function migration.added() returns integer language sql as 'select 1'`,
    found: ['private_schemas'],
  },
  {
    name: 'a login of the source left behind',
    plant: `create user mapping for public server legacy_source
      options (user 'reader', password 'secret')`,
    found: ['no_login'],
  },
  {
    name: 'a map entry without a row',
    plant: `insert into ids.languages (legacy_id, id, version, run)
      values (999, migration.new_id('languages', 999), 1, 1)`,
    found: ['balance', 'id_maps'],
  },
  {
    name: 'a row mapped by two entities',
    plant: `insert into ids.contacts_work (legacy_id, id, version, adopted, run)
      select 999999, x.id, 1, true, 1 from ids.contacts_home as x limit 1`,
    found: ['balance', 'id_maps'],
  },
  {
    name: 'a row under an id that does not follow from its key',
    plant: `with wrong as (
        update public.contacts set id = gen_random_uuid()
        where id = (select min(m.id::text)::uuid from ids.contacts_work as m)
        returning id, customer_id)
      update ids.contacts_work as m set id = w.id
      from wrong as w, ids.customers as c where c.id = w.customer_id and m.legacy_id = c.legacy_id`,
    found: ['id_maps'],
  },
  {
    name: 'a row whose map entry is lost',
    plant: `delete from ids.payments where legacy_id = (select min(m.legacy_id) from ids.payments as m)`,
    found: ['balance'],
  },
  {
    name: 'a reject that is forgotten',
    plant: `update migration.rejects set resolved_run = 1 where (entity, legacy_id) = (
      select r.entity, r.legacy_id from migration.rejects as r where r.entity = 'credits' limit 1)`,
    found: ['balance'],
  },
  {
    name: 'a copy in the archive that is not what it was',
    plant: `update legacy_archive.price_list set remark = 'other' where price_code = 'P1'`,
    found: ['archive'],
  },
  {
    name: 'a copy in the archive that is lost',
    plant: `delete from legacy_archive.price_list where price_code = 'P1'`,
    found: ['archive', 'balance'],
  },
  {
    name: 'a row that is gone from the source and kept',
    plant: `insert into migration.gone (entity, legacy_id, id, reason, run)
      select 'actors', x.legacy_id, x.id, 'deleted', 1 from ids.actors as x limit 1`,
    found: ['balance', 'gone'],
  },
  {
    name: 'a row left to the application: listed, and left out elsewhere',
    plant: `insert into migration.conflicts (entity, legacy_id, id, kind, resolution, run)
      select 'customers', x.legacy_id, x.id, 'changed', 'target', 1 from ids.customers as x
      where x.legacy_id = 1;
      update public.customers set last_name = 'by the application' where legacy_customer_id = 1`,
    found: ['left_to_application'],
  },
];

const test = suite<Context>('data checks');

test.before(async (context) => {
  const databases = { name: 'checks', source: 'neutral', target: 'neutral' } as const;
  Object.assign(context, await preparePair(databases, NEUTRAL));
  const { pair } = context;
  await succeed(pair, ['up'], OF);
  const config = configOf({ sourceUrl: pair.sourceUrl, targetUrl: pair.targetAdminUrl });
  context.session = await connect(config.target, 'checks test');
  // as the account that migrates: tables of the link may be views of its own
  await context.session.query('set role postgres');
  await login(context.session, config.source);
});

test.after(async (context) => {
  await context.session.close();
  await dropPair(context);
});

test('green after all phases, also as a command of the account that migrates', async (context) => {
  assert.equal(await findings(context), []);
  const names = CHECKS.map(({ name }) => name);
  const { stdout } = await succeed(context.pair, ['check', ...names, '--json'], OF);
  const { checks } = JSON.parse(stdout) as {
    checks: { name: string; findings: number; error: string | null }[];
  };
  assert.equal(checks.map(({ name }) => name).toSorted(), names.toSorted());
  assert.equal(
    checks.filter((each) => each.findings > 0 || each.error !== null),
    [],
  );
});

for (const { name, plant, found } of CORRUPTIONS) {
  test(`found by ${found.join(', ')}: ${name}`, async (context) => {
    assert.equal(await findings(context, plant), found);
  });
}

test('after a phase only its own entities are looked at', async (context) => {
  const plant = CORRUPTIONS[0]?.plant;
  assert.equal(await findings(context, plant, '3-rentals'), ['spent']);
  assert.equal(await findings(context, plant, '2-customers'), []);
  const wrong = CORRUPTIONS.find(({ name }) => name === 'an optional reference lost')?.plant;
  assert.equal(await findings(context, wrong, '1-catalogue'), ['references']);
  assert.equal(await findings(context, wrong, '3-rentals'), []);
});

test('all checks together read the rows of a table once', async (context) => {
  const { source, session } = context;
  const scans = async () => {
    const [row] = await source<{ scans: number }[]>`
      select (seq_scan + coalesce(idx_scan, 0))::integer as scans
      from pg_stat_user_tables where relname = 'country'`;
    return row?.scans ?? 0;
  };
  const comparing = CHECKS.filter(({ name }) => ['names', 'references'].includes(name));
  const before = await scans();
  await inTransaction(context, () => runChecks(session, comparing, DEFINED, '1-catalogue'));
  // the source counts what a session did when it ends
  const after = await waitFor('the scan is counted', async () => {
    const now = await scans();
    return now > before ? [{ now }] : [];
  });
  assert.is(after.now - before, 1);
});

test('what the runner knows to ask are all functions that do', async ({ target }) => {
  const [row] = await target<{ names: string[] }[]>`
    select array_agg(p.proname::text order by p.proname) as names from pg_proc as p
    where p.pronamespace = 'migration'::regnamespace and p.prosrc like '%migration.is_settled(%'`;
  assert.equal(row?.names, COMPARING.toSorted());
});

test('nothing of that was kept', async (context) => {
  assert.equal(await findings(context), []);
});

test('a change of the source is no error of the migration: it is found by source_drift', async (context) => {
  const { source, pair } = context;
  await source.unsafe(`
    update billing.payment set amount = amount + 1 where payment_id = 5000000002;
    update "Customer" set "LastName" = 'other' where "CustomerId" = 1;
    update film set language_id = 3 where film_id = 1;
    delete from actor where actor_id = (select max(actor_id::text)::uuid from actor);
    insert into language values (6, 'Latin')`);
  assert.equal(await findings(context), ['source_drift']);
  await succeed(pair, ['up'], OF);
  // the actor is gone from the source: what came from it is kept and listed
  assert.equal(await findings(context), ['gone']);
});

test('there is a corruption for every check', () => {
  // there is no table of old and new ids here: mappings.test.ts
  const found = [...CORRUPTIONS.flatMap((each) => each.found), 'source_drift', 'mappings'];
  assert.equal(
    CHECKS.map(({ name }) => name).filter((name) => !found.includes(name)),
    [],
  );
});

test('a check cannot write', async (context) => {
  const text = 'with gone as (delete from public.films returning 1) select from gone';
  const [result] = await inTransaction(context, () => runText(context, text));
  assert.match(result?.problem?.message ?? '', /read-only transaction/);
});

test('what comes after a check may write', async (context) => {
  await inTransaction(context, async () => {
    const results = await runText(context, 'select from pg_class');
    await context.session.query('create table public.written ()');
    return results;
  });
});

test('an error of a check is reported where it stands in the file', async (context) => {
  const text = `-- Title.\n--\n-- severity  error\n\nselect\n  c.oid,\n  c.nothing\nfrom pg_class as c;\n`;
  const [result] = await inTransaction(context, () => runText(context, text));
  const { line, column, message } = result?.problem ?? {};
  assert.equal([line, column, message], [7, 3, 'column c.nothing does not exist']);
  const [later] = await inTransaction(context, () =>
    runText(context, 'select 1 / relpages from pg_class'),
  );
  assert.is(later?.problem?.message, 'division_by_zero (22012)');
  assert.is(later?.unreadable, true);
});

test('the first rows of what is found are shown, each value as text', async (context) => {
  const text = `select g as key, null as nothing, g = 1 as first, array[g] as list
    from generate_series(1, 7) as g`;
  const [result] = await inTransaction(context, () => runText(context, text));
  assert.is(result?.findings, 7);
  assert.is(result?.sample.length, 5);
  assert.is(result?.sample[0], 'key=1 nothing=null first=true list=[1]');
});

test('a check that is cancelled has no result: it is thrown, with its name', async (context) => {
  const error = await inTransaction(context, async () => {
    await context.session.query(`set local statement_timeout = '200ms'`);
    return runText(context, 'select pg_sleep(60)');
  }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.is(failureOf(error)?.code, '57014');
  assert.match(failureOf(error)?.message ?? '', `check ${CHECKS[0]?.name}: canceling statement`);
});

test.run();

/** Names of the checks that find something after a corruption, which is taken back. */
async function findings(context: Context, plant?: string, phase?: string): Promise<string[]> {
  const results = await inTransaction(context, async () => {
    if (plant !== undefined) {
      await context.session.query(`set local role none; ${plant}; set local role postgres`);
    }
    return runChecks(context.session, CHECKS, DEFINED, phase);
  });
  assert.equal(
    results.flatMap(({ check, problem }) =>
      problem ? [`${check.file}:${problem.line} ${problem.message}`] : [],
    ),
    [],
  );
  return results
    .filter((result) => result.findings > 0)
    .map(({ check }) => check.name)
    .toSorted();
}

/** Runs another text instead of the first check. */
function runText({ session }: Context, text: string): Promise<CheckResult[]> {
  return runChecks(session, [{ ...CHECKS[0]!, needsLink: false, text }], DEFINED);
}

function inTransaction(
  { session }: Context,
  body: () => Promise<CheckResult[]>,
): Promise<CheckResult[]> {
  return transaction(session, body, { commit: false });
}
