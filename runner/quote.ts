/** A name as an identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A name as a person writes it: quoted where it has to be. */
export function named(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : quoted(name);
}

/** A text as a literal. */
export function literal(text: string): string {
  return text.includes('\\')
    ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;
}

/** A parameter as a literal of no type yet: what stands around it decides. */
function value(parameter: Parameter): string {
  if (parameter === null) return 'null';
  if (!Array.isArray(parameter)) return literal(String(parameter));
  const items = parameter.map((each) =>
    typeof each === 'number' ? String(each) : `"${each.replace(/["\\]/g, '\\$&')}"`,
  );
  return literal(`{${items.join(',')}}`);
}

/** A statement with its parameters in place: sent as one message, where bound it would be two. */
export function bound(text: string, parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return text;
  return text.replace(/\$(\d+)/g, (_, number: string) => {
    const parameter = parameters[Number(number) - 1];
    if (parameter === undefined) throw new Error(`there is no parameter $${number}`);
    return value(parameter);
  });
}

/** What a parameter may be; bigints and numerics travel as text. */
export type Parameter = string | number | boolean | null | string[] | number[];

/** A text as a field of COPY. */
export function copyField(text: string): string {
  return text.replace(/[\\\n\r\t]/g, (c) => `\\${{ '\n': 'n', '\r': 'r', '\t': 't' }[c] ?? c}`);
}

/** Words that are no names, neither of columns nor behind a dot of everything PostgreSQL 10 to 18 read. */
const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
   collation column concurrently constraint create cross current_catalog current_date current_role
   current_schema current_time current_timestamp current_user default deferrable desc distinct do else end
   except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into
   is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on
   only or order outer overlaps placing primary references returning right select session_user similar some
   symmetric system_user table tablesample then to trailing true union unique user using variadic verbose
   when where window with`.split(/\s+/),
);
