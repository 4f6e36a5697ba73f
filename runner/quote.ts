/** A name as an identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
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
