/* Warnings that a person accepted, in checks/accepted.txt: silent from then on, the others stay. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import {
  entityFile,
  lastLine,
  open,
  runner,
  type Scratch,
  succeed,
  tinyProject,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  project: Scratch;
}

const PROJECT = {
  'sql/1-people/10_people.sql': entityFile('people', 'person', ['t.note as note']),
  'checks/before/odd.sql': `-- No note is odd.
-- severity  warning
-- reads  source

select t.note, count(*) as row_count from legacy.person as t
where t.note like 'odd%' group by t.note order by 1
`,
  'checks/long.sql': `-- No note is long.
-- severity  warning

select t.note from public.people as t where length(t.note) > 8 order by 1
`,
  'checks/wrong.sql': `-- No note is wrong.

select t.note from public.people as t where t.note = 'wrong' order by 1
`,
};

const test = suite<Context>('accepted');

test.before(async (context) => {
  context.project = tinyProject(PROJECT);
  context.pair = await testPair({ name: 'accepted', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  await context.source.unsafe(`
    create table person (id integer primary key, note text);
    insert into person values (1, 'odd one'), (2, 'odd two'), (3, 'long enough'), (4, 'plain');
    grant select on all tables in schema public to legacy_reader`);
  const target = open(context.pair.targetAdminUrl);
  await target.unsafe(
    'set role postgres; create table public.people (id uuid primary key, note text)',
  );
  await target.end();
});

test.after(async ({ pair, source, project }) => {
  await source.end();
  await pair.drop();
  project.remove();
});

function accept({ project }: Context, text: string): void {
  writeFileSync(join(project.root, 'checks/accepted.txt'), text);
}

async function said({ pair, project }: Context): Promise<string> {
  const { stderr, stdout } = await succeed(pair, ['up'], { root: project.root });
  return stderr + stdout;
}

test('a warning before the first write: said by every run until it is accepted; another one stays', async (context) => {
  assert.match(await said(context), /odd: not so: No note is odd\./);
  assert.match(await said(context), 'note=odd one row_count=1');
  accept(context, '# why\nbefore/odd  note=odd one row_count=*  a test account\n');
  const less = await said(context);
  assert.not.match(less, 'note=odd one');
  assert.match(less, 'note=odd two row_count=1');
  accept(context, 'before/odd  note=odd *  test accounts\n');
  assert.not.match(await said(context), 'odd');
  await context.source`insert into person values (5, 'oddly')`;
  assert.match(await said(context), 'note=oddly');
  accept(context, 'odd  note=*  of another check of this name\n');
  assert.match(await said(context), 'note=odd one');
});

test('check: what is accepted is a remark with its reason, and no finding', async (context) => {
  const { pair, project } = context;
  const { root } = project;
  accept(context, 'long  note=long enough  it is what they call it\n');
  const { checks } = lastLine<{
    checks: { name: string; findings: number; remarks: string[] }[];
  }>(await succeed(pair, ['check', 'long', '--json'], { root }));
  assert.equal(
    checks.map(({ name, findings, remarks }) => ({ name, findings, remarks })),
    [{ name: 'long', findings: 0, remarks: ['note=long enough: it is what they call it'] }],
  );
});

test('an error is not for a file to accept', async (context) => {
  const { pair, project, source } = context;
  await source`insert into person values (6, 'wrong')`;
  accept(context, 'wrong  note=*  never mind\n');
  const { code, stderr } = await runner(pair, ['up'], { root: project.root });
  assert.is(code, 1);
  assert.match(stderr, 'No note is wrong');
});

test.run();
