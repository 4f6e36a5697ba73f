/* Lineage as a drawing: dagre says where, we draw. */
import { Graph as Layout, layout } from '@dagrejs/dagre';

import type { Graph } from './document.ts';
import { html, type Html } from './html.ts';

/** A letter of the font of code, and a box around a name. */
const LETTER = 7.3;
const HEIGHT = 28;
const PADDING = 20;

/** A graph from left to right, in its natural size: the page scrolls it. */
export function graphSvg({ nodes, edges }: Graph, title: string): Html {
  const drawn = new Layout();
  drawn.setGraph({ rankdir: 'LR', nodesep: 12, ranksep: 70, marginx: 4, marginy: 4 });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const { id, label } of nodes) {
    drawn.setNode(id, { label, width: label.length * LETTER + PADDING, height: HEIGHT });
  }
  for (const { from, to, label } of edges) {
    drawn.setEdge(from, to, { label, width: label.length * 6.5, height: 14, labelpos: 'c' });
  }
  layout(drawn);
  const { width = 0, height = 0 } = drawn.graph() as { width?: number; height?: number };
  const said = edges
    .map(
      ({ from, to, label }) =>
        `${nameOf(nodes, from)} to ${nameOf(nodes, to)}${label === '' ? '' : `: ${label}`}`,
    )
    .join('; ');
  return html`<svg
    class="graph"
    viewBox="0 0 ${round(width)} ${round(height)}"
    width="${round(width)}"
    height="${round(height)}"
    role="img"
    aria-label="${title}: ${said}"
  >
    <title>${title}</title>
    ${edges.map(({ from, to, label }) => edgeOf(drawn.edge(from, to) as Placed, label))}
    ${nodes.map(({ id, label, kind }) => {
      const { x, y, width: wide } = drawn.node(id) as { x: number; y: number; width: number };
      return html`<rect
          class="node ${kind}"
          x="${round(x - wide / 2)}"
          y="${round(y - HEIGHT / 2)}"
          width="${round(wide)}"
          height="${HEIGHT}"
          rx="4"
        /><text class="name" x="${round(x)}" y="${round(y + 4)}" text-anchor="middle"
          >${label}</text
        >`;
    })}
  </svg>`;
}

interface Placed {
  points: { x: number; y: number }[];
  x?: number;
  y?: number;
}

/** A line through the points of the layout, with a point at its end. */
function edgeOf({ points, x, y }: Placed, label: string): Html {
  const path = points.map((p, i) => `${i === 0 ? 'M' : 'L'}${round(p.x)} ${round(p.y)}`).join(' ');
  const end = points.at(-1) ?? { x: 0, y: 0 };
  const tip = `M${round(end.x)} ${round(end.y)} l-7 -3.5 v7 z`;
  return html`<path class="edge" d="${path}" /><path class="tip" d="${tip}" />${
      label === '' || x === undefined || y === undefined
        ? null
        : html`<text class="label" x="${round(x)}" y="${round(y + 4)}" text-anchor="middle"
            >${label}</text
          >`
    }`;
}

function nameOf(nodes: Graph['nodes'], id: string): string {
  return nodes.find((node) => node.id === id)?.label ?? id;
}

function round(value: number): string {
  return String(Math.round(value));
}
