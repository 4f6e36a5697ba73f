import { join } from 'node:path';

import { type Command, type Context, Refused, UsageError } from './command.ts';
import { embeddedPair } from './context.ts';
import { ConnectionLost, CouldNotConnect } from '../database.ts';
import { Interrupted } from '../engine/run.ts';
import { note, say, sayJson, words } from '../terminal/terminal.ts';
import { counted } from '../terminal/text.ts';

export const cases: Command = {
  options: {},
  run: async (context) => {
    const { caseFolders, entityOf } = await import('../../checks/cases/index.ts');
    const all = caseFolders(context.root);
    const wanted = context.positionals;
    const unknown = wanted.filter(
      (word) => !all.some((name) => [name, entityOf(name)].includes(word)),
    );
    if (unknown.length > 0) throw new UsageError(`there is no case ${unknown.join(', ')}`);
    const folders = all.filter(
      (name) => wanted.length === 0 || wanted.includes(name) || wanted.includes(entityOf(name)),
    );
    if (folders.length === 0) {
      throw new Refused(
        'the project has no cases',
        'write test/cases/<entity>/source.sql and expected.json: rows of the source, and what they become',
      );
    }
    const bare = context
      .catalog()
      .phases.flatMap(({ entities }) => entities.map(({ name }) => name))
      .filter((name) => !all.some((folder) => entityOf(folder) === name));
    const played = await play(context, folders);
    const failed = played.filter(({ findings }) => findings.length > 0).length;
    if (context.has('json')) sayJson({ cases: played, withoutCase: bare });
    else {
      if (wanted.length === 0 && bare.length > 0) note(`without a case: ${bare.join(', ')}`);
      const verdict = `${counted(played.length, 'case')}, ${failed} not as expected`;
      say(failed === 0 ? words.good(verdict) : words.bad(verdict));
    }
    return failed === 0 ? 0 : 1;
  },
};

/** What stops one case is found in it; what would stop all of them is thrown on. */
function findingOf(error: unknown): string[] {
  const ends = [ConnectionLost, CouldNotConnect, Interrupted];
  if (!(error instanceof Error) || ends.some((kind) => error instanceof kind)) throw error;
  return [error.message];
}

/** Plays cases one after the other in servers of their own, which are removed at the end. */
async function play(
  context: Context,
  folders: string[],
): Promise<{ case: string; findings: string[] }[]> {
  const { openCases, runCase } = await import('../../checks/cases/index.ts');
  const { root } = context;
  const embedded = await embeddedPair(root);
  const directory = join(root, '.embedded', `cases-${process.pid}`);
  const pair = await embedded.startPair({ directory, project: root, scale: null });
  context.onEnd(async () => {
    await pair.stop();
    embedded.removePair(directory);
  });
  await embedded.loadSource(pair.sourceAdminUrl, { scale: null, seed: '1' }, root);
  await embedded.grantReader(pair.sourceAdminUrl);
  await embedded.loadApplication(pair.targetUrl, root);
  const opened = await openCases(root, pair);
  const played: { case: string; findings: string[] }[] = [];
  for (const folder of folders) {
    if (context.interrupt.requested) throw new Interrupted('interrupted');
    const findings = await runCase(opened, folder).catch(findingOf);
    played.push({ case: folder, findings });
    if (context.has('json')) continue;
    say(`${findings.length === 0 ? words.good('ok') : words.bad('FAIL')}  ${folder}`);
    for (const finding of findings) say(`  ${finding}`);
  }
  return played;
}
