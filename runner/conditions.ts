/*
 * Messages of the server that may quote values of rows: those of class 22 (data exception) and 23
 * (integrity constraint violation). Instead of them the name of the condition is shown and kept.
 */

/** Conditions that a value of a row can raise, as PostgreSQL names them; others by their class. */
const CONDITIONS: Record<string, string> = {
  '22001': 'string_data_right_truncation',
  '22003': 'numeric_value_out_of_range',
  '22004': 'null_value_not_allowed',
  '22007': 'invalid_datetime_format',
  '22008': 'datetime_field_overflow',
  '22009': 'invalid_time_zone_displacement_value',
  '22011': 'substring_error',
  '22012': 'division_by_zero',
  '22015': 'interval_field_overflow',
  '22018': 'invalid_character_value_for_cast',
  '22019': 'invalid_escape_character',
  '22021': 'character_not_in_repertoire',
  '22023': 'invalid_parameter_value',
  '22025': 'invalid_escape_sequence',
  '22026': 'string_data_length_mismatch',
  '22030': 'duplicate_json_object_key_value',
  '22032': 'invalid_json_text',
  '2200M': 'invalid_xml_document',
  '2200N': 'invalid_xml_content',
  '2201B': 'invalid_regular_expression',
  '2201E': 'invalid_argument_for_logarithm',
  '2201F': 'invalid_argument_for_power_function',
  '2202E': 'array_subscript_error',
  '22P01': 'floating_point_exception',
  '22P02': 'invalid_text_representation',
  '22P03': 'invalid_binary_representation',
  '22P05': 'untranslatable_character',
  '23001': 'restrict_violation',
  '23502': 'not_null_violation',
  '23503': 'foreign_key_violation',
  '23505': 'unique_violation',
  '23514': 'check_violation',
  '23P01': 'exclusion_violation',
};

const CLASSES: Record<string, string> = {
  '22': 'data_exception',
  '23': 'integrity_constraint_violation',
};

/** Where in the schema it happened, as far as the server says. */
export interface Place {
  constraint?: string | null | undefined;
  column?: string | null | undefined;
}

/**
 * What may be said of an error of class 22 or 23: `not_null_violation (23502), column name`;
 * undefined for every other code, whose message quotes no row.
 */
export function saidOf(code: string, { constraint, column }: Place = {}): string | undefined {
  const name = CONDITIONS[code] ?? CLASSES[code.slice(0, 2)];
  if (name === undefined) return undefined;
  const places = [
    constraint ? `constraint ${constraint}` : '',
    column ? `column ${column}` : '',
  ].filter((place) => place !== '');
  return [`${name} (${code})`, ...places].join(', ');
}

/** What to do about a statement that failed while rows were merged; the first that fits. */
const ADVICE: [RegExp, string][] = [
  [/^2[23]/, 'correct its file, or the rows that it reads'],
  [/^42501/, 'grant the right that is missing: `runner doctor` looks at all of them'],
  [/^42/, 'source or target are not as they were when this run began: run `up` again'],
  [/^53100/, 'free space on the server, and run `up` again'],
  [/^53/, 'the server has no room left for this: see its log, and run `up` again'],
  [/^(55P03|40P01)/, 'another session holds the rows or the table: run `up` again when it is done'],
  [/^57014/, 'a time limit was reached, or somebody cancelled it: run `up` again'],
  [/^0[89A]|^HV/, 'the source or the way to it failed: `runner doctor` looks at both'],
  [/^P0001/, 'a trigger of the application raised this: see the triggers on its table'],
];

/**
 * A failure of a statement, with whose it is (entity or archive table, none of a phase as a whole), file,
 * SQLSTATE and what to do.
 * `said` holds no values of rows.
 */
export function blamedOn(
  name: string | undefined,
  file: string | undefined,
  code: string,
  said: string,
): string {
  const state = said.includes(`(${code})`) ? '' : ` (SQLSTATE ${code})`;
  const advice =
    ADVICE.find(([codes]) => codes.test(code))?.[1] ?? 'correct the cause, run `up` again';
  const whose = name === undefined ? '' : `${name}: `;
  return `${whose}${said}${state}\n  ${file === undefined ? '' : `${file}: `}${advice}`;
}
