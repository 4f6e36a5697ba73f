/* How a report is rendered: what is escaped, what is said, and whether it can be read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FromFiles } from '../../checks/child.ts';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { counted, type Document, duration, percent } from '../../runner/report/document.ts';
import { data, html, type Html, style } from '../../runner/report/html.ts';
import { markdownOf } from '../../runner/report/markdown.ts';
import { pageOf } from '../../runner/report/page.ts';
import { dictionaryOf } from '../../runner/report/dictionary.ts';
import { fileFacts } from '../../runner/report/read.ts';
import { attribute, elements, factsIn, tableOf, textOf } from '../report-page.ts';
import { ROOT } from '../runner.ts';

const EVIL = '</td><script>alert("1")</script>\'&|`*_[x](y)';

test('a value is text in a template, whatever it says', () => {
  assert.is(
    html`<a title="${EVIL}">${EVIL}</a>`.markup,
    '<a title="&lt;/td&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;|`*_[x](y)">' +
      '&lt;/td&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;|`*_[x](y)</a>',
  );
  assert.is(html`<b>${[html`<i>${1}</i>`, null, '<']}</b>`.markup, '<b><i>1</i>&lt;</b>');
  assert.is(html`${'a\u0000b\u001b[2J\u202ec'}`.markup, 'a\ufffdb\ufffd[2J\ufffdc');
});

test('what looks like a piece of HTML and was not made as one is refused', () => {
  const forged = JSON.parse('{"markup":"<script>"}') as Html;
  assert.throws(() => html`${forged}`, /not a piece of HTML/);
  assert.throws(() => style('p{}</style><script>'), /style sheet/);
  assert.throws(() => style('@import "https://example.com/x.css"'), /style sheet/);
});

test('data in a script ends neither it nor the page, and is read back as it was', () => {
  const value = { said: '</script><!--<script>\u2028\u0007', n: 1 };
  const page = html`<body>
    ${data('facts', JSON.stringify(value))}
    <p>after</p>
  </body>`;
  assert.equal(factsIn(page.markup), value);
  assert.is(textOf(elements(page.markup, 'p')[0]!), 'after');
});

const DOCUMENT: Document = {
  title: `T ${EVIL}`,
  subtitle: EVIL,
  verdict: { tone: 'warn', text: EVIL },
  sections: [
    {
      id: 'one',
      title: EVIL,
      blocks: [
        { kind: 'text', tone: 'bad', text: '`code` and <b>' },
        { kind: 'facts', rows: [[EVIL, { code: EVIL }]] },
        { kind: 'list', items: [EVIL] },
        {
          kind: 'table',
          caption: EVIL,
          columns: [{ title: EVIL }, { title: 'n', right: true }, { title: 'tight', tight: true }],
          rows: [[EVIL, 1234567, { tone: 'bad', text: EVIL }]],
          total: ['All', { number: EVIL }, null],
        },
        { kind: 'code', caption: EVIL, text: EVIL },
        { kind: 'bar', caption: EVIL, parts: [{ name: EVIL, rows: 3, tone: 'good' }] },
        {
          kind: 'timeline',
          caption: EVIL,
          rows: [{ name: EVIL, began: 1, seconds: 2, said: EVIL }],
          seconds: 4,
        },
        {
          kind: 'more',
          summary: EVIL,
          blocks: [
            {
              kind: 'graph',
              caption: EVIL,
              graph: {
                nodes: [
                  { id: 'a', label: EVIL, kind: 'source' },
                  { id: 'b', label: 'b', kind: 'target' },
                ],
                edges: [{ from: 'a', to: 'b', label: EVIL }],
              },
            },
          ],
        },
        { kind: 'signatures', lines: [EVIL], hash: 'h' },
      ],
    },
  ],
};

test('every kind of block says what it is given, as text', () => {
  const page = pageOf(DOCUMENT, '{}', 'h4sh');
  const plain = pageOf(
    JSON.parse(JSON.stringify(DOCUMENT).replaceAll(/<\/td>.*?\(y\)/g, 'x')) as Document,
    '{}',
    'h4sh',
  );
  const names = (text: string) => elements(text).map(({ tagName }) => tagName);
  // in lists and sentences backticks are ours: a value holds none there
  const strip = (all: string[]) => all.filter((name) => name !== 'code');
  assert.equal(strip(names(page)), strip(names(plain)));
  assert.is(elements(page, 'script').length, 1);
  const table = tableOf(page, EVIL);
  assert.equal(table, [
    [EVIL, 'n', 'tight'],
    [EVIL, '1,234,567', EVIL],
    ['All', EVIL, ''],
  ]);
  assert.match(page, 'h4sh');
  for (const drawing of elements(page, 'svg')) {
    assert.match(attribute(drawing, 'aria-label') ?? '', EVIL);
  }
});

test('Markdown holds no HTML, and a cell stays in its column', () => {
  const text = markdownOf(DOCUMENT, 'h4sh');
  const outside = text.replaceAll(/^ {4}.*$/gm, '');
  for (const line of outside.split('\n')) assert.not.match(line, /<\/?[a-z]/, line);
  for (const line of outside.split('\n').filter((each) => each.startsWith('|'))) {
    assert.is(line.replaceAll('\\|', '').split('|').length, 5, line);
  }
  assert.match(text, '1,234,567');
  assert.match(text, '`code` and &lt;b\\>');
});

test('the dictionary has the sentence of each reason', () => {
  const catalog = readCatalog(ROOT);
  const entity = catalog.phases[0]?.entities[0];
  assert.ok(entity !== undefined);
  const reasons = [{ kind: 'reject', name: 'lost', sentence: 'its <owner> is not in the source' }];
  Object.assign(entity, { reasons });
  const link = {
    entity: entity.name,
    phase: entity.phase,
    source: { table: 'old', column: 'a' },
    target: { table: 'public.new', column: 'metadata.b' },
    how: 'reference' as const,
  };
  const coverage = { lineage: { links: [link] }, lists: { leftOut: [] } };
  const facts = fileFacts(catalog, ROOT, { problems: [], coverage } as unknown as FromFiles);
  assert.equal(facts.definitions[0]?.reasons, reasons);
  const page = pageOf(dictionaryOf(facts), '{}', '');
  assert.equal(tableOf(page, `Reasons of ${entity.name}`)[1], [
    'lost',
    'reject',
    'its <owner> is not in the source',
  ]);
  assert.equal(tableOf(page, `Columns of ${entity.name}`)[1], [
    'metadata.b',
    'old.a',
    'the id it became',
  ]);
});

test('numbers are said as they are', () => {
  assert.is(percent(0), '0.00 %');
  assert.is(percent(0.00001), '< 0.01 %');
  assert.is(percent(0.999999), '99.99 %');
  assert.is(percent(1), '100.00 %');
  assert.is(duration(9.96), '10.0 s');
  assert.is(duration(119.7), '2 min 0 s');
  assert.is(duration(7260), '2 h 1 min');
  assert.is(counted(1, 'row'), '1 row');
  assert.is(counted(0, 'row'), '0 rows');
});

test('text can be read on its ground, light and dark', () => {
  const css = readFileSync(join(ROOT, 'runner/report/report.css'), 'utf8');
  const grounds = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, text = '']) => {
    const named = [...text.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)];
    return new Map(named.map(([, name = '', colour = '']) => [name, colour]));
  });
  assert.is(grounds.length, 3, 'light, dark, paper');
  for (const colours of grounds) {
    for (const ground of ['page', 'panel']) {
      for (const name of ['text', 'quiet', 'accent', 'good', 'warn', 'bad']) {
        const ratio = contrast(colours.get(name) ?? '', colours.get(ground) ?? '');
        assert.ok(ratio >= 4.5, `${name} on ${ground}: ${ratio.toFixed(2)}`);
      }
    }
  }
  // what is no text, on the page
  for (const colours of grounds.slice(0, 2)) {
    for (const name of ['good-fill', 'warn-fill', 'bad-fill']) {
      const ratio = contrast(colours.get(name) ?? '', colours.get('page') ?? '');
      assert.ok(ratio >= 3, `${name}: ${ratio.toFixed(2)}`);
    }
  }
  const text = css.replaceAll(/:root \{[^}]*\}/g, '');
  assert.not.match(text, /#[0-9a-f]{3}|rgb|hsl/i, 'a colour that is not looked at here');
});

test.run();

/** WCAG 2: (lighter + 0.05) / (darker + 0.05). */
function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: string): number {
  assert.match(colour, /^#[0-9a-f]{6}$/);
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
