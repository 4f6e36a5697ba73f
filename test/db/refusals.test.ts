// deadline 240
/*
 * What a person sees when nothing can begin, at a terminal of 80 columns, beside what is kept in
 * test/golden/terminal. `GOLDEN=write` keeps what is seen now.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testPair, type TestPair } from '../pair.ts';
import { type Databases, neutralProject, type Scratch, succeed } from '../runner.ts';
import { atTerminal, atWork, sameScreen } from '../terminal.ts';

interface Context {
  pair: TestPair;
  /** Without any of the tables. */
  empty: TestPair;
  project: Scratch;
}

/** Of these both screens are kept. */
const COLOURED = ['target-password', 'broken-view'];
const test = suite<Context>('refusals');

test.before(async (context) => {
  context.pair = await testPair({ name: 'refused', source: 'neutral', target: 'neutral' });
  context.empty = await testPair({
    ...{ name: 'refused', source: 'empty', target: 'empty' },
    sourceMajor: 17,
  });
  context.project = neutralProject();
  await succeed(context.pair, ['up'], { root: context.project.root });
});

test.after(async ({ pair, empty, project }) => {
  await pair.drop();
  await empty.drop();
  project.remove();
});

const password = (url: string) => url.replace(/:[^:@]+@/, ':wrong@');
const database = (url: string) => url.replace(/\/[^/]+$/, '/nowhere');
const port = (url: string) => url.replace(/:\d+\//, ':1/');
const host = (url: string) => url.replace(/@[^:]+:/, '@db.invalid:');

const CASES: [name: string, code: number, args: string[], of: (c: Context) => Databases][] = [
  ['target-password', 5, ['up'], ({ pair }) => ({ ...pair, targetUrl: password(pair.targetUrl) })],
  ['target-database', 5, ['up'], ({ pair }) => ({ ...pair, targetUrl: database(pair.targetUrl) })],
  ['target-port', 5, ['status'], ({ pair }) => ({ ...pair, targetUrl: port(pair.targetUrl) })],
  ['target-host', 5, ['status'], ({ pair }) => ({ ...pair, targetUrl: host(pair.targetUrl) })],
  ['source-password', 5, ['up'], ({ pair }) => ({ ...pair, sourceUrl: password(pair.sourceUrl) })],
  ['source-database', 5, ['up'], ({ pair }) => ({ ...pair, sourceUrl: database(pair.sourceUrl) })],
  ['source-port', 5, ['verify'], ({ pair }) => ({ ...pair, sourceUrl: port(pair.sourceUrl) })],
  ['another-source', 1, ['up'], ({ pair, empty }) => ({ ...pair, sourceUrl: empty.sourceUrl })],
  ['unknown-command', 2, ['statsu'], ({ pair }) => pair],
  ['unknown-option', 2, ['up', '--ful'], ({ pair }) => pair],
  ['too-many-words', 2, ['status', 'films'], ({ pair }) => pair],
  ['unknown-phase', 2, ['down', '2-cust'], ({ pair }) => pair],
];

for (const [name, code, args, of] of CASES) {
  atTerminal(test, `${name}: ${args.join(' ')}`, async (context) => {
    await looks(context, name, code, args, of(context));
  });
}

atTerminal(test, 'a view that does not fit, and one that does not parse', async (context) => {
  const { project, pair } = context;
  const file = 'sql/1-catalogue/30_films.sql';
  project.edit(file, (text) => text.replace('f.description', 'f.descripton'));
  await looks(context, 'broken-view', 1, ['up'], pair);
  project.edit(file, (text) => text.replace('\nfrom ', '\nfromm '));
  await looks(context, 'unreadable-view', 1, ['check', '--static'], pair);
});

test.run();

/** Runs a command at a terminal, of some both with and without colours; what it shows has to be what is kept. */
async function looks(
  { project }: Context,
  name: string,
  code: number,
  args: string[],
  urls: Databases,
): Promise<void> {
  for (const [colour, env] of [
    ['', { NO_COLOR: '1' }],
    ['-colour', {}],
  ] as const) {
    if (colour !== '' && !COLOURED.includes(name)) continue;
    const ended = await atWork(urls, project, args, { env }).ended;
    assert.is(ended.code, code, ended.screen);
    sameScreen(`refused-${name}-80${colour}`, ended.screen, 80, settled);
  }
}

/** Without what differs from run to run: names of databases, ports. */
function settled(screen: string): string {
  return `${screen
    .replace(/refused_[0-9a-f]{8}/g, 'app')
    .replace(/:\d{4,5}\b/g, ':PORT')
    .replace(/port \d{4,5}\b/g, 'port PORT')
    .trim()}\n`;
}
