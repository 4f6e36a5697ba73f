/* A document as one HTML page: no script is needed, nothing is loaded. */
import { readFileSync } from 'node:fs';

import { type Block, type Cell, type Document, type Section, textOf } from './document.ts';
import { graphSvg } from './graph.ts';
import { data, html, type Html, style } from './html.ts';
import { barSvg, timelineSvg } from './svg.ts';

/** Rows of a table that is not broken over two sheets of paper. */
const SHORT = 12;

const SIGNS = { good: '✓', warn: '!', bad: '✗' };

/** The whole page. `json`: the facts, embedded; their sha256 stands beside the signatures. */
export function pageOf(document: Document, json: string, hash: string): string {
  const css = readFileSync(new URL('report.css', import.meta.url), 'utf8');
  const { title, subtitle, verdict, sections } = document;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'"
        />
        <title>${title}: ${subtitle}</title>
        ${style(css)}
      </head>
      <body>
        <header>
          <h1>${title}</h1>
          <p class="subtitle">${subtitle}</p>
          <p class="verdict ${verdict.tone}">
            <span class="sign" aria-hidden="true">${SIGNS[verdict.tone]}</span> ${verdict.text}
          </p>
        </header>
        <nav aria-label="Sections">
          <ol>
            ${sections.map(({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>`)}
          </ol>
        </nav>
        <main>${sections.map((section) => sectionOf(section, hash))}</main>
        ${data('facts', json)}
      </body>
    </html> `;
  return page.markup;
}

function sectionOf({ id, title, blocks }: Section, hash: string): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    ${blocks.map((block) => blockOf(block, hash))}
  </section> `;
}

function blockOf(block: Block, hash: string): Html {
  switch (block.kind) {
    case 'text':
      return block.tone === undefined
        ? html`<p>${rich(block.text)}</p> `
        : html`<p class="said ${block.tone}">
            <span class="sign" aria-hidden="true">${SIGNS[block.tone]}</span> ${rich(block.text)}
          </p> `;
    case 'facts':
      return html`<dl>
        ${block.rows.map(
          ([name, value]) =>
            html`<div>
              <dt>${name}</dt>
              <dd>${cellOf(value)}</dd>
            </div>`,
        )}
      </dl> `;
    case 'list':
      return html`<ul>
        ${block.items.map((item) => html`<li>${rich(item)}</li>`)}
      </ul> `;
    case 'table':
      return tableOf(block);
    case 'code':
      return html`<figure class="sql">
        <figcaption>${block.caption}</figcaption>
        ${scrolling(block.caption, html`<pre><code>${block.text}</code></pre>`)}
      </figure> `;
    case 'bar':
      return barOf(block);
    case 'timeline':
      return html`<figure>
        <figcaption>${block.caption}</figcaption>
        ${scrolling(block.caption, timelineSvg(block))}
      </figure> `;
    case 'graph':
      return html`<figure>
        <figcaption>${block.caption}</figcaption>
        ${scrolling(block.caption, graphSvg(block.graph, block.caption))}
      </figure> `;
    case 'more':
      return html`<details${block.printed === true ? html` class="printed"` : null}>
        <summary>${block.summary}</summary>
        ${block.blocks.map((inner) => blockOf(inner, hash))}
      </details> `;
    default:
      return signaturesOf(block, hash);
  }
}

/** A sentence of ours: what stands between backticks is code. */
function rich(text: string): Html[] {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? html`${part}` : html`<code>${part}</code>`));
}

/** What is wider than a phone scrolls by itself, with the keyboard, too. */
function scrolling(name: string, content: Html, short = false): Html {
  const names = short ? 'wide short' : 'wide';
  return html`<div class="${names}" role="region" aria-label="${name}" tabindex="0">
    ${content}
  </div>`;
}

function tableOf({ caption, columns, rows, total }: Extract<Block, { kind: 'table' }>): Html {
  const classes = columns.map(({ right, tight }) =>
    right === true ? html` class="number"` : tight === true ? html` class="tight"` : null,
  );
  const cell = (value: Cell, index: number) =>
    index === 0
      ? html`<th scope="row">${cellOf(value)}</th>`
      : html`<td${classes[index]}>${cellOf(value)}</td>`;
  const line = (row: Cell[]) =>
    html`<tr>
      ${row.map(cell)}
    </tr> `;
  return scrolling(
    caption,
    html`<table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map(
            ({ title }, index) => html`<th scope="col" ${classes[index]}>${title}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${rows.map(line)}
      </tbody>
      ${
        total === undefined
          ? null
          : html`<tfoot>
              ${line(total)}
            </tfoot>`
      }
    </table> `,
    rows.length <= SHORT,
  );
}

function cellOf(cell: Cell): Html {
  if (cell === null || typeof cell !== 'object') return html`${textOf(cell)}`;
  if ('code' in cell) return html`<code>${cell.code}</code>`;
  if ('number' in cell) return html`${cell.number}`;
  return html`<span class="${cell.tone}">${cell.text}</span>`;
}

function barOf({ caption, parts }: Extract<Block, { kind: 'bar' }>): Html {
  return html`<figure>
    <figcaption>${caption}</figcaption>
    ${barSvg(caption, parts)}
    <ul class="legend">
      ${parts.map(
        ({ name, rows, tone }) =>
          html`<li>
            <span class="swatch ${tone}" aria-hidden="true"></span>${name} <b>${textOf(rows)}</b>
          </li>`,
      )}
    </ul>
  </figure> `;
}

function signaturesOf({ lines }: Extract<Block, { kind: 'signatures' }>, hash: string): Html {
  return html`<p>
      This page carries its data. The sha256 of that data, to be copied beside a signature:
      <code class="hash">${hash}</code>
    </p>
    <div class="signatures">
      ${lines.map(
        (line) =>
          html`<div class="signature">
            <p>${line}</p>
            <dl>
              <div>
                <dt>Name</dt>
                <dd></dd>
              </div>
              <div>
                <dt>Date</dt>
                <dd></dd>
              </div>
              <div>
                <dt>Signature</dt>
                <dd></dd>
              </div>
            </dl>
          </div>`,
      )}
    </div> `;
}
