import { existsSync, readdirSync, readFileSync } from 'node:fs';

import { type Accepted, likeOf, readAccepted } from './accepted.ts';
import type { Happening } from './events.ts';
import { AWAIT_LINK, CLOSE_LINK } from './link.ts';
import { type Problem, positionAt } from './text.ts';
import { saidOf } from '../conditions.ts';
import { failureOf, savepoint, type Session } from '../database.ts';
import { placeOf } from '../project.ts';
import { bound, literal } from '../quote.ts';
import { type Helped, inTwo } from './two.ts';

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
  /** It calls a function of COMPARING, so that one reading of an entity may answer it with others. */
  asks: boolean;
  /** Findings that are accepted in checks/accepted.txt; of warnings only. */
  accepted: Accepted[];
  /** `edits  explain`: the application, changing migrated rows, may cause findings. */
  explainedByEdits: boolean;
  /** `verdict  rows are ...`: what a run that is right says of the rows it counts (`row_count`). */
  verdict: string | null;
}

/** What a check found. */
export interface CheckResult {
  check: Check;
  findings: number;
  /** The first offending rows, as `column=value` lists. Checks select keys and counts, no data. */
  sample: string[];
  /** Findings that a person has accepted, which are not among the others. */
  acknowledged: number;
  /** The first of these, each with the reason. */
  remarks: string[];
  /** The check itself failed; what the server said. */
  problem: Problem | undefined;
  /** It failed at a value that cannot be read (class 22). */
  unreadable: boolean;
}

/**
 * Functions of the engine that ask `migration.is_settled`. A check that calls one inside a function of its own is
 * not known to ask, and reads for itself.
 */
export const COMPARING = [
  'differing_values',
  'id_map_faults',
  'money_differences',
  'unmapped_rows',
  'wrong_legacy_ids',
  'wrong_references',
];
const ASKS = new RegExp(`\\bmigration\\.(${COMPARING.join('|')})\\(`);

/** Findings of a check that are listed, and accepted ones. */
const LISTED = 5;

/**
 * Reads the checks of a folder, in the order of their names, and `performance`. With `checks` those of the
 * engine are among them; one of the project takes the place of the engine's of the same name.
 */
export function readChecks(root: string, folder: 'checks' | 'checks/before'): Check[] {
  const accepted = readAccepted(root);
  // an error is accepted in the ledger, by whoever runs it (`acknowledge`)
  const acceptedOf = (check: Pick<Check, 'file' | 'severity'>) => {
    const by = check.file.replace(/^checks\/(engine\/)?/, '').replace(/\.sql$/, '');
    return check.severity === 'error' ? [] : accepted.filter((each) => each.by === by);
  };
  const own = sqlFiles(root, folder);
  const engine = folder === 'checks' ? sqlFiles(root, 'checks/engine') : [];
  const all = [...engine.filter(({ name }) => !own.some((each) => each.name === name)), ...own];
  const checks = all.toSorted(byName).map(({ name, file, text }) => ({
    name,
    file,
    text,
    title: /^-- (.*)/.exec(text)?.[1] ?? name,
    severity: /^-- severity\s+warning/m.test(text) ? ('warning' as const) : ('error' as const),
    explainedByEdits: /^-- edits\s+explain/m.test(text),
    needsLink: /\blegacy\./.test(text) || /^-- reads\s+source/m.test(text),
    asks: ASKS.test(text),
    verdict: /^-- verdict\s+(.*)/m.exec(text)?.[1] ?? null,
  }));
  const queries = sqlFiles(root, `${folder}/${PERFORMANCE}`);
  return [...checks, ...(queries.length === 0 ? [] : [performanceCheck(folder, queries)])].map(
    (check) => ({ ...check, accepted: acceptedOf(check) }),
  );
}

/** Its queries are files of their own: what the application asks most. */
const PERFORMANCE = 'performance';

interface SqlText {
  name: string;
  file: string;
  text: string;
}

function sqlFiles(root: string, folder: string): SqlText[] {
  if (!existsSync(placeOf(root, folder))) return [];
  return readdirSync(placeOf(root, folder))
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
    .map((name) => {
      const file = `${folder}/${name}`;
      const text = readFileSync(placeOf(root, file), 'utf8');
      return { name: name.replace(/\.sql$/, ''), file, text };
    });
}

function byName(a: SqlText, b: SqlText): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function performanceCheck(folder: string, files: SqlText[]): Omit<Check, 'accepted'> {
  const queries = files.map(({ name, text }) => ({
    name,
    text,
    index: /^-- index\s+(.*)/m.exec(text)?.[1] ?? null,
  }));
  return {
    name: PERFORMANCE,
    file: `${folder}/${PERFORMANCE}`,
    text: `select * from migration.slow_queries(${literal(JSON.stringify(queries))})`,
    title: 'No query the application makes most reads all of a large table.',
    severity: 'warning',
    explainedByEdits: false,
    needsLink: false,
    asks: false,
    verdict: null,
  };
}

