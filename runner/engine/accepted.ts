import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A remark that a person accepted, in `checks/accepted.txt`. */
export interface Accepted {
  /** `doctor`, or the name of a check: `codes`, `before/codes`. */
  by: string;
  /** What it says; `*` stands for anything. */
  finding: string;
  reason: string;
}

/** Where such remarks are accepted, with a reason, in a file that is reviewed. */
export const ACCEPTED_FILE = 'checks/accepted.txt';

/**
 * Reads them: three columns, two blanks or more between; `#` begins a comment. Throws where a line is not
 * of that form: what is meant to be silent would not be.
 */
export function readAccepted(root: string): Accepted[] {
  const path = join(root, ACCEPTED_FILE);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      if (line.trim() === '' || line.startsWith('#')) return [];
      const [by, finding, ...reason] = line.trim().split(/ {2,}/);
      if (by === undefined || finding === undefined || reason.length === 0) {
        throw new Error(
          `${ACCEPTED_FILE}:${index + 1}: say who finds it, what it says and why it is right, with two ` +
            'blanks or more between them',
        );
      }
      return [{ by, finding, reason: reason.join('  ') }];
    });
}

/** The reason for which a remark was accepted; undefined where it was not. */
export function reasonOf(accepted: Accepted[], by: string, said: string): string | undefined {
  return accepted.find((each) => each.by === by && fits(each.finding, said))?.reason;
}

function fits(finding: string, said: string): boolean {
  const parts = finding.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(said);
}

/** A finding as LIKE has it. */
export function likeOf(finding: string): string {
  return finding.replace(/[\\%_]/g, '\\$&').replaceAll('*', '%');
}
