// deadline 180
/* Password hashes that a former migration left in tables of the application. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, errorOf, migrate, type MigrateOptions, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { dumpRows, runner, sameDump, scratch, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  /** Five people with a real hash, the first five by id. */
  people: { id: number; password: string }[];
}

const test = suite<Context>('leaked hashes');

test.before.each(async (context) => {
  Object.assign(context, await preparePair({ name: 'leaked', source: 'sample' }));
  const { source, target } = context;
  context.people = await source<Context['people']>`
    select id, password from auth_user where password like 'pbkdf2%' order by id limit 5`;
  for (const { id, password } of context.people.slice(0, 3)) {
    await target`
      insert into public.profiles
        (profile_type, first_name, last_name, patient_suffix, legacy_user_id, password_hash)
      values ('patient', 'A', 'former migration', 'x', ${id}, ${password})`;
  }
  await target.unsafe(`
    insert into public.profiles
      (profile_type, first_name, last_name, patient_suffix, legacy_user_id, password_hash)
    values ('patient', 'A', 'own', 'x', ${context.people[3]?.id}, 'pbkdf2_sha256$36000$own$own');
    insert into public.teams (name, description) values
      ('of the application', '${context.people[4]?.password}'), ('another', 'a description');
    insert into public.ware (name) values ('${context.people[0]?.password}')`);
});

test.after.each(dropPair);

/** No hash stands anywhere in these schemas. */
async function nowhere(
  { target, people }: Context,
  schemas: string[],
  what: string,
): Promise<void> {
  const tables = await target<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_class as c
    where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text = any (${schemas})`;
  for (const { name } of tables) {
    const found = await target.unsafe(
      `select 1 from ${name} as t join unnest($1::text[]) as p on strpos(t::text, p) > 0`,
      [people.map(({ password }) => password)],
    );
    assert.is(found.length, 0, `${what}: ${name}`);
  }
}

const up = ({ pair }: Context, options: MigrateOptions = {}): Promise<number> =>
  migrate(pair, { phases: 1, ...options });

test('they are found by number and column, in adopted rows and in rows of others, and never shown', async (context) => {
  const { message } = await errorOf(up(context));
  assert.match(message, /no_secrets.*public\.profiles\.password_hash: 3 rows/s);
  assert.match(message, /public\.teams\.description: 1 rows/);
  for (const { password } of context.people) assert.not(message.includes(password));
  await nowhere(context, ['migration'], 'after a refused run');
});

test('they are cleared, with an event, and nothing else', async (context) => {
  const { target } = context;
  const remarks: string[] = [];
  const run = await up(context, { clearSecrets: true, remark: (line) => remarks.push(line) });
  const cleared = {
    'public.profiles.password_hash': 3,
    'public.teams.description': 1,
    'public.ware.name': 1,
  };
  assert.equal(
    remarks.filter((line) => line.includes('leaked')).toSorted(),
    Object.entries(cleared)
      .map(([place, rows]) => `${rows} leaked secrets cleared in ${place}`)
      .toSorted(),
  );
  assert.equal(
    [
      ...(await target`
      select run::integer, who, details from migration.events
      where what = 'leaked secrets cleared'`),
    ],
    [{ run, who: 'postgres', details: cleared }],
  );
  assert.equal(
    [
      ...(await target`
      select last_name as name, password_hash as hash from public.profiles
      where password_hash is not null`),
    ].map(({ hash }) => hash),
    ['pbkdf2_sha256$36000$own$own'],
  );
  assert.equal(
    [...(await target`select description from public.teams where description is not null`)],
    [{ description: 'a description' }],
  );
  await nowhere(context, ['public', 'migration', 'ids'], 'after clearing');
});

test('images of the ledger give none back: down leaves rows as they were, without the hash', async (context) => {
  const { pair, target, people } = context;
  const blind = scratch();
  blind.edit('checks/no_secrets.sql', (text) => text.replace(/;\s*$/, ' limit 0;'));
  const before = await dumpRows(target, { clock: true });
  await up(context, { root: blind.root });
  const images = await target`
    select from migration.before_images
    where strpos(image::text, ${people[0]?.password ?? ''}) > 0`;
  assert.ok(images.length > 0);
  await up(context, { clearSecrets: true });
  await nowhere(context, ['public', 'migration', 'ids'], 'after clearing');
  // what we had written is ours still
  assert.equal(
    [...(await target`select migration.touched_rows('1-foundation')::integer as rows`)],
    [{ rows: 0 }],
  );
  await up(context);
  await succeed(pair, ['down', '1-foundation', '--yes']);
  for (const table of ['profiles', 'teams', 'ware']) {
    before.set(
      table,
      (before.get(table) ?? []).map((row) =>
        people.reduce(
          (text, { password }) =>
            text.replace(JSON.stringify(password), table === 'ware' ? '""' : 'null'),
          row,
        ),
      ),
    );
  }
  const plain = (dump: typeof before) =>
    new Map(
      [...dump].map(([table, rows]) => [
        table,
        // clearing is an update of the application's row
        rows.map((row) => row.replace(/"updated_at": "[^"]*"/, '')).toSorted(),
      ]),
    );
  sameDump(plain(await dumpRows(target, { clock: true })), plain(before));
  blind.remove();
});

test('`check no_secrets` finds them in every table, and its own login is none', async (context) => {
  const { pair, target, people } = context;
  await up(context, { clearSecrets: true });
  await succeed(pair, ['check', 'no_secrets']);
  await target`insert into public.ware (name) values (${people[1]?.password ?? ''})`;
  const { code, stdout, stderr } = await runner(pair, ['check', 'no_secrets']);
  assert.is(code, 1);
  assert.match(stdout, /public\.ware\.name: 1 rows/);
  for (const { password } of people) assert.not((stdout + stderr).includes(password));
});

test.run();
