// deadline 240
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { definedEntities, readCatalog } from '../../runner/engine/catalog.ts';
import { type CheckResult, readChecks, runChecks } from '../../runner/engine/checks.ts';
import { connect, transaction } from '../../runner/database.ts';
import { login } from '../../runner/engine/link.ts';
import { PhaseFailed } from '../../runner/engine/phase.ts';
import {
  configOf,
  dropPair,
  errorOf,
  migrate,
  type MigrateOptions,
  preparePair,
} from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { neutralProject, succeed, waitFor } from '../runner.ts';

/* What the data checks of `up` see: a corruption in every phase, and one for every check of the engine. */

/** Rows of a table are spoilt as they are inserted. */
interface Spoilt {
  table: string;
  /** Statements of the trigger; `new` is the row. */
  by: string;
}

/** Corruptions of one phase, and the checks that must find them: no more, no fewer. */
interface Planted {
  phase: string;
  /** It is taken back first: another corruption was planted in it before. */
  isBack?: boolean;
  spoilt: Spoilt[];
  found: string[];
}

/** A check that does not read the source: it is for the second session. */
const DATES = `-- Nobody rented a film before there were any.
--
-- severity  error

select r.legacy_rental_id
from public.rentals as r
where r.rented_at < '1900-01-01';
`;

const PLANTED: Planted[] = [
  {
    phase: '1-catalogue',
    spoilt: [
      { table: 'public.actors', by: `new.last_name := concat(new.last_name, 'x');` },
      { table: 'public.films', by: 'new.language_id := null;' },
    ],
    found: ['names', 'references'],
  },
  {
    phase: '2-customers',
    spoilt: [{ table: 'public.contacts', by: `new.phone := left(new.phone, 3);` }],
    found: ['names'],
  },
  {
    phase: '3-rentals',
    spoilt: [
      { table: 'public.rentals', by: 'new.film_id := null;' },
      { table: 'billing.payments', by: 'new.amount := new.amount + 0.01;' },
    ],
    found: ['references', 'spent'],
  },
  {
    phase: '3-rentals',
    isBack: true,
    spoilt: [{ table: 'public.rentals', by: `new.rented_at := '1800-01-01';` }],
    found: ['dates'],
  },
  {
    phase: 'archive',
    spoilt: [
      { table: 'legacy_archive.price_list', by: `new.price_code := concat(new.price_code, ' ');` },
    ],
    found: ['archive'],
  },
];

/** What is no value of a row is planted by a trigger of the ledger, when an entity ends. */
interface PlantedLate {
  check: string;
  phase: string;
  entity: string;
  plant: string;
  /** Where the phase commits range by range the plant is committed, too. */
  undo?: string;
}

const PLANTED_LATE: PlantedLate[] = [
  {
    check: 'balance',
    phase: '1-catalogue',
    entity: 'languages',
    plant: `insert into migration.filtered (entity, legacy_id, reason)
      values ('languages', 999999, 'planted')`,
  },
  {
    check: 'id_maps',
    phase: '2-customers',
    entity: 'contacts_home',
    plant: `with chosen as materialized (
        select x.legacy_id, x.id as was, gen_random_uuid() as now
        from ids.contacts_home as x order by x.legacy_id limit 1),
      moved as (
        update public.contacts as t set id = c.now from chosen as c where t.id = c.was)
      update ids.contacts_home as m set id = c.now from chosen as c
      where m.legacy_id = c.legacy_id`,
  },
  {
    check: 'no_login',
    phase: '2-customers',
    entity: 'customers',
    plant: `create user mapping for public server legacy_source
      options (user 'reader', password 'secret')`,
  },
  {
    check: 'foreign_keys',
    phase: '3-rentals',
    entity: 'rentals',
    plant: 'alter table public.rentals disable trigger all',
    undo: 'alter table public.rentals enable trigger all',
  },
  {
    check: 'private_schemas',
    phase: '3-rentals',
    entity: 'rentals',
    plant: 'grant select on ids.rentals to authenticated',
    undo: 'revoke select on ids.rentals from authenticated',
  },
  {
    check: 'row_level_security',
    phase: '3-rentals',
    entity: 'rentals',
    plant: 'alter table public.rentals disable row level security',
    undo: 'alter table public.rentals enable row level security',
  },
];

const project = neutralProject();
writeFileSync(join(project.root, 'checks/dates.sql'), DATES);
const CATALOG = readCatalog(project.root);
const DEFINED = definedEntities(CATALOG);
const CHECKS = readChecks(project.root, 'checks');

const test = suite<{ pair: TestPair; source: Sql; target: Sql }>('planted');

test.before(async (context) => {
  const databases = { name: 'planted', source: 'neutral', target: 'neutral' } as const;
  Object.assign(context, await preparePair(databases, project.root));
});

test.after(async (context) => {
  project.remove();
  await dropPair(context);
});

