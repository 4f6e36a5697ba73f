import type { Node } from 'libpg-query';
import type { Problem } from '../../runner/engine/text.ts';
import { all, words } from '../../runner/engine/grammar.ts';
import { offsetOf, problem, type ViewFile } from './sql.ts';

const FIX =
  'supply NULL or a column of the source; defaults and triggers of the target set load times';
const MOMENTS = ['now', 'today', 'tomorrow', 'yesterday'];
const TIMES = ['date', 'time', 'timetz', 'timestamp', 'timestamptz'];
const VOLATILE =
  /^(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|random_normal|setseed|gen_random_uuid|gen_random_bytes|gen_salt|uuidv4|uuidv7|uuid_generate_\w+|nextval|currval|lastval|setval|current_setting|set_config|current_schemas?|current_database|version|inet_\w+|txid_\w+|pg_\w+)$/;

/**
 * Problem: now(), random(), current_user and their kind give another value on every read: rows would look
 * changed on every run, and verification could not compare.
 * Fix: take the value from the source, or supply NULL.
 */
export function deterministic(file: ViewFile): Problem[] {
  const report = (offset: number, what: string) =>
    problem('deterministic', file, offset, `${what} is not the same on every read`, FIX);
  return [
    ...all(file.statements, 'SQLValueFunction').map((value) =>
      report(value.location ?? 0, (value.op ?? '').replace(/^SVFOP_|_N$/g, '').toLowerCase()),
    ),
    ...all(file.statements, 'FuncCall')
      .filter((call) => isVolatile(words(call.funcname)))
      .map((call) => report(call.location ?? 0, `${words(call.funcname).join('.')}()`)),
    ...all(file.statements, 'TypeCast')
      .filter(
        (cast) => TIMES.includes(words(cast.typeName?.names).at(-1) ?? '') && isMoment(cast.arg),
      )
      .map((cast) => report(offsetOf(cast.arg), 'the literal')),
    ...all(file.statements, 'RangeTableSample').map((sample) =>
      report(offsetOf(sample), 'a sample'),
    ),
  ];
}

/** Whether a function, given by the parts of its name, is one of those this rule reports. */
export function isVolatile(name: readonly string[]): boolean {
  return name[0] !== 'migration' && VOLATILE.test(name.at(-1) ?? '');
}

function isMoment(node: Node | undefined): boolean {
  if (node === undefined || !('A_Const' in node)) return false;
  return MOMENTS.includes(node.A_Const.sval?.sval?.trim().toLowerCase() ?? '');
}
