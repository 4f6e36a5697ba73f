import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Command, type Context, Refused, UsageError } from './command.ts';
import { type Catalog, type Phase, phaseOf } from '../engine/catalog.ts';
import { draftOf, keyOf, type Draft, strangeName } from '../scaffold/draft.ts';
import { snake, tableLikeness } from '../scaffold/names.ts';
import { isOfApplication, readBoth, type Table } from '../scaffold/tables.ts';
import { entityText } from '../scaffold/text.ts';
import { note, say, sayJson } from '../terminal/terminal.ts';

export const scaffold: Command = {
  options: {
    target: { text: 'the table its rows go to', value: 'schema.table' },
    phase: { text: 'the phase it belongs to: name or number', value: 'phase' },
    write: { text: 'write the file into its phase' },
  },
  run: runCommand,
};

/** A table of the target is meant where it is so much like the source's. */
const ALIKE = 0.8;

async function runCommand(context: Context): Promise<number> {
  const [table, ...more] = context.positionals;
  if (table === undefined || more.length > 0) throw new UsageError('say one table of the source');
  const catalog = context.catalog();
  const given = context.value('target');
  const [schema, name, ...rest] = given?.split('.') ?? [];
  if (given !== undefined && (schema === undefined || name === undefined || rest.length > 0)) {
    throw new UsageError('--target takes schema.table');
  }
  const phase = phaseGiven(catalog, context.value('phase'));
  const both = await readBoth(await context.config(), {
    source: catalog.settings.sourceSchemas,
    target: schema === undefined ? [] : [schema],
  });
  const source = sourceTable(both.source, table);
  const target =
    given === undefined
      ? likeliest(source, both.target.filter(isOfApplication))
      : targetTable(both.target, given);
  refuseTwice(catalog, source, target);
  const draft = draftFor(catalog, both.source, source, target, phase);
  const text = entityText(draft);
  const file = freeFile(context.root, phase ?? phaseFor(catalog, draft), draft.name);
  const write = context.has('write');
  if (write) writeFileSync(join(context.root, file), text, { flag: 'wx' });
  if (context.has('json')) {
    const open = [...draft.openTarget, ...draft.openSource].map((each) => each.name);
    sayJson({ file, written: write, text, undecided: open });
    return 0;
  }
  say(write ? `written: ${file}` : text.trimEnd());
  const open = draft.openTarget.length + draft.openSource.length;
  if (!write) note(`\n--write writes it to ${file}`);
  if (open > 0) note(`undecided: ${open}; \`runner check --static\` names each`);
  return 0;
}

/** Drafts an entity of this project; `phase`: only what stands before its end can be referred to. */
export function draftFor(
  { phases, settings }: Pick<Catalog, 'phases' | 'settings'>,
  tables: readonly Table[],
  source: Table,
  target: Table,
  phase?: Phase,
): Draft {
  const strange = strangeName(source);
  if (strange !== undefined) {
    throw new Refused(
      `a header cannot name ${strange}`,
      'names of tables and keys are of letters, digits, _ and $: make a view of it in the source',
    );
  }
  if (keyOf(source) === undefined) {
    throw new Refused(
      `${source.name} has no unique key: its rows cannot be told apart`,
      'give it a unique index, archive it (sql/archive), or write the entity by hand, with a line `-- key`',
    );
  }
  const id = target.columns.find(({ name }) => name === 'id');
  if (id?.type !== 'uuid') {
    throw new Refused(
      `${target.schema}.${target.name} has no column id of type uuid`,
      'an entity fills tables whose id is a uuid: add it in schema-changes/additive, or say another --target',
    );
  }
  const end = phase === undefined ? phases.length : phases.indexOf(phase) + 1;
  const entities = phases.slice(0, end).flatMap((each) => each.entities);
  const all = phases.flatMap((each) => each.entities);
  const isTaken = (name: string) => all.some((entity) => entity.name === name);
  const plain = snake(target.name);
  const name = isTaken(plain) ? `${plain}_${snake(source.name)}` : plain;
  if (isTaken(name)) {
    const fix = 'rename the one that is there: an entity is one file';
    throw new Refused(`there is an entity ${name} already`, fix);
  }
  const secrets = settings.secrets[source.name] ?? [];
  return draftOf(name, source, target, { source: tables, entities, secrets });
}

