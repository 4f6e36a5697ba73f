// deadline 300
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { definedEntities, readCatalog } from '../../runner/engine/catalog.ts';
import { type CheckResult, readChecks, runChecks } from '../../runner/engine/checks.ts';
import { readConfig } from '../../runner/config.ts';
import { connect, type Session, transaction } from '../../runner/database.ts';
import { login } from '../../runner/engine/link.ts';
import { migratedPair, type TestPair } from '../pair.ts';
import { open, succeed, waitFor } from '../runner.ts';

interface Context {
  pair: TestPair;
  /** A superuser in the target: only one can switch off the trigger of a foreign key. */
  target: Session;
}

/** What is done to a healthy migration, and the checks that must find it: no more, no fewer. */
interface Corruption {
  name: string;
  plant: string;
  found: string[];
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
// the others say something of a migration that is right: remarks.test.ts
const CHECKS = readChecks(ROOT, 'checks').filter(
  ({ name }) => !['leftovers', 'performance', 'relaxed'].includes(name),
);
const DEFINED = definedEntities(readCatalog(ROOT));

const first = (table: string, key: string, where = 'true') =>
  `(select min(x.${key}) from public.${table} as x where ${where})`;

const CORRUPTIONS: Corruption[] = [
  {
    name: 'a changed amount: a cent more on one bill',
    plant: `update public.payments set amount = amount + 0.01
      where legacy_payment_id = ${first('payments', 'legacy_payment_id', 'x.amount > 0')}`,
    found: ['money'],
  },
  {
    name: 'two amounts that cancel out, in different years',
    plant: `update public.payment_operations as o set amount = o.amount + v.change
      from (
        (select x.id, 1 as change from public.payment_operations as x
         order by x.processed_at limit 1)
        union all
        (select x.id, -1 from public.payment_operations as x order by x.processed_at desc limit 1)
      ) as v where v.id = o.id`,
    found: ['money'],
  },
  {
    name: 'a wrong amount in a reject of an entity whose stored rows are right',
    plant: `update migration.rejects as r set source_row = jsonb_set(r.source_row, '{price}', '12.34')
      where r.entity = 'orders' and r.legacy_id = (
        select min(x.legacy_id) from migration.rejects as x
        where x.entity = r.entity and x.resolved_run is null)`,
    found: ['money'],
  },
  {
    name: 'the price of an offer lost',
    plant: `update public.offers set price_upper = null
      where legacy_offer_id = ${first('offers', 'legacy_offer_id', 'x.price_upper > 0')}`,
    found: ['money'],
  },
  {
    name: 'a deleted message',
    plant: `delete from public.messages where legacy_record_id = ${first(
      'messages',
      'legacy_record_id',
      "x.content <> '' and x.id not in (select a.message_id from public.message_attachments as a)",
    )}`,
    found: ['codes', 'id_maps', 'texts', 'times'],
  },
  {
    name: 'a swapped foreign key: two orders with the patient of the other',
    plant: `update public.orders as o set patient_id = v.other
      from (
        select a.id, b.patient_id as other
        from public.orders as a, public.orders as b
        where a.legacy_instruction_id = ${first('orders', 'legacy_instruction_id')}
          and b.legacy_instruction_id = ${first(
            'orders',
            'legacy_instruction_id',
            `
            x.patient_id <> (select y.patient_id from public.orders as y
              order by y.legacy_instruction_id limit 1)`,
          )}
      ) as v where v.id = o.id`,
    found: ['references', 'references_agree'],
  },
  {
    name: 'the template of a task exchanged',
    plant: `update public.tasks as t set template_id = (
        select x.id from public.templates as x where x.id <> t.template_id limit 1)
      where t.legacy_task_id = ${first('tasks', 'legacy_task_id', 'x.template_id is not null')}`,
    found: ['references'],
  },
  {
    name: 'an optional reference lost',
    plant: `update public.messages set sender_id = null
      where legacy_record_id = ${first('messages', 'legacy_record_id', 'x.sender_id is not null')}`,
    found: ['references'],
  },
  {
    name: 'the case of a file exchanged',
    plant: `update public.case_files as f set case_id = (
        select x.id from public.cases as x where x.id <> f.case_id order by x.id limit 1)
      where f.id = (select l.id from public.case_files as l
        join public.order_files as o on o.file_id = l.file_id order by l.id limit 1)`,
    found: ['references_agree'],
  },
  {
    name: 'a truncated text',
    plant: `update public.comments set content = left(content, 10)
      where id = (select x.id from public.comments as x where length(x.content) > 20
        order by x.id limit 1)`,
    found: ['texts'],
  },
  {
    name: 'a text in another case, of the same length',
    plant: `update public.messages set content = upper(content)
      where legacy_record_id = ${first('messages', 'legacy_record_id', 'upper(x.content) <> x.content')}`,
    found: ['texts'],
  },
  {
    name: 'an event of another person',
    plant: `update public.patient_events as e set patient_id = (
        select x.id from public.profiles as x where x.id <> e.patient_id limit 1)
      where legacy_event_id = ${first('patient_events', 'legacy_event_id')}`,
    found: ['references_agree'],
  },
  {
    name: 'a discount that is not in force',
    plant: `update public.discounts set is_active = false
      where legacy_discount_id = ${first('discounts', 'legacy_discount_id')}`,
    found: ['codes'],
  },
  {
    name: 'a key that leads to another row in the table of old and new ids',
    plant: `update public.migration_mappings set new_id = gen_random_uuid()
      where entity_type = 'task' and legacy_id = ${first('tasks', 'legacy_task_id')}`,
    found: ['mappings'],
  },
  {
    name: 'a duplicate',
    plant: `insert into public.treatment_plans (project_id, legacy_plan_id)
      select x.project_id, x.legacy_plan_id from public.treatment_plans as x limit 1`,
    found: ['duplicates'],
  },
  {
    name: 'a row that claims a source row nobody mapped',
    plant: `insert into public.patient_events (patient_id, event_type, legacy_event_id)
      select x.id, 'event', 1000001 from public.profiles as x limit 1`,
    found: ['duplicates'],
  },
  {
    name: 'a wrong enum',
    plant: `update public.tasks set status = 'cancelled'
      where legacy_task_id = ${first('tasks', 'legacy_task_id')}`,
    found: ['codes'],
  },
  {
    name: 'two enums exchanged: the distribution is as it was',
    plant: `update public.projects as p set project_type =
        case p.project_type when 'other' then 'treatment_plan' else 'other' end::public.project_type
      where p.legacy_project_id in (
        ${first('projects', 'legacy_project_id', "x.project_type = 'other'")},
        ${first('projects', 'legacy_project_id', "x.project_type = 'treatment_plan'")})`,
    found: ['codes'],
  },
  {
    name: 'a lost time zone: all messages five hours late',
    plant: `update public.messages set created_at = created_at + interval '5 hours'`,
    found: ['times'],
  },
  {
    name: 'a lost time zone of one task',
    plant: `update public.tasks set completed_at = completed_at at time zone 'Asia/Tokyo'
      where legacy_task_id = ${first('tasks', 'legacy_task_id', 'x.completed_at is not null')}`,
    found: ['times'],
  },
  {
    name: 'an orphan, made behind the back of its foreign key',
    plant: `alter table public.tasks disable trigger all;
      update public.tasks set assigned_by = gen_random_uuid()
      where legacy_task_id = ${first('tasks', 'legacy_task_id')};
      alter table public.tasks enable trigger all`,
    found: ['foreign_keys'],
  },
  {
    name: 'a foreign key that does not guard',
    plant: 'alter table public.tasks disable trigger all',
    found: ['foreign_keys'],
  },
  {
    name: 'a foreign key that was never validated',
    plant: `alter table public.order_cases add constraint added foreign key (order_id)
      references public.orders not valid`,
    found: ['foreign_keys'],
  },
  {
    name: 'an undeclared reference that leads nowhere: the patient of a bill',
    plant: `update public.payments set patient_id = gen_random_uuid()
      where legacy_payment_id = ${first('payments', 'legacy_payment_id', 'x.order_id is not null')}`,
    found: ['references_agree', 'undeclared_references'],
  },
  {
    name: 'an undeclared reference that leads nowhere: the recipient of a message',
    plant: `update public.messages set recipient_id = gen_random_uuid()
      where legacy_record_id = ${first('messages', 'legacy_record_id', 'x.recipient_id is not null')}`,
    found: ['references', 'undeclared_references'],
  },
  {
    name: 'an undeclared reference to a row of another kind',
    plant: `update public.external_links as l set internal_entity_id = (
        select x.id from public.files as x limit 1)
      where l.legacy_link_id = ${first('external_links', 'legacy_link_id')}`,
    found: ['references', 'undeclared_references'],
  },
  {
    name: 'an undeclared reference that leads nowhere: the plan of a discussion',
    plant: `update public.treatment_discussions set treatment_id = gen_random_uuid()
      where legacy_comment_id = ${first('treatment_discussions', 'legacy_comment_id')}`,
    found: ['references', 'undeclared_references'],
  },
  {
    name: 'row level security switched off',
    plant: 'alter table public.orders disable row level security',
    found: ['row_level_security'],
  },
  {
    name: 'the ledger open to people who signed in',
    plant: 'grant usage on schema migration to authenticated',
    found: ['private_schemas'],
  },
  {
    name: 'a table of the source open to everybody',
    plant: 'grant select on legacy.auth_user to public',
    found: ['private_schemas'],
  },
  {
    name: 'a column of the archive open to the API',
    plant: 'grant select (password) on legacy_archive.auth_user_password to service_role',
    found: ['private_schemas'],
  },
  {
    name: 'a function that everybody may call',
    plant: `create function migration.added() returns integer language sql as 'select 1'`,
    found: ['private_schemas'],
  },
  {
    name: 'a login of the source left behind',
    plant: `create user mapping for postgres server legacy_source
      options (user 'reader', password 'secret')`,
    found: ['no_login'],
  },
  {
    name: 'a secret column in reach',
    plant: 'alter foreign table legacy.auth_user add column password text',
    found: ['no_secrets'],
  },
  {
    name: 'a password hash in the profiles',
    plant: `update public.profiles set password_hash = 'pbkdf2_sha256$'
      where legacy_user_id = ${first('profiles', 'legacy_user_id', 'x.legacy_user_id > 0')}`,
    found: ['no_secrets'],
  },
  {
    name: 'a map entry without a row',
    plant: `insert into ids.teams (legacy_id, id, version, run)
      values (999, migration.new_id('teams', 999), 1, 1)`,
    found: ['balance', 'id_maps', 'mappings'],
  },
  {
    name: 'a row mapped by two entities',
    plant: `insert into ids.comments_note (legacy_id, id, version, adopted, run)
      select 999999, x.id, 1, true, 1 from ids.comments_discussion as x limit 1`,
    found: ['balance', 'id_maps', 'legacy_ids'],
  },
  {
    name: 'a row under an id that does not follow from its key',
    plant: `with wrong as (
        update public.user_actions set id = gen_random_uuid()
        where legacy_action_id = ${first('user_actions', 'legacy_action_id')}
        returning id, legacy_action_id)
      update ids.user_actions as m set id = w.id from wrong as w
      where m.legacy_id = w.legacy_action_id`,
    found: ['id_maps'],
  },
  {
    name: 'a row whose map entry is lost',
    plant: `delete from ids.payment_operations where legacy_id = ${first(
      'payment_operations',
      'legacy_operation_id',
    )}`,
    found: ['balance', 'duplicates'],
  },
  {
    name: 'a legacy id changed',
    plant: `update public.offices set legacy_office_id = 999999
      where legacy_office_id = ${first('offices', 'legacy_office_id')}`,
    found: ['legacy_ids'],
  },
  {
    name: 'a reject that is forgotten',
    plant: `update migration.rejects set resolved_run = 1 where (entity, legacy_id) = (
      select r.entity, r.legacy_id from migration.rejects as r where r.entity = 'tasks' limit 1)`,
    found: ['balance'],
  },
  {
    name: 'a copy in the archive that is not what it was',
    plant: `update legacy_archive.django_content_type set model = 'other'
      where id = (select min(x.id) from legacy_archive.django_content_type as x)`,
    found: ['archive'],
  },
  {
    name: 'a copy in the archive that is lost',
    plant: `delete from legacy_archive.django_content_type
      where id = (select min(x.id) from legacy_archive.django_content_type as x)`,
    found: ['archive', 'balance'],
  },
  {
    name: 'a row that is gone from the source and kept',
    plant: `insert into migration.gone (entity, legacy_id, id, reason, run)
      select 'user_actions', x.legacy_id, x.id, 'deleted', 1 from ids.user_actions as x limit 1`,
    found: ['balance', 'gone'],
  },
  {
    name: 'a row left to the application: listed, and left out elsewhere',
    plant: `insert into migration.conflicts (entity, legacy_id, id, kind, resolution, run)
      select 'tasks', x.legacy_id, x.id, 'changed', 'target', 1 from ids.tasks as x
      where x.legacy_id = ${first('tasks', 'legacy_task_id')};
      update public.tasks set description = 'by the application', completed_at = now()
      where legacy_task_id = ${first('tasks', 'legacy_task_id')}`,
    found: ['left_to_application'],
  },
];

/** Every amount that check money adds up, by entity; it is looked at one by one. */
const AMOUNTS: Record<string, string[]> = {
  payments: [
    'amount',
    'paid_amount',
    'subtotal_amount',
    'tax_amount',
    'tax_rate',
    'credit_amount',
    'additional_amount',
    'custom_amount',
  ],
  payment_operations: ['amount'],
  payment_items: [
    'total_amount',
    'unit_price',
    'base_price',
    'global_price',
    'doctor_price',
    'discount_percent',
    'discount_amount',
    'discount_price',
    'quantity',
  ],
  purchases: ['unit_price', 'total_amount', 'quantity'],
  offers: ['price_both', 'price_upper', 'price_lower'],
  discounts: ['percentage', 'max_uses', 'current_uses'],
  products: ['base_price'],
  orders: ['amount'],
};

const test = suite<Context>('data checks');

test.before(async (context) => {
  context.pair = await migratedPair();
  const { sourceUrl, targetAdminUrl } = context.pair;
  const config = readConfig(ROOT, { urls: { source: sourceUrl, target: targetAdminUrl } });
  context.target = await connect(config.target, 'checks test');
  await login(context.target, config.source);
});

test.after(async (context) => {
  await context.target?.close();
  await context.pair?.drop();
});

test('green after all phases, also as a command of the account that migrates', async (context) => {
  assert.equal(await findings(context), []);
  const names = CHECKS.map(({ name }) => name);
  const { stdout } = await succeed(context.pair, ['check', ...names, '--json']);
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
  assert.equal(await findings(context, plant, '4-financial'), ['money']);
  assert.equal(await findings(context, plant, '5-clinical'), []);
  const nowhere = CORRUPTIONS.find(({ name }) => name.endsWith('the plan of a discussion'))?.plant;
  const found = ['references', 'undeclared_references'];
  assert.equal(await findings(context, nowhere, '5-clinical'), found);
  assert.equal(await findings(context, nowhere, '1-foundation'), []);
});

for (const [table, phase] of [
  ['dispatch_task', '3-operations'],
  ['dispatch_payment', '4-financial'],
] as const) {
  test(`all checks together read the rows of ${table} once`, async (context) => {
    const source = open(context.pair.sourceAdminUrl);
    const scans = async () => {
      const [row] = await source<{ scans: number }[]>`
        select coalesce(seq_scan + coalesce(idx_scan, 0), 0)::integer as scans
        from pg_stat_user_tables where relname = ${table}`;
      return row?.scans ?? 0;
    };
    const comparing = CHECKS.filter(({ name }) =>
      ['codes', 'money', 'references', 'texts', 'times'].includes(name),
    );
    const before = await scans();
    await inTransaction(context, () => runChecks(context.target, comparing, DEFINED, phase));
    // the source counts what a session did when it ends
    const after = await waitFor('the scan is counted', async () => {
      const now = await scans();
      return now > before ? [{ now }] : [];
    });
    await source.end();
    assert.is(after.now - before, 1);
  });
}

test('what id map and target alone can tell is told by that reading, too', async (context) => {
  const comparing = CHECKS.filter(({ name }) =>
    ['duplicates', 'id_maps', 'legacy_ids', 'texts'].includes(name),
  );
  // what former transactions did may not be counted elsewhere yet, and is counted here, too
  const scans = async (): Promise<number> => {
    const [row] = await context.target.query<{ scans: number }>(`
      select (seq_scan + coalesce(idx_scan, 0))::integer as scans
      from pg_stat_xact_user_tables where relid = 'ids.tasks'::regclass`);
    return row?.scans ?? 0;
  };
  let before = 0;
  let after = 0;
  await inTransaction(context, async () => {
    before = await scans();
    const results = await runChecks(context.target, comparing, DEFINED, '3-operations');
    after = await scans();
    return results;
  });
  assert.is(comparing.length, 4);
  assert.is(after - before, 1);
});

test('nothing of that was kept', async (context) => {
  assert.equal(await findings(context), []);
});

test('each amount is found by its name where it is another in one row, and no other is', async (context) => {
  const { pair, target } = context;
  // the sample has no purchase: an amount of it that nobody compares would not be missed
  const source = open(pair.sourceAdminUrl);
  await source`
    insert into dispatch_purchase (id, product_id, quantity, price, used)
    select 1, min(id), 3, 10.50, 2 from dispatch_product`;
  await source.end();
  await succeed(pair, ['up', '4-financial']);
  const money = CHECKS.filter(({ name }) => name === 'money');
  for (const [entity, columns] of Object.entries(AMOUNTS)) {
    for (const column of columns) {
      const [result] = await inTransaction(context, async () => {
        await target.query(`set local search_path to public, extensions;
          update public.${entity} set ${column} = coalesce(${column}, 0) + 1
          where id = (select m.id from ids.${entity} as m order by m.legacy_id desc limit 1)`);
        await target.query('set local search_path to pg_catalog, pg_temp');
        return runChecks(target, money, DEFINED);
      });
      const names = result?.sample.map((line) =>
        /entity_name=(\w+) column_name=t\.(\w+) /.exec(line)?.slice(1).join('.'),
      );
      assert.equal([...new Set(names)], [`${entity}.${column}`]);
    }
  }
});

test('a change of the source is no error of the migration: it is found by source_drift', async (context) => {
  const source = postgres(context.pair.sourceAdminUrl, { max: 1 });
  await source`
    update public.dispatch_payment set total_price = total_price + 1 where id = (
      select min(id) from public.dispatch_payment);
    update public.dispatch_record set text = 'other', type = 8 where id = (
      select max(id) from public.dispatch_record);
    update public.dispatch_task set done_at = now(), checked = not checked where id = (
      select max(id) from public.dispatch_task);
    delete from public.dispatch_note where id = (select min(id) from public.dispatch_note);
    insert into public.dispatch_link (item_type_id, item_id, external_id) values (11, 1, 'new')`.simple();
  await source.end();
  assert.equal(await findings(context), ['source_drift']);
  await succeed(context.pair, ['up']);
  // the note is gone from the source: what came from it is kept and listed
  assert.equal(await findings(context), ['gone']);
});

test('there is a corruption for every check', () => {
  const found = [...CORRUPTIONS.flatMap((each) => each.found), 'source_drift'];
  assert.equal(
    CHECKS.map(({ name }) => name).filter((name) => !found.includes(name)),
    [],
  );
});

test('duplicates looks for the adoption keys of the entity files, and for no others', () => {
  const text = CHECKS.find(({ name }) => name === 'duplicates')?.text ?? '';
  const listed = [...text.matchAll(/\('(\w+)', array\[(.*?)\]\)/g)].map(
    ([, entity, columns = '']) => `${entity}: ${columns.replaceAll("'", '')}`,
  );
  const declared = readCatalog(ROOT)
    .phases.flatMap(({ entities }) => entities)
    .filter(({ adopt }) => adopt.length > 0)
    .map(({ name, adopt }) => `${name}: ${adopt.join(', ')}`);
  assert.equal(listed.toSorted(), declared.toSorted());
});

test.run();

/** Names of the checks that find something after a corruption, which is taken back. */
async function findings(context: Context, plant?: string, phase?: string): Promise<string[]> {
  const results = await inTransaction(context, async () => {
    if (plant !== undefined) {
      // triggers of the application need its search_path
      await context.target.query(`set local search_path to public, extensions; ${plant}`);
      await context.target.query('set local search_path to pg_catalog, pg_temp');
    }
    return runChecks(context.target, CHECKS, DEFINED, phase);
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

function inTransaction(
  { target }: Context,
  body: () => Promise<CheckResult[]>,
): Promise<CheckResult[]> {
  return transaction(target, body, { commit: false });
}
