// deadline 300
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, prepareMigrated } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { ROOT } from '../runner.ts';

/* Two ways that do not agree are found; not where one leads over a row that is gone from the source. */

interface Ways {
  name: string;
  /** Makes one row disagree; returns its id. */
  plant: string;
  /** The ids of all rows on both ways, from the row that was planted on ($1). */
  rows: string;
}

/** Another row of a table, as a target of a reference. */
const other = (table: string, not: string) =>
  `(select x.id from public.${table} as x where x.id is distinct from ${not} order by x.id limit 1)`;
/** A case of another patient. */
const otherCase = (not: string) =>
  `(select x.id from public.cases as x where x.patient_id <> (
    select y.patient_id from public.cases as y where y.id = ${not}) order by x.id limit 1)`;

const WAYS: Ways[] = [
  {
    name: 'order_cases: patient of order and case',
    plant: `update public.order_cases as l set case_id = ${otherCase('l.case_id')}
      where l.id = (select x.id from public.order_cases as x order by x.id limit 1)`,
    rows: `select l.id, l.order_id, l.case_id from public.order_cases as l where l.id = $1`,
  },
  {
    name: 'payments: patient of bill and order',
    plant: `update public.payments set patient_id = gen_random_uuid()
      where id = (select x.id from public.payments as x
        where x.legacy_payment_id is not null and x.order_id is not null order by x.id limit 1)`,
    rows: `select p.id, p.order_id from public.payments as p where p.id = $1`,
  },
  {
    name: 'case_files: case of file and of its order',
    plant: `update public.case_files as f set case_id = ${otherCase('f.case_id')}
      where f.id = (select x.id from public.case_files as x
        join public.order_files as o on o.file_id = x.file_id order by x.id limit 1)`,
    rows: `select f.id, f.file_id, f.case_id, o.id as link, o.order_id from public.case_files as f
      join public.order_files as o on o.file_id = f.file_id where f.id = $1`,
  },
  {
    name: 'treatment_plans: patient of plan and order',
    plant: `update public.treatment_plans as t set patient_id = ${other('profiles', 't.patient_id')}
      where t.id = (select x.id from public.treatment_plans as x
        where x.legacy_plan_id is not null and x.order_id is not null order by x.id limit 1)`,
    rows: `select t.id, t.order_id, o.patient_id from public.treatment_plans as t
      join public.orders as o on o.id = t.order_id where t.id = $1`,
  },
  {
    name: 'treatment_plans: doctor of plan and order',
    plant: `update public.treatment_plans as t set doctor_id = ${other('profiles', 't.doctor_id')}
      where t.id = (select x.id from public.treatment_plans as x
        join public.orders as o on o.id = x.order_id and o.doctor_id is not null
        where x.legacy_plan_id is not null order by x.id limit 1)`,
    rows: `select t.id, t.order_id, o.doctor_id from public.treatment_plans as t
      join public.orders as o on o.id = t.order_id where t.id = $1`,
  },
  {
    name: 'patient_events: person of event and of its patient',
    plant: `update public.patient_events as e set patient_id = ${other('profiles', 'e.patient_id')}
      where e.id = (select x.id from public.patient_events as x
        where x.legacy_event_id is not null order by x.id limit 1)`,
    rows: `select e.id, e.patient_id, p.id as patient, p.profile_id from public.patient_events as e
      join public.patients as p
        on p.legacy_patient_id::text = e.metadata -> 'legacy' ->> 'patient_id' where e.id = $1`,
  },
  {
    name: 'case_messages: case of message and of the plan it is about',
    plant: `update public.case_messages as m set case_id = ${otherCase('m.case_id')}
      where m.id = (select x.id from public.case_messages as x
        join public.treatment_discussions as d on d.legacy_comment_id = x.legacy_message_id
        join public.treatment_plans as t on t.id = d.treatment_id
        join public.orders as o on o.id = t.order_id order by x.id limit 1)`,
    rows: `select m.id, m.case_id, d.id as discussion, d.treatment_id, t.order_id
      from public.case_messages as m
      join public.treatment_discussions as d on d.legacy_comment_id = m.legacy_message_id
      join public.treatment_plans as t on t.id = d.treatment_id where m.id = $1`,
  },
  {
    name: 'case_states: case of state and of its order',
    plant: `update public.case_states as s set case_id = ${otherCase('s.case_id')}
      where s.id = (select x.id from public.case_states as x
        join public.order_states as h on h.legacy_state_id = x.legacy_state_id
        where h.order_id is not null order by x.id limit 1)`,
    rows: `select s.id, s.case_id, h.id as state, h.order_id from public.case_states as s
      join public.order_states as h on h.legacy_state_id = s.legacy_state_id where s.id = $1`,
  },
  {
    name: 'doctors: primary office of doctor and of the link to it',
    plant: `update public.doctors as d set primary_office_id = ${other('offices', 'd.primary_office_id')}
      where d.id = (select x.id from public.doctors as x
        join public.doctor_offices as l on l.doctor_id = x.profile_id and l.is_primary
        where x.legacy_user_id is not null order by x.id limit 1)`,
    rows: `select d.id, l.id as link, l.office_id from public.doctors as d
      join public.doctor_offices as l on l.doctor_id = d.profile_id and l.is_primary where d.id = $1`,
  },
  {
    name: 'customer_feedback: order of comment and of its plan',
    plant: `update public.customer_feedback as f
      set regarding_order_id = ${other('orders', 'f.regarding_order_id')}
      where f.id = (select x.id from public.customer_feedback as x
        join public.treatment_discussions as d on d.legacy_comment_id = x.legacy_record_id
        where x.legacy_table = 'dispatch_comment' order by x.id limit 1)`,
    rows: `select f.id, d.id as discussion, d.treatment_id, t.order_id
      from public.customer_feedback as f
      join public.treatment_discussions as d on d.legacy_comment_id = f.legacy_record_id
      join public.treatment_plans as t on t.id = d.treatment_id where f.id = $1`,
  },
];

const CHECK = readFileSync(join(ROOT, 'checks/references_agree.sql'), 'utf8');
const test = suite<{ pair: TestPair; source: Sql; target: Sql }>('references agree');

test.before(async (context) => {
  Object.assign(context, await prepareMigrated());
});

test.after(dropPair);

test('every comparison of the check is planted on', () => {
  const named = [...CHECK.matchAll(/'(\w+: [^']*)'/g)].map(([, name]) => name);
  assert.equal(
    WAYS.map(({ name }) => name),
    named,
  );
});

for (const { name, plant, rows } of WAYS) {
  test(`${name}: found, unless a row of either way is gone`, async ({ target }) => {
    const found = async () => {
      const all =
        await target.unsafe<{ two_ways: string; row_count: string; first_id: string }[]>(CHECK);
      return all.filter((each) => each.two_ways === name).map((each) => each.first_id);
    };
    await target.unsafe('begin; set local search_path = public, extensions');
    try {
      const [planted] = await target.unsafe<{ id: string }[]>(`${plant} returning id`);
      assert.ok(planted, 'a row to plant on');
      assert.equal(await found(), [planted.id]);
      const [way] = await target.unsafe<Record<string, string>[]>(rows, [planted.id]);
      for (const [column, id] of Object.entries(way ?? {})) {
        await target.unsafe('savepoint gone');
        await target`
          insert into migration.gone (entity, legacy_id, id, reason, run)
          values ('planted', 1, ${id}, 'deleted', 1)`;
        assert.equal(await found(), [], column);
        await target.unsafe('rollback to savepoint gone');
      }
    } finally {
      await target.unsafe('rollback');
    }
  });
}

test.run();
