// deadline 180
/* The application's table of old and new ids is kept in step with the id maps. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readChecks } from '../../runner/engine/checks.ts';
import { dropPair, migrate, type MigrateOptions, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { entityFile, ROOT, type Scratch, succeed, tinyProject, withoutChecks } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const SETTINGS = { sourceSchema: 'public', secrets: {}, mappings: 'public.migration_mappings' };
const file = (name: string, header = '') =>
  entityFile(name, name, ['t.id::integer as legacy_id', 't.name as name'], { header }).replace(
    '-- adopt    none',
    '-- adopt    legacy_id',
  );
const project = () =>
  tinyProject({
    // it would find what `up` is to put right
    ...withoutChecks('mappings'),
    'sql/settings.json': JSON.stringify(SETTINGS),
    'sql/1-one/10_things.sql': file('things', '-- mapping  thing\n-- deletes  remove\n'),
    'sql/1-one/20_parts.sql': file('parts', '-- mapping  part\n-- commit   batch\n'),
    'sql/1-one/30_links.sql': file('links'),
  });

const test = suite<Context>('mappings');

test.before.each(async (context) => {
  Object.assign(context, await preparePair({ name: 'mappings', source: 'empty' }), {
    project: project(),
  });
  const { source, target } = context;
  await target.unsafe(`
    set role postgres;
    create table public.migration_mappings (
      entity_type text not null, legacy_id integer not null, new_id uuid not null,
      migrated_at timestamptz default now(), migration_batch text, primary key (entity_type, legacy_id));
    reset role`);
  for (const table of ['things', 'parts', 'links']) {
    await source.unsafe(`
      create table public.${table} (id integer primary key, name text);
      insert into ${table} select g, 'row ' || g from generate_series(1, 4) as g;
      grant select on public.${table} to legacy_reader`);
    await target.unsafe(`
      set role postgres;
      create table public.${table} (
        id uuid primary key default gen_random_uuid(), legacy_id integer, name text);
      reset role`);
  }
});

test.after.each(async (context) => {
  context.project.remove();
  await dropPair(context);
});

/** The application's table as text, by type and key. */
async function mappings(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity_type, legacy_id, new_id, migration_batch) as line
    from public.migration_mappings order by entity_type, legacy_id`;
  return rows.map(({ line }) => line);
}

/** What it must hold: the id maps, each row with the run that entered it. */
async function expected(target: Sql): Promise<string[]> {
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', 'part', legacy_id, id) as line, legacy_id from ids.parts
    union all select concat_ws(' ', 'thing', legacy_id, id), legacy_id from ids.things
    order by 1`;
  return rows.map(({ line }) => line);
}

const withoutRun = (lines: string[]) => lines.map((line) => line.split(' ').slice(0, 3).join(' '));

async function inStep(target: Sql): Promise<void> {
  assert.equal(withoutRun(await mappings(target)), await expected(target));
}

const up = ({ pair, project: { root } }: Context, options: MigrateOptions = {}) =>
  migrate(pair, { root, removeMany: true, ...options });

async function down({ pair, project: { root } }: Context): Promise<void> {
  await succeed(pair, ['down', '1-one', '--yes'], { root });
}

/** What the check `mappings` finds. */
async function findings(target: Sql): Promise<string[]> {
  const check = readChecks(ROOT, 'checks').find(({ name }) => name === 'mappings');
  assert.is(check?.severity, 'error');
  const rows = await target.unsafe<Record<string, unknown>[]>(check?.text ?? '');
  return rows.map((row) => Object.values(row).join(' '));
}

test('every mapped key of a type has one row; a run with nothing to do writes none', async (context) => {
  const { target } = context;
  const run = await up(context);
  assert.equal(
    (await mappings(target)).map((line) => line.split(' ')[3]),
    Array(8).fill(String(run)),
  );
  await inStep(target);
  const before = await target`select xmin::text, * from public.migration_mappings order by 2, 3`;
  await up(context);
  assert.equal(
    [...(await target`select xmin::text, * from public.migration_mappings order by 2, 3`)],
    [...before],
  );
  assert.equal(await findings(target), []);
});

test('new rows are entered, rows that are removed leave, kept ones stay', async (context) => {
  const { source, target } = context;
  await up(context);
  await source`insert into things values (9, 'nine')`;
  await source`delete from things where id = 2`;
  await source`insert into parts values (9, 'nine')`;
  await source`delete from parts where id = 2`;
  await up(context);
  await inStep(target);
  assert.equal(
    (await mappings(target)).map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['part 1', 'part 2', 'part 3', 'part 4', 'part 9', 'thing 1', 'thing 3', 'thing 4', 'thing 9'],
  );
  assert.equal([...(await target`select 1 from migration.mapping_images`)], []);
  await down(context);
  assert.equal(await mappings(target), []);
});

