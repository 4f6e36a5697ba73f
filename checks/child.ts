import { answerParent, askChild } from '../runner/child.ts';
import type { Problem } from '../runner/engine/text.ts';
import type { Coverage } from './coverage/index.ts';

/** A project; `rules`: its static checks, too. */
export interface Asked {
  root: string;
  rules: boolean;
}

/** What the checks found that read files only: of the rules, and the coverage proof. */
export interface FromFiles {
  problems: Problem[];
  coverage: Coverage;
}

/**
 * Checks files in a process of its own: the grammar would add 35 MB to the runner for the rest of the
 * command. Throws where a file cannot be read.
 */
export async function checkFiles(asked: Asked): Promise<FromFiles> {
  return askChild<FromFiles>(import.meta.url, asked, 'the files were not checked');
}

answerParent(import.meta.url, async (message): Promise<FromFiles> => {
  const { root, rules } = message as Asked;
  const { staticProblems } = await import('./static/index.ts');
  const { readCoverage } = await import('./coverage/index.ts');
  return {
    problems: rules ? await staticProblems(root) : [],
    coverage: await readCoverage(root),
  };
});
