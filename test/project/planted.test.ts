// deadline 600
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { readChecks } from '../../runner/engine/checks.ts';
import { PhaseFailed } from '../../runner/engine/phase.ts';
import { dropPair, errorOf, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { ROOT, runner, succeed } from '../runner.ts';

/* What the data checks of `up` see: a corruption in every phase, and one for every check. */

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

const PLANTED: Planted[] = [
  {
    phase: '1-foundation',
    spoilt: [
      { table: 'public.offices', by: `new.phone := concat(new.phone, 'x');` },
      { table: 'public.courses', by: 'new.legacy_id := new.legacy_id + 1000;' },
    ],
    found: ['legacy_ids', 'texts'],
  },
  {
    phase: '2-core',
    spoilt: [
      { table: 'public.patients', by: `new.enrolled_at := new.enrolled_at - interval '5 h';` },
    ],
    found: ['times'],
  },
  {
    phase: '3-operations',
    spoilt: [
      { table: 'public.tasks', by: `new.description := left(new.description, 3);` },
      {
        table: 'public.case_files',
        by: 'new.case_id := (select min(c.id::text)::uuid from public.cases as c);',
      },
    ],
    found: ['references_agree', 'texts'],
  },
  {
    // by a check that does not read the source: it is for the second session
    phase: '3-operations',
    isBack: true,
    spoilt: [
      { table: 'public.order_files', by: 'new.legacy_file_id := new.legacy_file_id + 1e6;' },
    ],
    found: ['legacy_ids'],
  },
  {
    phase: '4-financial',
    spoilt: [
      { table: 'public.payments', by: 'new.amount := new.amount + 0.01;' },
      { table: 'public.payment_operations', by: `new.is_office_card := not new.is_office_card;` },
    ],
    found: ['codes', 'money'],
  },
  {
    phase: '5-clinical',
    spoilt: [
      { table: 'public.comments', by: 'new.author_id := null;' },
      { table: 'public.projects', by: `new.status := 'draft';` },
    ],
    found: ['codes', 'references'],
  },
  {
    phase: '6-supporting',
    spoilt: [
      { table: 'public.user_actions', by: `new.action_date := new.action_date + interval '1 h';` },
      { table: 'public.external_links', by: 'new.internal_entity_id := gen_random_uuid();' },
    ],
    found: ['references', 'times', 'undeclared_references'],
  },
  {
    phase: '7-state',
    spoilt: [{ table: 'public.order_states', by: 'new.status_code := 99;' }],
    found: ['codes'],
  },
  {
    phase: 'archive',
    spoilt: [
      { table: 'legacy_archive.dispatch_language', by: `new.name := concat(new.name, ' ');` },
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
    phase: '1-foundation',
    entity: 'teams',
    plant: `insert into migration.filtered (entity, legacy_id, reason)
      values ('teams', 999999, 'planted')`,
  },
  {
    check: 'id_maps',
    phase: '2-core',
    entity: 'template_products',
    plant: `with chosen as materialized (
        select x.legacy_id, x.id as was, gen_random_uuid() as now
        from ids.template_products as x order by x.legacy_id limit 1),
      moved as (
        update public.template_products as t set id = c.now from chosen as c where t.id = c.was)
      update ids.template_products as m set id = c.now from chosen as c
      where m.legacy_id = c.legacy_id`,
  },
  {
    check: 'mappings',
    phase: '2-core',
    entity: 'technician_roles',
    plant: `delete from public.migration_mappings where entity_type = 'technician_role'`,
  },
  {
    check: 'foreign_keys',
    phase: '3-operations',
    entity: 'tasks',
    plant: 'alter table public.tasks disable trigger all',
    undo: 'alter table public.tasks enable trigger all',
  },
  {
    check: 'no_secrets',
    phase: '4-financial',
    entity: 'offers',
    plant: 'alter foreign table legacy.auth_user add column password text',
  },
  {
    check: 'no_login',
    phase: '4-financial',
    entity: 'offers',
    plant: `create user mapping for public server legacy_source
      options (user 'reader', password 'secret')`,
  },
  {
    check: 'private_schemas',
    phase: '5-clinical',
    entity: 'brackets',
    plant: 'grant select on ids.brackets to authenticated',
    undo: 'revoke select on ids.brackets from authenticated',
  },
  {
    check: 'row_level_security',
    phase: '6-supporting',
    entity: 'user_actions',
    plant: 'alter table public.user_actions disable row level security',
    undo: 'alter table public.user_actions enable row level security',
  },
];

const CATALOG = readCatalog(ROOT);
const CHECKS = readChecks(ROOT, 'checks');

const test = suite<{ pair: TestPair; source: Sql; target: Sql }>('planted');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'planted', source: 'sample' }));
});

test.after(dropPair);

