/* Why a certificate cannot be given. */
import type { Summary } from '../engine/summary.ts';
import { counted } from './document.ts';
import type { Facts } from './facts.ts';

/**
 * Sentences, each with the command that helps; none = everything that stands in the target has been
 * compared and checked, by the files of this checkout, since something was written there last.
 */
export function obstaclesOf(facts: Facts, lastRun: Summary['lastRun']): string[] {
  return [
    ...stateOf(facts, lastRun),
    ...verificationOf(facts),
    ...checksOf(facts),
    ...amountsOf(facts),
  ];
}

function stateOf({ complete, verdict, account }: Facts, lastRun: Summary['lastRun']): string[] {
  const found: string[] = [];
  if (!complete) found.push(`The migration is not complete: ${verdict}`);
  if (lastRun !== null && lastRun.status !== 'done') {
    found.push(
      `Run ${lastRun.run} (${lastRun.command}) is not done: ${lastRun.status}. Run \`runner up\`.`,
    );
  }
  if (account.unaccounted !== 0) {
    const rows = counted(Math.abs(account.unaccounted), 'source row');
    found.push(`${rows} cannot be accounted for. Run \`runner check\`.`);
  }
  return found;
}

/** The last whole `verify`, and what parts of it found since. */
function verificationOf({ verified }: Facts): string[] {
  const whole = verified.find(({ names }) => names.length === 0);
  if (whole === undefined) return ['`verify` has never compared everything. Run `runner verify`.'];
  const found: string[] = [];
  if (!whole.stands) found.push('Something was written since `verify` began. Run `runner verify`.');
  if (!whole.sameFiles) found.push('`verify` compared with other SQL files. Run `runner verify`.');
  const since = verified.slice(0, verified.indexOf(whole) + 1);
  const wrong = since.find(({ differences }) => differences > 0);
  if (wrong !== undefined) {
    found.push(
      `\`verify\` found ${counted(wrong.differences, 'difference')}. Run \`runner up\`, then \`runner verify\`.`,
    );
  }
  return found;
}

function checksOf({ checks }: Facts): string[] {
  const named = (test: (check: Facts['checks'][number]) => boolean) =>
    checks.filter(test).map(({ name }) => name);
  const never = named(({ at }) => at === null);
  const old = named(({ at, stands }) => at !== null && !stands);
  const other = named(({ at, stands, sameFiles }) => at !== null && stands && !sameFiles);
  const found = named(({ at, findings, failed }) => at !== null && (findings > 0 || failed));
  return [
    ...(never.length === 0
      ? []
      : [`Checks that have never run: ${list(never)}. Run \`runner check\`.`]),
    ...(old.length === 0
      ? []
      : [`Something was written since these checks ran: ${list(old)}. Run \`runner check\`.`]),
    ...(other.length === 0
      ? []
      : [
          `These checks, or the files they look at, are others now: ${list(other)}. Run \`runner check\`.`,
        ]),
    ...(found.length === 0
      ? []
      : [
          `Checks that found something: ${list(found)}. Mend it, or acknowledge each with a reason; ` +
            'then run `runner check`.',
        ]),
  ];
}

function amountsOf({ amounts, amountsMissing }: Facts): string[] {
  if (amountsMissing !== null) return [`The amounts are not known: ${amountsMissing}`];
  const unequal = amounts.filter(({ difference }) => Number(difference) !== 0);
  return unequal.length === 0
    ? []
    : [
        `${counted(unequal.length, 'amount')} differ between source and target. Run \`runner check\`.`,
      ];
}

function list(names: string[]): string {
  return names.join(', ');
}
