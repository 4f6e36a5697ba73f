// deadline 600
import { randomBytes } from 'node:crypto';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { grantReader, loadSource } from '../../runner/embedded/pair.ts';
import { copyRows, migrate, rowsRead } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  changeSchema,
  type Dump,
  dumpRows,
  lastLine,
  open,
  runner,
  sameDump,
  succeed,
  touches,
} from '../runner.ts';
import { noTraces } from './invariants.ts';
import { onStage, share, type Shared } from './target.ts';

/* Values no one expects, in the source and in the target; most of them in one migration. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  before: Dump;
  shared: Shared;
}

const OPTIONS = { phases: 4, tolerance: 0.05 };
/** The rows planted begin here, in every source table. */
const PLANTED = 900_000;
const NESTED = '['.repeat(100_000);
const ODD_TEXT = `quote ' " \\ $$ $1 %s %I {x} <b>&amp; --; /* \t\n\r 🙂 \u202e\u0001\ufeff é e\u0301 \\u0000`;
const PARAMETERS: Record<number, string> = {
  1: '{bad',
  2: '',
  3: '   ',
  4: '{"a": "\\u0000"}',
  5: NESTED,
  6: '{"a": 1e200000}',
  7: 'NaN',
  8: '{"a": null, "b": 1e400, "c": "é"}',
  9: '{"a": "\\ud800"}',
  10: 'null',
};
const OLDER = '6a3c2f0e-91d4-4a57-8f3b-0d9f6a1c7e21';
const YOUNGER = 'c1f7a5d2-3e0b-4c86-9a17-52b8e4d6f903';

const test = suite<Context>('data');

