// deadline 360
/*
 * Every value of a small source is a marker. None is in what a command says, in the ledger but where
 * rows are kept on purpose, or in the log of either server, whose settings are the defaults.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair } from '../migrate.ts';
import { testPair } from '../pair.ts';
import { type Ended, entityFile, note, open, runner } from '../runner.ts';
import {
  CHECK,
  fillMarked,
  HOLD_ROWS,
  leavesNone,
  LOG_SETTINGS,
  Logs,
  MARKER,
  type Marked,
  markedColumns,
  markedProject,
  saysNone,
  WORD,
} from './row-values.ts';

const READING = [
  ['status'],
  ['plan'],
  ['plan', '--sql', 'people'],
  ['diff', 'people'],
  ['diff', 'people', '--json'],
  ['id', 'people', '1'],
  ['up', '--dry-run'],
  ['check'],
  ['verify'],
  ['rejects'],
  ['rejects', '--rows'],
  ['report'],
  ['report', '--markdown'],
  ['doctor'],
  ['schema', 'status'],
  ['down', '1-rows', '--cascade', '--dry-run'],
];

const test = suite<Marked>('row values');

test.before(async (context) => {
  context.pair = await testPair({ name: 'markers', source: 'empty', target: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.project = markedProject();
  const { source, target } = context;
  await fillMarked(source, target);
  context.logs = await Logs.of({ source, target });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('the servers log what they log unless somebody says otherwise', async ({ source, target }) => {
  for (const sql of [source, target]) {
    const rows = await sql<{ name: string }[]>`
      select name from pg_settings
      where name = any (${LOG_SETTINGS}) and setting is distinct from boot_val`;
    assert.equal([...rows], []);
  }
});

test('rows that are merged, adopted, archived, and refused in three ways', async (context) => {
  const { target } = context;
  await quiet(context, 0, ['up']);
  const rows = await target<{ line: string }[]>`
    select concat_ws(' ', entity, sqlstate) as line from migration.rejects order by 1`;
  assert.equal(
    rows.map(({ line }) => line),
    ['accounts 23505', 'people 22P02', 'sizes 23514'],
  );
  for (const command of READING) {
    await quiet(context, undefined, command);
    await quiet(context, undefined, [...command, '--json']);
  }
  await quiet(context, 0, ['report', 'page.html']);
  assert.match(readFileSync(join(context.project.root, 'page.html'), 'utf8'), 'Rejected rows');
  leavesNone(context.project.root);
  await quiet(context, 0, ['retry', 'accounts']);
  await quiet(context, 0, ['up', '--full', '--json']);
});

test('what --show-data shows is what a person asked for', async (context) => {
  const { pair, project, logs } = context;
  const ended = await runner(pair, ['rejects', '--rows', '--show-data'], { root: project.root });
  assert.match(ended.stdout, MARKER);
  assert.equal(logs.news(), []);
});

test('conflicts: the source has changed, and so has the application', async (context) => {
  const { source, target } = context;
  await source`update person set note = concat(note, ' again') where id in (1, 2, 3)`;
  await target`update public.people set note = ${`${WORD} edited`} where login like '% 2'`;
  await target`delete from public.people where login like '% 3'`;
  await quiet(context, 0, ['up']);
  const rows = await target`select from migration.conflicts`;
  assert.is(rows.length, 2);
  for (const command of READING) await quiet(context, undefined, command);
});

test('the ledger holds rows where it is meant to, and nowhere else', async ({ target }) => {
  assert.equal(await markedColumns(target), Object.keys(HOLD_ROWS));
});

test('a phase that fails: values that are there already, and that a constraint refuses', async (context) => {
  const { source } = context;
  await source.unsafe(`
    insert into account select n, '${WORD} account 1' from generate_series(31, 33) as n;
    insert into size select n, '${WORD} size refused' from generate_series(31, 33) as n;
    insert into person (id, amount) select n, '${WORD} amount' from generate_series(31, 33) as n`);
  for (const command of [['up'], ['up', '--json']]) {
    const { stderr } = await quiet(context, 1, command);
    assert.match(stderr, 'were refused by the target or unreadable');
  }
  for (const command of READING) await quiet(context, undefined, command);
  await source.unsafe(`
    delete from account where id > 30;
    delete from size where id > 30;
    delete from person where id > 30`);
  await quiet(context, 0, ['up']);
});

test('a view without a source, and a check, that meet a value they cannot read', async (context) => {
  const { source, project } = context;
  await source`update word set said = ${`${WORD} word`} where id = 3`;
  for (const command of [['up'], ['up', '--json'], ['verify'], ['verify', 'total'], ['check']]) {
    const ended = await quiet(context, 1, command);
    assert.match(`${ended.stdout}${ended.stderr}`, 'invalid_text_representation (22P02)');
  }
  project.edit(CHECK, (text) => text.replace('w.said::bigint < 0', 'w.id < 0'));
  for (const command of [['up'], ['up', '--dry-run'], ['verify', 'total', '--json']]) {
    const ended = await quiet(context, 1, command);
    assert.match(`${ended.stdout}${ended.stderr}`, '22P02', command.join(' '));
  }
  await source`update word set said = '3' where id = 3`;
  await quiet(context, 0, ['up']);
});

test('a view that is read whole and shows a row without a key', async (context) => {
  const { project } = context;
  const file = join(project.root, 'sql/1-rows/40_wholes.sql');
  writeFileSync(
    file,
    entityFile('wholes', 'account', ['a.said as said'], {
      header: '-- read     whole\n',
      joins: ['full join legacy.attic as a on false'],
    }),
  );
  const { stderr } = await quiet(context, 1, ['up']);
  assert.match(stderr, 'the view shows a row without a key');
  rmSync(file);
});

test('an archive table that refuses a row', async (context) => {
  const { source, target } = context;
  await target`
    alter table legacy_archive.attic add constraint attic_check check (said not like '%refused%')`;
  await source`update attic set said = ${`${WORD} refused`} where id = 3`;
  const { stderr } = await quiet(context, 1, ['up']);
  assert.match(stderr, 'check_violation (23514)');
  await target`alter table legacy_archive.attic drop constraint attic_check`;
  await quiet(context, 0, ['up']);
});

test('down: a row that cannot be put back as it was', async (context) => {
  const { target } = context;
  const wanted = `${WORD} mail before`;
  await target`insert into public.people (login, mail) values ('another', ${wanted})`;
  const down = ['down', '1-rows', '--cascade', '--yes', '--force'];
  for (const command of [down, [...down, '--json']]) {
    const ended = await quiet(context, 1, command);
    assert.match(`${ended.stdout}${ended.stderr}`, 'unique_violation (23505)');
  }
  await target`delete from public.people where login = 'another'`;
  await target`
    alter table public.people add constraint no_before check (mail not like '%before%') not valid`;
  const ended = await quiet(context, 1, down);
  assert.match(`${ended.stdout}${ended.stderr}`, 'check_violation (23514)');
  await target`alter table public.people drop constraint no_before`;
});

test('a schema change that rows do not allow: the log of the target quotes one of them', async (context) => {
  const { pair, project, target, logs } = context;
  await target.unsafe(`update public.people set note = '${WORD} same' where login ~ ' [67]$'`);
  const file = 'schema-changes/additive/20260101000000001_one-note.sql';
  writeFileSync(
    join(project.root, file),
    `-- Notes are told apart.

-- Up Migration

create unique index if not exists people_note_key on public.people (note);

-- Down Migration

drop index public.people_note_key;
`,
  );
  const ended = await runner(pair, ['schema', 'up'], { root: project.root });
  assert.is(ended.code, 1);
  assert.match(ended.stderr, 'unique_violation (23505)');
  saysNone(ended, 'schema up');
  assert.equal(logs.news(), [`target DETAIL:  Key (note)=(${WORD} same) is duplicated.`]);
  rmSync(join(project.root, file));
});

test('taken back and removed: the audit trail holds no row either', async (context) => {
  const { project, target } = context;
  assert.equal(await markedColumns(target), Object.keys(HOLD_ROWS));
  await quiet(context, 0, ['down', '1-rows', '--cascade', '--yes', '--force']);
  await quiet(context, 0, ['uninstall', '--audit', join(project.root, 'audit.jsonl'), '--yes']);
  leavesNone(project.root);
});

test('a trigger of the application that quotes a row: it says so, and the log of the target', async (context) => {
  const { pair, source, target, project, logs } = context;
  await quiet(context, 0, ['up']);
  await target.unsafe(`
    create function public.quoting() returns trigger language plpgsql as
      $$ begin raise exception 'not %', new.note; end $$;
    create trigger quoting before update on public.people
      for each row execute function public.quoting()`);
  await source`update person set note = ${`${WORD} quoted`} where id = 5`;
  const ended = await runner(pair, ['up'], { root: project.root });
  assert.is(ended.code, 1);
  assert.match(ended.stderr, `not ${WORD} quoted`);
  assert.equal(logs.news(), [`target ERROR:  not ${WORD} quoted`]);
  // the ledger says why a run failed
  assert.equal(
    (await markedColumns(target)).filter((column) => !(column in HOLD_ROWS)),
    ['migration.control.error', 'migration.events.details', 'migration.runs.error'],
  );
});

test.run();

/** Runs a command: no marker in what it says, nor in the log of either server. */
async function quiet(context: Marked, code: number | undefined, args: string[]): Promise<Ended> {
  const what = args.join(' ');
  const ended = await runner(context.pair, args, { root: context.project.root });
  saysNone(ended, what);
  const logged = context.logs.news();
  for (const line of logged) note(`${what}: ${line}`);
  assert.equal(logged, [], `${what}: logged`);
  if (code !== undefined) assert.is(ended.code, code, `${what}: ${ended.stdout}${ended.stderr}`);
  const columns = await markedColumns(context.target);
  assert.equal(
    columns.filter((column) => !(column in HOLD_ROWS)),
    [],
    `${what}: ledger`,
  );
  return ended;
}
