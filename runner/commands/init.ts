import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { type Command, type Context, Refused, UsageError } from './command.ts';
import { namesOfTables } from './coverage.ts';
import { draftFor, likeliestOf } from './scaffold.ts';
import { LEFT_OUT_LIST, listFiles } from '../../checks/coverage/lists.ts';
import { type Endpoint, parseUrl } from '../config.ts';
import { calledFrom } from '../project.ts';
import { caseFiles } from '../scaffold/case.ts';
import { type Draft, keyOf, looksSecret, strangeName } from '../scaffold/draft.ts';
import {
  exampleFiles,
  type Files,
  present,
  projectFiles,
  settingsText,
  writeFiles,
} from '../scaffold/project.ts';
import { isOfApplication, readSide, type Table } from '../scaffold/tables.ts';
import { entityText } from '../scaffold/text.ts';
import { say, sayJson } from '../terminal/terminal.ts';

export const init: Command = {
  options: {
    source: { text: 'read its tables, columns and secrets from this database', value: 'url' },
    target: { text: 'the same of the application', value: 'url' },
  },
  anywhere: true,
  run: runCommand,
};

const PHASE = '1-foundation';
const PACKAGE = 'package.json';
const SETTINGS = 'sql/settings.json';
async function runCommand(context: Context): Promise<number> {
  const [word, ...more] = context.positionals;
  if (word === undefined || more.length > 0) throw new UsageError('say where: one directory');
  const directory = resolve(word);
  const fixed = projectFiles();
  // `npm install` of the package makes one before
  const scripts = existsSync(join(directory, PACKAGE)) ? fixed.get(PACKAGE) : undefined;
  if (scripts !== undefined) fixed.delete(PACKAGE);
  refusePresent(directory, new Map([...fixed, [SETTINGS, '']]));
  const [sourceUrl, targetUrl] = [endpointOf(context, 'source'), endpointOf(context, 'target')];
  const target = targetUrl && ofApplication(await readSide(targetUrl, 'target', []));
  const source = sourceUrl && (await readSide(sourceUrl, 'source', []));
  const example = exampleOf(source, target);
  const files: Files = new Map([...fixed, ...filesOf(source, target, fixed), ...example.files]);
  refusePresent(directory, files);
  writeFiles(directory, files);
  const secrets = source === undefined ? {} : secretsOf(source);
  const names = [...files.keys()].toSorted();
  if (context.has('json')) {
    sayJson({ directory, files: names, secrets, example: example.entity ?? null });
    return 0;
  }
  const dir = calledFrom(directory);
  say(`${dir}: ${names.length} files`);
  if (Object.keys(secrets).length > 0) {
    const list = Object.entries(secrets).map(
      ([table, columns]) => `${table} (${columns.join(', ')})`,
    );
    say(`secrets by their names, look through ${SETTINGS}: ${list.join(', ')}`);
  }
  say(
    example.entity === undefined
      ? 'no table of the source is enough like one of the target to begin with'
      : `the first entity, to look through: ${example.entity}`,
  );
  if (scripts !== undefined) {
    const { scripts: lines } = JSON.parse(scripts) as { scripts: Record<string, string> };
    say(`${PACKAGE} stays as it is; scripts worth having: ${JSON.stringify(lines)}`);
  }
  say(nextCommands(dir, source !== undefined && target !== undefined));
  return 0;
}

function nextCommands(dir: string, isReal: boolean): string {
  const call = (words: string, what: string) =>
    `  ${`runner ${words} --project ${dir}`.padEnd(58)}${what}`;
  return [
    'next:',
    call('check --static', 'what is not decided yet'),
    ...(isReal ? [] : [call('up --embedded', 'the example, in two servers of its own')]),
    `  ${`cp ${dir}/.env.example ${dir}/.env`.padEnd(58)}then set both URLs`,
    call('doctor', 'what both sides still need'),
    call('scaffold <table> --write', 'the next entity'),
    call('up', ''),
  ]
    .map((line) => line.trimEnd())
    .join('\n');
}