for (const { phase, isBack, spoilt, found } of PLANTED) {
  const run = { only: [phase], archive: phase === 'archive' };

  test(`${phase}: found by ${found.join(', ')}`, async ({ pair, target }) => {
    if (phase === 'archive') await createArchive(target);
    if (isBack === true) await down(pair, phase);
    for (const each of spoilt) await spoil(target, each);
    const error = await failed(pair, run);
    assert.is(error.phase, phase, error.message);
    assert.equal(checksIn(error), found);
    assert.is.not(await statusOf(target, phase), 'complete');

    for (const { table } of spoilt) await target.unsafe(`drop trigger spoilt on ${table}`);
    if (error.committed) {
      // the rows are stored and their source has not changed: `up` keeps them as they are
      assert.equal(checksIn(await failed(pair, run)), found);
      await down(pair, phase);
    }
    await up(pair, run);
    assert.is(await statusOf(target, phase), 'complete');
  });
}

for (const { check, phase, entity, plant, undo } of PLANTED_LATE) {
  test(`${check}: found in ${phase}`, async ({ pair, target }) => {
    await interrupted(target, entity);
    await target.unsafe(`
      create or replace function public.plant() returns trigger
      language plpgsql security definer as $$ begin ${plant}; return null; end $$;
      create or replace trigger planted after update on migration.control for each row
      when (new.entity = '${entity}' and new.status = 'done') execute function public.plant()`);
    const error = await failed(pair, { only: [phase] });
    await target.unsafe('drop trigger planted on migration.control');
    assert.is(error.phase, phase, error.message);
    assert.equal(checksIn(error), [check]);
    assert.is.not(await statusOf(target, phase), 'complete');
    assert.is(error.committed, undo !== undefined);
    if (undo !== undefined) await target.unsafe(undo);
  });
}

test('a plain `up` goes on where these phases stopped', async ({ pair, target }) => {
  await up(pair, { archive: true });
  for (const { phase } of PLANTED) assert.is(await statusOf(target, phase), 'complete', phase);
});

for (const { phase, table, by, change, mend, found } of [
  {
    phase: '1-catalogue',
    table: 'public.actors',
    by: `new.last_name := concat(new.last_name, 'x');`,
    change: `update actor set last_name = 'changed' where actor_id = md5('actor 1')::uuid`,
    mend: `update public.actors set last_name = 'changed' where last_name = 'changedx'`,
    found: ['names'],
  },
  {
    phase: '3-rentals',
    table: 'billing.payments',
    by: 'new.amount := new.amount + 0.01;',
    change: `update billing.payment set amount = 77 where payment_id = 5000000002`,
    mend: 'update billing.payments set amount = 77 where amount = 77.01',
    found: ['spent'],
  },
]) {
  test(`${phase}: found in the one row that a run brings`, async ({ pair, source, target }) => {
    await source.unsafe(change);
    await spoil(target, { table, by }, 'update');
    const error = await failed(pair);
    assert.equal(checksIn(error), found);
    await target.unsafe(`drop trigger spoilt on ${table}`);
    assert.match(await statusOf(target, phase), 'partial', 'the phase has yet to pass');
    // range by range: the row is there, as it was spoilt
    if (error.committed) await target.unsafe(mend);
    await up(pair);
    assert.is(await statusOf(target, phase), 'complete');
  });
}

test('what the source changes meanwhile is no fault of what a run wrote', async ({
  pair,
  source,
  target,
}) => {
  const rename = (name: string) => source`
    update "Customer" set "LastName" = ${name} where "CustomerId" = 1`;
  await rename('first');
  // a lock holds the run between its rows and its checks
  await target.unsafe(`
    create or replace function public.plant() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock(78); return null; end $$;
    create trigger planted after update on migration.control for each row
    when (new.entity = 'customers' and new.status = 'done') execute function public.plant()`);
  await target`select pg_advisory_lock(78)`;
  const run = up(pair);
  await waitFor(
    'the run waits',
    () => target<{ pid: number }[]>`
    select pid from pg_locks where locktype = 'advisory' and objid = 78 and not granted`,
  );
  await rename('second');
  await target`select pg_advisory_unlock(78)`;
  await run;
  await target`drop trigger planted on migration.control`;
  await up(pair);
});

for (const { name, plant, message } of [
  {
    name: 'is not complete',
    plant: `update migration.entities set status = 'partial' where entity = 'actors'`,
    message: 'actors cannot be checked: it is partial',
  },
  {
    name: 'cannot be reached through the link',
    plant: 'drop foreign table legacy.actor cascade',
    message: 'actors cannot be checked: its source table actor is not in the link',
  },
  {
    name: 'is not in the ledger',
    plant: `delete from migration.entities where entity = 'actors'`,
    message: 'actors cannot be checked: it is not in the ledger',
  },
]) {
  test(`a check fails that asks about an entity of the phase that ${name}`, async ({ pair }) => {
    const [result] = await runNames(pair, { plant, phase: '1-catalogue' });
    assert.is(result?.findings, 1);
    assert.is(result?.problem?.message, message);
    const others = await runNames(pair, { plant, phase: '2-customers' });
    assert.is(others[0]?.findings, 0, 'of another phase');
    const without = await runNames(pair, { plant });
    assert.equal(without[0]?.sample, [], 'without a phase it may not have been migrated yet');
  });
}

