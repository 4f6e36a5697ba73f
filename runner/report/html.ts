/* HTML in which every value is escaped, since there is no other way to put one in. */

/** A piece of HTML that `html` made. */
export interface Html {
  readonly markup: string;
}

/** What may stand in a template: pieces go in as they are, everything else as text. */
export type Value = Html | string | number | null | undefined | readonly Value[];

const made = new WeakSet<object>();

/**
 * A template whose values are escaped: text between tags, or in an attribute in double quotes. Pieces
 * that this function made are put in as they are, lists one after the other, null and undefined as nothing.
 */
export function html(strings: TemplateStringsArray, ...values: Value[]): Html {
  // the indentation is that of the source code
  const parts = strings.map((part) => part.replace(/\n\s+/g, '\n'));
  return trusted(parts.reduce((text, part, index) => text + valueOf(values[index - 1]) + part));
}

/** Data in a script element that no browser runs; nothing in it ends the element. */
export function data(id: string, json: string): Html {
  const text = json.replace(/[<>&\u2028\u2029]|[^\P{Cc}\n]/gu, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return trusted(`<script type="application/json" id="${escaped(id)}">${text}</script>`);
}

/** A style sheet of ours. Throws where it could end its element, or load anything. */
export function style(css: string): Html {
  if (/<|@import|url\(/i.test(css)) throw new Error('a style sheet that loads or ends something');
  return trusted(`<style>\n${css}</style>`);
}

function valueOf(value: Value): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return escaped(value);
  if (typeof value === 'number') return String(value);
  if (isList(value)) return value.map(valueOf).join('');
  // an object that looks like one, out of JSON say, is none
  if (!made.has(value)) throw new TypeError('not a piece of HTML');
  return value.markup;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

const SIGNS: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Also without what is obeyed instead of shown: control characters, and those that turn the direction. */
function escaped(text: string): string {
  return text
    .replace(/[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
    .replace(/[&<>"']/g, (c) => SIGNS[c] ?? c);
}

function trusted(markup: string): Html {
  const piece = Object.freeze({ markup });
  made.add(piece);
  return piece;
}
