import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

import type { Check } from '../engine/checks.ts';
import { type Command, type Context, Refused, UsageError } from './command.ts';
import { CouldNotConnect, placeOf, type Session, transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { install, installed, recordEvent } from '../engine/ledger.ts';
import { closeLink, login, openLink, pointLink } from '../engine/link.ts';
import { readSummary } from '../engine/summary.ts';
import { hashOf } from '../engine/text.ts';
import type { Document } from '../report/document.ts';
import type { AmountFact, Facts, FileFacts } from '../report/facts.ts';
import { note, say, sayJson } from '../terminal/terminal.ts';

const FILE = 'report.html';
const DICTIONARY = 'dictionary.html';

export const report: Command = {
  options: {
    certificate: { text: 'refuse unless everything is verified and checked since the last write' },
    dictionary: { text: 'the data dictionary alone: no database needed' },
    markdown: { text: 'the same as Markdown, on standard output or into the file' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const [file] = context.positionals;
  if (context.has('json') && context.has('markdown')) {
    throw new UsageError('either --json or --markdown');
  }
  if (context.has('dictionary')) {
    if (context.has('certificate')) throw new UsageError('a dictionary is no certificate');
    const files = await readFiles(context);
    const { dictionaryOf } = await import('../report/dictionary.ts');
    await deliver(context, files, dictionaryOf(files), file ?? DICTIONARY);
    return 0;
  }
  const { session, facts } = await gather(context);
  const certificate = context.has('certificate');
  if (certificate && facts.obstacles.length > 0) {
    const lines = facts.obstacles.map((each) => `  - ${each}`).join('\n');
    throw new Refused(`no certificate:\n${lines}`, '', {
      certificate: false,
      obstacles: facts.obstacles,
    });
  }
  const { reportOf } = await import('../report/sections.ts');
  const hash = await deliver(context, facts, reportOf(facts, certificate), file ?? FILE);
  if (certificate) {
    await transaction(session, () =>
      recordEvent(session, facts.runs.at(-1)?.run ?? null, 'certificate', { sha256: hash }),
    );
  }
  return 0;
}

/** What a report knows, and the session that asked. Throws Refused before the first run. */
export async function gather(context: Context): Promise<{ session: Session; facts: Facts }> {
  const files = await readFiles(context);
  const session = await context.session('runner report');
  if ((await installed(session, context.catalog())) === undefined) {
    throw new Refused('nothing is migrated yet: there is nothing to report');
  }
  return { session, facts: await read(context, session, files) };
}

/** What the files say, read in a process of its own: the grammar is large. */
async function readFiles(context: Context): Promise<FileFacts> {
  const { checkFiles } = await import('../../checks/child.ts');
  const { fileFacts } = await import('../report/read.ts');
  return fileFacts(
    context.catalog(),
    context.root,
    await checkFiles({ root: context.root, rules: false }),
  );
}

/** The facts, in one transaction that is rolled back; of the amounts what the source still tells. */
async function read(context: Context, session: Session, files: FileFacts): Promise<Facts> {
  const { root } = context;
  const catalog = context.catalog();
  const { source, target } = await context.config();
  const { amountChecks, readFacts } = await import('../report/read.ts');
  const { readMaker } = await import('../report/maker.ts');
  const maker = await readMaker(root);
  await login(session, source);
  const body = async (amounts: AmountFact[], amountsMissing: string | null): Promise<Facts> => {
    await session.query('set transaction read only');
    return readFacts(session, {
      catalog,
      root,
      summary: await readSummary(session, catalog),
      files,
      amounts,
      amountsMissing,
      maker,
      from: { place: placeOf(source), database: source.database },
      to: { place: placeOf(target), database: target.database },
    });
  };
  const checks = amountChecks(root);
  const inOne = (work: () => Promise<Facts>) =>
    transaction(
      session,
      async () => {
        await install(session, catalog, (make) => make());
        return work();
      },
      { commit: false, lockTimeout: '1s' },
    );
  if (checks.length === 0) return inOne(() => body([], null));
  try {
    return await throughLink(source, () =>
      inOne(async () => {
        await pointLink(session, source);
        return body(await readThroughLink(session, checks), null);
      }),
    );
  } catch (error) {
    if (!(error instanceof CouldNotConnect) || error.side !== 'source') throw error;
    context.note('the source cannot be reached: the report has no amounts');
    return inOne(() => body([], 'the source could not be reached.'));
  }
}

async function readThroughLink(session: Session, checks: Check[]): Promise<AmountFact[]> {
  const { readAmounts } = await import('../report/read.ts');
  await openLink(session);
  const amounts = await readAmounts(session, checks);
  await closeLink(session);
  return amounts;
}

/** Writes or says the document in the form that was asked for; returns the sha256 of its data. */
async function deliver(
  context: Context,
  facts: Facts | FileFacts,
  document: Document,
  file: string,
): Promise<string> {
  const json = JSON.stringify(facts);
  const hash = hashOf(json);
  const given = context.positionals.length > 0;
  if (context.has('json') && !given) sayJson(facts);
  else if (context.has('json')) write(context, file, `${json}\n`);
  else if (context.has('markdown')) {
    const { markdownOf } = await import('../report/markdown.ts');
    const text = markdownOf(document, hash);
    if (given) write(context, file, text);
    else say(text.trimEnd());
  } else {
    const { pageOf } = await import('../report/page.ts');
    write(context, file, pageOf(document, json, hash));
  }
  return hash;
}

function write(context: Context, file: string, text: string): void {
  const path = resolve(file);
  writeFileSync(path, text);
  const size = `${Math.ceil(Buffer.byteLength(text) / 1024).toLocaleString('en-US')} kB`;
  if (context.has('json')) note(`${path}, ${size}`);
  else say(`${path}, ${size}`);
}
