// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { editionOf } from '../../runner/engine/ledger.ts';
import { PhaseFailed } from '../../runner/engine/phase.ts';
import { dropPair, errorOf, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, ROOT, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

/* A phase that fails for its rejects names them, and they can be read when it is rolled back. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

interface Listed {
  rejects: object[];
  failed: { legacy_id: number; run: number }[];
}

const test = suite<Context>('failed attempt');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'failed', source: 'empty' }), {
    project: tinyProject({
      'sql/1-words/10_words.sql': entity('words', 'word'),
      'sql/2-lines/10_lines.sql': entity('lines', 'line', '-- commit   batch\n'),
    }),
  });
  for (const name of ['word', 'line']) {
    await context.source.unsafe(`
      create table public.${name} (id integer primary key, said text, number text);
      grant select on public.${name} to legacy_reader;
      insert into public.${name} select g, 'word', '1' from generate_series(1, 100) as g`);
    await context.target.unsafe(`
      create table public.${name}s (
        id uuid primary key, legacy_id bigint, said text, number integer not null,
        constraint no_secrets check (said <> 'secret value'));
      alter table public.${name}s owner to postgres`);
  }
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('rows that the target refuses: the first ten in the message, all of them by `rejects`', async (context) => {
  await context.source`update public.word set number = null where id <= 8`;
  await context.source`update public.word set said = 'secret value' where id between 9 and 12`;
  const { root } = context.project;
  const ended = await runner(context.pair, ['up', '1-words'], { root });
  assert.is(ended.code, 1);
  assert.match(ended.stderr, 'words: 12 of 100 rows were refused by the target or unreadable');
  assert.match(
    ended.stderr,
    [
      ...[1, 2, 3, 4, 5, 6, 7, 8].map((key) => `  ${key}  23502  column number`),
      '  9  23514  no_secrets',
      '  10  23514  no_secrets\n',
    ].join('\n'),
  );
  assert.not.match(ended.stderr, /^ {2}11 /m);
  assert.not.match(ended.stderr, 'secret value');

  const [count] = await context.target`select count(*)::integer as rows from public.words`;
  assert.equal(count, { rows: 0 }, 'rolled back');
  const listed = await listedOf(context, 'words');
  assert.equal(listed.rejects, []);
  assert.equal(
    listed.failed.map(({ legacy_id: key }) => key),
    [...Array(12).keys()].map((n) => n + 1),
  );
  assert.equal(listed.failed[8], {
    entity: 'words',
    run: listed.failed[0]?.run,
    legacy_id: 9,
    reason: 'error_23514',
    sqlstate: '23514',
    constraint_name: 'no_secrets',
    column_name: null,
  });
  const { stdout } = await succeed(context.pair, ['rejects', 'words'], { root });
  assert.match(stdout, /^words +10 +error_23514 +23514 +no_secrets/m);
  assert.match(stdout, 'and more: --rows');
  assert.match(
    (await succeed(context.pair, ['rejects', '--rows'], { root })).stdout,
    /^words +12 /m,
  );
});

test('rows that a rule rejects', async (context) => {
  await context.source`update public.word set number = '1', said = '' where id <= 12`;
  const error = await failure(context, '1-words');
  assert.match(error.message, 'words: 12 of 100 rows are rejected by its rules, 3 are allowed');
  assert.match(error.message, /\n {2}1 {2}empty\n.*\n {2}10 {2}empty$/s);
  assert.is((await listedOf(context, 'words')).failed.length, 12);
});

test('an attempt that comes to its end leaves none of them', async (context) => {
  await context.source`update public.word set said = 'right'`;
  await migrate(context.pair, { root: context.project.root, only: ['1-words'] });
  assert.equal(await listedOf(context, 'words'), { rejects: [], failed: [] });
});

test('where ranges were committed the rows are rejects, and named once', async (context) => {
  await context.source`update public.line set number = null where id <= 5`;
  const error = await failure(context, '2-lines');
  assert.ok(error.committed);
  assert.match(error.message, '\n  5  23502  column number');
  const { rejects, failed } = await listedOf(context, 'lines');
  assert.is(rejects.length, 5);
  assert.equal(failed, []);
});

test('the ledger of the release before is asked as well, and gets the rest by `up`', async (context) => {
  const { pair, target, project } = context;
  await target.unsafe(`
    drop table migration.acknowledged;
    alter table migration.control drop column refused;
    update migration.installed set edition = 2, hash = 'of edition 2'`);
  await succeed(pair, ['rejects', 'words'], { root: project.root });
  const found = () => target<{ edition: number; there: boolean }[]>`
    select i.edition, to_regclass('migration.acknowledged') is not null as there
    from migration.installed as i`;
  assert.equal([...(await found())], [{ edition: 2, there: false }]);
  await context.source`update public.line set number = '1'`;
  await succeed(pair, ['up'], { root: project.root });
  assert.equal([...(await found())], [{ edition: editionOf(readCatalog(ROOT)), there: true }]);
  await context.source`update public.word set number = null`;
  assert.is((await runner(pair, ['up'], { root: project.root })).code, 1);
  assert.is((await listedOf(context, 'words')).failed.length, 100);
});

test.run();

function entity(name: string, table: string, more = ''): string {
  return `-- Words.
--
-- target   public.${name}
-- source   ${table}
-- adopt    none
${more}
create view transform.${name} as
select
  w.id              as legacy_key,
  w.id              as legacy_id,
  w.said            as said,
  w.number::integer as number,
  case when w.said = '' then 'empty' end as reject
from legacy.${table} as w;
`;
}

async function failure({ pair, project }: Context, phase: string): Promise<PhaseFailed> {
  const error = await errorOf(migrate(pair, { root: project.root, only: [phase] }));
  assert.ok(error instanceof PhaseFailed, error.message);
  return error;
}

async function listedOf({ pair, project }: Context, name: string): Promise<Listed> {
  const { root } = project;
  return lastLine<Listed>(await succeed(pair, ['rejects', name, '--rows', '--json'], { root }));
}
