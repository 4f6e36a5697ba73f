// deadline 400
/*
 * What a person looks at before and after: plan, diff, doctor, id, at a terminal of 80 columns, beside what is
 * kept in test/golden/terminal. `GOLDEN=write` keeps what is seen now.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { open, ROOT, type Scratch, scratch, up } from '../runner.ts';
import { atTerminal, atWork, sameScreen } from '../terminal.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  project: Scratch;
}

const COLUMNS = 80;

const test = suite<Context>('looks');

test.before(async (context) => {
  context.pair = await testPair({ name: 'looks', source: 'sample' });
  context.source = open(context.pair.sourceAdminUrl);
  context.project = scratch();
});

test.after(async ({ pair, source, project }) => {
  await source.end();
  await pair.drop();
  project.remove();
});

/** Runs a command at a terminal; what it shows has to be what is kept. */
async function looks(
  { project }: Context,
  urls: Pick<TestPair, 'sourceUrl' | 'targetUrl'>,
  name: string,
  args: string[],
  { code = 0, colour = false } = {},
): Promise<void> {
  const env: Record<string, string> = colour ? {} : { NO_COLOR: '1' };
  const ended = await atWork(urls, project, args, { columns: COLUMNS, env }).ended;
  assert.is(ended.code, code, ended.screen);
  const kept = `${name}-${COLUMNS}${colour ? '-colour' : ''}`;
  sameScreen(kept, ended.screen, COLUMNS, settled);
}

/** What differs between two equal looks is the same in all transcripts: times, sizes, names of databases. */
function settled(screen: string): string {
  const measured =
    /^(‹\d+›)?ok {4}(‹\d+›)? (target tables|size of the source tables|space): .*(\n {7}(?!fix).*)*/gm;
  return `${screen
    .replace(measured, (text) => text.replace(/\n {7}/g, ' '))
    .replace(/looks_[0-9a-f]{8}/g, 'app')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:N')
    .replace(/port \d+ failed/g, 'port N failed')
    .replace(/20\d\d-\d\d-\d\d \d\d:\d\d/g, 'YYYY-MM-DD HH:MM')
    .replace(/\d+(\.\d+)? (MB|GB)/g, 'N MB')
    .replace(/[\d,]+ rows\/s/g, 'N rows/s')
    .replace(/\d+\.\d ms/g, 'N ms')
    .replace(/\d+\.\d s apart/g, 'N s apart')
    .replace(/PostgreSQL \d+(\.\d+)?/g, 'PostgreSQL N')
    .replace(
      /( {2,})(\d+\.\d s)( {2}changed)?$/gm,
      (_, blanks: string, time: string, rest = '') => {
        return `${' '.repeat(blanks.length + time.length - 3)}N s${rest}`;
      },
    )
    .replace(/(about|up to|,) \d+(\.\d)? s/g, '$1 N s')
    .trim()}\n`;
}

function changed(url: string, change: (url: URL) => void): string {
  const other = new URL(url);
  change(other);
  return other.href;
}

atTerminal(test, 'before the first run: doctor, plan', async (context) => {
  const { pair } = context;
  await looks(context, pair, 'doctor', ['doctor']);
  await looks(context, pair, 'doctor', ['doctor'], { colour: true });
  await looks(context, pair, 'plan-first', ['plan']);
});

atTerminal(test, 'what doctor finds wrong is what it says first', async (context) => {
  const { pair } = context;
  const password = {
    ...pair,
    targetUrl: changed(pair.targetUrl, (url) => (url.password = 'wrong')),
  };
  await looks(context, password, 'doctor-password', ['doctor'], { code: 1 });
  const database = {
    ...pair,
    sourceUrl: changed(pair.sourceUrl, (url) => (url.pathname = '/other')),
  };
  await looks(context, database, 'doctor-database', ['doctor'], { code: 1 });
});

atTerminal(
  test,
  'afterwards: nothing to do, then a changed source and a changed file',
  async (context) => {
    const { pair, source, project } = context;
    await up(pair, '1-foundation', '2-core');
    await looks(context, pair, 'diff-same', ['diff']);
    await source`
    update dispatch_patient set suffix = 'Jr' where id in (
      select id from dispatch_patient order by id limit 7)`;
    await source`
    insert into auth_user
    select (jsonb_populate_record(u, '{"id": 900001, "username": "looked"}')).*
    from auth_user as u order by u.id limit 1`;
    project.edit('sql/1-foundation/10_offices.sql', (text) =>
      text.replace('btrim(o.zip)    ', `left(o.zip, 5)  `),
    );
    await looks(context, pair, 'plan-changed', ['plan', '--all']);
    await looks(context, pair, 'diff', ['diff'], { code: 1 });
    await looks(context, pair, 'diff-values', ['diff', '--show-data', 'offices'], { code: 1 });
    project.edit('sql/1-foundation/10_offices.sql', () =>
      readFileSync(join(ROOT, 'sql/1-foundation/10_offices.sql'), 'utf8'),
    );
  },
);

atTerminal(test, 'id: there, back, nowhere', async (context) => {
  const { pair, source } = context;
  const [row] = await source<{ id: number }[]>`select min(id) as id from dispatch_office`;
  await looks(context, pair, 'id', ['id', 'offices', String(row?.id)]);
  await looks(context, pair, 'id-unknown', ['id', 'offices', '999999'], { code: 1 });
  await looks(context, pair, 'id-nobody', ['id', '00000000-0000-4000-8000-000000000000'], {
    code: 1,
  });
});

test.run();
