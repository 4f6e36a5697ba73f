// deadline 180
/* Secrets of the source that a former migration left in tables of the application. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, errorOf, migrate, type MigrateOptions, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { dumpRows, neutralProject, runner, sameDump, type Scratch, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
  /** Five people with their hash, the first five by id. */
  people: { id: number; hash: string }[];
}

const CHECK = `-- No secret of the source is left in the target.
--
-- severity  error
-- reads     source

select 'secret of the source' as what, format('%s.%s: %s rows', l.place, l.column_name, l.row_count)
from migration.leaked_secrets('Customer', 'PasswordHash') as l;
`;
/** Only what has a private copy is cleared elsewhere. */
const COPY = `-- Password hashes: a private copy.
--
-- target  legacy_archive.customer_password
-- source  Customer
-- key     CustomerId
-- secret  PasswordHash

create table if not exists legacy_archive.customer_password (
  "CustomerId"   integer primary key,
  "PasswordHash" text not null
);
`;

const test = suite<Context>('leaked hashes');

test.before.each(async (context) => {
  context.project = neutralProject();
  const { root } = context.project;
  writeFileSync(join(root, 'checks/no_secrets.sql'), CHECK);
  writeFileSync(join(root, 'sql/archive/customer_password.sql'), COPY);
  const databases = { name: 'leaked', source: 'neutral', target: 'neutral' } as const;
  Object.assign(context, await preparePair(databases, root));
  const { source, target } = context;
  context.people = await source<Context['people']>`
    select "CustomerId" as id, "PasswordHash" as hash from "Customer" order by 1 limit 5`;
  // a column that no view supplies, and a table that no entity fills
  await target`alter table public.customers add column password_hash text`;
  await target.unsafe(`
    create table public.shelves (name text not null);
    alter table public.shelves enable row level security, owner to postgres`);
  for (const { id, hash } of context.people.slice(0, 3)) {
    await target`
      insert into public.customers (first_name, last_name, legacy_customer_id, password_hash)
      values ('A', 'former migration', ${id}, ${hash})`;
  }
  await target.unsafe(`
    insert into public.customers (first_name, last_name, legacy_customer_id, password_hash)
    values ('A', 'own', ${context.people[3]?.id}, 'sha256$36000$own$own');
    insert into public.customers (first_name, last_name, notes) values
      ('of', 'the application', '${context.people[4]?.hash}'), ('another', 'of it', 'a note');
    insert into public.shelves values ('${context.people[0]?.hash}')`);
});

test.after.each(async (context) => {
  context.project.remove();
  await dropPair(context);
});

/** No hash stands anywhere in these schemas. */
async function nowhere(
  { target, people }: Context,
  schemas: string[],
  what: string,
): Promise<void> {
  const tables = await target<{ name: string }[]>`
    select c.oid::regclass::text as name from pg_class as c
    where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text = any (${schemas})`;
  assert.ok(tables.length > 5);
  for (const { name } of tables) {
    const found = await target.unsafe(
      `select 1 from ${name} as t join unnest($1::text[]) as p on strpos(t::text, p) > 0`,
      [people.map(({ hash }) => hash)],
    );
    assert.is(found.length, 0, `${what}: ${name}`);
  }
}

const up = ({ pair, project: { root } }: Context, options: MigrateOptions = {}): Promise<number> =>
  migrate(pair, { root, phases: 2, ...options });

test('they are found by number and column, in adopted rows and in rows of others, and never shown', async (context) => {
  const { message } = await errorOf(up(context));
  assert.match(message, /no_secrets.*public\.customers\.password_hash: 3 rows/s);
  assert.match(message, /public\.customers\.notes: 1 rows/);
  assert.not.match(message, 'shelves');
  for (const { hash } of context.people) assert.not(message.includes(hash));
  await nowhere(context, ['migration'], 'after a refused run');
});

