import { writeFileSync } from 'node:fs';

import type { FromFiles } from '../../checks/child.ts';
import { definedEntities } from '../engine/catalog.ts';
import { type Problem } from '../engine/text.ts';
import { type CheckResult, readChecks, runChecksInTwo } from '../engine/checks.ts';
import { beside, enterOrSay, joined } from './beside.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { drawLineage, proveCoverage, readEmptyColumns, renewLists } from './coverage.ts';
import { transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { install, installed } from '../engine/ledger.ts';
import { openLink, login, loginBeside, pointLink } from '../engine/link.ts';
import { enterChecked, lastEvent } from '../engine/proofs.ts';
import { note, problems, say, sayJson, sayWrapped, table, words } from '../terminal/terminal.ts';

/** Reserved among the names of checks: it is no query but a proof over the files and both databases. */
const COVERAGE = 'coverage';

export const check: Command = {
  options: {
    static: { text: 'only the checks of the files: no database needed' },
    mermaid: { text: 'print the lineage of entities or phases as a flowchart: no database needed' },
    target: { text: 'with coverage: columns of the target that are NULL in every row' },
    write: { text: 'with coverage: write the lists of both databases anew' },
    all: { text: 'every problem, also where there are many of one cause' },
    junit: { text: 'write the results as JUnit XML', value: 'file' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const names = context.positionals;
  if (context.has('mermaid')) {
    if (names[0] !== COVERAGE) throw new UsageError('--mermaid belongs to `check coverage`');
    const mermaid = await drawLineage(context.root, names.slice(1));
    if (context.has('json')) sayJson({ mermaid });
    else say(mermaid);
    return 0;
  }
  if (context.has('target')) {
    if (names.join() !== COVERAGE) throw new UsageError('--target belongs to `check coverage`');
    return emptyColumns(context);
  }
  if (context.has('write')) {
    if (names.join() !== COVERAGE) throw new UsageError('--write belongs to `check coverage`');
    return renewLists(context);
  }
  const checks = readChecks(context.root, 'checks').filter(
    ({ name }) => names.length === 0 || names.includes(name),
  );
  const unknown = names.filter(
    (name) => name !== COVERAGE && !checks.some((known) => known.name === name),
  );
  if (unknown.length > 0) {
    const known = readChecks(context.root, 'checks').map(({ name }) => name);
    const all = [COVERAGE, ...known].join(', ');
    throw new UsageError(`there is no check ${unknown.join(', ')}; there are ${all}`);
  }
  const rules = names.length === 0;
  const files = rules || names.includes(COVERAGE) ? await ofFiles(context, rules) : undefined;
  const broken = files?.problems ?? [];
  const coverage = files?.coverage && (await proveCoverage(context, files.coverage));
  const unread = coverage?.lineage.unread ?? [];
  // a file that the static checks have found to be unreadable is one finding, not two
  const known = broken.filter(({ file }) => unread.includes(file)).map(({ file }) => file);
  const unproved = (coverage?.problems ?? []).filter(({ file }) => !known.includes(file));
  const found = [...broken, ...unproved];
  const ofFilesAlone = [
    ...(rules ? [{ name: 'static checks', problems: broken }] : []),
    ...(coverage === undefined ? [] : [{ name: COVERAGE, problems: unproved }]),
  ];
  const results = context.has('static') ? [] : await dataChecks(context, checks, ofFilesAlone);
  const file = context.value('junit');
  if (file !== undefined) writeFileSync(file, junit(found, results));
  const failed =
    found.length +
    results.filter(({ findings, check: { severity } }) => findings > 0 && severity === 'error')
      .length;
  if (context.has('json')) {
    sayJson({
      problems: found,
      ...(coverage === undefined ? {} : { coverage: coverage.counts }),
      ...(names.includes(COVERAGE) ? { lineage: coverage?.lineage.links } : {}),
      checks: results.map(({ check: { name, severity, title }, problem, ...result }) => ({
        name,
        severity,
        title,
        findings: result.findings,
        sample: result.sample,
        acknowledged: result.acknowledged,
        remarks: result.remarks,
        error: problem?.message ?? null,
      })),
    });
    return failed > 0 ? 1 : 0;
  }
  const { byTable } = await import('../../checks/coverage/finding.ts');
  problems(
    context.has('all') ? found : byTable(found),
    (path) =>
      context
        .catalog()
        .phases.flatMap((p) => p.entities)
        .find((e) => e.file === path)?.text,
    context.has('all'),
  );
  if (names.length === 0) {
    say(
      `static checks: ${broken.length === 0 ? words.good('nothing found') : `${broken.length} found`}`,
    );
  }
  if (coverage !== undefined) {
    const { carried, archived, leftOut, open } = coverage.counts;
    sayWrapped(
      `coverage: of ${carried + archived + leftOut + open} source columns ${carried} carried, ` +
        `${archived} archived, ${leftOut} left out with a reason: ` +
        (unread.length > 0
          ? words.bad(`not proved, ${unread.length} of the files cannot be read`)
          : unproved.length === 0
            ? words.good('nothing found')
            : `${unproved.length} found`),
    );
  }
  for (const result of results) showResult(result);
  return failed > 0 ? 1 : 0;
}

/** Columns that nothing in the source fills. They are no fault: exit 0. */
async function emptyColumns(context: Context): Promise<number> {
  const session = await context.session('runner check');
  const found = await readEmptyColumns(session, context.catalog());
  if (context.has('json')) sayJson({ emptyColumns: found });
  else if (found.length === 0)
    say('no table that is filled has a column that is NULL in every row');
  else {
    table(
      ['table', 'rows', 'NULL in every row'],
      found.map((each) => [each.table_name, each.row_count, each.column_names.join(', ')]),
    );
  }
  return 0;
}

/** Loaded on demand: a project may have no checks. */
async function ofFiles(context: Context, rules: boolean): Promise<FromFiles> {
  const { checkFiles } = await import('../../checks/child.ts');
  return checkFiles({ root: context.root, rules });
}

/**
 * Runs data checks in a transaction that is read only and always rolled back; what they, and those of
 * the `files`, found is entered in the audit trail after that.
 */
async function dataChecks(
  context: Context,
  checks: ReturnType<typeof readChecks>,
  files: Parameters<typeof enterChecked>[4],
): Promise<CheckResult[]> {
  const catalog = context.catalog();
  const { source } = await context.config();
  const session = await context.session('runner check');
  if ((await installed(session, catalog)) === undefined) {
    note('nothing is migrated yet: the data checks are left out');
    return [];
  }
  await login(session, source);
  const defined = definedEntities(catalog);
  let after = 0;
  const body = async () => {
    const renewed = await install(session, catalog, (make) => make());
    after = await lastEvent(session);
    await pointLink(session, source);
    const results = await runChecksInTwo(session, checks, defined, {
      beside: async (help) => {
        // it does not see what this transaction has made
        if (!renewed) await beside(context, 'runner check 2', help);
      },
      enter: (second) =>
        joined(async () => {
          await loginBeside(second, source);
          await pointLink(second, source);
          await openLink(second);
          return true;
        }),
      cancel: () => {
        context.interrupt.cancel();
      },
    });
    const open = await session.query<{ entity: string }>(
      'select entity from migration.incomplete_entities()',
    );
    if (open.length > 0) {
      note(`not looked at, for it is not complete: ${open.map((row) => row.entity).join(', ')}`);
    }
    return results;
  };
  const results = await throughLink(source, () =>
    transaction(session, body, { commit: false, lockTimeout: '1s' }),
  );
  await enterOrSay(context, () => enterChecked(session, catalog, after, results, files));
  return results;
}

function showResult({
  check: { name, title, severity, file },
  findings,
  sample,
  acknowledged,
  remarks,
  problem,
}: CheckResult) {
  if (problem !== undefined) {
    say(
      `${words.bad('error')}  ${name}  ${file}:${problem.line}:${problem.column} ${problem.message}`,
    );
  } else if (findings === 0) say(`${words.good('ok')}     ${name}  ${title}`);
  else {
    say(
      `${severity === 'error' ? words.bad('FOUND') : 'found'}  ${name}  not so: ${title} (${findings} rows)`,
    );
    for (const row of sample) say(`         ${row}`);
    if (findings > sample.length) say(`         and ${findings - sample.length} more`);
  }
  for (const remark of remarks) say(words.dim(`         acknowledged: ${remark}`));
  if (acknowledged > remarks.length) {
    say(words.dim(`         acknowledged: ${acknowledged - remarks.length} more`));
  }
}

function junit(found: Problem[], results: CheckResult[]): string {
  const escape = (text: string) =>
    text.replace(
      /[&<>"]/g,
      (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c,
    );
  const cases = [
    ...[COVERAGE, 'static checks'].map((name) => {
      const own = found.filter(({ rule }) => (rule === COVERAGE) === (name === COVERAGE));
      const failures = own
        .map((p) => `<failure message="${escape(`${p.file}:${p.line} ${p.message}`)}"/>`)
        .join('');
      return `<testcase name="${name}">${failures}</testcase>`;
    }),
    ...results.map(({ check: { name, title, severity }, findings, sample, problem }) => {
      const message = problem?.message ?? `${findings} rows: ${sample.join('; ')}`;
      const failure =
        findings > 0 && severity === 'error' ? `<failure message="${escape(message)}"/>` : '';
      return `<testcase classname="checks" name="${escape(`${name}: ${title}`)}">${failure}</testcase>`;
    }),
  ];
  return `<?xml version="1.0"?>\n<testsuite name="runner check" tests="${cases.length}">\n${cases.join('\n')}\n</testsuite>\n`;
}
