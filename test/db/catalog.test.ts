// deadline 300
/* The files and what was migrated by them: an entity that leads elsewhere now, or has no file any more. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../runner/engine/text.ts';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import {
  type Dump,
  lastLine,
  runner,
  sameDump,
  type Scratch,
  succeed,
  tinyProject,
  touches,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const MAKERS = 'sql/1-one/10_makers.sql';
const PARTS = 'sql/2-two/10_parts.sql';
const ARCHIVED = 'sql/archive/shelves.sql';

const test = suite<Context>('catalog');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'catalog', source: 'empty' }));
  const { source, target } = context;
  await source.unsafe(`
    create table public.makers (id integer primary key, name text);
    create table public.parts (id integer primary key, maker_id integer);
    create table public.spares (id integer primary key, maker_id integer);
    create table public.shelves (id integer primary key);
    grant select on all tables in schema public to legacy_reader;
    insert into makers values (1, 'one'), (2, 'two');
    insert into parts values (1, 1), (2, 2), (3, null);
    insert into spares values (1, 1);
    insert into shelves values (1)`);
  await target.unsafe(`
    set role postgres;
    create table public.makers (id uuid primary key, legacy_id integer, name text);
    create table public.parts (
      id uuid primary key, legacy_id integer, maker_id uuid references public.makers);
    create table public.pieces (
      id uuid primary key, legacy_id integer, maker_id uuid references public.makers);
    reset role`);
});

test.before.each(async (context) => {
  context.project = projectOf();
  await migrate(context.pair, { root: context.project.root, archive: true });
});

test.after.each(async ({ pair, project }) => {
  // with the files as they were, the rows go wherever they are
  for (const [file, text] of Object.entries(FILES)) write(project, file, text);
  await succeed(pair, ['down', '1-one', '--cascade', '--force', '--yes'], { root: project.root });
  project.remove();
});

test.after(dropPair);

test('an entity whose file is gone: up, plan and status refuse before anything is written', async ({
  pair,
  target,
  project,
}) => {
  const before = await state(target);
  rmSync(join(project.root, PARTS));
  const says = /parts is migrated from parts to public\.parts, and no file defines it/;
  for (const command of ['up', 'plan', 'status']) {
    const { code, stderr } = await runner(pair, [command], { root: project.root });
    assert.is(code, 1, `${command}: ${stderr}`);
    assert.match(stderr, says);
    assert.match(stderr, /put its file back, .*`runner down 2-two`.*`runner forget parts`/);
  }
  const status = await runner(pair, ['status', '--json'], { root: project.root });
  const { verdict, problems } = lastLine<{ verdict: string; problems: Problem[] }>(status);
  assert.match(verdict, 'The files are not those of what is migrated');
  assert.equal(
    problems.map(({ file, rule }) => `${file} ${rule}`),
    ['sql/2-two ledger'],
  );
  sameDump(await state(target), before);
});

test('without its file, down takes exactly the rows of an entity back; then up goes on', async ({
  pair,
  target,
  project,
}) => {
  rmSync(join(project.root, PARTS));
  const ended = await succeed(pair, ['down', '2-two', '--yes', '--json'], { root: project.root });
  const { entities } = lastLine<{ entities: { entity: string; created: number }[] }>(ended);
  assert.equal(
    entities.map(({ entity, created }) => `${entity} ${created}`),
    ['parts 3'],
  );
  assert.equal(await counts(target), { makers: 2, parts: 0, pieces: 0 });
  await succeed(pair, ['up'], { root: project.root });
  await succeed(pair, ['status'], { root: project.root });
});

test('a renamed entity is refused: its rows would come a second time, also after forget', async ({
  pair,
  target,
  project,
}) => {
  const before = await state(target);
  renameSync(join(project.root, PARTS), join(project.root, 'sql/2-two/10_pieces.sql'));
  project.edit('sql/2-two/10_pieces.sql', (text) =>
    text.replace('transform.parts', 'transform.pieces'),
  );
  for (const args of [['up'], ['status'], ['forget', 'parts', '--yes']]) {
    const { code, stderr } = await runner(pair, args, { root: project.root });
    assert.is(code, 1, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, /every row|the same rows a second time/);
    assert.match(stderr, 'name the file');
  }
  sameDump(await state(target), before);
  rmSync(join(project.root, 'sql/2-two/10_pieces.sql'));
});

test('another target is refused at its header; forget keeps the rows, and up writes the new table', async ({
  pair,
  target,
  project,
}) => {
  const before = await state(target);
  project.edit(PARTS, (text) => text.replace('public.parts', 'public.pieces'));
  for (const command of ['up', 'status']) {
    const { code, stderr } = await runner(pair, [command], { root: project.root });
    assert.is(code, 1, `${command}: ${stderr}`);
    assert.match(stderr, /10_parts\.sql:3:1 .*its file says from parts to public\.pieces/);
    assert.match(stderr, '`runner forget parts`');
  }
  const silent = await runner(pair, ['forget', 'parts'], { root: project.root });
  assert.is(silent.code, 2, 'nobody agreed');
  sameDump(await state(target), before);

  const ids = await target`select id from public.parts order by legacy_id`;
  const ended = await succeed(pair, ['forget', 'parts', '--yes', '--json'], {
    root: project.root,
  });
  const { verdict, rows } = lastLine<{ verdict: string; rows: number }>(ended);
  assert.equal([verdict, rows], ['done', 3]);
  assert.equal([...(await target`select from ids.parts`)], []);
  const left = await target<{ name: string }[]>`
    select e.entity as name from migration.entities as e where e.entity = 'parts'
    union all select 'ranges' from migration.ranges as r where r.entity = 'parts'`;
  assert.equal([...left], []);
  const [event] = await target<{ details: Record<string, unknown> }[]>`
    select details from migration.events where what = 'forget parts'`;
  assert.equal(event?.details, {
    phase: '2-two',
    target: 'public.parts',
    source: 'parts',
    rows: 3,
    images: 0,
  });

  await succeed(pair, ['up'], { root: project.root });
  await succeed(pair, ['status'], { root: project.root });
  assert.equal(await counts(target), { makers: 2, parts: 3, pieces: 3 });
  assert.equal(await target`select id from public.pieces order by legacy_id`, ids);
  await succeed(pair, ['down', '2-two', '--yes'], { root: project.root });
  assert.equal(await counts(target), { makers: 2, parts: 3, pieces: 0 });
  await target`delete from public.parts`;
});

test('another source is refused, and so is an entity that stands on a forgotten one', async ({
  pair,
  target,
  project,
}) => {
  const before = await state(target);
  project.edit(PARTS, (text) =>
    text.replace('source   parts', 'source   spares').replace('legacy.parts', 'legacy.spares'),
  );
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  assert.is(code, 1, stderr);
  assert.match(stderr, /10_parts\.sql:4:1 .*its file says from spares to public\.parts/);
  write(project, PARTS, FILES[PARTS]);
  rmSync(join(project.root, MAKERS));
  const forgotten = await runner(pair, ['forget', 'makers', '--yes'], { root: project.root });
  assert.is(forgotten.code, 1);
  assert.match(forgotten.stderr, 'sql/2-two/10_parts.sql read ids.makers');
  sameDump(await state(target), before);
});

test('what the files define, or nobody knows, is not forgotten', async ({
  pair,
  target,
  project,
}) => {
  const before = await state(target);
  for (const [name, says] of [
    ['parts', 'parts is as sql/2-two/10_parts.sql says; nothing was changed'],
    ['nobody', 'the ledger has no rows of an entity nobody; nothing was changed'],
  ] as const) {
    const { code, stderr } = await runner(pair, ['forget', name, '--yes'], { root: project.root });
    assert.is(code, 1, stderr);
    assert.match(stderr, says);
  }
  project.edit(MAKERS, (text) => text.replace('-- source', '-- sauce'));
  rmSync(join(project.root, PARTS));
  const { code, stderr } = await runner(pair, ['forget', 'parts', '--yes'], { root: project.root });
  assert.is(code, 1);
  assert.match(stderr, 'a file of sql/ cannot be read');
  sameDump(await state(target), before);
});

test('after forget, entities that read its id map are compared whole', async ({
  pair,
  target,
  project,
}) => {
  project.edit(MAKERS, (text) => text.replace('public.makers', 'public.pieces'));
  project.edit(MAKERS, (text) => text.replace(',\n  s.name as name', ''));
  await succeed(pair, ['forget', 'makers', '--yes'], { root: project.root });
  const [known] = await target<{ ranges: number; seen: string }[]>`
    select (select count(*)::integer from migration.ranges where entity = 'parts') as ranges,
      maps_seen::text as seen
    from migration.entities where entity = 'parts'`;
  assert.equal({ ...known }, { ranges: 0, seen: '{}' });
  // its rows stay, and are ours again when the file leads to them
  write(project, MAKERS, FILES[MAKERS]);
  await succeed(pair, ['up'], { root: project.root });
  assert.equal(await counts(target), { makers: 2, parts: 3, pieces: 0 });
  await target`update ids.makers set adopted = false`;
});

test('an entity of which nothing was migrated does not count', async ({ pair, project }) => {
  const file = 'sql/2-two/20_pieces.sql';
  write(project, file, entityFile('pieces', 'public.pieces', 'spares'));
  await succeed(pair, ['up', '1-one'], { root: project.root });
  rmSync(join(project.root, file));
  await succeed(pair, ['up'], { root: project.root });
  await succeed(pair, ['status'], { root: project.root });
});

test('a copy of the archive whose file is gone is refused, and may be forgotten', async ({
  pair,
  target,
  project,
}) => {
  rmSync(join(project.root, ARCHIVED));
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  assert.is(code, 1, stderr);
  assert.match(stderr, 'legacy_archive.shelves is migrated from shelves');
  await succeed(pair, ['forget', 'legacy_archive.shelves', '--yes'], { root: project.root });
  await succeed(pair, ['up'], { root: project.root });
  assert.is((await target`select from legacy_archive.shelves`).length, 1);
});

test.run();

function write({ root }: Scratch, file: string, text: string | undefined): void {
  mkdirSync(join(root, file, '..'), { recursive: true });
  writeFileSync(join(root, file), text ?? '');
  assert.is(readFileSync(join(root, file), 'utf8'), text);
}

/** The rows and the ledger, but for what is written when a run is refused: the run itself. */
async function state(target: Sql): Promise<Dump> {
  const dump = await touches(target, ['public', 'ids', 'migration']);
  for (const table of ['runs', 'lease', 'events', 'sums', 'newer', 'installed', 'control']) {
    dump.delete(`migration.${table}`);
  }
  return dump;
}

