/* Section 9 of a report, and a document of its own: the data dictionary. */
import {
  type Block,
  type Cell,
  counted,
  type Document,
  type Graph,
  type Section,
} from './document.ts';
import type { DefinitionFact, Facts, FileFacts } from './facts.ts';

export function lineage(facts: Facts): Section {
  return { id: 'lineage', title: 'Lineage and data dictionary', blocks: dictionaryBlocks(facts) };
}

/** The data dictionary alone: what the files say, no database. */
export function dictionaryOf(files: FileFacts): Document {
  const count = counted(files.definitions.length, 'entity', 'entities');
  return {
    title: 'Data dictionary',
    subtitle: `${count}, as the SQL files define them`,
    verdict: { tone: 'good', text: `Files: sha256 ${files.filesHash}` },
    sections: [
      { id: 'lineage', title: 'Entities', blocks: dictionaryBlocks(files) },
      {
        id: 'left-out',
        title: 'Left out on purpose',
        blocks: [
          {
            kind: 'table',
            caption: 'Columns and tables that are left out on purpose',
            columns: [{ title: 'What' }, { title: 'Reason' }],
            rows: files.omitted.map(({ name, reason }) => [{ code: name }, reason]),
          },
        ],
      },
    ],
  };
}

const HOW = {
  value: 'its value',
  reference: 'the id it became',
  decides: 'decides which value',
};

function dictionaryBlocks({ definitions }: FileFacts): Block[] {
  return [
    {
      kind: 'text',
      text:
        'One SQL file defines one entity. Per entity: where its columns come from. A source column gives its ' +
        'value, becomes a reference by an id map, or only decides which value stands there.',
    },
    ...definitions.map((each): Block => ({
      kind: 'more',
      summary: `${each.phase} / ${each.entity}`,
      blocks: definitionBlocks(each),
    })),
  ];
}

function definitionBlocks(each: DefinitionFact): Block[] {
  const rows: [string, Cell][] = [
    ['File', { code: each.file }],
    ['Target', { code: each.target }],
    ['Source', each.source === null ? 'none: one constant row' : { code: each.source }],
    ...(each.deletes === null
      ? []
      : [
          ['Source row is gone', each.deletes === 'keep' ? 'kept, and listed' : 'removed'] as [
            string,
            Cell,
          ],
        ]),
  ];
  return [
    { kind: 'text', text: each.purpose },
    { kind: 'facts', rows },
    ...(each.reasons.length === 0
      ? []
      : [
          {
            kind: 'table' as const,
            caption: `Reasons of ${each.entity}`,
            columns: [{ title: 'Reason' }, { title: 'Kind' }, { title: 'What it means' }],
            rows: each.reasons.map((r) => [{ code: r.name }, r.kind, r.sentence]),
          },
        ]),
    { kind: 'graph', caption: `Lineage of ${each.entity}`, graph: graphOf(each) },
    {
      kind: 'table',
      caption: `Columns of ${each.entity}`,
      columns: [
        { title: 'Target column' },
        { title: 'Source column' },
        { title: 'The source gives' },
      ],
      rows: each.columns.map((c) => [{ code: c.target }, { code: c.source }, HOW[c.how]]),
    },
  ];
}

/** Source tables and id maps → entity → target table, with the number of columns on each way. */
function graphOf({ entity, target, source, idMaps, columns }: DefinitionFact): Graph {
  const tableOf = (column: string) => column.slice(0, column.indexOf('.'));
  const tables = [
    ...new Set([...(source === null ? [] : [source]), ...columns.map((c) => tableOf(c.source))]),
  ];
  const maps = idMaps.filter((map) => map !== entity);
  const targets = new Set(columns.map((c) => c.target).filter((name) => !name.startsWith('ids.')));
  return {
    nodes: [
      ...tables.map((name) => ({
        id: `s ${name}`,
        label: `legacy.${name}`,
        kind: 'source' as const,
      })),
      ...maps.map((name) => ({ id: `m ${name}`, label: `ids.${name}`, kind: 'map' as const })),
      { id: 'e', label: entity, kind: 'entity' },
      { id: 't', label: target, kind: 'target' },
    ],
    edges: [
      ...tables.map((name) => {
        const own = new Set(
          columns.map((c) => c.source).filter((column) => tableOf(column) === name),
        );
        return { from: `s ${name}`, to: 'e', label: counted(own.size, 'column') };
      }),
      ...maps.map((name) => ({ from: `m ${name}`, to: 'e', label: '' })),
      { from: 'e', to: 't', label: counted(targets.size, 'column') },
    ],
  };
}
