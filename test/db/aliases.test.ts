// deadline 180
/* Columns may be called like the aliases of the engine: rows are adopted, rejected and taken back. */
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** Every name of one or a few letters that sql/engine gives to a row of a table of the project. */
const NAMES = ['t', 's', 'b', 'v', 'e', 'm', 'p', 'g', 'c', 'i', 'r', 'w', 'was', 'x'];

const test = suite<Context>('aliases');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'aliases', source: 'empty' }), {
    project: projectOf(),
  });
  const { source, target } = context;
  const columns = NAMES.map((name) => `${name} text`).join(', ');
  await source.unsafe(`
    create table public.letters (id integer primary key, number integer, ${columns});
    grant select on all tables in schema public to legacy_reader;
    insert into letters (id, number, t, s) values (1, 1, 'new', 's'), (2, null, 'refused', 's')`);
  await target.unsafe(`
    set role postgres;
    create table public.letters (
      id uuid primary key, legacy_id integer, number integer not null, own text, ${columns});
    insert into public.letters (id, legacy_id, number, own, t, s)
    values ('00000000-0000-0000-0000-000000000001', 1, 1, 'mine', 'old', 'old');
    reset role`);
  await migrate(context.pair, { root: context.project.root });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a target column t: the image holds the whole row, and down brings it back', async ({
  pair,
  target,
  project,
}) => {
  const [image] = await target<{ image: Record<string, unknown> }[]>`
    select image from migration.before_images`;
  assert.equal(
    [image?.image['own'], image?.image['t'], image?.image['number']],
    ['mine', 'old', '1'],
  );
  const [now] = await target`select t, own from public.letters`;
  assert.equal({ ...now }, { t: 'new', own: 'mine' });
  await succeed(pair, ['down', '1-one', '--yes'], { root: project.root });
  const rows = await target`select t, s, own from public.letters`;
  assert.equal([...rows], [{ t: 'old', s: 'old', own: 'mine' }]);
  await migrate(pair, { root: project.root });
});

test('a source column s: a reject holds the whole source row', async ({ target }) => {
  const [reject] = await target<{ source_row: Record<string, unknown> }[]>`
    select source_row from migration.rejects where legacy_id = 2`;
  assert.equal([reject?.source_row['t'], reject?.source_row['id']], ['refused', 2]);
});

test('verify and a removal read the whole row, too', async ({ pair, source, target, project }) => {
  const ended = await runner(pair, ['verify', '--json'], { root: project.root });
  const { entities } = lastLine<{ entities: { rows: { kind: string }[] }[] }>(ended);
  assert.equal(
    // the reject
    entities.flatMap(({ rows }) => rows).filter(({ kind }) => kind !== 'missing'),
    [],
  );
  project.edit('sql/1-one/10_letters.sql', (text) =>
    text.replace('adopt    legacy_id', 'adopt    legacy_id\n-- deletes  remove'),
  );
  await source`delete from letters where id = 1`;
  await migrate(pair, { root: project.root });
  assert.is((await target`select from public.letters`).length, 0);
  const [image] = await target<{ image: Record<string, unknown> }[]>`
    select image from migration.before_images where reason = 'removed'`;
  assert.is(image?.image['own'], 'mine');
});

test.run();

function projectOf(): Scratch {
  return tinyProject({
    'sql/1-one/10_letters.sql': `-- For the test.
--
-- target   public.letters
-- source   letters
-- adopt    legacy_id

create view transform.letters as
select
  l.id as legacy_key,
  l.id::integer as legacy_id,
  l.number as number,
${NAMES.map((name) => `  l.${name} as ${name}`).join(',\n')}
from legacy.letters as l;
`,
  });
}