/**
 * Runs checks inside the caller's transaction, in which nothing is changed, in one call: those that
 * neither read the source nor ask come first. Opens the link where one of them reads the source, and closes
 * what it opened. The session has its login (`login`). With a phase they look at its entities only:
 * what follows from earlier phases has been looked at before. A check fails that names an entity no
 * file defines (`definedEntities`), or that asks about an entity of the phase that cannot be looked
 * at. `most`: how many findings are listed. Throws where the source is out of reach, and where a check
 * is cancelled.
 */
export async function runChecks(
  session: Session,
  checks: Check[],
  defined: Record<string, string> | undefined,
  phase = '',
  most = LISTED,
  settled: string[] | null = null,
): Promise<CheckResult[]> {
  const rows = await session.batch([
    bound('select * from migration.run_checks($1::text::jsonb, $2, $3::text::jsonb, $4, $5)', [
      textsOf(checks),
      phase,
      defined === undefined ? null : JSON.stringify(defined),
      most,
      settled,
    ]),
    // what is settled has been asked through it
    ...(settled === null ? [] : [CLOSE_LINK]),
  ]);
  const results: CheckResult[] = [];
  for (const row of rows.filter((each) => 'findings' in each) as unknown as Ran[]) {
    const check = checks.find(({ name }) => name === row.name);
    if (check === undefined) continue;
    const { findings, sample, acknowledged, remarks, code } = row;
    const problem = code === null ? undefined : await problemOf(session, check, row);
    const unreadable = code?.startsWith('22') ?? false;
    results.push({ check, findings, sample, acknowledged, remarks, problem, unreadable });
  }
  return results;
}

/** What is told of a check; `phase` null: before the first write. */
export function checkDone(
  { check, findings, problem }: CheckResult,
  phase: string | null,
): Happening {
  const { file, severity } = check;
  return {
    type: 'check.done',
    check: file,
    phase,
    severity,
    // one that could not be run has found that
    findings: problem === undefined ? findings : Math.max(findings, 1),
  };
}

/** Checks as the engine takes them. */
function textsOf(checks: Check[]): string {
  return JSON.stringify(
    checks.map(({ name, text, needsLink, asks, accepted }) => ({
      name,
      text,
      through_link: needsLink,
      asks,
      accepted: accepted.map(({ finding, reason }) => ({ like: likeOf(finding), reason })),
    })),
  );
}

/**
 * The same in two sessions: what neither reads the source nor asks is for the second, and then comparisons of
 * single entities, as long as there are any. `enter` opens its link; false where it cannot.
 */
export async function runChecksInTwo(
  session: Session,
  checks: Check[],
  defined: Record<string, string>,
  helped: Helped & Entering,
  phase = '',
): Promise<CheckResult[]> {
  const through = checks.some(({ needsLink }) => needsLink)
    ? checks.filter(({ needsLink, asks }) => needsLink || asks)
    : [];
  const others = checks.filter((check) => !through.includes(check));
  let found: CheckResult[] | undefined;
  const settled: string[] = [];
  await inTwo(
    session,
    grouped(await readComparisons(session, through, defined, phase)),
    async (reader, group) => {
      const rows = await reader.batch(
        group.map(({ entity, comparisons }) =>
          bound('select migration.settled_comparisons($1, $2::text::jsonb) as keys', [
            entity,
            JSON.stringify(comparisons),
          ]),
        ),
      );
      settled.push(...(rows as { keys: string[] }[]).flatMap(({ keys }) => keys));
    },
    letIn(helped, lookAt(defined, phase), async (second) => {
      // before its link is open: one of these looks for what opens it
      found = await runChecks(second, others, defined, phase);
    }),
  );
  const results = await runChecks(session, through, defined, phase, LISTED, settled);
  found ??= await runChecks(session, others, defined, phase);
  return [...found, ...results];
}

/** Opens the link of a second session; false where another command reads this way. */
export interface Entering {
  enter: (second: Session) => Promise<boolean>;
}

/**
 * Whether the rows that this run wrote of a phase pass the comparisons of the checks, inside the caller's
 * transaction; in one message, or with `helped` in two sessions. The link is closed in the end.
 */
