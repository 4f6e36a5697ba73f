import type { Problem } from '../engine/text.ts';
import { beside, enterOrSay, joined } from './beside.ts';
import { type Command, type Context, Refused, UsageError } from './command.ts';
import { transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { install, installed } from '../engine/ledger.ts';
import { login } from '../engine/link.ts';
import { joinReading, prepareReading } from '../engine/prepare.ts';
import { enterVerified, lastEvent } from '../engine/proofs.ts';
import { Interrupted } from '../engine/run.ts';
import { oneLine, problems, say, sayJson, table, words } from '../terminal/terminal.ts';
import { counted } from '../terminal/text.ts';
import {
  type Difference,
  differences,
  type EntityFindings,
  type Known,
  type RowFinding,
  verifyAll,
} from '../engine/verify.ts';

export const verify: Command = {
  options: {
    all: { text: 'every problem, also where there are many of one cause' },
    'show-data': { text: 'print the values that differ, not only the names of the columns' },
  },
  run: runCommand,
};

/** What `verify` has found: problems of views that cannot be compared, or what became of every row. */
export interface Verification {
  problems: Problem[];
  /** Rows that are not as they should be, of all entities. */
  differences: number;
  entities: EntityFindings[];
}

async function runCommand(context: Context): Promise<number> {
  const { problems: wrong, differences: total, entities: found } = await compareRows(context);
  const entities = context.catalog().phases.flatMap((phase) => phase.entities);
  if (wrong.length > 0) {
    if (context.has('json')) sayJson({ problems: wrong });
    else
      problems(
        wrong,
        (file) => entities.find((entity) => entity.file === file)?.text,
        context.has('all'),
      );
    return 1;
  }
  if (context.has('json')) sayJson({ differences: total, entities: found });
  else show(found, total, (name) => entities.find((e) => e.name === name)?.file ?? name);
  return total === 0 ? 0 : 1;
}

/** Compares, and enters what was found in the audit trail. Throws Refused before the first run. */
export async function compareRows(context: Context): Promise<Verification> {
  const catalog = context.catalog();
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  const names = context.positionals;
  const known = [...entities, ...catalog.archive].map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new UsageError(`there is no entity ${unknown.join(', ')}`);
  const { source } = await context.config();
  const session = await context.session('runner verify');
  if ((await installed(session, catalog)) === undefined) throw nothingYet();
  await login(session, source);
  let wrong: Problem[] = [];
  let found: EntityFindings[] = [];
  let after = 0;
  const body = async () => {
    const renewed = await install(session, catalog, (make) => make());
    after = await lastEvent(session);
    const { problems: unfit, built } = await prepareReading(session, { catalog, source });
    wrong = unfit;
    if (wrong.length > 0) return;
    found = await verifyAll(session, catalog, {
      names,
      showData: context.has('show-data'),
      checkpoint: () => {
        if (context.interrupt.requested) throw new Interrupted('interrupted');
      },
      // it does not see what this transaction has made
      beside: async (help) => {
        if (renewed || built) return;
        await beside(context, 'runner verify 2', async (second) => {
          if (await joined(() => joinReading(second, { catalog, source }))) await help(second);
        });
      },
      cancel: () => {
        context.interrupt.cancel();
      },
    });
  };
  await throughLink(source, () => transaction(session, body, { commit: false, lockTimeout: '1s' }));
  if (wrong.length > 0) return { problems: wrong, differences: 0, entities: [] };
  if (found.length === 0) throw nothingYet();
  await enterOrSay(context, () => enterVerified(session, catalog, { after, names }, found));
  const total = found.reduce((sum, each) => sum + differences(each), 0);
  return { problems: [], differences: total, entities: found };
}

function nothingYet(): Refused {
  return new Refused('nothing is migrated yet', 'run `up` first');
}

/** Rows listed per entity. */
const SHOWN = 20;

function show(found: EntityFindings[], total: number, fileOf: (entity: string) => string): void {
  const changed = found.filter(({ fileChanged }) => fileChanged).map((e) => fileOf(e.entity));
  if (changed.length > 0) {
    say('compared with these files as they are now, which have changed since `up` applied them:');
    for (const file of changed) say(`  ${file}`);
    say();
  }
  const bad = found.filter((each) => differences(each) > 0);
  if (bad.length > 0) {
    const kinds = ['missing', 'surplus', 'differs', 'changed', 'duplicate'] as const;
    table(
      ['entity', 'rows', ...kinds],
      bad.map(({ entity, compared, counts }) => [
        entity,
        compared,
        ...kinds.map((kind) => counts[kind] ?? 0),
      ]),
    );
    say();
    for (const { rows } of bad) showRows(rows);
    say();
    say(
      'missing: not in the target · surplus: mapped, but no row to store any more · differs: the source',
    );
    say(
      'or the file says something else now (`up` brings it) · changed: the target was changed since',
    );
    say();
  }
  showKnown(found);
  const rows = found.reduce((sum, { compared }) => sum + compared, 0);
  const of = counted(found.length, 'entity', 'entities');
  const verdict = `${counted(rows, 'row')} of ${of} compared, ${counted(total, 'difference')}`;
  say(total === 0 ? words.good(verdict) : words.bad(verdict));
}

/** What is not as the view has it, and no difference. */
function showKnown(found: EntityFindings[]): void {
  const rewritten = found.filter(({ knownCounts }) => knownCounts.rewritten !== undefined);
  if (rewritten.length > 0) {
    say('rewritten by a trigger of the target when they were written, and as it left them:');
    for (const { entity, knownCounts, known } of rewritten) {
      say(`  ${entity}: ${(knownCounts.rewritten ?? 0).toLocaleString('en-US')} rows`);
      showRows(known.filter(({ kind }) => kind === 'rewritten'));
    }
    say();
  }
  const rejected = found.reduce((sum, { knownCounts }) => sum + (knownCounts.rejected ?? 0), 0);
  if (rejected === 0) return;
  say(`${rejected.toLocaleString('en-US')} rows are known rejects: \`runner rejects\` lists them`);
  say();
}

function showRows(rows: RowFinding<Difference | Known>[]): void {
  for (const { entity, legacyKey, kind, columns, values } of rows.slice(0, SHOWN)) {
    const which = values.length > 0 ? values.join('; ') : columns.join(', ');
    say(`${entity} ${legacyKey}  ${kind}${which === '' ? '' : `  ${oneLine(which)}`}`);
  }
  if (rows.length > SHOWN) say(words.dim(`  and more; --json lists up to 200 per entity`));
}
