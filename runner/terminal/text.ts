import stringWidth from 'string-width';

/* Texts as a terminal shows them: harmless, measured in cells, cut, wrapped; numbers and times in words. */

const ESCAPE = '\u001b';
/** Stands for the escape of our own colours: half a character, which no text of a server holds. */
const OURS = '\ud800';
// alone: as a part of a character it is text
const COLOURS = /\ud800\[\d+m/gu;

/** What a terminal obeys instead of showing it: all control characters but tab and line break. */
export const CONTROLS = /[^\P{Cc}\t\n]/gu;

/** A text with a sign in the place of every control character. */
export function harmless(text: string): string {
  return text.replace(CONTROLS, (c) => {
    const code = c.charCodeAt(0);
    // the signs Unicode has for them: ␛ for escape
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  });
}

/** The same for a value, which must not begin a line of its own. */
export function oneLine(text: string): string {
  return harmless(text).replaceAll('\n', '\u240a');
}

/** A text in a colour; which stream will show it, and whether in colour, is not known yet. */
export function painted(code: readonly [number, number], text: string): string {
  return text === '' ? '' : `${OURS}[${code[0]}m${harmless(text)}${OURS}[${code[1]}m`;
}

/** What a stream gets: colours as the terminal takes them, or without. */
export function printable(text: string, colours: boolean): string {
  const bare = harmless(colours ? text : text.replace(COLOURS, ''));
  return colours ? bare.replace(/\ud800/gu, ESCAPE) : bare;
}

/** Cells of a terminal that a text takes; colours take none. */
export function widthOf(text: string): number {
  return stringWidth(text.replace(COLOURS, ''));
}

const letters = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** The text, or its beginning and `…`, in so many cells; what was coloured ends without colour. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = '';
  let cells = 0;
  for (const part of text.split(/(\ud800\[\d+m)/u)) {
    if (part.startsWith(OURS)) {
      kept += part;
      continue;
    }
    for (const { segment } of letters.segment(part)) {
      cells += stringWidth(segment);
      if (cells > width - 1) return `${kept}…${kept.includes(OURS) ? `${OURS}[0m` : ''}`;
      kept += segment;
    }
  }
  return kept;
}

/** Lines of at most so many cells, broken at blanks; a word that is longer is broken, too. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    if (widthOf(paragraph) <= width) {
      lines.push(paragraph);
      continue;
    }
    let line = '';
    for (const word of paragraph.split(' ')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (widthOf(longer) <= width) {
        line = longer;
        continue;
      }
      if (line !== '') lines.push(line);
      line = word;
      while (!line.includes(OURS) && widthOf(line) > width) {
        const head = cut(line, width + 1).slice(0, -1);
        if (head === '') break;
        lines.push(head);
        line = line.slice(head.length);
      }
    }
    lines.push(line);
  }
  return lines;
}

/** A text filled up to so many cells. */
export function padded(text: string, width: number, left = false): string {
  const blanks = ' '.repeat(Math.max(0, width - widthOf(text)));
  return left ? blanks + text : text + blanks;
}

/** 1,121,833 */
export function number(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 row`, `2 rows` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** Seconds as a person says them: `0.9 s`, `41 s`, `1 min 58 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The same for what is not known exactly: `about 38 s`, `about 4 min`. */
export function about(seconds: number): string {
  if (seconds < 99.5) return `about ${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5970) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}

/** A share of 1 in whole per cent, which says 100 only of all. */
export function percent(share: number): string {
  return `${share >= 1 ? 100 : Math.min(99, Math.floor(share * 100))} %`;
}
