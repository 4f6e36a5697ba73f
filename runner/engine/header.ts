import { at, type Problem } from './text.ts';

/** The keys a header may have: what a value looks like, and what to write instead. */
export type Form = Record<string, { pattern: RegExp; fix: string }>;

/** The header of an entity file. */
export const ENTITY_FORM: Form = {
  target: {
    pattern: /^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/,
    fix: 'write `-- target   public.people`',
  },
  source: {
    pattern: /^[a-z_][a-z0-9_]*$/,
    fix: 'write the driving table without its schema, or `none`',
  },
  adopt: {
    pattern: /^[a-z_][a-z0-9_]*(\s*,\s*[a-z_][a-z0-9_]*)*$/,
    fix: 'write view columns, comma separated, or `none`',
  },
  deletes: { pattern: /^(keep|remove)$/, fix: 'write `keep` or `remove`' },
  commit: { pattern: /^batch$/, fix: 'write `batch`, or leave the line out' },
  tolerance: {
    pattern: /^(100|\d{1,2}(\.\d+)?) %$/,
    fix: 'write a percentage between 0 and 100: `5 %`',
  },
  read: { pattern: /^whole$/, fix: 'write `whole`, or leave the line out' },
};
/** What it must have. */
export const ENTITY_KEYS = ['target', 'source', 'adopt'];

/** The header of a file of `sql/archive`. */
export const ARCHIVE_FORM: Form = {
  target: {
    pattern: /^legacy_archive\.[a-z_][a-z0-9_]*$/,
    fix: 'write `-- target  legacy_archive.agents`',
  },
  source: { pattern: /^[a-z_][a-z0-9_]*$/, fix: 'write the source table without its schema' },
  secret: { pattern: /^[a-z_][a-z0-9_]*$/, fix: 'write the one column, or leave the line out' },
};

/** Values by key: the last paragraph of the comment block the file begins with. */
export function readHeader(
  file: string,
  text: string,
  problems: Problem[],
  known: Form,
  required: string[],
): Map<string, string> {
  const values = new Map<string, string>();
  const report = (line: number, column: number, message: string, fix: string) =>
    problems.push(at('header', file, line, column, message, fix));

  const lines = text.split(/\r?\n/);
  const after = lines.findIndex((line) => !line.startsWith('--'));
  const block = lines.slice(0, after === -1 ? lines.length : after);
  const bare = block.findLastIndex((line) => line.trimEnd() === '--');
  const header = block.slice(bare + 1);
  const form = /^(-- ([^\s]+)\s{2,})(\S.*?)\s*$/;

  if (
    bare < 1 ||
    block[0] === undefined ||
    !/^-- \S/.test(block[0]) ||
    !header.some((line) => form.test(line))
  ) {
    const fix = 'begin with a sentence, a bare `--`, then lines like `-- target   public.people`';
    report(1, 1, 'the file does not begin with a title and a header', fix);
    return values;
  }

  for (const [index, line] of header.entries()) {
    const number = bare + 2 + index;
    const [, before, key, value] = form.exec(line) ?? [];
    if (before === undefined || key === undefined || value === undefined) {
      const fix =
        'write `-- key  value` with two blanks or more; comments stand above, set off by a bare `--`';
      report(number, 1, 'not a header line', fix);
    } else if (known[key] === undefined || !Object.hasOwn(known, key)) {
      report(
        number,
        4,
        `unknown key ${JSON.stringify(key)}`,
        `the keys are ${Object.keys(known).join(', ')}`,
      );
    } else if (values.has(key)) {
      report(number, 4, `${key} is said twice`, 'keep one of the two lines');
    } else {
      const { pattern, fix } = known[key];
      if (!pattern.test(value))
        report(number, before.length + 1, `malformed ${key}: ${JSON.stringify(value)}`, fix);
      values.set(key, value);
    }
  }
  for (const key of required.filter((word) => !values.has(word))) {
    report(
      bare + 2,
      1,
      `the header has no ${key}`,
      `add a line \`-- ${key}  ...\`; ${known[key]?.fix ?? ''}`,
    );
  }
  const columns = values.get('adopt')?.split(/\s*,\s*/) ?? [];
  if (new Set(columns).size < columns.length) {
    const line = bare + 2 + header.findIndex((each) => each.startsWith('-- adopt'));
    report(line, 4, 'adopt names a column twice', 'name each column once');
  }
  return values;
}
