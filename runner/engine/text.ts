import { createHash } from 'node:crypto';

/** A finding in a file. Line and column count from 1, columns in UTF-16 units as editors do. */
export interface Problem {
  rule: string;
  file: string;
  line: number;
  column: number;
  message: string;
  fix: string;
}

/** A finding; line and column count from 1. */
export function at(
  rule: string,
  file: string,
  line: number,
  column: number,
  message: string,
  fix: string,
): Problem {
  return { rule, file, line, column, message, fix };
}

/** sha256, hex, of a text with its line ends normalised: a checkout on Windows changes nothing. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text.replaceAll('\r\n', '\n')).digest('hex');
}

/** Line and column (both from 1) of a UTF-16 offset into a text. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

/**
 * The SQL text with comments and string literals replaced by blanks, at the same length and with the
 * same line ends, so that offsets stay true. Quoted identifiers stay.
 */
export function blanked(sql: string): string {
  const pieces =
    /--[^\n]*|\/\*|"(?:[^"]|"")*"|(?<![a-z0-9_$])[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|$)|'(?:[^']|'')*(?:'|$)|(?<![a-z0-9_$])\$([a-z_][a-z0-9_]*)?\$/gi;
  let out = '';
  let done = 0;
  for (let piece = pieces.exec(sql); piece !== null; piece = pieces.exec(sql)) {
    let end = pieces.lastIndex;
    if (piece[0] === '/*') end = endOfComment(sql, piece.index);
    else if (piece[0].startsWith('$')) end = endOf(sql, piece[0], end);
    const text = sql.slice(piece.index, end);
    out +=
      sql.slice(done, piece.index) +
      (piece[0].startsWith('"') ? text : text.replace(/[^\r\n]/g, ' '));
    done = pieces.lastIndex = end;
  }
  return out + sql.slice(done);
}

function endOf(sql: string, word: string, from: number): number {
  const start = sql.indexOf(word, from);
  return start === -1 ? sql.length : start + word.length;
}

/** Comments nest in PostgreSQL. */
function endOfComment(sql: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(sql); mark !== null; mark = marks.exec(sql)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return sql.length;
}
