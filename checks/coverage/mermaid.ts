import type { Link } from './files.ts';

const ARROWS = { value: '-->', reference: '==>', decides: '-.->' };

/**
 * A Mermaid flowchart from source to target. For at most `detailed` entities it shows columns: a thin arrow
 * carries the value, a thick one goes through an id map, a dotted one only decides. For more it shows tables, with
 * the number of columns carried on each arrow and a box per phase.
 */
export function mermaid(links: readonly Link[], detailed = 5): string {
  const entities = [...new Set(links.map(({ entity }) => entity))];
  return (entities.length <= detailed ? columnChart(links) : tableChart(links)).join('\n');
}

function columnChart(links: readonly Link[]): string[] {
  const sources = grouped(links, ({ source }) => `legacy.${source.table}`);
  const targets = grouped(links, titleOf);
  return [
    'flowchart LR',
    ...[...sources].flatMap(([title, group]) =>
      box(title, group.map(sourceColumn), group.map(nameOfSource)),
    ),
    ...[...targets].flatMap(([title, group]) =>
      box(title, group.map(targetColumn), group.map(nameOfTarget)),
    ),
    ...links.map((link) => `  ${sourceColumn(link)} ${ARROWS[link.how]} ${targetColumn(link)}`),
  ];
}

function tableChart(links: readonly Link[]): string[] {
  const stored = links.filter(
    ({ how, target }) => how !== 'decides' && !target.table.startsWith('ids.'),
  );
  const tables = [...new Set(stored.map(({ source }) => source.table))].toSorted();
  const phases = grouped(stored, ({ phase }) => phase);
  const pairs = grouped(stored, (link) => `${link.source.table} ${entityNode(link)}`);
  return [
    'flowchart LR',
    ...tables.map((table) => `  ${node('s', table)}["legacy.${table}"]`),
    ...[...phases].flatMap(([phase, group]) =>
      box(phase, group.map(entityNode), group.map(titleOf)),
    ),
    ...[...pairs.values()].flatMap((group) => {
      const [link] = group;
      const columns = new Set(group.map(({ source }) => source.column)).size;
      if (link === undefined) return [];
      return [`  ${node('s', link.source.table)} -->|${columns}| ${entityNode(link)}`];
    }),
  ];
}

function box(title: string, nodes: string[], labels: string[]): string[] {
  const lines = nodes.map((id, index) => `    ${id}["${labels[index] ?? ''}"]`);
  return [`  subgraph ${node('g', title)}["${title}"]`, ...new Set(lines), '  end'];
}

function grouped(links: readonly Link[], key: (link: Link) => string): Map<string, Link[]> {
  const groups = new Map<string, Link[]>();
  for (const link of links) groups.set(key(link), [...(groups.get(key(link)) ?? []), link]);
  return groups;
}

/** The table, and the entity where another one fills the table, too. */
function titleOf({ entity, target }: Link): string {
  return target.table.endsWith(`.${entity}`) ? target.table : `${target.table} (${entity})`;
}

function sourceColumn({ source }: Link): string {
  return node('s', source.table, source.column);
}

function targetColumn({ entity, target }: Link): string {
  return node('t', entity, target.table, target.column);
}

function entityNode({ entity, phase }: Link): string {
  return node('e', phase, entity);
}

function nameOfSource({ source }: Link): string {
  return source.column;
}

function nameOfTarget({ target }: Link): string {
  return target.column;
}

/** A name that is no word of Mermaid and holds no sign of it. */
function node(kind: string, ...names: string[]): string {
  return [kind, ...names.map((name) => name.replace(/\W+/g, '_'))].join('__');
}
