import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Problem, positionAt } from './catalog.ts';
import { failureOf, savepoint, type Session } from './database.ts';
import { openLink, reading } from './link.ts';

/** A query that returns offending rows; none = pass. */
export interface Check {
  /** `orphans` from `checks/orphans.sql`. */
  name: string;
  file: string;
  text: string;
  /** First sentence of the file: what holds when the check passes. */
  title: string;
  severity: 'error' | 'warning';
  /** Reads the source, itself or (`-- reads  source`) by a function: the link is needed. */
  needsLink: boolean;
  /** `edits  explain`: the application, changing migrated rows, may cause findings. */
  explainedByEdits: boolean;
}

/** What a check found. */
export interface CheckResult {
  check: Check;
  findings: number;
  /** The first offending rows, as `column=value` lists. Checks select keys and counts, no data. */
  sample: string[];
  /** The check itself failed; what the server said. */
  problem: Problem | undefined;
  /** It failed at a value that cannot be read (class 22). */
  unreadable: boolean;
}

const SAMPLE = 5;

/** Reads `checks/*.sql` or another folder of checks, in the order of their names. */
export function readChecks(root: string, folder: string): Check[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
    .map((name) => {
      const file = `${folder}/${name}`;
      const text = readFileSync(join(root, file), 'utf8');
      return {
        name: name.replace(/\.sql$/, ''),
        file,
        text,
        title: /^-- (.*)/.exec(text)?.[1] ?? name,
        severity: /^-- severity\s+warning/m.test(text) ? 'warning' : 'error',
        explainedByEdits: /^-- edits\s+explain/m.test(text),
        needsLink: /\blegacy\./.test(text) || /^-- reads\s+source/m.test(text),
      };
    });
}

/**
 * Runs checks inside the caller's transaction, in which nothing is changed but that the link is
 * open afterwards, if one of them reads the source. Those that do not come first: one of them looks
 * for logins of the source that are left behind. The session has its login (`login`). With a phase
 * they look at its entities only: what follows from earlier phases has been looked at before. A
 * check fails that names an entity no file defines (`definedEntities`), or that asks about an
 * entity of the phase that cannot be looked at.
 */
export async function runChecks(
  session: Session,
  checks: Check[],
  defined: Record<string, string>,
  phase = '',
): Promise<CheckResult[]> {
  await session.query(
    `select set_config('migration.phase', $1, true), set_config('migration.entities', $2, true)`,
    [phase, JSON.stringify(defined)],
  );
  const results: CheckResult[] = [];
  const [atHome, throughLink] = [false, true].map((needsLink) =>
    checks.filter((each) => each.needsLink === needsLink),
  ) as [Check[], Check[]];
  for (const each of atHome) results.push(await runCheck(session, each));
  if (throughLink.length > 0) await openLink(session);
  for (const each of throughLink) results.push(await runCheck(session, each));
  return results;
}

/** Runs one check, read only, in the caller's transaction; an error of the query is a finding. */
export async function runCheck(session: Session, check: Check): Promise<CheckResult> {
  try {
    const rows = await savepoint(session, async () => {
      // ends with the savepoint
      await session.query('set transaction read only');
      return reading(session, () =>
        session.query<Record<string, unknown>>(check.text.trim().replace(/;$/, '')),
      );
    });
    const sample = rows.slice(0, SAMPLE).map((row) =>
      Object.entries(row)
        .map(([name, value]) => `${name}=${String(value)}`)
        .join(' '),
    );
    return { check, findings: rows.length, sample, problem: undefined, unreadable: false };
  } catch (error) {
    const failure = failureOf(error);
    // a source out of reach says nothing of the data
    if (failure === undefined || failure.code === '08001') throw error;
    const problem: Problem = {
      rule: 'check',
      file: check.file,
      ...positionAt(check.text, Math.max((failure.position ?? 1) - 1, 0)),
      message: failure.message,
      fix: failure.hint ?? 'correct the check, or the column it reads',
    };
    return { check, findings: 1, sample: [], problem, unreadable: failure.code.startsWith('22') };
  }
}

/**
 * Runs `checks/before` with the link open. Findings of severity error come back as problems, the
 * others go to `remark`.
 */
export async function runBeforeChecks(
  session: Session,
  root: string,
  remark: (line: string) => void,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const check of readChecks(root, 'checks/before')) {
    const result = await runCheck(session, check);
    if (result.problem !== undefined) problems.push(result.problem);
    else if (result.findings > 0 && check.severity === 'warning') {
      remark(`warning: ${check.file}: not so: ${check.title} (${result.sample.join('; ')})`);
    } else if (result.findings > 0) {
      problems.push({
        rule: 'before',
        file: check.file,
        line: 1,
        column: 1,
        message: `not so: ${check.title} (${result.sample.join('; ')})`,
        fix: 'correct the mapping (or the check) before anything is written',
      });
    }
  }
  return problems;
}