test('wrong rows of a former migration are corrected with an image, and come back', async (context) => {
  const { target } = context;
  await target.unsafe(`
    insert into public.things (id, legacy_id, name) values
      ('00000000-0000-4000-8000-000000000001', 1, 'there before');
    insert into public.migration_mappings (entity_type, legacy_id, new_id, migrated_at, migration_batch)
    values
      -- right
      ('thing', 1, '00000000-0000-4000-8000-000000000001', '2020-01-01 00:00:00.000001+00', 'old'),
      -- wrong, and the id of another key
      ('thing', 2, '00000000-0000-4000-8000-000000000001', null, null),
      ('part', 3, '00000000-0000-4000-8000-00000000000b', '2020-01-02', ''),
      -- of no source row
      ('thing', 999999, '00000000-0000-4000-8000-00000000000a', '2020-01-02', 'old'),
      ('part', 999999, '00000000-0000-4000-8000-00000000000a', '2020-01-02', 'old'),
      -- of a type that is not ours
      ('links', 1, '00000000-0000-4000-8000-00000000000c', '2020-01-02', 'old'),
      ('shipment', 1, '00000000-0000-4000-8000-00000000000c', '2020-01-02', 'old')`);
  const rows = () => target`
    select entity_type, legacy_id, new_id, migrated_at::text, migration_batch
    from public.migration_mappings order by 1, 2`;
  const before = [...(await rows())];
  await up(context);
  const all = await mappings(target);
  const theirs = all.filter((line) => /^(links|shipment) /.test(line));
  assert.equal(theirs, [
    'links 1 00000000-0000-4000-8000-00000000000c old',
    'shipment 1 00000000-0000-4000-8000-00000000000c old',
  ]);
  assert.equal(withoutRun(all.filter((line) => !theirs.includes(line))), await expected(target));
  // what was right is as it was
  assert.ok(all.includes('thing 1 00000000-0000-4000-8000-000000000001 old'));
  await down(context);
  assert.equal([...(await rows())], before);
});

test('what others change between runs is found, and a full run puts it right', async (context) => {
  const { source, target } = context;
  await up(context);
  await target.unsafe(`
    delete from public.migration_mappings where entity_type = 'thing' and legacy_id = 1;
    update public.migration_mappings set new_id = gen_random_uuid()
    where entity_type = 'part' and legacy_id in (2, 3);
    insert into public.migration_mappings (entity_type, legacy_id, new_id)
    values ('part', 77, gen_random_uuid())`);
  const faults = [
    'parts part there is no such key 1 77',
    'parts part leads to another row 2 2',
    'things thing missing 1 1',
  ];
  assert.equal((await findings(target)).toSorted(), faults.toSorted());
  // a changed row of the source brings its own in order
  await source`update parts set name = 'newer' where id = 2`;
  await up(context, { pieceRows: 1 });
  await up(context, { full: true });
  assert.equal(await findings(target), []);
  await inStep(target);
  // what was not as we left it is kept
  const images = await target`
    select entity, legacy_id::integer as key, before_us from migration.mapping_images order by 1, 2`;
  assert.equal(
    [...images],
    [
      { entity: 'parts', key: 2, before_us: false },
      { entity: 'parts', key: 3, before_us: false },
      { entity: 'parts', key: 77, before_us: true },
    ],
  );
  await down(context);
  assert.equal(
    (await mappings(target)).map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['part 77'],
  );
});

test('a table that is emptied is filled by a full run; one that is not there is not missed', async (context) => {
  const { target } = context;
  await target`alter table public.migration_mappings rename to elsewhere`;
  await up(context);
  assert.equal(await findings(target), []);
  await target`alter table public.elsewhere rename to migration_mappings`;
  assert.is((await findings(target)).length, 2);
  await up(context, { full: true });
  await inStep(target);
  await target`truncate public.migration_mappings`;
  await up(context, { full: true });
  await inStep(target);
  await target`drop table public.migration_mappings`;
  await up(context, { full: true });
  await down(context);
});

test('another type, or none: the rows of the former go', async (context) => {
  const { target } = context;
  await target`insert into public.migration_mappings values ('thing', 3, gen_random_uuid())`;
  const before = await mappings(target);
  await up(context);
  const write = (header: string) =>
    context.project.edit('sql/1-one/10_things.sql', () => file('things', header));
  write('-- mapping  object\n-- deletes  remove\n');
  await up(context);
  const types = async () =>
    (await mappings(target)).map((line) => line.split(' ').slice(0, 2).join(' '));
  assert.equal(await types(), [
    'object 1',
    'object 2',
    'object 3',
    'object 4',
    'part 1',
    'part 2',
    'part 3',
    'part 4',
    'thing 3',
  ]);
  write('-- deletes  remove\n');
  await up(context);
  assert.equal(await types(), ['part 1', 'part 2', 'part 3', 'part 4', 'thing 3']);
  await down(context);
  assert.equal(await mappings(target), before);
});

test.run();
