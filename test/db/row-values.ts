/* A small source in which every value is a marker, and where to look for them. */
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sql } from 'postgres';
import * as assert from 'uvu/assert';
import type { TestPair } from '../pair.ts';
import { type Ended, entityFile, type Scratch, tinyProject } from '../runner.ts';

/** What every text of the source contains, and every number begins with. */
export const WORD = `mk${randomBytes(5).toString('hex')}`;
export const NUMBER = String(randomInt(10_000_000, 90_000_000));
export const MARKER = new RegExp(`${WORD}|${NUMBER}`);

/** Columns of the ledger that are there to hold rows, and why. */
export const HOLD_ROWS: Record<string, string> = {
  'migration.before_images.image': 'the row of the application that was overwritten: for `down`',
  'migration.rejects.source_row': 'the source row that was refused: for a person to look at',
};

export const TOTAL = 'sql/2-total/10_total.sql';
export const CHECK = 'checks/numbers.sql';

/** The settings that decide what a server logs: the tests mean what they are unless somebody sets them. */
export const LOG_SETTINGS = [
  'log_error_verbosity',
  'log_min_duration_statement',
  'log_min_error_statement',
  'log_min_messages',
  'log_parameter_max_length_on_error',
  'log_statement',
];

/** Rows that are merged, refused in three ways, summed up, archived; a check that reads their values. */
export function markedProject(): Scratch {
  const project = tinyProject({
    'sql/1-rows/10_people.sql': entityFile('people', 'person', [
      't.login as login',
      't.mail as mail',
      't.amount::bigint as amount',
      't.note as note',
    ]).replace('adopt    none', 'adopt    login'),
    'sql/1-rows/20_accounts.sql': entityFile('accounts', 'account', ['t.login as login']),
    'sql/1-rows/30_sizes.sql': entityFile('sizes', 'size', ['t.said as said']),
    [TOTAL]: `-- All words together.
--
-- target   public.totals
-- source   none
-- adopt    none

create view transform.total as
select
  1::bigint                                           as legacy_key,
  (select sum(w.said::bigint) from legacy.word as w) as number;
`,
    'sql/archive/attic.sql': `-- What nobody needs.
--
-- target  legacy_archive.attic
-- source  attic

create table if not exists legacy_archive.attic (
  id   integer primary key,
  said text
);
`,
    [CHECK]: `-- No word is a negative number.
--
-- severity  error

select w.id
from legacy.word as w
where w.said::bigint < 0;
`,
  });
  // a folder of its own: a change that is added must not be added elsewhere
  const changes = join(project.root, 'schema-changes');
  mkdirSync(join(changes, 'additive'), { recursive: true });
  writeFileSync(join(changes, 'protected.json'), '[]\n');
  return project;
}

/** The tables of the project above, and its rows. */
export async function fillMarked(source: Sql, target: Sql): Promise<void> {
  await source.unsafe(`
    create table public.person (id integer primary key, login text, mail text, amount text, note text);
    create table public.account (id integer primary key, login text);
    create table public.size (id integer primary key, said text);
    create table public.word (id integer primary key, said text);
    create table public.attic (id integer primary key, said text);
    insert into public.person
    select n, concat('${WORD} login ', n), concat('${WORD} mail ', n), concat('${NUMBER}', n),
      concat('${WORD} note ', n)
    from generate_series(1, 30) as n;
    update public.person set amount = '${WORD} amount' where id = 30;
    insert into public.account
    select n, concat('${WORD} account ', least(n, 29)) from generate_series(1, 30) as n;
    insert into public.size
    select n, concat('${WORD} size ', case when n = 30 then 'refused' else n::text end)
    from generate_series(1, 30) as n;
    insert into public.word select n, concat('${NUMBER}', n) from generate_series(1, 3) as n;
    insert into public.attic select n, concat('${WORD} attic ', n) from generate_series(1, 3) as n;
    grant select on all tables in schema public to legacy_reader`);
  await target.unsafe(`
    create table public.people (
      id uuid primary key default gen_random_uuid(), login text unique, mail text unique,
      amount bigint, note text);
    create table public.accounts (id uuid primary key, login text unique);
    create table public.sizes (id uuid primary key, said text check (said not like '%refused%'));
    create table public.wholes (id uuid primary key, said text);
    create table public.totals (id uuid primary key, number numeric);
    alter table public.people owner to postgres;
    alter table public.accounts owner to postgres;
    alter table public.sizes owner to postgres;
    alter table public.wholes owner to postgres;
    alter table public.totals owner to postgres;
    insert into public.people (login, mail)
    values ('${WORD} login 1', '${WORD} mail before')`);
}

/** Where the servers of a pair write their logs, and how long these are now. */
export class Logs {
  readonly #files: { side: string; file: string; from: number }[];

  private constructor(files: { side: string; file: string; from: number }[]) {
    this.#files = files;
  }

  static async of(sides: Record<string, Sql>): Promise<Logs> {
    const files = [];
    for (const [side, sql] of Object.entries(sides)) {
      const [row] = await sql<{ data_directory: string }[]>`show data_directory`;
      const file = join(dirname(row?.data_directory ?? ''), 'server.log');
      assert.ok(existsSync(file), `no log of the ${side}`);
      files.push({ side, file, from: statSync(file).size });
    }
    return new Logs(files);
  }

  /** Lines with a marker since the last call, as `side KIND:  text`; the rest of the prefix is cut. */
  news(): string[] {
    return this.#files.flatMap((log) => {
      const text = readFileSync(log.file);
      const lines = text.subarray(log.from).toString().split('\n');
      log.from = text.length;
      return lines
        .filter((line) => MARKER.test(line))
        .map((line) => `${log.side} ${line.replace(/^.*?(?=[A-Z]+: )/, '')}`);
    });
  }
}

/** Columns of the runner's schemas that hold a marker, as `schema.table.column`, sorted. */
export async function markedColumns(target: Sql): Promise<string[]> {
  const tables = await target<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('migration', 'ids', 'merge', 'transform') and c.relkind in ('r', 'p', 'm')
    order by 1`;
  const found: string[] = [];
  for (const { name } of tables) {
    const rows = await target.unsafe<{ key: string; value: string }[]>(
      `select distinct c.key, c.value from ${name} as t
       cross join lateral jsonb_each_text(to_jsonb(t)) as c where c.value is not null`,
    );
    const columns = rows.filter(({ value }) => MARKER.test(value)).map(({ key }) => key);
    found.push(...[...new Set(columns)].map((column) => `${name}.${column}`));
  }
  const [functions] = await target<{ marked: number }[]>`
    select count(*)::integer as marked from pg_proc where prosrc ~ ${MARKER.source}`;
  assert.is(functions?.marked, 0, 'a function holds a value');
  return found.toSorted();
}

/** No marker in what a command said. */
export function saysNone({ stdout, stderr }: Ended, what: string): void {
  for (const [stream, text] of Object.entries({ stdout, stderr })) {
    const lines = text.split('\n').filter((line) => MARKER.test(line));
    assert.equal(lines, [], `${what}: ${stream}`);
  }
}

/** No marker in a file that a command left in a folder. */
export function leavesNone(folder: string): void {
  const files = readdirSync(folder, { withFileTypes: true }).filter((each) => each.isFile());
  for (const { name } of files) {
    assert.not.match(readFileSync(join(folder, name), 'utf8'), MARKER, name);
  }
}

export type Marked = {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
  logs: Logs;
};
