import { at, type Problem } from './text.ts';

/** The keys a header may have: what a value looks like, what to write instead, and whether it may be said often. */
export type Form = Record<string, { pattern: RegExp; fix: string; often?: true }>;

/** A line `-- key  value`; line counts from 1, column is where the value begins. */
export interface HeaderLine {
  key: string;
  value: string;
  line: number;
  column: number;
}

/** Why a row is not stored, in one word and in a sentence. */
export interface Reason {
  kind: 'reject' | 'filter';
  name: string;
  sentence: string;
}

const REASON = {
  pattern: /^[a-z][a-z0-9_]*\s{2,}\S/,
  fix: 'write the reason, two blanks, and what it means: `orphan_order  its order is not stored`',
  often: true,
} as const;

const SOURCE_NAME = /^[A-Za-z_][\w$]*$/;
const KEY = {
  pattern: /^[A-Za-z_][\w$]*(\s*,\s*[A-Za-z_][\w$]*)*$/,
  fix: 'write the columns that tell source rows apart, comma separated; no line where it is `id`',
} as const;

/** The header of an entity file. */
export const ENTITY_FORM: Form = {
  target: {
    pattern: /^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$/,
    fix: 'write `-- target   public.people`',
  },
  source: {
    pattern: SOURCE_NAME,
    fix: 'write the driving table without its schema, as the source spells it, or `none`',
  },
  key: KEY,
  id: {
    pattern: /^source$/,
    fix: 'write `source` where the view has a column `id` (uuid), or leave the line out',
  },
  part: {
    pattern: /^[a-z_][a-z0-9_]*\s{2,}[a-z][a-z0-9_]*(\s*,\s*[a-z][a-z0-9_]*)+$/,
    fix: 'write the text column that tells the parts of a source row apart, two blanks, and its values: `kind  home, work`',
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
  mapping: {
    pattern: /^[a-z][a-z0-9_]*$/,
    fix: 'write the entity type under which its ids are looked up, or leave the line out',
  },
  reject: REASON,
  filter: REASON,
};
/** What it must have. */
export const ENTITY_KEYS = ['target', 'source', 'adopt'];

/** The header of a file of `sql/archive`. */
export const ARCHIVE_FORM: Form = {
  target: {
    pattern: /^legacy_archive\.[a-z_][a-z0-9_]*$/,
    fix: 'write `-- target  legacy_archive.agents`',
  },
  source: { pattern: SOURCE_NAME, fix: 'write the source table without its schema' },
  key: KEY,
  secret: { pattern: SOURCE_NAME, fix: 'write the one column, or leave the line out' },
};

/** The lines of a header: the last paragraph of the comment block the file begins with. */
export function readHeader(
  file: string,
  text: string,
  problems: Problem[],
  known: Form,
  required: string[],
): HeaderLine[] {
  const values: HeaderLine[] = [];
  const has = (word: string) => values.some(({ key }) => key === word);
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
    } else if (has(key) && known[key].often !== true) {
      report(number, 4, `${key} is said twice`, 'keep one of the two lines');
    } else {
      const { pattern, fix } = known[key];
      if (!pattern.test(value))
        report(number, before.length + 1, `malformed ${key}: ${JSON.stringify(value)}`, fix);
      values.push({ key, value, line: number, column: before.length + 1 });
    }
  }
  for (const key of required.filter((word) => !has(word))) {
    report(
      bare + 2,
      1,
      `the header has no ${key}`,
      `add a line \`-- ${key}  ...\`; ${known[key]?.fix ?? ''}`,
    );
  }
  const columns = valueOf(values, 'adopt')?.split(/\s*,\s*/) ?? [];
  if (new Set(columns).size < columns.length) {
    const line = bare + 2 + header.findIndex((each) => each.startsWith('-- adopt'));
    report(line, 4, 'adopt names a column twice', 'name each column once');
  }
  return values;
}

/** The value of a key that is said once at most. */
export function valueOf(header: readonly HeaderLine[], word: string): string | undefined {
  return header.find(({ key }) => key === word)?.value;
}

/** The reasons a header names, with the lines they stand on. */
export function reasonsOf(header: readonly HeaderLine[]): (Reason & { line: number })[] {
  return header.flatMap(({ key, value, line }) => {
    if (key !== 'reject' && key !== 'filter') return [];
    const [name = '', sentence = ''] = value.split(/\s{2,}(.*)/s);
    return [{ kind: key, name, sentence, line }];
  });
}