async function counts(target: Sql): Promise<Record<string, number>> {
  const [row] = await target<Record<string, number>[]>`
    select (select count(*)::integer from public.makers) as makers,
      (select count(*)::integer from public.parts) as parts,
      (select count(*)::integer from public.pieces) as pieces`;
  return { ...row };
}

function entityFile(
  name: string,
  target: string,
  source: string,
  columns = '',
  joins = '',
): string {
  return `-- For the test.
--
-- target   ${target}
-- source   ${source}
-- adopt    none

create view transform.${name} as
select
  s.id as legacy_key,
  s.id::integer as legacy_id${columns}
from legacy.${source} as s${joins};
`;
}

const FILES: Record<string, string> = {
  [MAKERS]: entityFile('makers', 'public.makers', 'makers', ',\n  s.name as name'),
  [PARTS]: entityFile(
    'parts',
    'public.parts',
    'parts',
    ',\n  maker.id as maker_id',
    '\nleft join ids.makers as maker on maker.legacy_id = s.maker_id',
  ),
  [ARCHIVED]: `-- For the test.
--
-- target  legacy_archive.shelves
-- source  shelves

create table if not exists legacy_archive.shelves (
  id integer primary key
);
`,
};

function projectOf(): Scratch {
  return tinyProject(FILES);
}
