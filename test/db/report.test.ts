// deadline 300
/* The report: three renderings of one object, what it says is so, and when it is a certificate. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Facts, FileFacts } from '../../runner/report/facts.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { hashOf } from '../../runner/engine/text.ts';
import { dropPair, preparePair } from '../migrate.ts';
import { testPair, type TestPair } from '../pair.ts';
import { attribute, elements, factsIn, tableOf, textOf } from '../report-page.ts';
import * as run from '../runner.ts';
import { type Ended, lastLine, neutralProject, note } from '../runner.ts';

interface Context {
  pair: TestPair;
  source: Sql;
  target: Sql;
  folder: string;
  /** Path and text of the page as it was made last. */
  file: string;
  page: string;
}

/** What warns as long as a person has not accepted it. */
const WARNING = `-- Every film has come back.
--
-- severity  warning

select count(*) as row_count
from public.rentals as r
where r.returned_at is null
having count(*) > 0;
`;

const project = neutralProject();
writeFileSync(join(project.root, 'checks/returned.sql'), WARNING);

const test = suite<Context>('report');

test.before(async (context) => {
  const databases = { name: 'report', source: 'neutral', target: 'neutral' } as const;
  Object.assign(context, await preparePair(databases, project.root));
  // a value that is long enough to be looked for
  await context.source`
    update film_actor set part = 'a part that nobody may read' where film_id = 999`;
  // a row that the target refuses is tried again by every run, which then is not one with nothing to do
  await context.source`update rental set returned_at = rented_at where rental_id = 2220`;
  await succeed(context.pair, ['up']);
  context.folder = mkdtempSync(join(tmpdir(), 'report-'));
  context.file = join(context.folder, 'report.html');
});

test.after(async (context) => {
  rmSync(context.folder, { recursive: true, force: true });
  project.remove();
  await dropPair(context);
});

test('before the first run there is nothing to report, and no file', async ({ file }) => {
  const pair = await testPair({ name: 'report', source: 'empty', target: 'empty' });
  const { code, stderr } = await runner(pair, ['report', file]);
  assert.is(code, 1);
  assert.match(stderr, 'nothing is migrated yet');
  assert.not.ok(existsSync(file));
  await pair.drop();
});

test('a page is made of a run, and no certificate: nobody has verified or checked', async (context) => {
  const began = Date.now();
  await makePage(context);
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  note(`report: ${Math.round(context.page.length / 1024)} kB in ${seconds} s`);
  const refused = await certificate(context);
  assert.is(refused.code, 1);
  assert.match(refused.stderr, '`verify` has never compared everything');
  assert.match(refused.stderr, 'Checks that have never run: static checks, coverage, ');
  assert.not.ok(existsSync(join(context.folder, 'certificate.html')));
});

