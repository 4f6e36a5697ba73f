import type { Draft, Join, Open } from './draft.ts';
import { named } from '../quote.ts';

/** Wider expressions do not move the names of the others. */
const WIDEST = 56;

/**
 * The file of an entity. What a person has to decide stands in it as lines `-- undecided  …`, which the
 * static checks find; with `settled` as a remark.
 */
export function entityText(draft: Draft, { settled = false } = {}): string {
  const { name, source, target, alias, joins, defaults } = draft;
  const rejects = joins.filter(({ reject }) => reject !== undefined);
  const header = [
    `-- ${capital(target.name.replaceAll('_', ' '))}: one per ${source.name}.`,
    '--',
    ...aligned('-- ', [
      ['target', `${target.schema}.${target.name}`],
      ['source', source.name],
      ...(draft.key.join() === 'id' && !draft.legacyKey.includes('(')
        ? []
        : [['key', draft.key.join(', ')]]),
      ...(draft.keepsId ? [['id', 'source']] : []),
      ['adopt', draft.adopt ?? 'none'],
      ...rejects.map(({ reject, entity }) => [
        'reject',
        `${reject}  its row of ${entity} is not stored`,
      ]),
    ]),
  ];
  const outputs = [
    { name: 'legacy_key', value: draft.legacyKey },
    ...(draft.keepsId ? [{ name: 'id', value: `${alias}.${named(draft.key[0] ?? '')}` }] : []),
    ...draft.columns,
    ...reasons(draft),
  ];
  const width = Math.max(
    ...outputs.map(({ value }) => value.length).filter((length) => length <= WIDEST),
  );
  const lines = outputs.map((output, at) => {
    const last = at === outputs.length - 1 ? '' : ',';
    const line = `  ${output.value.padEnd(width)} as ${named(output.name)}${last}`;
    return line.length <= 100 ? line : `  ${output.value}\n    as ${named(output.name)}${last}`;
  });
  return [
    ...header,
    '',
    `create view transform.${name} as`,
    'select',
    ...lines,
    ...remarks(draft, settled),
    ...(defaults.length > 0 ? wrapped(`left to their defaults: ${defaults.join(', ')}`) : []),
    `from legacy.${named(source.name)} as ${alias}`,
    ...joinLines(joins),
  ]
    .join('\n')
    .concat(';\n');
}

function reasons({ joins, alias }: Draft): { name: string; value: string }[] {
  const optional = joins.filter(({ reject }) => reject === undefined);
  const given = ({ columns }: Join) =>
    columns.map((column) => `${alias}.${named(column)} is not null`).join(' and ');
  const arms = optional.map(
    (join) => `case when ${given(join)} and ${join.alias}.id is null then '${join.entity}' end`,
  );
  const [arm] = arms;
  const missing =
    arms.length > 1 ? `nullif(concat_ws(',',\n    ${arms.join(',\n    ')}\n  ), '')` : arm;
  const rejected = joins
    .filter(({ reject }) => reject !== undefined)
    .map((join) => `when ${join.alias}.id is null then '${join.reject}'`);
  const reject =
    rejected.length > 1 ? `case\n    ${rejected.join('\n    ')}\n  end` : `case ${rejected[0]} end`;
  return [
    ...(missing === undefined ? [] : [{ name: 'missing', value: missing }]),
    ...(rejected.length === 0 ? [] : [{ name: 'reject', value: reject }]),
  ];
}

function remarks({ openSource, openTarget, source, target }: Draft, settled: boolean): string[] {
  const lines = (name: string, open: Open[]) =>
    open.flatMap((each) =>
      settled
        ? wrapped(`not mapped: ${name}.${each.name} ${each.type}: ${each.why}`)
        : [`  -- undecided  ${name}.${each.name} ${each.type}: ${each.why}`],
    );
  return [
    ...lines(`${target.schema}.${target.name}`, openTarget),
    ...lines(`legacy.${source.name}`, openSource),
  ].map((line) => (line.length > 100 ? `${line.slice(0, 98)} …` : line));
}

function joinLines(joins: readonly Join[]): string[] {
  const map = (join: Join) => `ids.${join.entity}`;
  const wide = Math.max(0, ...joins.map((join) => map(join).length));
  const alias = Math.max(0, ...joins.map((join) => join.alias.length));
  return joins.map((join) => {
    const head = `left join ${map(join).padEnd(wide)} as ${join.alias.padEnd(alias)}`;
    const line = `${head} on ${join.alias}.legacy_id = ${join.key}`;
    return line.length <= 100
      ? line
      : `${head.trimEnd()}\n  on ${join.alias}.legacy_id = ${join.key}`;
  });
}

function aligned(before: string, pairs: readonly string[][]): string[] {
  const width = Math.max(...pairs.map(([key = '']) => key.length));
  return pairs.map(([key = '', value = '']) => `${before}${key.padEnd(width)}  ${value}`);
}

/** A remark of at most 100 columns a line. */
function wrapped(text: string): string[] {
  const lines = ['  --'];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last.length + 1 + word.length > 100) lines.push(`  -- ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

function capital(text: string): string {
  return `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}`;
}