test('a check fails that asks about an entity no file defines, whatever the phase', async ({
  pair,
}) => {
  for (const phase of [undefined, '1-catalogue', '2-customers']) {
    const [result] = await runNames(pair, {
      phase,
      change: (text) => text.replace(`'actors'`, `'actrs'`),
    });
    assert.is(result?.problem?.message, 'there is no entity actrs');
  }
});

test('nor is such a name overlooked where two ways are compared', async ({ pair }) => {
  const text = `select where migration.completed_together('rentals', 'rental')`;
  const [result] = await runNames(pair, { change: () => text });
  assert.is(result?.problem?.message, 'there is no entity rental');
});

test('changes of the application do not explain that a check cannot be run', async ({
  pair,
  target,
}) => {
  project.edit('checks/names.sql', (text) => text.replace(`'actors'`, `'actrs'`));
  await interrupted(target, 'languages');
  await target`update public.languages set name = 'of the application' where legacy_language_id = 1`;
  const error = await failed(pair, { only: ['1-catalogue'] });
  project.edit('checks/names.sql', (text) => text.replace(`'actrs'`, `'actors'`));
  assert.match(error.message, 'checks/names.sql: there is no entity actrs');
});

test('a comparison that cannot be made has not found the rows of a small run right', async ({
  pair,
  source,
}) => {
  await up(pair);
  const [pair_, broken] = [
    `['s.last_name', 't.last_name']`,
    `['s.last_name::date', 't.last_name']`,
  ];
  project.edit('checks/names.sql', (text) => text.replace(pair_, broken));
  await source`update actor set last_name = 'no date' where actor_id = md5('actor 2')::uuid`;
  const error = await failed(pair);
  project.edit('checks/names.sql', (text) => text.replace(broken, pair_));
  assert.match(error.message, 'checks/names.sql: ');
  await up(pair);
});

test('every check that can stop `up` has something planted for it', () => {
  const planted = [...PLANTED.flatMap(({ found }) => found), ...PLANTED_LATE.map((p) => p.check)];
  // there is no table of old and new ids here: mappings.test.ts
  const stopping = CHECKS.filter(({ severity }) => severity === 'error').map(({ name }) => name);
  assert.equal(
    stopping.filter((name) => ![...planted, 'mappings'].includes(name)),
    [],
  );
});

test.run();

function up(pair: TestPair, options: MigrateOptions = {}): Promise<number> {
  return migrate(pair, { root: project.root, ...options });
}

async function failed(pair: TestPair, options: MigrateOptions = {}): Promise<PhaseFailed> {
  const error = await errorOf(up(pair, options));
  if (!(error instanceof PhaseFailed)) throw error;
  return error;
}

async function down(pair: TestPair, phase: string): Promise<void> {
  await succeed(pair, ['down', phase, '--yes'], { root: project.root });
}

/** As a run leaves it that was interrupted: the checks of the phase have yet to pass. */
async function interrupted(target: Sql, entity: string): Promise<void> {
  await target`update migration.entities set status = 'partial' where entity = ${entity}`;
}

/** Runs the check of names, changed or not, after something that is taken back. */
async function runNames(
  pair: TestPair,
  {
    plant,
    phase,
    change = (text) => text,
  }: { plant?: string; phase?: string | undefined; change?: (text: string) => string },
): Promise<CheckResult[]> {
  const { source, target } = configOf(pair);
  const session = await connect(target, 'planted test');
  const texts = CHECKS.filter(({ name }) => name === 'names');
  const checks = texts.map((check) => ({ ...check, text: change(check.text) }));
  try {
    await login(session, source);
    return await transaction(
      session,
      async () => {
        if (plant !== undefined) await session.query(plant);
        return runChecks(session, checks, DEFINED, phase);
      },
      { commit: false },
    );
  } finally {
    await session.close();
  }
}

async function spoil(target: Sql, { table, by }: Spoilt, event = 'insert'): Promise<void> {
  const name = `public.spoil_${table.replace('.', '_')}`;
  await target.unsafe(`
    create or replace function ${name}() returns trigger
    language plpgsql as $$ begin ${by} return new; end $$;
    create trigger spoilt before ${event} on ${table} for each row execute function ${name}()`);
}

/** The tables of the archive, which `up` makes: there has to be one for a trigger. */
async function createArchive(target: Sql): Promise<void> {
  for (const { name, text } of CATALOG.archive) {
    await target.unsafe(`${text}; alter table ${name} owner to postgres`);
  }
}

/** The checks an error names. */
function checksIn({ message }: Error): string[] {
  return [...message.matchAll(/^checks\/(?:engine\/)?(\w+)\.sql: not so: /gm)]
    .map(([, name = '']) => name)
    .toSorted();
}

/** What the ledger says of a phase: `complete` if all of it is. */
async function statusOf(target: Sql, phase: string): Promise<string> {
  const rows = await target<{ status: string }[]>`
    select distinct status from migration.entities where phase = ${phase} order by 1`;
  return rows.map(({ status }) => status).join(', ');
}