test('the page, --json and --markdown have the same numbers, those of the databases', async (context) => {
  const { page, pair, target } = context;
  const facts = lastLine<Facts>(await succeed(pair, ['report', '--json']));
  const markdown = (await succeed(pair, ['report', '--markdown'])).stdout;
  const { account } = facts;
  const shown = (n: number) => n.toLocaleString('en-US');

  const entities = tableOf(page, 'The account by entity').slice(1);
  assert.equal(
    entities,
    facts.entities.map((e) => [
      e.entity,
      e.target,
      ...[e.source, e.stored, e.rejected, e.leftOut, 0].map(shown),
    ]),
  );
  const all = [account.source, account.stored, account.rejected, account.leftOut, 0].map(shown);
  assert.equal(tableOf(page, 'The account by phase').at(-1)?.slice(2), all);
  assert.match(markdown, `| ${['All', facts.entities.length, ...all].join(' | ')} |`);
  for (const [entity = '', table = '', ...rest] of entities) {
    const line = `| ${entity.replaceAll('_', '\\_')} | \`${table}\` | ${rest.join(' | ')} |`;
    assert.ok(markdown.includes(line), line);
  }
  const rejected = tableOf(page, 'Refused by a rule of the mapping').slice(1);
  assert.equal(
    rejected.map(([entity, , rows, , limit]) => [entity, rows, limit]),
    facts.rejects
      .filter(({ kind }) => kind === 'rule')
      .map((r) => [r.entity, shown(r.rowCount), shown(r.allowed)]),
  );
  assert.ok(rejected.length > 0);
  for (const word of ['source', 'target', 'rejected', 'difference'] as const) {
    const index = 3 + ['source', 'target', 'rejected', 'difference'].indexOf(word);
    assert.equal(
      tableOf(page, 'Amounts by entity')
        .slice(1)
        .map((row) => row[index]?.replaceAll(',', '')),
      facts.amounts.filter(({ inGroup }) => inGroup === null).map((amount) => amount[word]),
    );
  }

  // what the page carries is what --json says, but for the time
  const carried = factsIn<Facts>(page);
  const timeless = (of: Facts) => ({ ...of, madeAt: '', wal: '' });
  assert.equal(timeless(carried), timeless(facts));
  assert.match(page, hashOf(JSON.stringify(carried)));

  // counted once more, by hand
  const [counts] = await target<Record<'rejected' | 'left' | 'stored', number>[]>`
    select (select count(*)::integer from migration.rejects where resolved_run is null) as rejected,
      (select count(*)::integer from migration.filtered) as left,
      (select count(*)::integer from ids.films) as stored`;
  assert.is(account.rejected, counts?.rejected);
  assert.is(account.leftOut, counts?.left);
  assert.is(facts.entities.find(({ entity }) => entity === 'films')?.stored, counts?.stored);
  assert.is(account.unaccounted, 0);
  for (const { entity, countedBy, stored } of facts.entities) {
    const [row] = await target.unsafe<{ count: string }[]>(countedBy);
    assert.is(Number(row?.count), stored, entity);
  }
  const [money] = await target<{ sum: string }[]>`select sum(amount)::text from billing.payments`;
  const amount = facts.amounts.find((a) => a.amount === 't.amount' && a.entity === 'payments');
  assert.is(amount?.target, money?.sum);
  assert.is(amount?.difference, '0.00');
});

