// deadline 600
/* The page on the cut-over is played: its commands, in its order, and what it says their screens say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { attribute, elements, textOf } from '../report-page.ts';
import { dumpRows, ROOT, runner, type Scratch, scratch, succeed } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** A command of the page, and what its output has to contain. */
interface Step {
  args: string[];
  says: string[];
}

const PAGE = readFileSync(join(ROOT, 'runner/docs/cut-over.md'), 'utf8');

const test = suite<Context>('cut-over');

test.before(async (context) => {
  Object.assign(context, await preparePair({ name: 'cutover', source: 'sample' }), {
    // files are written where the command runs
    project: scratch(),
  });
});

test.after(async (context) => {
  context.project.remove();
  await dropPair(context);
});

test('the page has steps, and each is a command of the runner', () => {
  assert.ok(steps('').length > 25);
  assert.ok(steps(' way back').length === 4);
});

test('the way back leads to a target in which nothing is migrated', async ({
  pair,
  project,
  target,
}) => {
  const before = await dumpRows(target, { clock: true });
  await succeed(pair, ['up'], { root: project.root });
  for (const { args, says } of steps(' way back')) {
    const { stdout } = await succeed(pair, args, { root: project.root });
    for (const words of says) assert.match(stdout, words);
  }
  const after = await dumpRows(target, { clock: true });
  // the additive schema changes are gone, with tables of their own
  for (const [table, rows] of after) assert.is(rows.length, before.get(table)?.length, table);
});

test('from T-7 to T+7 every command does what the page says', async (context) => {
  const { pair, project, source, target } = context;
  let nights = 0;
  for (const { args, says } of steps('')) {
    // somebody works with the old application until it stops
    if (args[0] === 'plan') {
      nights += 1;
      await source`update dispatch_task set text = concat(text, '!') where id % 50 = 1`;
    }
    const { code, stdout, stderr } = await runner(pair, args, { root: project.root });
    assert.is(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    for (const words of says) assert.match(`${stdout}${stderr}`, words, args.join(' '));
    if (args.includes('certificate.html')) {
      const page = readFileSync(join(project.root, 'certificate.html'), 'utf8');
      assert.is(textOf(elements(page, 'h1')[0]!), 'Certificate of migration');
      assert.match(attribute(elements(page, 'p')[1]!, 'class') ?? '', 'good');
    }
  }
  assert.is(nights, 1);
  const removed = await target`
    select from information_schema.columns
    where table_schema = 'public' and (table_name, column_name) in (
      ('profiles', 'insurance_info'), ('profiles', 'medical_history'), ('products', 'sku'))`;
  assert.is(removed.length, 0);
});

test.run();

/** The commands of the blocks of shell with this word behind `sh`, in the order of the page. */
function steps(word: string): Step[] {
  const found: Step[] = [];
  for (const [, name = '', text = ''] of PAGE.matchAll(/^```sh([^\n]*)\n([^]*?)^```$/gm)) {
    if (name !== word) continue;
    for (const line of text.trim().split('\n')) {
      const said = /^# → (.+)$/.exec(line)?.[1];
      if (said !== undefined) found.at(-1)?.says.push(said);
      else {
        assert.match(line, /^npx tsx runner [a-z]/);
        const words = line.match(/"[^"]*"|\S+/g) ?? [];
        const args = words.slice(3).map((word) => word.replaceAll('"', ''));
        found.push({ args, says: [] });
      }
    }
  }
  return found;
}
