import { writeFileSync } from 'node:fs';

import type { Problem } from '../catalog.ts';
import { type CheckResult, readChecks, runCheck } from '../checks.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { type Session, transaction } from '../database.ts';
import { installedHash } from '../ledger.ts';
import { login, openLink } from '../link.ts';
import { note, problems, say, sayJson, words } from '../terminal.ts';

export const check: Command = {
  name: 'check',
  summary: 'data checks and static checks; exit 1 when one finds something',
  usage: 'check [name...]',
  options: {
    static: { text: 'only the checks of the files: no database needed' },
    junit: { text: 'write the results as JUnit XML', value: 'file' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const names = context.positionals;
  const checks = readChecks(context.root, 'checks').filter(
    ({ name }) => names.length === 0 || names.includes(name),
  );
  const unknown = names.filter((name) => !checks.some((known) => known.name === name));
  if (unknown.length > 0) {
    const known = readChecks(context.root, 'checks').map(({ name }) => name);
    throw new UsageError(`there is no check ${unknown.join(', ')}; there are ${known.join(', ')}`);
  }
  const found = names.length === 0 ? await staticProblems(context) : [];
  const results = context.has('static') ? [] : await dataChecks(context, checks);
  const file = context.value('junit');
  if (file !== undefined) writeFileSync(file, junit(found, results));
  const failed =
    found.length +
    results.filter(({ findings, check: { severity } }) => findings > 0 && severity === 'error')
      .length;
  if (context.has('json')) {
    sayJson({
      problems: found,
      checks: results.map(({ check: { name, severity, title }, findings, sample, problem }) => ({
        name,
        severity,
        title,
        findings,
        sample,
        error: problem?.message ?? null,
      })),
    });
    return failed > 0 ? 1 : 0;
  }
  problems(
    found,
    (path) =>
      context
        .catalog()
        .phases.flatMap((p) => p.entities)
        .find((e) => e.file === path)?.text,
  );
  if (names.length === 0) {
    say(
      `static checks: ${found.length === 0 ? words.good('nothing found') : `${found.length} found`}`,
    );
  }
  for (const result of results) showResult(result);
  return failed > 0 ? 1 : 0;
}

async function staticProblems(context: Context): Promise<Problem[]> {
  const rules = await import('../../checks/static/index.ts');
  return rules.staticProblems(context.root);
}

/** Runs data checks in a transaction that is read only and always rolled back. */
async function dataChecks(
  context: Context,
  checks: ReturnType<typeof readChecks>,
): Promise<CheckResult[]> {
  const { source } = await context.config();
  const session = await context.session('runner check');
  if ((await installedHash(session)) === undefined) {
    note('nothing is migrated yet: the data checks are left out');
    return [];
  }
  await login(session, source);
  return transaction(session, () => runAll(session, checks), { commit: false, lockTimeout: '1s' });
}

async function runAll(
  session: Session,
  checks: ReturnType<typeof readChecks>,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const needsLink = checks.some((each) => each.needsLink);
  if (needsLink) await openLink(session);
  await session.query('set transaction read only');
  for (const each of checks) results.push(await runCheck(session, each));
  return results;
}

function showResult({
  check: { name, title, severity, file },
  findings,
  sample,
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
}

function junit(found: Problem[], results: CheckResult[]): string {
  const escape = (text: string) =>
    text.replace(
      /[&<>"]/g,
      (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c,
    );
  const cases = [
    `<testcase name="static checks">${found
      .map((p) => `<failure message="${escape(`${p.file}:${p.line} ${p.message}`)}"/>`)
      .join('')}</testcase>`,
    ...results.map(({ check: { name, title, severity }, findings, sample, problem }) => {
      const message = problem?.message ?? `${findings} rows: ${sample.join('; ')}`;
      const failure =
        findings > 0 && severity === 'error' ? `<failure message="${escape(message)}"/>` : '';
      return `<testcase classname="checks" name="${escape(`${name}: ${title}`)}">${failure}</testcase>`;
    }),
  ];
  return `<?xml version="1.0"?>\n<testsuite name="runner check" tests="${cases.length}">\n${cases.join('\n')}\n</testsuite>\n`;
}