for (const { phase, isBack, spoilt, found } of PLANTED) {
  const run = { only: [phase], archive: phase === 'archive' };

  test(`${phase}: found by ${found.join(', ')}`, async ({ pair, target }) => {
    if (phase === 'archive') await createArchive(target);
    if (isBack === true) await succeed(pair, ['down', phase, '--yes']);
    for (const each of spoilt) await spoil(target, each);
    const error = await errorOf(migrate(pair, run));
    assert.ok(error instanceof PhaseFailed, error.message);
    assert.is(error.phase, phase, error.message);
    assert.equal(checksIn(error), found);
    assert.is.not(await statusOf(target, phase), 'complete');

    for (const { table } of spoilt) await target.unsafe(`drop trigger spoilt on ${table}`);
    if (error.committed) {
      // the rows are stored and their source has not changed: `up` keeps them as they are
      assert.equal(checksIn(await errorOf(migrate(pair, run))), found);
      await succeed(pair, ['down', phase, '--yes']);
    }
    await migrate(pair, run);
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
    const error = await errorOf(migrate(pair, { only: [phase] }));
    await target.unsafe('drop trigger planted on migration.control');
    assert.ok(error instanceof PhaseFailed, error.message);
    assert.is(error.phase, phase, error.message);
    assert.equal(checksIn(error), [check]);
    assert.is.not(await statusOf(target, phase), 'complete');
    assert.is(error.committed, undo !== undefined);
    if (undo !== undefined) await target.unsafe(undo);
  });
}

test('a plain `up` goes on where these phases stopped', async ({ pair, target }) => {
  await migrate(pair, { phases: 7, archive: true });
  for (const { phase } of PLANTED) assert.is(await statusOf(target, phase), 'complete', phase);
});

for (const { phase, table, by, grow, change, found } of [
  {
    phase: '3-operations',
    grow: '',
    table: 'public.tasks',
    by: `new.description := concat(new.description, 'x');`,
    change: `update dispatch_task set text = 'changed' where id = (select min(id) from dispatch_task)`,
    found: ['texts'],
  },
  {
    phase: '4-financial',
    table: 'public.payments',
    by: 'new.amount := new.amount + 0.01;',
    // so many that one of them is little
    grow: `insert into dispatch_payment
      select (jsonb_populate_record(p, jsonb_build_object('id', p.id + g * 100000))).*
      from dispatch_payment as p cross join generate_series(1, 20) as g`,
    change: `update dispatch_payment set paid = not paid where id = (
      select min(id) from dispatch_payment)`,
    found: ['money'],
  },
]) {
  test(`${phase}: found in the one row that a run brings`, async ({ pair, source, target }) => {
    await source.unsafe(grow);
    await migrate(pair, { phases: 7 });
    await source.unsafe(change);
    await spoil(target, { table, by }, 'update');
    const error = await errorOf(migrate(pair, { phases: 7 }));
    assert.ok(error instanceof PhaseFailed, error.message);
    assert.equal(checksIn(error), found);
    await target.unsafe(`drop trigger spoilt on ${table}`);
    assert.match(await statusOf(target, phase), 'partial', 'the phase has yet to pass');
    if (error.committed) {
      // range by range: the row is there, as it was spoilt
      await target.unsafe(`update ${table} set description = left(description, -1)
        where description = 'changedx'`);
    }
    await migrate(pair, { phases: 7 });
    assert.is(await statusOf(target, phase), 'complete');
  });
}

test('a copy of a secret that is not the secret fails, and shows nothing of it', async ({
  pair,
  source,
  target,
}) => {
  const table = 'legacy_archive.auth_user_password';
  await succeed(pair, ['down', 'archive', '--yes']);
  await createArchive(target);
  await spoil(target, { table, by: `new.password := concat(new.password, 'x');` });
  const { code, stdout, stderr } = await runner(pair, ['up', 'archive']);
  assert.is(code, 1);
  assert.match(
    stderr,
    /phase archive failed: legacy_archive\.auth_user_password: \d+ rows are not/,
  );
  assert.match(stderr, 'the phase is rolled back');
  const secrets = await source<{ password: string }[]>`
    select password from auth_user where password <> ''`;
  assert.ok(secrets.length > 0);
  assert.equal(
    secrets.filter(({ password }) => `${stdout}${stderr}`.includes(password)),
    [],
  );
  await target.unsafe(`drop trigger spoilt on ${table}`);
  await migrate(pair, { only: [], archive: true });
  assert.is(await statusOf(target, 'archive'), 'complete');
});

test('every check that can stop `up` has something planted for it', () => {
  const planted = [...PLANTED.flatMap(({ found }) => found), ...PLANTED_LATE.map((p) => p.check)];
  const stopping = CHECKS.filter(({ severity }) => severity === 'error').map(({ name }) => name);
  assert.equal(
    stopping.filter((name) => !planted.includes(name)),
    [],
  );
});

test.run();

/** As a run leaves it that was interrupted: the checks of the phase have yet to pass. */
async function interrupted(target: Sql, entity: string): Promise<void> {
  await target`update migration.entities set status = 'partial' where entity = ${entity}`;
}

async function spoil(target: Sql, { table, by }: Spoilt, event = 'insert'): Promise<void> {
  await target.unsafe(`
    create or replace function public.spoil_${table.replace('.', '_')}() returns trigger
    language plpgsql as $$ begin ${by} return new; end $$;
    create trigger spoilt before ${event} on ${table}
    for each row execute function public.spoil_${table.replace('.', '_')}()`);
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
