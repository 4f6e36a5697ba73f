// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { type Ended, lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

/* Values of rows are in no message and in no ledger, and none of them steers a terminal. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

const SECRET = 'secret value';
const TOTAL = 'sql/2-total/10_total.sql';
const CHECK = 'checks/numbers.sql';
const test = suite<Context>('no values');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'values', source: 'empty' }), {
    project: tinyProject({
      'sql/1-words/10_words.sql': `-- Words.
--
-- target   public.words
-- source   word
-- adopt    none

create view transform.words as
select
  w.id   as legacy_key,
  w.id   as legacy_id,
  w.said as said
from legacy.word as w;
`,
      [TOTAL]: `-- All words together.
--
-- target   public.totals
-- source   none
-- adopt    none

create view transform.total as
select
  1::bigint                                            as legacy_key,
  (select sum(w.said::integer) from legacy.word as w) as number;
`,
      [CHECK]: `-- No word is a negative number.
--
-- severity  error

select w.id
from legacy.word as w
where w.said::integer < 0;
`,
    }),
  });
  await context.source.unsafe(`
    create table public.word (id integer primary key, said text);
    grant select on public.word to legacy_reader;
    insert into public.word values (1, '1'), (2, '2'), (3, '${SECRET}')`);
  await context.target.unsafe(`
    create table public.words (id uuid primary key, legacy_id bigint, said text);
    alter table public.words owner to postgres;
    create table public.totals (id uuid primary key, number bigint);
    alter table public.totals owner to postgres`);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('a check that meets a value it cannot read names the condition', async (context) => {
  const { root } = context.project;
  const ended = await runner(context.pair, ['up', '1-words', '--json'], { root });
  assert.is(ended.code, 1);
  assert.match(ended.stderr, `${CHECK}: invalid_text_representation (22P02)`);
  await isNowhere(context, ended);
});

test('so does a view without a source', async (context) => {
  const { project, pair } = context;
  project.edit(CHECK, (text) => text.replace('w.said::integer < 0', 'w.id < 0'));
  const ended = await runner(pair, ['up', '--json'], { root: project.root });
  assert.is(ended.code, 1);
  assert.match(ended.stderr, 'phase 2-total failed: total: invalid_text_representation (22P02)');
  await isNowhere(context, ended);
  const status = await runner(pair, ['status', '--json'], { root: project.root });
  assert.match(status.stdout, 'invalid_text_representation (22P02)');
});

test('and every command that reads', async (context) => {
  const { pair, source, project } = context;
  const { root } = project;
  await source`update public.word set said = '3' where id = 3`;
  await succeed(pair, ['up'], { root });
  await source`update public.word set said = ${SECRET} where id = 3`;
  project.edit(CHECK, (text) => text.replace('w.id < 0', 'w.said::integer < 0'));
  for (const command of [
    ['verify'],
    ['verify', 'total'],
    ['check', 'numbers'],
    ['up', '--dry-run'],
  ]) {
    const ended = await runner(pair, command, { root });
    assert.is(ended.code, 1, command.join(' '));
    assert.match(`${ended.stdout}${ended.stderr}`, 'invalid_text_representation (22P02)');
    await isNowhere(context, ended);
  }
  await source`update public.word set said = '3' where id = 3`;
});

test('what a file says wrong is quoted: no row was read', async (context) => {
  const { pair, project } = context;
  const { root } = project;
  project.edit(CHECK, (text) => text.replace('w.said::integer < 0', `w.id = 'one'`));
  const checked = await runner(pair, ['check', 'numbers'], { root });
  assert.match(checked.stdout, `${CHECK}:7:14 invalid input syntax for type bigint: "one"`);
  project.edit(CHECK, (text) => text.replace(`'one'`, '1'));
  project.edit(TOTAL, (text) => text.replace('1::bigint', `'one'::bigint`));
  const { code, stderr } = await runner(pair, ['up'], { root });
  assert.is(code, 1);
  assert.match(stderr, `${TOTAL}:9:3  invalid input syntax for type bigint: "one"`);
  project.edit(TOTAL, (text) => text.replace(`'one'::bigint`, '1::bigint'));
});

test('control characters of a value are shown, not obeyed; in JSON they are kept', async (context) => {
  const { pair, target, project } = context;
  const { root } = project;
  const evil = '\u001b]0;title\u0007 \u009b2J\u007f\r\nwords 9  missing';
  await target`update public.words set said = ${evil} where legacy_id = 1`;
  const shown = await runner(pair, ['verify', 'words', '--show-data'], { root });
  assert.not.match(shown.stdout, /[^\P{Cc}\n]/u);
  assert.match(shown.stdout, 'said: 1 <> ␛]0;title␇ �2J␡␍␊words 9  missing');
  const json = await runner(pair, ['verify', 'words', '--show-data', '--json'], { root });
  assert.not.match(json.stdout, /[^\P{Cc}\n]/u);
  const { entities } = lastLine<{ entities: { rows: { values: string[] }[] }[] }>(json);
  assert.equal(entities[0]?.rows[0]?.values, [`said: 1 <> ${evil}`]);
});

test.run();

/** Not in what a command says, nor in what the ledger keeps of it. */
async function isNowhere({ target }: Context, { stdout, stderr }: Ended): Promise<void> {
  assert.not.match(stdout, SECRET);
  assert.not.match(stderr, SECRET);
  const rows = await target<{ line: string }[]>`
    select r::text as line from migration.runs as r
    union all select c::text from migration.control as c
    union all select e::text from migration.events as e`;
  assert.ok(rows.length > 0);
  assert.equal(
    rows.filter(({ line }) => line.includes(SECRET)),
    [],
  );
}