export async function isWrittenRight(
  session: Session,
  checks: Check[],
  defined: Record<string, string>,
  phase: string,
  helped?: Helped & Entering,
): Promise<boolean> {
  const through = checks.filter(({ needsLink }) => needsLink);
  if (through.length === 0) return true;
  const isRight = (rows: Record<string, unknown>[]): boolean =>
    rows.every((row) => row['right'] !== false);
  if (helped === undefined) {
    const all = bound('select migration.are_written_right($1::text::jsonb) as right', [
      textsOf(through),
    ]);
    const asked = [lookAt(defined, phase), AWAIT_LINK, all, CLOSE_LINK];
    return isRight(await session.batch(asked));
  }
  let right = true;
  await inTwo(
    session,
    grouped(await readComparisons(session, through, defined, phase)),
    async (reader, group) => {
      if (!right) return;
      const asked = group.map(({ entity, comparisons }) =>
        bound('select migration.is_written_right($1, $2::text::jsonb) as right', [
          entity,
          JSON.stringify(comparisons),
        ]),
      );
      right = isRight(await reader.batch(asked)) && right;
    },
    letIn(helped, lookAt(defined, phase)),
  );
  await session.batch([CLOSE_LINK]);
  return right;
}

/** A second session that is let in looks at the same; `before` that it does what needs no link. */
function letIn(
  { beside, cancel, enter }: Helped & Entering,
  look: string,
  before?: (second: Session) => Promise<void>,
): Helped {
  return {
    cancel,
    beside: (help) =>
      beside(async (second) => {
        await before?.(second);
        if (!(await enter(second))) return;
        await second.batch([look]);
        await help(second);
      }),
  };
}

/** What is compared of an entity, of so many rows. */
interface Comparisons {
  entity: string;
  comparisons: object;
  rows: number;
}

/** Small ones together: a group is one message. */
function grouped(all: Comparisons[]): Comparisons[][] {
  const groups: Comparisons[][] = [];
  let rows = Number.POSITIVE_INFINITY;
  for (const each of all) {
    rows += each.rows;
    if (rows > COMPARED_TOGETHER) {
      groups.push([]);
      rows = each.rows;
    }
    groups.at(-1)?.push(each);
  }
  return groups;
}

/** Source rows of entities that are compared in one message. */
const COMPARED_TOGETHER = 20_000;

/** What the checks compare, by entity; opens the link where there is anything. */
async function readComparisons(
  session: Session,
  checks: Check[],
  defined: Record<string, string>,
  phase: string,
): Promise<Comparisons[]> {
  if (checks.length === 0) return [];
  const rows = await session.batch([
    lookAt(defined, phase),
    AWAIT_LINK,
    bound('select * from migration.entity_comparisons($1::text::jsonb)', [textsOf(checks)]),
  ]);
  return rows.filter((row) => 'comparisons' in row) as unknown as Comparisons[];
}

/** What is asked from here on is about the entities of these files, of a phase where one is named. */
function lookAt(defined: Record<string, string>, phase: string): string {
  return bound('select migration.look_at($1, $2::text::jsonb)', [phase, JSON.stringify(defined)]);
}

/** A row of `migration.run_checks`. */
interface Ran {
  name: string;
  findings: number;
  sample: string[];
  acknowledged: number;
  remarks: string[];
  /** SQLSTATE, message and hint where the check failed. */
  code: string | null;
  message: string | null;
  hint: string | null;
}

/**
 * Why a check failed and where in its file: the server says where only if the error is not caught. An
 * error that parsing does not meet has come from a row: its message may quote it.
 */
async function problemOf(
  session: Session,
  check: Check,
  { code, message, hint }: Ran,
): Promise<Problem> {
  let position: number | undefined;
  try {
    const text = literal(check.text);
    await savepoint(session, () => session.query(`select migration.parse_check(${text})`));
  } catch (error) {
    position = failureOf(error)?.innerPosition;
  }
  const said = position === undefined ? saidOf(code ?? '') : undefined;
  return {
    rule: 'check',
    file: check.file,
    ...positionAt(check.text, (position ?? 1) - 1),
    message: said ?? message ?? '',
    fix: (said === undefined ? hint : null) ?? 'correct the check, or the column it reads',
  };
}

/**
 * Runs `checks/before` with the link open. Findings of severity error come back as problems, the
 * others go to `remark`.
 */
export async function runBeforeChecks(
  session: Session,
  root: string,
  remark: (line: string, check: string) => void,
  report: (event: Happening) => void,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const results = await runChecks(session, readChecks(root, 'checks/before'), undefined);
  for (const result of results) {
    const { check } = result;
    report(checkDone(result, null));
    if (result.problem !== undefined) problems.push(result.problem);
    else if (result.findings > 0 && check.severity === 'warning') {
      remark(`not so: ${check.title} (${result.sample.join('; ')})`, check.name);
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
