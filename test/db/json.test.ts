// deadline 300
import { once } from 'node:events';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../runner/commands/list.ts';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import {
  changeSchema,
  type Databases,
  entityFile,
  neutralProject,
  runner,
  type Scratch,
  startRunner,
  tinyProject,
} from '../runner.ts';

/*
 * --json of every command: each line of standard output is JSON, what comes of it is said, and an error is its
 * last line. A command of the list that stands nowhere here fails the last test.
 */

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

type Json = Record<string, unknown>;

const WORDS = 'sql/1-words/10_words.sql';
const called = { good: new Set<string>(), bad: new Set<string>() };
const test = suite<Context>('json');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'json', source: 'empty' }), {
    project: tinyProject({
      'schema-changes/additive/20260101000000001_colour.sql': `-- Up Migration
alter table public.words add column if not exists colour text;

-- Down Migration
alter table public.words drop column colour;
`,
      'schema-changes/protected.json': '[]\n',
      'checks/unequal.sql': `-- The source is as the target.
--
-- severity  error

select w.id from legacy.word as w join public.words as t on t.legacy_id = w.id where t.said <> w.said;
`,
      [WORDS]: entityFile('words', 'word', [
        't.id as legacy_id',
        't.said as said',
        't.number::integer as number',
      ]),
    }),
  });
  await context.source.unsafe(`
    create table public.word (id integer primary key, said text, number text);
    grant select on public.word to legacy_reader;
    insert into public.word select g, 'word', nullif(g, 3)::text from generate_series(1, 9) as g`);
  await context.target.unsafe(`
    create table public.words (
      id uuid primary key, legacy_id bigint, said text, number integer not null);
    alter table public.words owner to postgres`);
  await changeSchema(context.pair, context.project.root);
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

/** The lines of a call with --json. */
async function said(
  { project }: Context,
  urls: Databases | null,
  args: string[],
  code: number,
): Promise<Json[]> {
  const ended = await runner(urls, [...args, '--json'], { root: project.root });
  assert.is(ended.code, code, `${args.join(' ')}: ${ended.stderr}${ended.stdout}`);
  return parsed(ended.stdout, args.join(' '));
}

function parsed(text: string, what: string): Json[] {
  assert.ok(text.endsWith('\n'), `${what} says nothing`);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      try {
        return JSON.parse(line) as Json;
      } catch {
        throw new Error(`${what}: no JSON: ${line}`);
      }
    });
}

/** A call that ends as it should; its last line. */
async function good(context: Context, args: string[], code = 0): Promise<Json> {
  called.good.add(args[0] ?? '');
  const lines = await said(context, context.pair, args, code);
  const last = lines.at(-1) ?? {};
  assert.is.not(last['type'], 'error', args.join(' '));
  return last;
}

/** A call that ends with an error: the line that says so, which is the last one. */
async function bad(
  context: Context,
  args: string[],
  code: number,
  urls: Databases | null = context.pair,
): Promise<Json> {
  called.bad.add(args[0] ?? '');
  const lines = await said(context, urls, args, code);
  const last = lines.at(-1) ?? {};
  const { type, exit, message, fix } = last;
  assert.equal({ type, exit }, { type: 'error', exit: code }, args.join(' '));
  assert.type(message, 'string');
  assert.ok(message !== '', args.join(' '));
  assert.type(fix, 'string');
  assert.equal(Object.keys(last).slice(0, 5), ['type', 'exit', 'code', 'message', 'fix']);
  return last;
}

test('help and version', async (context) => {
  const { commands } = await good(context, ['help']);
  assert.equal(
    (commands as Json[]).map(({ name }) => name),
    COMMANDS.map(({ name }) => name),
  );
  for (const { name } of COMMANDS) {
    const { options } = await good(context, ['help', name]);
    assert.ok((options as Json[]).some((option) => option['name'] === 'json'));
  }
  assert.type((await good(context, ['--version']))['version'], 'string');
});