/** The table of the target that a source table is most like; undefined where none is. */
export function likeliestOf(source: Table, targets: readonly Table[]): Table | undefined {
  const [first] = targets
    .filter(({ kind }) => kind === 'r' || kind === 'p')
    .map((table) => ({ table, score: tableLikeness(source.name, table.name) }))
    .filter(({ score }) => score >= ALIKE)
    .toSorted((a, b) => b.score - a.score);
  return first?.table;
}

function likeliest(source: Table, targets: readonly Table[]): Table {
  const found = likeliestOf(source, targets);
  if (found !== undefined) return found;
  const names = targets.map(({ schema, name }) => `${schema}.${name}`);
  const some = names.length > 8 ? `${names.slice(0, 8).join(', ')} …` : names.join(', ');
  throw new UsageError(`no table of the target is like ${source.name}`, `say --target: ${some}`);
}

function sourceTable(tables: readonly Table[], word: string): Table {
  const found = tables.filter(({ schema, name }) => name === word || `${schema}.${name}` === word);
  const [table] = found;
  if (table === undefined) {
    const [like] = tables.toSorted(
      (a, b) => tableLikeness(word, b.name) - tableLikeness(word, a.name),
    );
    const fix =
      like === undefined ? 'may the reader see its schema?' : `did you mean ${like.name}?`;
    throw new UsageError(`there is no table ${word} in the source`, fix);
  }
  if (found.length > 1) {
    const names = found.map(({ schema, name }) => `${schema}.${name}`).join(' or ');
    throw new UsageError(`${word} is in several schemas`, `say ${names}`);
  }
  return table;
}

function targetTable(tables: readonly Table[], word: string): Table {
  const found = tables.find(({ schema, name }) => `${schema}.${name}` === word);
  if (found === undefined) throw new UsageError(`there is no table ${word} in the target`);
  return found;
}

function phaseGiven({ phases }: Catalog, word: string | undefined): Phase | undefined {
  if (word === undefined) return undefined;
  const phase = phaseOf(phases, word);
  if (phase !== undefined) return phase;
  const names = phases.map(({ name }) => name).join(', ');
  throw new UsageError(`there is no phase ${word}`, `the folders of sql/ are: ${names}`);
}

/** The phase in which all that it refers to is there; the first where it refers to nothing. */
function phaseFor({ phases }: Catalog, { joins, name }: Draft): Phase {
  const last = Math.max(
    0,
    ...joins
      .filter(({ entity }) => entity !== name)
      .map((each) =>
        phases.findIndex(({ entities }) => entities.some((e) => e.name === each.entity)),
      ),
  );
  const phase = phases[last];
  if (phase === undefined) {
    throw new Refused(
      'the project has no phase',
      'make a folder for the first one: sql/1-foundation',
    );
  }
  return phase;
}

/** The next number of a phase, in tens where there is room. */
function freeFile(root: string, { name: phase }: Phase, entity: string): string {
  const folder = join(root, 'sql', phase);
  const numbers = existsSync(folder)
    ? readdirSync(folder).flatMap((file) => Number(/^(\d\d)_/.exec(file)?.[1] ?? 0))
    : [];
  const last = Math.max(0, ...numbers);
  const next = last < 90 ? Math.floor(last / 10) * 10 + 10 : last + 1;
  if (next > 99) {
    throw new Refused(
      `${phase} has no number left behind ${last}`,
      'say another --phase, or renumber',
    );
  }
  return `sql/${phase}/${next}_${entity}.sql`;
}

function refuseTwice({ phases }: Catalog, source: Table, { schema, name }: Table): void {
  const there = phases
    .flatMap(({ entities }) => entities)
    .find(
      (each) =>
        each.source === source.name && each.target.schema === schema && each.target.table === name,
    );
  if (there === undefined) return;
  throw new Refused(
    `${there.file} brings ${source.name} to ${schema}.${name} already`,
    'change that file, or move it away',
  );
}
