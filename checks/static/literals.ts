/** A string or template literal of a TypeScript file; of a template, each `${...}` is an `x`. */
export interface Literal {
  text: string;
  /** UTF-16 offset of its first quote. */
  offset: number;
}

// After these a slash begins a regular expression; after a name, a number or what ends a group it divides.
const BEFORE_PATTERN = /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|await|yield))\s*$/;

/** Every literal of a TypeScript file, those inside `${...}` too, in no promised order. */
export function literalsOf(code: string): Literal[] {
  const found: Literal[] = [];
  let at = 0;
  const upTo = (end: string): string => {
    const start = at;
    while (at < code.length && !code.startsWith(end, at)) at += code[at] === '\\' ? 2 : 1;
    at += end.length;
    return code.slice(start, at - end.length);
  };
  /** Text up to the brace that closes, or to the end. */
  const plain = (closing: string | undefined): void => {
    for (const from = at; at < code.length;) {
      const offset = at;
      const character = code[at] ?? '';
      at += 1;
      if (character === closing) return;
      if (character === '{') plain('}');
      else if (character === "'" || character === '"')
        found.push({ text: upTo(character), offset });
      else if (character === '`') template(offset);
      else if (character === '/' && code[at] === '/') at = lineEnd(code, at);
      else if (character === '/' && code[at] === '*') {
        const end = code.indexOf('*/', at + 1);
        at = end === -1 ? code.length : end + 2;
      } else if (character === '/' && BEFORE_PATTERN.test(code.slice(from, offset).slice(-40))) {
        pattern();
      }
    }
  };
  const template = (offset: number): void => {
    let text = '';
    for (; at < code.length && code[at] !== '`'; at += 1) {
      if (code.startsWith('${', at)) {
        at += 2;
        plain('}');
        text += 'x';
        at -= 1;
      } else {
        if (code[at] === '\\') at += 1;
        text += code[at] ?? '';
      }
    }
    at += 1;
    found.push({ text, offset });
  };
  const pattern = (): void => {
    for (let inClass = false; at < code.length && (inClass || code[at] !== '/'); at += 1) {
      if (code[at] === '\\') at += 1;
      else if (code[at] === '[') inClass = true;
      else if (code[at] === ']') inClass = false;
    }
    at += 1;
  };
  plain(undefined);
  return found;
}

function lineEnd(code: string, from: number): number {
  const end = code.indexOf('\n', from);
  return end === -1 ? code.length : end;
}