test('it needs no network and no script', ({ page }) => {
  for (const element of elements(page)) {
    for (const { name, value } of element.attrs) {
      if (name === 'href') assert.match(value, /^#/);
      assert.not.match(name, /^(src|srcset|action|formaction|data|poster|background|on.*)$/);
    }
    assert.not.match(element.tagName, /^(link|iframe|object|embed|img|base|form)$/);
  }
  assert.is(attribute(elements(page, 'script')[0]!, 'type'), 'application/json');
  assert.not.match(textOf(elements(page, 'style')[0]!), /url\(|@import/);
  const policy = elements(page, 'meta').find((m) => attribute(m, 'http-equiv') !== undefined);
  assert.match(attribute(policy!, 'content') ?? '', "default-src 'none'");
});

test('it can be read by those who do not see it', ({ page }) => {
  assert.is(attribute(elements(page, 'html')[0]!, 'lang'), 'en');
  assert.match(textOf(elements(page, 'title')[0]!), 'Migration report');
  const headings = elements(page)
    .map(({ tagName }) => /^h([1-6])$/.exec(tagName)?.[1])
    .filter((level) => level !== undefined)
    .map(Number);
  assert.is(headings[0], 1);
  assert.is(headings.filter((level) => level === 1).length, 1);
  for (const [index, level] of headings.entries()) {
    assert.ok(level <= (headings[index - 1] ?? 0) + 1, `heading ${index}`);
  }
  assert.is(headings.filter((level) => level === 2).length, 10);
  const tables = elements(page, 'table');
  assert.ok(tables.length > 20);
  for (const table of tables) {
    assert.is(elements(table, 'caption').length, 1);
    const heads = elements(table, 'th');
    for (const head of heads) assert.match(attribute(head, 'scope') ?? '', /^(row|col)$/);
    const [first] = elements(elements(table, 'tbody')[0]!, 'tr');
    if (first !== undefined) assert.is(elements(first, 'th').length, 1);
  }
  for (const drawing of elements(page, 'svg')) {
    assert.is(attribute(drawing, 'role'), 'img');
    assert.ok((attribute(drawing, 'aria-label') ?? '').length > 10);
    assert.is(elements(drawing, 'title').length, 1);
  }
  const ids = elements(page).flatMap((element) => attribute(element, 'id') ?? []);
  assert.is(new Set(ids).size, ids.length);
  for (const link of elements(page, 'a')) {
    assert.ok(ids.includes((attribute(link, 'href') ?? '').slice(1)));
  }
  const scrolling = elements(page).filter((e) => attribute(e, 'tabindex') === '0');
  for (const region of scrolling) assert.ok(attribute(region, 'aria-label') !== undefined);
});

test('the certificate is given when all is verified and checked, and entered', async (context) => {
  const { pair, target } = context;
  // of one entity is not of all
  await succeed(pair, ['verify', 'films']);
  assert.match((await certificate(context)).stderr, '`verify` has never compared everything');
  await prove(context);
  assert.match((await certificate(context)).stderr, 'Checks that found something: returned');
  await succeed(pair, ['acknowledge', 'returned', '--reason', 'the shop looks for them']);
  await prove(context);
  const given = await certificate(context);
  assert.is(given.code, 0, given.stderr);
  const page = readFileSync(join(context.folder, 'certificate.html'), 'utf8');
  assert.is(textOf(elements(page, 'h1')[0]!), 'Certificate of migration');
  const [event] = await target<{ hash: string }[]>`
    select details ->> 'sha256' as hash from migration.events where what = 'certificate'`;
  assert.match(page, event?.hash ?? 'no event');
  assert.is(event?.hash, hashOf(JSON.stringify(factsIn(page))));
  // a run that finds nothing to do takes nothing back
  await succeed(pair, ['up']);
  assert.is((await certificate(context)).code, 0);
});

test('a write takes it back, until all is proved again', async (context) => {
  const { pair, source } = context;
  await source`update film set title = concat(title, '!') where film_id = 1`;
  await succeed(pair, ['up']);
  const { code, stderr } = await certificate(context);
  assert.is(code, 1);
  assert.match(stderr, 'Something was written since `verify` began');
  assert.match(stderr, 'Something was written since these checks ran: static checks, coverage');
  await prove(context);
  assert.is((await certificate(context)).code, 0);
});

test('so do a difference and a finding; the report says which', async (context) => {
  const { pair, target } = context;
  const [row] = await target<{ id: string; amount: string }[]>`
    select p.id, p.amount from billing.payments as p join ids.payments as m on m.id = p.id
    where p.amount > 0 order by m.legacy_id limit 1`;
  await target`update billing.payments set amount = amount + 1 where id = ${row!.id}`;
  await runner(pair, ['verify', 'payments']);
  await runner(pair, ['check', 'spent']);
  const { code, stderr } = await certificate(context);
  assert.is(code, 1);
  assert.match(stderr, '`verify` found 1 difference');
  assert.match(stderr, 'Checks that found something: spent');
  assert.match(stderr, /\d amounts differ between source and target/);
  await makePage(context);
  const amounts = tableOf(context.page, 'Amounts by entity').filter((r) => r[0] === 'payments');
  assert.is(amounts.find(([, name]) => name === 'amount')?.at(-1), '-1.00');
  await target`update billing.payments set amount = ${row!.amount} where id = ${row!.id}`;
  await prove(context);
  assert.is((await certificate(context)).code, 0);
});

test('a row that is nowhere is not accounted for', async (context) => {
  const { target } = context;
  await target`create temporary table lost as
    select * from ids.films order by legacy_id limit 1`;
  await target`delete from ids.films where legacy_id = (select legacy_id from lost)`;
  await makePage(context);
  assert.is(tableOf(context.page, 'The account by phase').at(-1)?.at(-1), '1');
  const { stderr } = await certificate(context);
  assert.match(stderr, '1 source row cannot be accounted for');
  await target`insert into ids.films select * from lost`;
});

test('a warning that a person accepted is no obstacle, and stands in the report', async (context) => {
  const { pair, source } = context;
  const [last] = await source`
    delete from billing.payment
    where payment_id = (select max(payment_id) from billing.payment) returning payment_id`;
  assert.ok(last !== undefined);
  await succeed(pair, ['up']);
  await prove(context);
  assert.match((await certificate(context)).stderr, 'Checks that found something: gone');
  await makePage(context);
  const shown = elements(context.page, 'figcaption').map((each) => textOf(each));
  assert.ok(shown.some((each) => each.startsWith('gone: not so: Every migrated row still has')));
  await succeed(pair, ['acknowledge', 'gone', '--reason', 'deleted on purpose by the shop']);
  await succeed(pair, ['check', 'gone']);
  assert.is((await certificate(context)).code, 0);
  await makePage(context);
  const accepted = tableOf(context.page, 'Findings that a person has accepted').find(
    ([name]) => name === 'gone',
  );
  const [gone] = await context.target<{ rows: string }[]>`
    select count(distinct entity)::text as rows from migration.gone`;
  assert.equal(accepted?.slice(0, 3), ['gone', 'deleted on purpose by the shop', gone?.rows]);
});

test('whatever check results the ledger holds stand in the report', async (context) => {
  const { target } = context;
  await target`
    insert into migration.events (what, details)
    select 'checked', jsonb_build_object('after', max(event), 'files', 'f', 'results', jsonb_build_array(
      jsonb_build_object('name', 'emptiness', 'title', 'No column is empty.', 'severity', 'warning',
        'hash', 'h', 'findings', 2, 'acknowledged', 0, 'sample', jsonb_build_array('column=a'),
        'failed', false)))
    from migration.events`;
  await makePage(context);
  const checks = tableOf(context.page, 'Checks, and what each said when it ran last');
  assert.equal(checks.at(-1)?.slice(0, 2), ['emptiness', 'No column is empty.']);
  const captions = elements(context.page, 'figcaption').map((each) => textOf(each));
  assert.ok(captions.includes('emptiness: not so: No column is empty. (2 findings)'));
  assert.match((await certificate(context)).stderr, 'Checks that found something: emptiness');
  // one that is no more says nothing for ever
  await context.source`update film set title = concat(title, '?') where film_id = 1`;
  await succeed(context.pair, ['up']);
  assert.not.match((await certificate(context)).stderr, 'emptiness');
});

test('what a name says is shown, not obeyed', async (context) => {
  const { target, pair } = context;
  const evil = '</script><img src=x onerror=alert(1)>"\'&`|\u202e\u001b[2J';
  await target`update migration.acknowledged set reason = ${evil}`;
  await target`update migration.rejects set reason = ${evil} where legacy_id = (
    select min(legacy_id) from migration.rejects where entity = 'rentals') and entity = 'rentals'`;
  await makePage(context);
  assert.is(elements(context.page, 'img').length, 0);
  assert.is(elements(context.page, 'script').length, 1);
  const visible = evil.replace('\u202e', '\ufffd').replace('\u001b', '\ufffd');
  const [, accepted] = tableOf(context.page, 'Findings that a person has accepted');
  assert.is(accepted?.[1], visible);
  assert.is(factsIn<Facts>(context.page).accepted[0]?.reason, evil);
  const { stdout } = await succeed(pair, ['report', '--markdown']);
  assert.not.match(stdout, '<img');
  assert.not.match(stdout, '\u202e');
});

test('it holds no secret and no value of a row', async ({ pair, source, target, page }) => {
  const secrets = await source<{ value: string }[]>`
    select "PasswordHash" as value from "Customer" union
    select "EMail" from "Customer" where "EMail" is not null`;
  const kept = await target<{ value: string }[]>`
    select distinct v.value from migration.rejects as r
    cross join lateral jsonb_each_text(r.source_row) as v (key, value)
    where length(v.value) > 12 and v.value !~ '^[0-9 :.+T-]+$'`;
  const passwords = [pair.sourceUrl, pair.targetUrl].map((url) => new URL(url).password);
  const found = [...secrets, ...kept]
    .map(({ value }) => value)
    .concat(passwords)
    .filter((value) => value.length > 4 && page.includes(value));
  assert.equal(found, []);
  assert.ok(secrets.length > 10 && kept.length > 2);
});

test('where the audit trail takes no line, what verify found stands, and is no proof', async (context) => {
  const { pair, target } = context;
  await target`revoke insert on migration.events from postgres`;
  const { code, stderr, stdout } = await runner(pair, ['verify', 'films']);
  assert.is(code, 0);
  assert.match(stdout, '0 differences');
  assert.match(stderr, 'what was found is not in the audit trail');
  await target`grant insert on migration.events to postgres`;
});

test('without the source it has no amounts, says so, and is no certificate', async (context) => {
  const { pair, folder } = context;
  const away = new URL(pair.sourceUrl);
  away.port = '1';
  const file = join(folder, 'away.html');
  const urls = { ...pair, sourceUrl: away.href };
  const { stderr } = await succeed(urls, ['report', file]);
  assert.match(stderr, 'the source cannot be reached');
  assert.match(readFileSync(file, 'utf8'), 'The amounts are not known');
  const { code } = await runner(urls, ['report', '--certificate', file]);
  assert.is(code, 1);
});

test('the dictionary needs no database and has every entity', async ({ folder }) => {
  const file = join(folder, 'dictionary.html');
  await succeed(null, ['report', '--dictionary', file]);
  const page = readFileSync(file, 'utf8');
  const { definitions } = factsIn<FileFacts>(page);
  const { phases, archive } = readCatalog(project.root);
  assert.equal(
    definitions.map(({ entity }) => entity),
    [...phases.flatMap(({ entities }) => entities), ...archive].map(({ name }) => name),
  );
  for (const { entity, columns, source } of definitions) {
    const rows = tableOf(page, `Columns of ${entity}`).slice(1);
    assert.is(rows.length, columns.length, entity);
    if (source !== null) assert.ok(rows.length > 0, entity);
  }
  assert.equal(
    tableOf(page, 'Columns of customers').find(([target]) => target === 'country_id'),
    ['country_id', 'Customer.CountryCode', 'the id it became'],
  );
  const json = await succeed(null, ['report', '--dictionary', '--json']);
  assert.equal(lastLine<FileFacts>(json).definitions, definitions);
});

test.run();

/** Commands of this project. */
function runner(pair: Parameters<typeof run.runner>[0], args: string[]): Promise<Ended> {
  return run.runner(pair, args, project);
}

function succeed(pair: Parameters<typeof run.runner>[0], args: string[]): Promise<Ended> {
  return run.succeed(pair, args, project);
}

async function makePage(context: Context): Promise<void> {
  await succeed(context.pair, ['report', context.file]);
  context.page = readFileSync(context.file, 'utf8');
}

function certificate({ pair, folder }: Context): Promise<Ended> {
  return runner(pair, ['report', '--certificate', join(folder, 'certificate.html')]);
}

/** `verify` and `check`, of everything; `check` may find something. */
async function prove({ pair }: Context): Promise<void> {
  await succeed(pair, ['verify']);
  await runner(pair, ['check']);
}
