import { spawnSync } from 'node:child_process';

import { type Command, type Context, Refused, UsageError } from './command.ts';
import type { Catalog } from '../engine/catalog.ts';
import { transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { type Base, type Differences, isDifferent, readDifferences } from '../engine/diff.ts';
import { install, installed } from '../engine/ledger.ts';
import { login } from '../engine/link.ts';
import { keepLock } from '../engine/lock.ts';
import { Interrupted } from '../engine/run.ts';
import { diffLines, diffMarkdown } from './diff-screen.ts';
import { summarize } from '../terminal/github.ts';
import { problems, say, sayJson } from '../terminal/terminal.ts';

export const diff: Command = {
  options: {
    base: {
      text: 'compare with the files of this git commit; default: the views in the target',
      value: 'ref',
    },
    all: { text: 'every problem, also where there are many of one cause' },
    markdown: { text: 'as Markdown, for a pull request' },
    'show-data': { text: 'print what the first rows said and say' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const catalog = context.catalog();
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const names = context.positionals;
  const unknown = names.filter((name) => !entities.some((entity) => entity.name === name));
  if (unknown.length > 0) throw new UsageError(`there is no entity ${unknown.join(', ')}`);
  const ref = context.value('base');
  const base = ref === undefined ? undefined : filesOf(context.root, ref, catalog);
  const { source, target } = await context.config();
  // views are made on the way: a run would wait for them
  const keeper = await keepLock(target, () => {});
  context.onEnd(() => keeper.release());
  const session = await context.session('runner diff');
  if (base === undefined && (await installed(session, catalog)) === undefined) {
    throw new Refused(
      'nothing is migrated yet: there are no views to compare with',
      'compare with those of a commit: --base <git ref>',
    );
  }
  await login(session, source);
  const body = async (): Promise<Differences> => {
    await install(session, catalog, (make) => make());
    return readDifferences(session, catalog, {
      source,
      names,
      base,
      showData: context.has('show-data'),
      checkpoint: () => {
        if (context.interrupt.requested) throw new Interrupted('interrupted');
      },
    });
  };
  const found = await throughLink(source, () =>
    transaction(session, body, { commit: false, lockTimeout: '1s' }),
  );
  show(context, found, ref);
  const same = found.problems.length + found.unreadable.length === 0;
  return same && !found.entities.some(isDifferent) ? 0 : 1;
}

function show(context: Context, found: Differences, ref: string | undefined): void {
  const against = ref ?? 'the views in the target';
  const markdown = diffMarkdown(found, against);
  summarize(markdown);
  const files = context.catalog().phases.flatMap((phase) => phase.entities);
  if (context.has('json')) sayJson({ base: ref ?? null, ...found });
  else if (context.has('markdown')) say(markdown);
  else for (const line of diffLines(found, against)) say(line);
  if (!context.has('json')) {
    problems(
      found.problems,
      (name) => files.find(({ file }) => file === name)?.text,
      context.has('all'),
    );
  }
}

/** The files of a git commit, by the names of their entities: they may have had other numbers. */
function filesOf(root: string, ref: string, catalog: Catalog): Base {
  const commit = git(root, ['rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`]);
  if (commit === undefined) throw new UsageError(`git knows no commit ${ref} here`);
  const listed = git(root, ['ls-tree', '-r', '--name-only', commit.trim(), './sql/']) ?? '';
  const names = new Set(catalog.phases.flatMap((phase) => phase.entities).map(({ name }) => name));
  const views = new Map<string, string>();
  for (const file of listed.split('\n')) {
    const [, name] = /^sql\/[1-9]-[^/]+\/\d+_([^/]+)\.sql$/.exec(file) ?? [];
    if (name === undefined || !names.has(name)) continue;
    const text = git(root, ['show', `${commit.trim()}:./${file}`]);
    if (text !== undefined) views.set(name, text);
  }
  return { views };
}

function git(root: string, args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}
