// deadline 240
/* What a run tells while it is at work: --log, --json, NOTIFY_COMMAND. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventSchema, type RunEvent } from '../../runner/engine/events.ts';
import { testPair, type TestPair } from '../pair.ts';
import {
  type Ended,
  entityFile,
  open,
  runner,
  type Scratch,
  startRunner,
  succeed,
  tinyProject,
  waitFor,
} from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
  folder: string;
}

const SECRET = 'a-name-nobody-may-read';
const isEvent = new Ajv2020({ strict: true, validateFormats: false, allErrors: true }).compile(
  eventSchema(),
);

const test = suite<Context>('events');

test.before(async (context) => {
  context.pair = await testPair({ name: 'events', source: 'empty' });
  context.source = open(context.pair.sourceAdminUrl);
  context.target = open(context.pair.targetAdminUrl);
  context.folder = mkdtempSync(join(tmpdir(), 'events-'));
  context.project = tinyProject({
    'sql/1-one/10_parts.sql': entityFile('parts', 'parts', ['t.name']),
    'sql/2-two/10_things.sql': entityFile('things', 'things', ['t.name'], {
      header: '-- commit   batch\n',
    }),
  });
  await context.target.unsafe(`
    set role postgres;
    create table public.parts (id uuid primary key, name text check (length(name) < 30));
    create table public.things (id uuid primary key, name text)`);
  await context.target.unsafe('reset role');
  await context.source.unsafe(`
    create table public.parts (id integer primary key, name text);
    create table public.things (id integer primary key, name text);
    grant select on public.parts, public.things to legacy_reader;
    insert into parts select n, '${SECRET} ' || n from generate_series(1, 40) as n;
    insert into things select n, '${SECRET} ' || n from generate_series(1, 300) as n`);
});

test.after(async ({ pair, source, target, project, folder }) => {
  project.remove();
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([source.end(), target.end()]);
  await pair.drop();
});

test('the schema refuses what is no event', () => {
  assert.not.ok(isEvent({ v: 1, type: 'run.begun', at: '', run: 1 }));
  assert.not.ok(isEvent({ v: 1, type: 'schema.applied', at: '', run: null, file: 'x', row: 'y' }));
  assert.ok(isEvent({ v: 1, type: 'schema.applied', at: '', run: null, file: 'x' }));
});

test('a phase fails: its events, the error, and what did not happen', async (context) => {
  await context.source`update parts set name = name || repeat('!', 30) where id <= 10`;
  const { ended, events } = await logged(context, ['up', '--json']);
  assert.is(ended.code, 1);
  assert.equal(typesOf(events), [
    'run.started',
    'phase.started',
    'entity.progress',
    'phase.rolledback',
    'error',
    'run.failed',
  ]);
  const failed = events.at(-1);
  assert.ok(failed?.type === 'run.failed' && failed.exit === 1 && failed.run === 1);
  // all of them but the error, which has its own place there; the summary is the last line
  const lines = jsonOf(ended);
  assert.equal(
    lines.slice(0, -1),
    events.filter(({ type }) => type !== 'error'),
  );
  assert.ok('verdict' in (lines.at(-1) ?? {}));
});

test('a good run: everything in its order, counts that add up', async (context) => {
  await context.source`update parts set name = 'short' where id <= 10`;
  const { ended, events } = await logged(context, ['up', '--json']);
  assert.is(ended.code, 0, ended.stderr);
  const checked = events.flatMap((event) => (event.type === 'check.done' ? [event.phase] : []));
  assert.equal([...new Set(checked)], ['1-one', '2-two']);
  const others = typesOf(events).filter((type) => type !== 'check.done');
  assert.equal(others, [
    'run.started',
    'phase.started',
    'entity.progress',
    'entity.done',
    'phase.committed',
    'phase.started',
    'entity.progress',
    'entity.done',
    'phase.committed',
    'run.done',
  ]);
  const lines = jsonOf(ended);
  assert.equal(lines.slice(0, -1), events);
  const committed = events.flatMap((event) =>
    event.type === 'phase.committed' ? [[event.phase, event.counts.inserted]] : [],
  );
  assert.equal(committed, [
    ['1-one', 40],
    ['2-two', 300],
  ]);
  const [first] = events;
  assert.ok(first?.type === 'run.started' && first.rows === 340 && first.run === 2);
});

test('a dry run never says that anything is committed', async (context) => {
  await context.source`update parts set name = 'other' where id = 1`;
  const { ended, events } = await logged(context, ['up', '--dry-run', '--json']);
  assert.is(ended.code, 0, ended.stderr);
  assert.ok(typesOf(events).includes('phase.rehearsed'));
  assert.not.ok(typesOf(events).includes('phase.committed'));
  for (const line of ended.stdout.trimEnd().split('\n')) JSON.parse(line);
});

test('interrupted: said last, and what is half committed is not called rolled back', async (context) => {
  const { source, target } = context;
  await source`update things set name = name || '!'`;
  const held = open(context.pair.targetAdminUrl);
  await held.unsafe('begin; lock table public.things in share mode');
  const file = join(context.folder, 'interrupted');
  const { child, ended } = startRunner(context.pair, ['up', '--log', file], context.project);
  await waitFor(
    'the runner waits',
    () => target`
      select from pg_locks where not granted and relation = 'public.things'::regclass`,
  );
  child.kill('SIGINT');
  assert.is((await ended).code, 130);
  await held.end();
  const types = typesOf(eventsOf(file));
  assert.equal(types.slice(-3), ['phase.failed', 'error', 'run.interrupted']);
  assert.not.match(types.join(' '), 'rolledback');
});

test('every other command that writes says when it begins and how it ends', async (context) => {
  await succeed(context.pair, ['up'], context.project);
  const down = await logged(context, ['down', '2-two', '--yes']);
  assert.equal(typesOf(down.events), ['run.started', 'run.done']);
  const refused = await logged(context, ['forget', 'parts', '--yes']);
  assert.is(refused.ended.code, 1);
  assert.equal(typesOf(refused.events), ['run.started', 'error', 'run.failed']);
  const wrong = await logged(context, ['down', '9-nine', '--yes']);
  assert.is(wrong.ended.code, 2);
  assert.equal(typesOf(wrong.events), ['run.started', 'error', 'run.failed']);
});

test('a log that cannot be opened: nothing is done', async ({ pair, project, target }) => {
  const runs = () => target`select count(*)::integer as runs from migration.runs`;
  const before = await runs();
  const ended = await runner(pair, ['up', '--log', '/nowhere/log'], project);
  assert.is(ended.code, 2, ended.stderr);
  assert.match(ended.stderr, 'nothing was done');
  assert.equal([...(await runs())], [...before]);
});

test('NOTIFY_COMMAND hears of runs and phases, with no row value and no password', async (context) => {
  const { folder, pair } = context;
  await succeed(pair, ['up'], context.project);
  await context.source`update things set name = name || '?'`;
  const command = script(
    folder,
    'notify',
    `n=$(mktemp ${folder}/heard.XXXXXX); { echo "$RUNNER_EVENT $RUNNER_RUN"; cat; env; } > "$n"`,
  );
  const ended = await runner(pair, ['up'], {
    root: context.project.root,
    env: { NOTIFY_COMMAND: command },
  });
  assert.is(ended.code, 0, ended.stderr);
  const names = ['run.started', 'phase.started', 'phase.committed', 'run.done'];
  await waitFor('all are heard', () =>
    Promise.resolve(heard(folder).length === names.length ? [{}] : []),
  );
  const events = heard(folder).map((text) => {
    const [first = '', second = ''] = text.split('\n');
    const event = JSON.parse(second) as RunEvent;
    assert.ok(isEvent(event), JSON.stringify(isEvent.errors));
    assert.is(first, `${event.type} ${event.run}`);
    assert.not.match(text, SECRET);
    assert.not.match(text, new URL(pair.targetUrl).password);
    assert.not.match(text, 'DATABASE_URL');
    return event.type;
  });
  assert.equal(events.toSorted(), names.toSorted());
});

for (const [what, text] of [
  ['hangs', 'exec sleep 45'],
  ['fails', 'exit 7'],
] as const) {
  test(`a NOTIFY_COMMAND that ${what} neither fails nor delays the run`, async (context) => {
    const began = Date.now();
    const ended = await runner(context.pair, ['up'], {
      root: context.project.root,
      env: { NOTIFY_COMMAND: script(context.folder, what, text) },
    });
    assert.is(ended.code, 0, ended.stderr);
    assert.ok(Date.now() - began < 20_000, `${Date.now() - began} ms`);
    assert.not.match(ended.stderr, 'NOTIFY');
  });
}

test('one that is not there does not matter either', async ({ pair, project }) => {
  const ended = await runner(pair, ['up'], {
    root: project.root,
    env: { NOTIFY_COMMAND: '/nowhere/notify' },
  });
  assert.is(ended.code, 0, ended.stderr);
  await sleep(100);
});

test.run();

/** Runs a command with a log of its own; every line is an event, and holds no row value. */
async function logged(
  { pair, project, folder }: Context,
  args: string[],
): Promise<{ ended: Ended; events: RunEvent[] }> {
  const file = join(folder, `log-${readdirSync(folder).length}`);
  const ended = await runner(pair, [...args, '--log', file], project);
  assert.not.match(ended.stdout + ended.stderr, SECRET);
  return { ended, events: eventsOf(file) };
}

function eventsOf(file: string): RunEvent[] {
  const text = readFileSync(file, 'utf8');
  assert.not.match(text, SECRET);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const event = JSON.parse(line) as RunEvent;
      assert.ok(isEvent(event), `${line}\n${JSON.stringify(isEvent.errors)}`);
      return event;
    });
}

/** Types in their order; how often progress is told does not matter. */
function typesOf(events: RunEvent[]): string[] {
  return events
    .map(({ type }) => type)
    .filter((type, index, all) => type !== 'entity.progress' || all[index - 1] !== type);
}

function jsonOf({ stdout }: Ended): object[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
}

function script(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  return file;
}

function heard(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('heard.'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .filter((text) => text.includes('PWD='));
}
