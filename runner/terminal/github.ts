import { appendFileSync } from 'node:fs';

import { readWorkflow } from '../config.ts';
import type { Problem } from '../engine/text.ts';

/** Problems as GitHub Actions shows them beside the lines of a pull request; none elsewhere. */
export function annotations(problems: readonly Problem[]): string[] {
  if (!readWorkflow().annotates) return [];
  return problems.map(({ file, line, column, message, fix }) => {
    const place = `file=${property(file)},line=${line},col=${column}`;
    return `::error ${place}::${escaped(`${message}; fix: ${fix}`)}`;
  });
}

/** Adds Markdown to the summary of the step, where a workflow has one. */
export function summarize(markdown: string): void {
  const { summary } = readWorkflow();
  if (summary !== undefined) appendFileSync(summary, `${markdown}\n`);
}

/** A line break would end the command. */
function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return escaped(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
