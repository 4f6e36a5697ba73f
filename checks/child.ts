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
 * command. Throws what the file system says.
 */
export async function checkFiles(asked: Asked): Promise<FromFiles> {
  const answer = await askChild<FromFiles | { message: string }>(
    import.meta.url,
    asked,
    'the files were not checked',
  );
  if ('message' in answer) throw new Error(`the files were not checked: ${answer.message}`);
  return answer;
}

answerParent(import.meta.url, async (message): Promise<FromFiles | { message: string }> => {
  const { root, rules } = message as Asked;
  try {
    const [{ staticProblems }, { readCoverage }] = await Promise.all([
      import('./static/index.ts'),
      import('./coverage/index.ts'),
    ]);
    return {
      problems: rules ? await staticProblems(root) : [],
      coverage: await readCoverage(root),
    };
  } catch (error) {
    return { message: error instanceof Error ? error.message : String(error) };
  }
});
