// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, runner, type Scratch, tinyProject, touches } from '../runner.ts';

/* What `verify` knows and does not call a difference, and with which file it compares. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

interface Row {
  legacyKey: number;
  kind: string;
  columns: string[];
}

interface Report {
  differences: number;
  entities: {
    fileChanged: boolean;
    compared: number;
    rows: Row[];
    known: Row[];
    knownCounts: Record<string, number>;
  }[];
}

const FILE = 'sql/1-words/10_words.sql';
const test = suite<Context>('verify, what is known');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'known', source: 'empty' }), {
    project: tinyProject({
      [FILE]: `-- Words.
--
-- target   public.words
-- source   word
-- adopt    none

create view transform.words as
select
  w.id              as legacy_key,
  w.id              as legacy_id,
  w.said            as said,
  w.number::integer as number,
  case when w.said = '' then 'empty' end as reject
from legacy.word as w;
`,
    }),
  });
  await context.source.unsafe(`
    create table public.word (id integer primary key, said text, number text);
    grant select on public.word to legacy_reader;
    insert into public.word select g, 'word', '1' from generate_series(1, 4000) as g;
    update public.word set said = 'loud' where id = 2;
    update public.word set number = null where id = 3;
    update public.word set number = 'none' where id = 4;
    update public.word set said = '' where id = 5`);
  await context.target.unsafe(`
    create table public.words (
      id uuid primary key, legacy_id bigint, said text, number integer not null);
    alter table public.words owner to postgres;
    create function public.shout() returns trigger language plpgsql as $$
    begin new.said := upper(new.said); return new; end $$;
    create trigger shout before insert or update on public.words
    for each row when (new.said = 'loud') execute function public.shout()`);
  await migrate(context.pair, { root: context.project.root, phases: 1 });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a row that a trigger rewrote, and rejects, are listed apart: no difference', async (context) => {
  const { code, rows, known, compared } = await verified(context);
  assert.equal([code, rows], [0, []]);
  assert.equal(known, [
    '2 rewritten said',
    '3 rejected', // the target refused it
    '4 rejected', // cannot be read
    '5 rejected', // by a rule
  ]);
  assert.is(compared, 3997, 'those that are stored');
  const { stdout } = await runner(context.pair, ['verify'], { root: context.project.root });
  assert.match(
    stdout,
    /rewritten by a trigger of the target.*words: 1 rows\nwords 2 {2}rewritten {2}said/s,
  );
  assert.match(stdout, '3 rows are known rejects');
  assert.match(stdout, ' 0 differences');
});

test('a rewritten row that was changed since is a difference, one that is as the view is none', async (context) => {
  const { target } = context;
  await target`update public.words set said = 'quiet' where legacy_id = 2`;
  const changed = await verified(context);
  assert.equal([changed.code, changed.rows], [1, ['2 changed said']]);
  await target`alter table public.words disable trigger shout`;
  await target`update public.words set said = 'loud' where legacy_id = 2`;
  const equal = await verified(context);
  assert.equal([equal.code, equal.rows], [0, []]);
  assert.not(equal.known.includes('2 rewritten said'));
  await target`update public.words set said = 'LOUD' where legacy_id = 2`;
  await target`alter table public.words enable trigger shout`;
});

test('a reject of another version of the source row says nothing of this one: missing', async (context) => {
  await context.source`update public.word set number = 'one' where id = 4`;
  await context.source`update public.word set said = 'other' where id = 3`;
  const { code, rows, known } = await verified(context);
  assert.equal([code, rows], [1, ['3 missing', '4 missing']]);
  assert.equal(known, ['2 rewritten said', '5 rejected']);
  await migrate(context.pair, { root: context.project.root, phases: 1 });
  assert.is((await verified(context)).code, 0);
});

test('a file that has changed is compared as it is now, and named; nothing of it is installed', async (context) => {
  const { pair, target, project } = context;
  const { root } = project;
  const state = async () => {
    const dump = await touches(target, ['public', 'ids', 'migration']);
    // that it was compared is a line of the audit trail
    dump.delete('migration.events');
    return dump;
  };
  const before = await state();
  const [view] = await target`select pg_get_viewdef('transform.words'::regclass) as text`;
  const text = (change: (old: string) => string) => project.edit(FILE, change);
  text((old) =>
    old.replace('w.said            as', `case when w.id = 7 then 'new' else w.said end as`),
  );
  const { code, rows, known, fileChanged } = await verified(context);
  assert.equal([code, fileChanged], [1, true]);
  // what the target refused under the other file may be stored under this one
  assert.equal(rows, ['3 missing', '4 missing', '7 differs said']);
  assert.equal(known, ['2 rewritten said', '5 rejected']);
  const { stdout } = await runner(pair, ['verify'], { root });
  assert.match(stdout, new RegExp(`files as they are now.*\n  ${FILE}\n`));

  assert.equal(await state(), before);
  const [after] = await target`select pg_get_viewdef('transform.words'::regclass) as text`;
  assert.equal(after, view);
  text((old) => old.replace(/case when w\.id = 7.*end as/, 'w.said            as'));
  const back = await verified(context);
  assert.equal([back.code, back.fileChanged], [0, false]);
});

test.run();

async function verified({ pair, project }: Context) {
  const ended = await runner(pair, ['verify', '--json'], { root: project.root });
  const [words] = lastLine<Report>(ended).entities;
  assert.ok(words, ended.stderr);
  const lines = (rows: Row[] = []) =>
    rows.map((row) => [row.legacyKey, row.kind, ...row.columns].join(' '));
  const { compared, fileChanged } = words;
  const [rows, known] = [lines(words.rows), lines(words.known)];
  return { code: ended.code, rows, known, compared, fileChanged };
}