test('a wrong call, no configuration, a server that is not there, a wrong password', async (context) => {
  const nowhere = { ...context.pair, targetUrl: context.pair.targetUrl.replace(/:\d+\//, ':1/') };
  const intruder = {
    ...context.pair,
    targetUrl: context.pair.targetUrl.replace(/:[^:@]+@/, ':no@'),
  };
  await bad(context, [], 2);
  await bad(context, ['statsu'], 2);
  const calls: Record<string, string[]> = {
    down: ['1-words'],
    forget: ['words'],
    acknowledge: ['unequal', '--reason', 'so'],
    schema: ['status'],
    completion: ['bash'],
    id: ['words', '1'],
    scaffold: ['word', '--target', 'public.words'],
  };
  for (const { name } of COMMANDS) {
    const call = [name, ...(calls[name] ?? [])];
    const wrong = await bad(context, [name, '--xyzzy'], 2);
    assert.match(String(wrong['message']), 'xyzzy');
    if (['embedded', 'cases', 'completion', 'init'].includes(name)) continue;
    const unset = await bad(context, call, 2, null);
    assert.match(String(unset['message']), 'TARGET_DATABASE_URL');
    // doctor shows it as a finding
    if (name === 'doctor') continue;
    const lost = await bad(context, call, 5, nowhere);
    assert.is(lost['code'], 'ECONNREFUSED', name);
    assert.ok(lost['fix'] !== '', name);
    assert.is((await bad(context, call, 5, intruder))['code'], '28P01', name);
  }
  assert.equal(
    ((await good({ ...context, pair: nowhere }, ['doctor'], 1))['findings'] as Json[])[0]?.[
      'state'
    ],
    'error',
  );
});

test('before the first run', async (context) => {
  assert.is((await good(context, ['status']))['verdict'], 'Nothing is migrated yet.');
  assert.is((await good(context, ['retry']))['verdict'], 'Nothing is migrated yet.');
  assert.is((await good(context, ['down', '1-words', '--yes']))['verdict'], 'nothing');
  assert.is((await good(context, ['forget', 'words', '--yes']))['verdict'], 'nothing');
  assert.is((await good(context, ['uninstall', '--yes']))['verdict'], 'nothing');
  assert.equal((await good(context, ['rejects']))['rejects'], []);
  assert.equal(
    (await good(context, ['acknowledge', 'unequal', '--reason', 'so']))['acknowledged'],
    [],
  );
  assert.equal((await good(context, ['conflicts']))['conflicts'], []);
  await bad(context, ['id', 'words', '1'], 1);
  await bad(context, ['diff'], 1);
  await bad(context, ['report'], 1);
  await bad(context, ['verify'], 1);
  await bad(context, ['schema', 'up', '--folder', 'removal'], 1);
  await good(context, ['doctor']);
  const made = join(context.project.root, 'made');
  assert.type((await good(context, ['init', made]))['files'], 'object');
  assert.type((await bad(context, ['init', made], 1))['present'], 'object');
  await context.source`create table public.thing (id integer primary key, said text)`;
  await context.source`grant select on public.thing to legacy_reader`;
  const call = ['scaffold', 'thing', '--target', 'public.words'];
  assert.match(String((await good(context, call))['text']), 'from legacy.thing');
  await bad(context, ['scaffold', 'nothing'], 2);
  assert.type((await good(context, ['schema', 'status']))['folders'], 'object');
  assert.is((await good(context, ['plan']))['schemaChangesPending'], false);
});

test('runs, dry and not', async (context) => {
  await context.source`update public.word set number = 'x' where id = 4`;
  const spoiled = await bad(context, ['up', '--dry-run'], 1);
  assert.match(String(spoiled['message']), /^phase 1-words failed: /);
  await context.source`update public.word set number = '4' where id = 4`;
  const dry = await good(context, ['up', '--dry-run']);
  assert.is(dry['dryRun'], true);
  assert.is((dry['entities'] as Json[])[0]?.['inserted'], 8);
  assert.is((await good(context, ['status']))['verdict'], 'Nothing is migrated yet.');
  const { entities } = await good(context, ['up']);
  assert.is((entities as Json[])[0]?.['inserted'], 8);
  const retried = await good(context, ['retry']);
  assert.is((retried['rejects'] as Json[])[0]?.['entity'], 'words');
  await context.source`update public.word set number = '3' where id = 3`;
  await good(context, ['retry']);
  assert.equal((await good(context, ['retry']))['rejects'], []);
});

test('afterwards', async (context) => {
  const { sql } = await good(context, ['plan', '--sql', 'words']);
  assert.match(String(sql), 'insert into "public"."words"');
  await bad(context, ['plan', '--sql', 'nothing'], 2);
  await good(context, ['plan']);
  await good(context, ['status']);
  await good(context, ['rejects', '--rows']);
  assert.is((await good(context, ['id', 'words', '1']))['state'], 'stored');
  await bad(context, ['id', 'nothing', '1'], 2);
  assert.type((await good(context, ['diff']))['entities'], 'object');
  await good(context, ['report']);
  assert.is((await bad(context, ['report', '--certificate'], 1))['certificate'], false);
  await bad(context, ['rejects', 'nothing'], 2);
  assert.is((await good(context, ['verify']))['differences'], 0);
  await context.target`update public.words set said = 'other' where legacy_id = 5`;
  assert.is((await good(context, ['verify'], 1))['differences'], 1);
  assert.is(
    ((await good(context, ['check', 'unequal'], 1))['checks'] as Json[])[0]?.['findings'],
    1,
  );
  await good(context, ['acknowledge', 'unequal', '--reason', 'so']);
  await bad(context, ['acknowledge', 'unequal'], 2);
  assert.match(
    String((await good(context, ['check', 'coverage', '--mermaid']))['mermaid']),
    'words',
  );
  assert.type((await good(context, ['completion', 'zsh']))['text'], 'string');
  const neutral = neutralProject();
  await good({ ...context, project: neutral }, ['cases', 'films']);
  neutral.remove();
  await good(context, ['doctor']);
});

test('a refusal before the first write, and a phase that fails', async (context) => {
  const { project } = context;
  project.edit(WORDS, (text) => text.replace('t.said as said', 't.nothing as said'));
  const refused = await bad(context, ['up'], 1);
  assert.match(String(refused['message']), '1 problem found before the first write');
  assert.is((refused['problems'] as Json[]).length, 1);
  assert.is(((await good(context, ['plan'], 1))['problems'] as Json[]).length, 1);
  assert.is(((await good(context, ['plan', '--sql', 'words'], 1))['problems'] as Json[]).length, 1);
  assert.is(((await good(context, ['verify'], 1))['problems'] as Json[]).length, 1);
  project.edit(WORDS, (text) => text.replace('t.nothing as said', 't.said as said'));
  await context.source`update public.word set number = 'x'`;
  const failed = await bad(context, ['up'], 1);
  assert.match(String(failed['message']), /^phase 1-words failed: /);
  assert.match(String(failed['fix']), 'run `up` again');
  assert.type(failed['verdict'], 'string');
  await context.source`update public.word set number = id::text`;
});

test('what takes data away', async (context) => {
  assert.is((await good(context, ['down', '1-words', '--dry-run']))['verdict'], 'dry-run');
  assert.is((await bad(context, ['down', '1-words'], 1))['verdict'], 'stopped');
  await context.target`update public.words set said = 'word'`;
  await bad(context, ['down', '1-words', '--force'], 2);
  await bad(context, ['forget', 'nothing', '--yes'], 1);
  await bad(context, ['schema', 'down'], 2);
  await bad(context, ['uninstall'], 2);
  assert.is((await good(context, ['down', '1-words', '--force', '--yes']))['verdict'], 'done');
  await good(context, ['schema', 'down', '--yes']);
  await good(context, ['schema', 'up']);
  const audit = `${context.project.root}/audit.jsonl`;
  assert.is((await good(context, ['uninstall', '--yes', '--audit', audit]))['verdict'], 'done');
});

test('the embedded pair: both addresses, on one line', async () => {
  called.good.add('embedded');
  const neutral = neutralProject();
  const { child, ended } = startRunner(null, ['embedded', '--json'], { root: neutral.root });
  const { stdout } = child;
  assert.ok(stdout);
  await Promise.race([once(stdout, 'data'), ended]);
  child.kill('SIGINT');
  const [urls = {}] = parsed((await ended).stdout, 'embedded');
  neutral.remove();
  assert.match(String(urls['SOURCE_DATABASE_URL']), /^postgres(ql)?:/);
  assert.match(String(urls['TARGET_DATABASE_URL']), /^postgres(ql)?:/);
});

test('every command of the list was called, well and badly', () => {
  for (const { name } of COMMANDS) {
    assert.ok(called.good.has(name), `${name} was not called well`);
    assert.ok(called.bad.has(name), `${name} was not called badly`);
  }
});

test.run();
