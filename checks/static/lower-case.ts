import type { Problem } from '../../runner/engine/text.ts';
import { problem, type ViewFile } from './sql.ts';

/**
 * Problem: two spellings of one word make files hard to compare and to search.
 * Fix: lower case for keywords and names; what needs capitals is quoted.
 */
export function lowerCase(file: ViewFile): Problem[] {
  return file.tokens
    .filter(({ keywordName, tokenName }) => keywordName !== 'NO_KEYWORD' || tokenName === 'IDENT')
    .filter(({ text }) => !text.startsWith('"') && /[A-Z]/.test(text))
    .map(({ text, start }) =>
      problem(
        'lower-case',
        file,
        start,
        `${text} is not lower case`,
        `write ${text.toLowerCase()}`,
      ),
    );
}
