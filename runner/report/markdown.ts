/* The same document as Markdown: for a pull request or a terminal. */
import { type Block, type Cell, type Document, shown, textOf } from './document.ts';

/** The whole document; tables as GitHub reads them. */
export function markdownOf({ title, subtitle, verdict, sections }: Document, hash: string): string {
  const parts = sections.map(
    (section, index) =>
      `## ${index + 1}. ${plain(section.title)}\n\n${blocksOf(section.blocks, 3, hash)}`,
  );
  return `# ${plain(title)}\n\n${plain(subtitle)}\n\n**${plain(verdict.text)}**\n\n${parts.join('\n\n')}\n`;
}

function blocksOf(blocks: Block[], level: number, hash: string): string {
  return blocks.map((block) => blockOf(block, level, hash)).join('\n\n');
}

function blockOf(block: Block, level: number, hash: string): string {
  switch (block.kind) {
    case 'text':
      return rich(block.text);
    case 'facts':
      return block.rows.map(([name, value]) => `- ${plain(name)}: ${cellOf(value)}`).join('\n');
    case 'list':
      return block.items.map((item) => `- ${rich(item)}`).join('\n');
    case 'table': {
      const { caption, columns, rows, total } = block;
      const head = columns.map(({ title }) => plain(title));
      const rule = columns.map(({ right }) => (right === true ? '---:' : '---'));
      const lines = [...rows, ...(total === undefined ? [] : [total])].map((row) =>
        row.map(cellOf),
      );
      return `${plain(caption)}:\n\n${[head, rule, ...lines].map((row) => `| ${row.join(' | ')} |`).join('\n')}`;
    }
    case 'code':
      return `${plain(block.caption)}:\n\n${indented(block.text)}`;
    case 'bar':
      return `${plain(block.caption)}: ${block.parts.map(({ name, rows }) => `${shown(rows)} ${plain(name)}`).join(', ')}`;
    case 'timeline':
      return `${plain(block.caption)}:\n\n${block.rows
        .map(
          ({ name, began, said }) =>
            `- ${plain(name)}: after ${began.toFixed(1)} s, ${plain(said)}`,
        )
        .join('\n')}`;
    case 'graph': {
      const nameOf = (id: string) => block.graph.nodes.find((node) => node.id === id)?.label ?? id;
      return `${plain(block.caption)}:\n\n${block.graph.edges
        .map(
          ({ from, to, label }) =>
            `- ${code(nameOf(from))} → ${code(nameOf(to))}${label === '' ? '' : `: ${plain(label)}`}`,
        )
        .join('\n')}`;
    }
    case 'more':
      return `${'#'.repeat(level)} ${plain(block.summary)}\n\n${blocksOf(block.blocks, level + 1, hash)}`;
    default:
      return `sha256 of the data (--json): ${code(hash)}\n\n${block.lines
        .map(
          (line) => `- ${plain(line)}: name ____________ date ____________ signature ____________`,
        )
        .join('\n')}`;
  }
}

/** A sentence of ours: what stands between backticks is code. */
function rich(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? plain(part) : code(part)))
    .join('');
}

function cellOf(cell: Cell): string {
  if (cell !== null && typeof cell === 'object' && 'code' in cell) return code(cell.code);
  return plain(textOf(cell));
}

/** Text in which nothing is a sign of Markdown or HTML; on one line. */
function plain(text: string): string {
  return oneLine(text).replace(/[\\`*_{}[\]<>|~&]|(?<=^)[#+-](?=\s)/g, (c) =>
    c === '<' ? '&lt;' : c === '&' ? '&amp;' : `\\${c}`,
  );
}

function code(text: string): string {
  const line = oneLine(text);
  // what a span of code might not hold is text
  if (line === '' || /[`<]/.test(line)) return plain(line);
  return `\`${line.replaceAll('|', '\\|')}\``;
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${oneLine(line)}`)
    .join('\n');
}

/** Without what a terminal or a browser obeys instead of showing it. */
function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replace(/\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');
}
