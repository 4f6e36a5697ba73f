// deadline 300
/*
 * What a person looks at before and after: plan, diff, doctor, id, at a terminal of 80 columns, beside what is
 * kept in test/golden/terminal. `GOLDEN=write` keeps what is seen now.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NEUTRAL, testPair, type TestPair } from '../pair.ts';
import { neutralProject, open, type Scratch, succeed } from '../runner.ts';
import { atTerminal, atWork, sameScreen } from '../terminal.ts';
import { settledLook } from './screens.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  project: Scratch;
}

const COLUMNS = 80;
const FILMS = 'sql/1-catalogue/30_films.sql';

/** More changes than go on a line. */
const CHANGES = ['born-where', 'remarks-of-agents', 'stage-names'].map((name, i) => ({
  file: `schema-changes/additive/2026010100000000${i + 2}_${name}.sql`,
  text: `-- Up Migration

alter table public.actors add column if not exists extra_${i} text;

-- Down Migration

alter table public.actors drop column if exists extra_${i};
`,
}));

/** More triggers than are named. */
const TRIGGERS = `
  create function public.touch() returns trigger language plpgsql as $$ begin return new; end $$;
  ${['actors', 'contacts', 'countries', 'credits', 'customers', 'films', 'rentals']
    .map(
      (table) => `create trigger touch before update on public.${table}
        for each row execute function public.touch()`,
    )
    .join(';')}`;

const test = suite<Context>('looks');

test.before(async (context) => {
  context.pair = await testPair({ name: 'looks', source: 'neutral', target: 'neutral' });
  context.source = open(context.pair.sourceAdminUrl);
  context.project = neutralProject();
  for (const { file, text } of CHANGES) writeFileSync(join(context.project.root, file), text);
  const target = open(context.pair.targetUrl);
  await target.unsafe(TRIGGERS);
  await target.end();
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
  sameScreen(kept, ended.screen, COLUMNS, settledLook);
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
    await succeed(pair, ['up', '1-catalogue', '2-customers'], { root: project.root });
    await looks(context, pair, 'diff-same', ['diff']);
    await source`update "Customer" set "LastName" = 'Jr' where "CustomerId" <= 7`;
    await source`insert into actor values (gen_random_uuid(), 'Looked', 'At')`;
    project.edit(FILMS, (text) =>
      text.replace(
        'f.rental_rate                         as',
        'nullif(f.rental_rate, 0.99)           as',
      ),
    );
    await looks(context, pair, 'plan-changed', ['plan', '--all']);
    await looks(context, pair, 'diff', ['diff'], { code: 1 });
    await looks(context, pair, 'diff-values', ['diff', '--show-data', 'films'], { code: 1 });
    project.edit(FILMS, () => readFileSync(join(NEUTRAL, FILMS), 'utf8'));
  },
);

atTerminal(test, 'id: there, back, nowhere', async (context) => {
  const { pair } = context;
  await looks(context, pair, 'id', ['id', 'films', '4']);
  await looks(context, pair, 'id-unknown', ['id', 'films', '999999'], { code: 1 });
  await looks(context, pair, 'id-nobody', ['id', '00000000-0000-4000-8000-000000000000'], {
    code: 1,
  });
});

test.run();
