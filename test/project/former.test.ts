// deadline 300
/* A target that a former migration has partly filled: what `up` makes of it, and what `down` gives back. */
import { suite } from 'uvu';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Dump, dumpRows, lastLine, ROOT, runner, sameDump, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  before: Dump;
  hashes: string[];
}

const test = suite<Context>('former migration');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'former', source: 'sample' }));
  const { source, target } = context;
  const people = await source<{ id: number; password: string; doctor: boolean }[]>`
    select u.id, u.password, g.user_id is not null as doctor
    from auth_user as u
    left join auth_user_groups as g on g.user_id = u.id and g.group_id = 2
    where u.password like 'pbkdf2%' order by g.user_id is null, u.id limit 12`;
  context.hashes = people.map(({ password }) => password);
  for (const { id, password, doctor } of people) {
    const [row] = await target<{ id: string }[]>`
      insert into public.profiles
        (profile_type, first_name, last_name, patient_suffix, legacy_user_id, password_hash, phone)
      values (${doctor ? 'doctor' : 'patient'}, 'former', 'name', 'x', ${id}, ${password}, '555')
      returning id`;
    // every other one is wrong
    await target`
      insert into public.migration_mappings (entity_type, legacy_id, new_id, migrated_at, migration_batch)
      values ('profile', ${id}, ${row && id % 2 === 0 ? row.id : '00000000-0000-4000-8000-000000000009'},
        '2020-01-01', 'former')`;
    if (doctor) {
      await target`
        insert into public.doctors (profile_id, doctor_number, legacy_user_id, bio)
        values (${row?.id ?? null}, ${`D${id}`}, ${id}, 'a renowned specialist')`;
    }
  }
  await target.unsafe(`
    insert into public.migration_mappings (entity_type, legacy_id, new_id) values
      ('shipment', 1, gen_random_uuid()), ('task', 2000000000, gen_random_uuid()),
      ('order', 1, gen_random_uuid())`);
  context.before = await dumpRows(target, { clock: true });
});

test.after(dropPair);

test('leaked hashes stop the phase, and nothing of it stays', async ({
  pair,
  target,
  before,
  hashes,
}) => {
  const { code, stdout, stderr } = await runner(pair, ['up']);
  assert.is(code, 1);
  assert.match(stderr, /public\.profiles\.password_hash: 12 rows/);
  for (const hash of hashes) assert.not((stdout + stderr).includes(hash));
  sameDump(await dumpRows(target, { clock: true }), before);
});

test('cleared, all is migrated; old and new ids are complete and right', async ({
  pair,
  target,
}) => {
  const { stdout, stderr, code } = await runner(pair, ['up', '--clear-leaked-hashes', '--json']);
  assert.is(code, 0, stderr);
  assert.match(stderr, '12 leaked secrets cleared in public.profiles.password_hash');
  const { verdict } = lastLine({ code, stdout, stderr });
  assert.match(verdict, /All 8 phases are complete.*`check leftovers`.*`check relaxed`/);
  const mapped = readCatalog(ROOT)
    .phases.flatMap(({ entities }) => entities)
    .filter(({ mapping }) => mapping !== undefined);
  assert.is(mapped.length, 24);
  for (const { name, mapping = '' } of mapped) {
    const wrong = await target`
      select from ids.${target(name)} as m full join (
        select legacy_id, new_id from public.migration_mappings where entity_type = ${mapping}
      ) as t on t.legacy_id = m.legacy_id
      where m.id is distinct from t.new_id`;
    assert.is(wrong.length, 0, name);
  }
  const former = await target`
    select entity_type from public.migration_mappings where migration_batch = 'former'`;
  assert.ok(former.length > 0, 'what was right stays as it was');
  assert.is(
    (await target`select from public.migration_mappings where entity_type = 'shipment'`).length,
    1,
  );
  await succeed(pair, ['check', 'mappings', 'no_secrets']);
  assert.match((await succeed(pair, ['check', 'leftovers'])).stdout, /without a source: bio/);
});

test('rejects say what they mean and which id leads nowhere, also as CSV', async ({
  pair,
  target,
}) => {
  const [row] = await target<{ key: string; nowhere: string }[]>`
    select legacy_id::text as key, coalesce(source_row ->> 'instruction_id', 'null') as nowhere
    from migration.rejects where entity = 'tasks' and reason = 'orphan_order' order by legacy_id limit 1`;
  assert.match(
    (await succeed(pair, ['rejects', 'tasks'])).stdout,
    'it names no order, or one that is not',
  );
  const csv = (await succeed(pair, ['rejects', 'tasks', '--csv'])).stdout.split('\n');
  assert.match(csv[0] ?? '', /^entity,key,reason,sqlstate,constraint,column,leads nowhere,meaning/);
  assert.is(
    csv[1]?.split(',"it names')[0],
    `tasks,${row?.key},orphan_order,,,,instruction_id ${row?.nowhere}`,
  );
  const { rejects } = lastLine<{ rejects: { meaning: string; leads_nowhere: string }[] }>(
    await succeed(pair, ['rejects', 'tasks', '--rows', '--json']),
  );
  assert.is(rejects[0]?.leads_nowhere, `instruction_id ${row?.nowhere}`);
  assert.match(rejects[0]?.meaning ?? '', 'it names no order');
});

test('down gives back what was there, but for the hashes', async ({
  pair,
  target,
  before,
  hashes,
}) => {
  await succeed(pair, ['down', '1-foundation', '--cascade', '--yes']);
  const plain = (dump: Dump) =>
    new Map(
      [...dump].map(([table, rows]) => [
        table,
        rows
          .map((row) =>
            hashes
              .reduce((text, hash) => text.replace(JSON.stringify(hash), 'null'), row)
              // clearing is an update of the application's row
              .replace(/"updated_at": "[^"]*"/, ''),
          )
          .toSorted(),
      ]),
    );
  sameDump(plain(await dumpRows(target, { clock: true })), plain(before));
});

test.run();
