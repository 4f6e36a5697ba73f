// deadline 240
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, migrate, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, runner, type Scratch, succeed, tinyProject } from '../runner.ts';

/* What a person accepts of the findings of a check is silent; what comes later is not. */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

interface Checked {
  checks: { findings: number; sample: string[]; acknowledged: number; remarks: string[] }[];
}

const REASON = 'removed at the request of the person';
const test = suite<Context>('acknowledge');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'acknowledge', source: 'empty' }), {
    project: tinyProject({
      'checks/unequal.sql': `-- The source is as the target.
--
-- severity  error

select w.id from legacy.word as w join public.words as t on t.legacy_id = w.id where t.said <> w.said;
`,
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
    }),
  });
  const { source, target, project } = context;
  await source.unsafe(`
    create table public.word (id integer primary key, said text);
    grant select on public.word to legacy_reader;
    insert into public.word select g, 'word' from generate_series(1, 9) as g`);
  await target.unsafe(`
    create table public.words (id uuid primary key, legacy_id bigint, said text);
    alter table public.words owner to postgres`);
  await migrate(context.pair, { root: project.root, phases: 1 });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('rows the application deleted on purpose: accepted with a reason, and listed as that', async (context) => {
  await context.target`delete from public.words where legacy_id in (2, 3)`;
  assert.equal(await idMaps(context), { code: 1, found: [2, 3], accepted: [] });
  const { stdout } = await succeed(...acknowledge(context, 'id_maps', '--reason', REASON));
  assert.match(stdout, '2 findings of id_maps are acknowledged');
  assert.equal(await idMaps(context), { code: 0, found: [], accepted: [2, 3] });
  const shown = await succeed(context.pair, ['check', 'id_maps'], { root: context.project.root });
  assert.match(shown.stdout, /^ok +id_maps/m);
  assert.match(
    shown.stdout,
    new RegExp(`acknowledged: .*first_legacy_id=2: ${REASON} \\(postgres, `),
  );
});

test('another row is another finding', async (context) => {
  await context.target`delete from public.words where legacy_id = 5`;
  assert.equal(await idMaps(context), { code: 1, found: [5], accepted: [2, 3] });
});

test('so is another row in the place of one that came back', async (context) => {
  await context.target`
    insert into public.words select m.id, m.legacy_id, 'word' from ids.words as m
    where m.legacy_id in (3, 5)`;
  await context.target`delete from public.words where legacy_id = 4`;
  assert.equal(await idMaps(context), { code: 1, found: [4], accepted: [2] });
});

test('`up` says nothing of what is accepted', async (context) => {
  const { pair, target, project } = context;
  // as after an interruption: the checks of the phase have yet to pass
  const interrupted = () => target`update migration.entities set status = 'partial'`;
  await interrupted();
  const before = await succeed(pair, ['up'], { root: project.root });
  assert.match(before.stderr, /checks\/engine\/id_maps\.sql: not so: .*first_legacy_id=4/);
  await succeed(...acknowledge(context, 'id_maps', '--reason', REASON));
  await interrupted();
  const after = await succeed(pair, ['up'], { root: project.root });
  assert.not.match(after.stderr, 'id_maps');
  assert.equal(await idMaps(context), { code: 0, found: [], accepted: [2, 4] });
});

test('a check that reads the source', async (context) => {
  const { pair, project } = context;
  await context.target`update public.words set said = 'by the application' where legacy_id = 7`;
  assert.is((await runner(pair, ['check', 'unequal'], { root: project.root })).code, 1);
  await succeed(...acknowledge(context, 'unequal', '--reason', 'it is better'));
  await succeed(pair, ['check', 'unequal'], { root: project.root });
  const again = await succeed(...acknowledge(context, 'unequal', '--reason', 'twice'));
  assert.match(again.stdout, 'unequal finds nothing that is not acknowledged');
});

test('reason, author and findings are in the audit trail', async ({ target }) => {
  const events = await target<{ what: string; who: string; details: object }[]>`
    select what, who, details from migration.events where what like 'acknowledged %' order by event`;
  assert.equal(
    events.map(({ what, who }) => [what, who]),
    [
      ['acknowledged id_maps', 'postgres'],
      ['acknowledged id_maps', 'postgres'],
      ['acknowledged unequal', 'postgres'],
    ],
  );
  assert.equal(events[2]?.details, { reason: 'it is better', findings: ['id=7'] });
});

test('nothing is accepted without a reason, without a check, or where it cannot be run', async (context) => {
  const { target, project } = context;
  const [before] = await target`select count(*) from migration.acknowledged`;
  assert.is((await runner(...acknowledge(context, 'id_maps'))).code, 2);
  assert.is((await runner(...acknowledge(context, 'id_maps', '--reason', ' '))).code, 2);
  assert.is((await runner(...acknowledge(context, 'nothing', '--reason', 'x'))).code, 2);
  project.edit('checks/unequal.sql', (text) => text.replace('select w.id', 'select w.nothing'));
  const broken = await runner(...acknowledge(context, 'unequal', '--reason', 'x'));
  assert.is(broken.code, 1);
  assert.match(broken.stderr, /column w\.nothing does not exist; nothing was acknowledged/);
  assert.equal((await target`select count(*) from migration.acknowledged`)[0], before);
});

test.run();

function acknowledge({ pair, project }: Context, ...args: string[]): Parameters<typeof runner> {
  return [pair, ['acknowledge', ...args], { root: project.root }];
}

/** Keys that the check finds, and those that are accepted. */
async function idMaps({ pair, project }: Context) {
  const ended = await runner(pair, ['check', 'id_maps', '--json'], { root: project.root });
  const [check] = lastLine<Checked>(ended).checks;
  const keys = (lines: string[] = []) =>
    lines.map((line) => Number(/first_legacy_id=(\d+)/.exec(line)?.[1]));
  return { code: ended.code, found: keys(check?.sample), accepted: keys(check?.remarks) };
}