function refusePresent(directory: string, files: Files): void {
  const there = present(directory, files);
  if (there.length === 0) return;
  throw new Refused(
    `${calledFrom(directory)} has ${there.join(', ')} already; nothing was written`,
    'say another directory, or move these files away',
    { present: there },
  );
}

function endpointOf(context: Context, side: 'source' | 'target'): Endpoint | undefined {
  const url = context.value(side);
  if (url === undefined) return undefined;
  const found = parseUrl(url);
  if (typeof found === 'string') throw new UsageError(`--${side} ${found}`);
  return found;
}

/** The tables of schema public; of all schemas but those of the platform where it has none. */
function ofApplication(tables: readonly Table[]): Table[] {
  const open = tables.filter(({ schema }) => schema === 'public');
  return open.length > 0 ? open : tables.filter(isOfApplication);
}

/** Columns that look like secrets, by their tables. */
function secretsOf(tables: readonly Table[]): Record<string, string[]> {
  const found = tables
    .filter(({ kind }) => !'vm'.includes(kind))
    .map(
      ({ name, columns }) =>
        [
          name,
          columns.map((column) => column.name).filter((column) => looksSecret(column)),
        ] as const,
    )
    .filter(([, columns]) => columns.length > 0);
  return Object.fromEntries(found);
}

/** Settings and lists, of the databases that were read. */
function filesOf(source: Table[] | undefined, target: Table[] | undefined, fixed: Files): Files {
  const secrets = source === undefined ? {} : secretsOf(source);
  const schemas = [...new Set(source?.map(({ schema }) => schema))];
  const lists = listFiles(namesOfTables({ source: source ?? [], target: target ?? [] }), fixed);
  const leftOut = Object.entries(secrets).flatMap(([table, columns]) =>
    columns.map((column) => `legacy.${table}.${column}  by its name a secret: never read\n`),
  );
  return new Map([
    [SETTINGS, settingsText(schemas, secrets)],
    ...lists,
    [LEFT_OUT_LIST, (fixed.get(LEFT_OUT_LIST) ?? '') + leftOut.join('')],
  ]);
}

/** The entity a project begins with: the tables most like each other, or made-up ones without databases. */
function exampleOf(
  source: Table[] | undefined,
  target: Table[] | undefined,
): { files: Files; entity?: string } {
  if (source === undefined && target === undefined) {
    return { files: exampleFiles(), entity: `sql/${PHASE}/10_people.sql` };
  }
  const draft = bestDraft(source ?? [], target ?? []);
  if (draft === undefined) return { files: new Map() };
  const entity = `sql/${PHASE}/10_${draft.name}.sql`;
  const text = entityText(draft, { settled: true });
  return { files: new Map([[entity, text], ...(caseFiles(draft) ?? [])]), entity };
}

function bestDraft(source: Table[], target: Table[]): Draft | undefined {
  const settings = {
    sourceSchemas: ['public'],
    secrets: secretsOf(source),
    functions: [],
    mappings: null,
  };
  const drafts = source
    .filter((table) => keyOf(table) !== undefined && strangeName(table) === undefined)
    .flatMap((table) => {
      const like = likeliestOf(table, target.filter(hasId));
      return like === undefined ? [] : [draftFor({ phases: [], settings }, source, table, like)];
    })
    .filter(({ openTarget, target: { columns } }) =>
      openTarget.every(({ name }) => columns.some((each) => each.name === name && !each.required)),
    );
  const share = ({ columns, openTarget, openSource }: Draft) =>
    columns.length / (columns.length + openTarget.length + openSource.length);
  return drafts.toSorted((a, b) => share(b) - share(a))[0];
}

function hasId({ columns }: Table): boolean {
  return columns.some(({ name, type }) => name === 'id' && type === 'uuid');
}