test('they are cleared, with an event, and nothing else', async (context) => {
  const { target } = context;
  const remarks: string[] = [];
  const run = await up(context, { clearSecrets: true, remark: (line) => remarks.push(line) });
  const cleared = {
    'public.customers.notes': 1,
    'public.customers.password_hash': 3,
    'public.shelves.name': 1,
  };
  assert.equal(
    remarks.filter((line) => line.includes('leaked')).toSorted(),
    Object.entries(cleared)
      .map(([place, rows]) => `${rows} leaked secrets cleared in ${place}`)
      .toSorted(),
  );
  const events = await target`
    select run::integer, who, details from migration.events
    where what = 'leaked secrets cleared'`;
  assert.equal([...events], [{ run, who: 'postgres', details: cleared }]);
  const hashes = await target`
    select password_hash as hash from public.customers where password_hash is not null`;
  assert.equal([...hashes], [{ hash: 'sha256$36000$own$own' }]);
  const notes = await target`
    select last_name as name, notes from public.customers
    where legacy_customer_id is null order by name`;
  assert.equal(
    [...notes],
    [
      { name: 'of it', notes: 'a note' },
      { name: 'the application', notes: null },
    ],
  );
  await nowhere(context, ['public', 'billing', 'migration', 'ids'], 'after clearing');
});

test('the command says how many and where, the phase is taken back; with the option it is complete', async (context) => {
  const { pair, target, people, project } = context;
  const { root } = project;
  const before = await dumpRows(target, { clock: true, root });
  await up(context, { phases: 1 });
  const catalogue = await dumpRows(target, { clock: true, root });
  const { code, stdout, stderr } = await runner(pair, ['up'], { root });
  assert.is(code, 1);
  assert.match(stderr, 'public.customers.password_hash: 3 rows');
  for (const { hash } of people) assert.not((stdout + stderr).includes(hash));
  sameDump(await dumpRows(target, { clock: true, root }), catalogue, 'of that phase nothing stays');
  const cleared = await succeed(pair, ['up', '--clear-leaked-hashes'], { root });
  assert.match(cleared.stderr, '3 leaked secrets cleared in public.customers.password_hash');
  const kept = await target`
    select "PasswordHash" as hash from legacy_archive.customer_password order by "CustomerId" limit 5`;
  assert.equal(
    kept.map(({ hash }) => hash as string),
    people.map(({ hash }) => hash),
  );
  await succeed(pair, ['down', '1-catalogue', '--cascade', '--yes'], { root });
  sameDump(await dumpRows(target, { clock: true, root }), withoutHashes(before, people));
});

test('images of the ledger give none back: down leaves rows as they were, without the hash', async (context) => {
  const { pair, target, people, project } = context;
  const { root } = project;
  const before = await dumpRows(target, { clock: true, root });
  project.edit('checks/no_secrets.sql', (text) => text.replace(/;\s*$/, ' limit 0;\n'));
  await up(context);
  project.edit('checks/no_secrets.sql', () => CHECK);
  const images = await target`
    select from migration.before_images
    where strpos(image::text, ${people[0]?.hash ?? ''}) > 0`;
  assert.ok(images.length > 0);
  await up(context, { clearSecrets: true });
  await nowhere(context, ['public', 'billing', 'migration', 'ids'], 'after clearing');
  // what we had written is ours still
  assert.equal(
    [...(await target`select migration.touched_rows('2-customers')::integer as rows`)],
    [{ rows: 0 }],
  );
  await up(context);
  await succeed(pair, ['down', '1-catalogue', '--cascade', '--yes'], { root });
  sameDump(await dumpRows(target, { clock: true, root }), withoutHashes(before, people));
});

test('`check no_secrets` finds them in every table, and its own login is none', async (context) => {
  const { pair, target, people, project } = context;
  const { root } = project;
  await up(context, { clearSecrets: true });
  await succeed(pair, ['check', 'no_secrets'], { root });
  await target`insert into public.shelves values (${people[1]?.hash ?? ''})`;
  const { code, stdout, stderr } = await runner(pair, ['check', 'no_secrets'], { root });
  assert.is(code, 1);
  assert.match(stdout, /public\.shelves\.name: 1 rows/);
  for (const { hash } of people) assert.not((stdout + stderr).includes(hash));
});

/** These rows, with NULL where a hash was, or nothing where there must be a value. */
function withoutHashes(
  dump: Awaited<ReturnType<typeof dumpRows>>,
  people: Context['people'],
): typeof dump {
  return new Map(
    [...dump].map(([table, rows]) => [
      table,
      rows
        .map((row) =>
          people.reduce(
            (text, { hash }) =>
              text.replace(JSON.stringify(hash), table === 'shelves' ? '""' : 'null'),
            row,
          ),
        )
        .toSorted(),
    ]),
  );
}

test.run();