test.before(async (context) => {
  context.pair = await testPair({ name: 'data', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  await plantSource(context.source);
  await changeSchema(context.pair);
  await plantTarget(context.target);
  context.before = await dumpRows(context.target, { clock: true });
  await migrate(context.pair, OPTIONS);
  context.shared = await share('clash');
});

test.after(async ({ pair, source, target, shared }) => {
  await shared.drop();
  await source.end();
  await target.end();
  await pair.drop();
});

test('two target rows with the same legacy id: the older is adopted, the other one is listed', async ({
  pair,
  target,
  before,
}) => {
  const adopted = await target`
    select legacy_id::integer as key, id::text from ids.offices where adopted`;
  assert.equal([...adopted], [{ key: 4, id: OLDER }]);
  const [other] = await target<{ row: string }[]>`
    select to_jsonb(o)::text as row from public.offices as o where id = ${YOUNGER}`;
  assert.ok(before.get('offices')?.includes(other?.row ?? ''), 'the other one is as it was');
  const { stdout } = await runner(pair, ['check', 'duplicates', '--json']);
  assert.match(stdout, /entity_name=offices/);
});

test('JSON that is malformed, empty, or nothing jsonb can hold: kept as text, and marked', async ({
  target,
}) => {
  const rows = await target<{ key: number; parameters: unknown; invalid: string | null }[]>`
    select legacy_file_id - ${PLANTED} as key,
      case when legacy_file_id = ${PLANTED + 5}
        then to_jsonb(length(metadata #>> '{legacy,parameters,raw}'))
        else metadata #> '{legacy,parameters}' end as parameters,
      metadata #>> '{legacy,invalid_json}' as invalid
    from public.files where legacy_file_id > ${PLANTED} order by 1`;
  assert.equal(
    Object.fromEntries(rows.map(({ key, parameters, invalid }) => [key, [parameters, invalid]])),
    {
      1: [{ raw: '{bad' }, 'parameters'],
      2: [null, null],
      3: [null, null],
      4: [{ raw: '{"a": "\\u0000"}' }, 'parameters'],
      5: [NESTED.length, 'parameters'],
      6: [{ raw: '{"a": 1e200000}' }, 'parameters'],
      7: [{ raw: 'NaN' }, 'parameters'],
      8: [{ a: null, b: Infinity, c: 'é' }, null],
      9: [{ raw: '{"a": "\\ud800"}' }, 'parameters'],
      10: [null, null],
    },
  );
});

test('a text that is too long is rejected, never cut', async ({ target }) => {
  assert.equal(await rejected(target, 'orders', 3), ['error error_22001 raw']);
  const stored = await target`
    select from public.orders where legacy_instruction_id = ${PLANTED + 3}`;
  assert.is(stored.length, 0);
});

test('orphans and unknown codes are rejected with their reason and their source row', async ({
  target,
}) => {
  assert.equal(await rejected(target, 'orders', 1), ['rule unknown_course raw']);
  assert.equal(await rejected(target, 'orders', 2), ['rule unknown_status raw']);
  assert.equal(await rejected(target, 'orders', 4), ['rule orphan_patient raw']);
  const others = await target`
    select reason from migration.rejects where entity = 'tasks' and source_row is not null limit 1`;
  assert.equal([...others], [{ reason: 'orphan_order' }]);
});

test('an id too large for the target is rejected, and found among all others', async ({
  target,
}) => {
  const rows = await target`
    select entity, sqlstate from migration.rejects where legacy_id = 3000000000 order by 1`;
  assert.equal(
    rows.map(({ entity, sqlstate }) => `${entity} ${sqlstate ?? 'rule'}`),
    ['cases 22003', 'patients 22003', 'patients_doctors_offices rule'],
  );
});

test('rows that refer to themselves and to each other', async ({ target }) => {
  const parents = await target<{ child: number; parent: number | null }[]>`
    select c.legacy_category_id - ${PLANTED} as child, p.legacy_category_id - ${PLANTED} as parent
    from public.categories as c left join public.categories as p on p.id = c.parent_id
    where c.legacy_category_id > ${PLANTED} order by 1`;
  assert.equal(
    [...parents],
    [
      { child: 1, parent: 2 },
      { child: 2, parent: 1 },
      { child: 3, parent: 3 },
      { child: 4, parent: null },
    ],
  );
  const [self] = await target<{ count: number }[]>`
    select count(*)::integer as count from public.template_predecessors
    where template_id = predecessor_id`;
  assert.is(self?.count, 1);
});

test('infinity, the year 20000 and years BC are what they were', async ({ source, target }) => {
  const there = await source<{ key: number; birth: string; submitted: string; updated: string }[]>`
    select id::integer as key, birthdate::text as birth, submitted_at::text as submitted,
      updated_at::text as updated
    from dispatch_patient where id = any (${await oddPatients(source)}) order by 1`;
  const here = await target`
    select legacy_patient_id as key, date_of_birth::text as birth, enrolled_at::text as submitted,
      updated_at::text as updated
    from public.patients where legacy_patient_id = any (${await oddPatients(source)}) order by 1`;
  assert.is(there.length, 3);
  assert.equal([...here], [...there]);
  assert.ok(there.some(({ birth }) => birth === '20000-02-29'));
});

test('NaN stays NaN', async ({ target }) => {
  const [row] = await target`
    select tax_rate::text as rate, metadata #>> '{legacy,tax_rate}' as raw from public.offices
    where legacy_office_id = ${PLANTED + 4}`;
  assert.equal({ ...row }, { rate: 'NaN', raw: 'NaN' });
});

test('NULL and the empty text are two things; odd characters are kept', async ({ target }) => {
  const rows = await target`
    select legacy_office_id - ${PLANTED} as key, name, address, apartment from public.offices
    where legacy_office_id between ${PLANTED + 1} and ${PLANTED + 3} order by 1`;
  assert.equal(
    rows.map(({ name, address, apartment }) => [name, address, apartment] as unknown[]),
    [
      [ODD_TEXT.trim(), 'a', 'b'],
      ['x', null, ''],
      ['', '', null],
    ],
  );
});

test('a column with a hostile name in the source does no harm', async ({ source, target }) => {
  const [column] = await source`
    select count(*)::integer as count from information_schema.columns
    where table_name = 'dispatch_office' and column_name like '%drop table%'`;
  assert.is(column?.['count'], 1);
  const [linked] = await target`
    select count(*)::integer as count from pg_attribute
    where attrelid = 'legacy.dispatch_office'::regclass and attname like '%drop table%'`;
  assert.is(linked?.['count'], 1);
});

test('with all of that a second run reads and touches nothing', async ({
  pair,
  source,
  target,
}) => {
  const before = await touches(target, ['public', 'ids'], { locks: true });
  assert.equal(await rowsRead(target, await migrate(pair, OPTIONS)), {});
  sameDump(await touches(target, ['public', 'ids'], { locks: true }), before);
  await noTraces(target, source, 'data');
});

test('verify compares all rows, and knows every reject', async ({ pair, target }) => {
  const verified = await runner(pair, ['verify', '--json']);
  assert.ok(verified.stdout, verified.stderr);
  const { entities } = lastLine<{
    entities: { entity: string; counts: object; knownCounts: { rejected?: number } }[];
  }>(verified);
  assert.equal(
    entities
      .filter(({ counts }) => Object.keys(counts).length > 0)
      .map((e) => [e.entity, e.counts]),
    // the younger of the two rows with the same legacy id
    [['offices', { duplicate: 1 }]],
  );
  const open = await target<{ entity: string; rows: number }[]>`
    select entity, count(*)::integer as rows from migration.rejects
    where resolved_run is null group by 1 order by 1`;
  assert.equal(
    entities
      .flatMap(({ entity, knownCounts: { rejected: rows } }) => (rows ? [{ entity, rows }] : []))
      .toSorted((one, other) => (one.entity < other.entity ? -1 : 1)),
    [...open],
  );
});

test('no value of a row is in what the runner says, or in the ledger outside of rejects', async ({
  pair,
  target,
}) => {
  const said = await Promise.all(
    [['status'], ['rejects', '--rows'], ['plan'], ['verify']].map((args) => runner(pair, args)),
  );
  const output = said.map(({ stdout, stderr }) => stdout + stderr).join('');
  const [ledger] = await target<{ text: string }[]>`
    select concat_ws(' ',
      (select string_agg(row_to_json(c)::text, ' ') from migration.control as c),
      (select string_agg(row_to_json(r)::text, ' ') from migration.runs as r),
      (select string_agg(row_to_json(e)::text, ' ') from migration.events as e),
      (select string_agg(row_to_json(e)::text, ' ') from migration.check_results as e)) as text`;
  for (const value of ['planted-suffix', '{bad', 'quote ']) {
    assert.not.ok(output.includes(value), value);
    assert.not.ok(ledger?.text.includes(value), value);
  }
});

test('and down takes all of it back', async ({ pair, target, before }) => {
  await succeed(pair, ['down', '1-foundation', '--cascade', '--yes']);
  sameDump(await dumpRows(target, { clock: true }), before);
});

test('a row of the application that holds the very id a source row would get: left as it is, or with an image', ({
  shared,
}) =>
  onStage(shared, async (stage) => {
    const { target } = stage;
    const [office] = await target<{ id: string; row: string }[]>`
      insert into public.offices as o (id, name, legacy_office_id)
      values (extensions.uuid_generate_v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'offices:4'),
        'of the application', null)
      returning id::text, to_jsonb(o)::text as row`;
    const run = await migrate(stage, { phases: 1 }).catch((error: Error) => error);
    const [kept] = await target<{ same: boolean; images: number; mapped: number }[]>`
      select to_jsonb(o)::text = ${office?.row ?? ''} as same,
        (select count(*)::integer from migration.before_images where id = o.id) as images,
        (select count(*)::integer from ids.offices where id = o.id) as mapped
      from public.offices as o where id = ${office?.id ?? null}`;
    assert.ok(kept?.same === true || kept?.images === 1, 'overwritten without an image');
    if (run instanceof Error) {
      assert.match(run.message, 'offices');
    } else {
      assert.is(kept.mapped, kept.same ? 0 : 1);
      await succeed(stage, ['down', '1-foundation', '--yes', '--force']);
      const [row] = await target<{ row: string }[]>`
        select to_jsonb(o)::text as row from public.offices as o where id = ${office?.id ?? null}`;
      assert.is(row?.row, office?.row);
    }
  }));

for (const encoding of ['SQL_ASCII', 'LATIN1'] as const) {
  test(`a source in ${encoding}`, async ({ pair }) => {
    const urls = await encodedSource(pair, encoding);
    const source = open(urls.sourceAdminUrl);
    try {
      await source.unsafe(`
        insert into dispatch_office (id, name, tax_rate, valid, emails)
        select g, 'office', 0, true, false from generate_series(1, 40) as g;
        insert into auth_group (id, name) values
          (2, 'Doctor'), (4, 'Administrator'), (5, 'Master'), (11, 'Technician');
        insert into django_content_type (id, app_label, model) values
          (11, 'dispatch', 'patient'), (12, 'dispatch', 'instruction')`);
      if (encoding === 'SQL_ASCII') {
        // two bytes of UTF-8, and one that is none
        await source.unsafe(`
          update dispatch_office set name = convert_from('\\xc3bc', 'SQL_ASCII') where id = 3;
          update dispatch_office set name = convert_from('\\xfc', 'SQL_ASCII') where id = 7`);
      } else {
        await source`update dispatch_office set name = 'ü' where id in (3, 7)`;
      }
      const shared = { pair: { ...pair, ...urls }, source } as unknown as Shared;
      await onStage(shared, async (stage) => {
        const ended = await runner(stage, ['up', '1-foundation']);
        assert.is(ended.code, 0, ended.stderr);
        const names = await stage.target`
          select legacy_office_id as key, name from public.offices
          where legacy_office_id in (3, 7) order by 1`;
        const good = { key: 3, name: 'ü' };
        assert.equal([...names], encoding === 'LATIN1' ? [good, { key: 7, name: 'ü' }] : [good]);
        const rejects = await stage.target`
          select legacy_id::integer as key, reason from migration.rejects where entity = 'offices'`;
        assert.equal(
          [...rejects],
          encoding === 'LATIN1' ? [] : [{ key: 7, reason: 'error_22021' }],
        );
        assert.equal(await rowsRead(stage.target, await migrate(stage, { phases: 1 })), {});
        // corrected in the source, the row comes in
        await source`update dispatch_office set name = 'u' where id = 7`;
        await migrate(stage, { phases: 1 });
        const [row] = await stage.target`
          select name from public.offices where legacy_office_id = 7`;
        assert.is(row?.['name'], 'u');
        await noTraces(stage.target, source, encoding);
      });
    } finally {
      await source.end();
      await urls.drop();
    }
  });
}

test.run();

async function plantSource(source: Sql): Promise<void> {
  const copy = async (table: string, count: number, set: string, where = 'true') => {
    for (let key = 1; key <= count; key += 1) {
      await copyRows(source, table, {
        where: `id = (select min(id) from ${table} where ${where})`,
        id: String(PLANTED + key),
        set,
      });
    }
  };
  await source.unsafe(`
    alter table dispatch_office add column "we""ird'; drop table dispatch_office; --" text;
    alter table dispatch_instruction alter column suffix type text;
    alter table dispatch_patient alter column id type bigint`);
  await copy('dispatch_office', 4, `address = 'a', apt = 'b'`);
  await source`update dispatch_office set name = ${ODD_TEXT} where id = ${PLANTED + 1}`;
  await source`
    update dispatch_office set name = 'x', address = null, apt = '' where id = ${PLANTED + 2}`;
  await source`
    update dispatch_office set name = null, address = '', apt = null where id = ${PLANTED + 3}`;
  await source`update dispatch_office set tax_rate = 'NaN' where id = ${PLANTED + 4}`;

  await copy('dispatch_file', 10, `uid = md5(random()::text)::uuid, instruction_id = null`);
  for (const [key, text] of Object.entries(PARAMETERS)) {
    await source`
      update dispatch_file set parameters = ${text} where id = ${PLANTED + Number(key)}`;
  }
  await copy(
    'dispatch_instruction',
    4,
    `upper_jaw_id = null, lower_jaw_id = null`,
    `patient_id in (select id from dispatch_patient where doctor_id is not null)`,
  );
  await source.unsafe(`
    update dispatch_instruction set course_id = 99 where id = ${PLANTED + 1};
    update dispatch_instruction set status = 42 where id = ${PLANTED + 2};
    update dispatch_instruction set suffix = repeat('planted-suffix', 3) where id = ${PLANTED + 3};
    update dispatch_instruction set patient_id = 8888888 where id = ${PLANTED + 4}`);

  await copy('dispatch_category', 4, `parent_id = null`);
  await source.unsafe(`
    update dispatch_category set parent_id = ${PLANTED + 2} where id = ${PLANTED + 1};
    update dispatch_category set parent_id = ${PLANTED + 1} where id = ${PLANTED + 2};
    update dispatch_category set parent_id = ${PLANTED + 3} where id = ${PLANTED + 3};
    update dispatch_category set parent_id = 8888888 where id = ${PLANTED + 4};
    insert into dispatch_template_predecessors (id, from_template_id, to_template_id)
    select ${PLANTED + 1}, min(id), min(id) from dispatch_template`);

  const [infinite, distant, ancient] = await oddPatients(source);
  await source.unsafe(`
    update dispatch_patient set birthdate = 'infinity', submitted_at = '-infinity',
      updated_at = 'infinity' where id = ${infinite};
    update dispatch_patient set birthdate = '20000-02-29', submitted_at = '20000-02-29 23:59:59.999999+00',
      updated_at = '294276-12-31 23:59:59+00' where id = ${distant};
    update dispatch_patient set birthdate = '0044-03-15 BC', submitted_at = '0044-03-15 12:00:00+00 BC',
      updated_at = '4713-01-01 00:00:00+00 BC' where id = ${ancient}`);
  await copyRows(source, 'auth_user', {
    where: 'id = (select min(id) from auth_user)',
    id: String(PLANTED + 1),
    set: `username = 'large id'`,
  });
  await copyRows(source, 'dispatch_patient', {
    where: `id = (select min(id) from dispatch_patient where doctor_id is not null)`,
    id: '3000000000',
    set: `user_id = ${PLANTED + 1}`,
  });
}

async function plantTarget(target: Sql): Promise<void> {
  await target.unsafe(`
    alter table public.offices drop constraint offices_legacy_office_id_key;
    insert into public.offices (id, name, created_at, legacy_office_id) values
      ('${YOUNGER}', 'the younger', '2021-01-01', 4), ('${OLDER}', 'the older', '2020-01-01', 4)`);
}

/** Three patients with a doctor and no order of theirs. */
async function oddPatients(source: Sql): Promise<number[]> {
  const rows = await source<{ id: number }[]>`
    select id::integer from dispatch_patient where id < ${PLANTED} and doctor_id is not null
    order by id desc limit 3`;
  return rows.map(({ id }) => id);
}

/** What the ledger says of a planted row that was rejected. */
async function rejected(target: Sql, entity: string, key: number): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', kind, reason, case when source_row is not null then 'raw' end) as line
    from migration.rejects where entity = ${entity} and legacy_id = ${PLANTED + key}`;
  return rows.map(({ line }) => line);
}

/** An empty legacy database in another encoding, on the source server of a pair. */
async function encodedSource(pair: TestPair, encoding: string) {
  const name = `encoded_${randomBytes(4).toString('hex')}`;
  const within = (url: string): string => {
    const changed = new URL(url);
    changed.pathname = `/${name}`;
    return changed.href;
  };
  const admin = open(pair.sourceAdminUrl);
  await admin.unsafe(`
    create database ${name} encoding '${encoding}' template template0 lc_collate 'C' lc_ctype 'C'`);
  const sourceAdminUrl = within(pair.sourceAdminUrl);
  await loadSource(sourceAdminUrl, { scale: null, seed: '1' });
  await grantReader(sourceAdminUrl);
  return {
    sourceAdminUrl,
    sourceUrl: within(pair.sourceUrl),
    drop: async () => {
      await admin.unsafe(`drop database ${name}`);
      await admin.end();
    },
  };
}
