import type { Coverage } from '../../checks/coverage/index.ts';
import type { Lists, Names, Written } from '../../checks/coverage/lists.ts';
import type { LiveFacts } from '../../checks/coverage/live.ts';
import { type Catalog, sourceTables, targetSchemas } from '../engine/catalog.ts';
import { type Context, UsageError } from './command.ts';
import { type Session, transaction } from '../database.ts';
import { throughLink } from '../connection/source.ts';
import { install, installed } from '../engine/ledger.ts';
import { login, openLink, pointLink } from '../engine/link.ts';
import type { Table } from '../scaffold/tables.ts';
import { note, say, sayJson } from '../terminal/terminal.ts';

/**
 * The coverage proof of the files and, without --static, against both databases. Before the first `up` there is
 * no link and no view to compare with: a note says so.
 */
export async function proveCoverage(context: Context, coverage: Coverage): Promise<Coverage> {
  if (context.has('static') || coverage.lineage.unread.length > 0) return coverage;
  const { liveProblems } = await import('../../checks/coverage/live.ts');
  const { source } = await context.config();
  const session = await context.session('runner check coverage');
  if ((await installed(session, context.catalog())) === undefined) {
    note('nothing is migrated yet: the coverage is proved from the files alone');
    return coverage;
  }
  await login(session, source);
  const read = async () => {
    await pointLink(session, source);
    await openLink(session);
    await session.query('set transaction read only');
    return readLiveFacts(session, context.catalog(), coverage.lists);
  };
  const live = await throughLink(source, () =>
    transaction(session, read, { commit: false, lockTimeout: '1s' }),
  );
  const unseen = coverage.lineage.reads.size - live.dependencies.size;
  if (unseen > 0) {
    note(
      `${unseen} views are not compared with pg_depend: \`up\` has not finished these files yet`,
    );
  }
  const found = liveProblems(coverage.lineage, coverage.lists, live);
  return { ...coverage, problems: [...coverage.problems, ...found] };
}

/** Writes the lists of both databases anew, as they are now; says what is another. */
export async function renewLists(context: Context): Promise<number> {
  const { readLists, writeLists } = await import('../../checks/coverage/lists.ts');
  const { readBoth } = await import('../scaffold/tables.ts');
  const catalog = context.catalog();
  const there = await readBoth(await context.config(), {
    source: catalog.settings.sourceSchemas,
    target: coveredSchemas(catalog, readLists(context.root)),
  });
  const written = writeLists(context.root, namesOfTables(there, sourceTables(catalog)));
  if (context.has('json')) sayJson({ written });
  else for (const list of written) sayWritten(list);
  return 0;
}

/** What the lists hold of these tables: views of the source only where they are `read`. */
export function namesOfTables(
  { source, target }: Record<'source' | 'target', Table[]>,
  read: readonly string[] = [],
): Names {
  return {
    sourceColumns: source
      .filter(({ kind, name }) => !'vm'.includes(kind) || read.includes(name))
      .flatMap(({ name, columns }) => columns.map((each) => ({ table: name, column: each.name }))),
    targetTables: target
      .filter(({ kind }) => kind === 'r' || kind === 'p')
      .map(({ schema, name }) => `${schema}.${name}`),
  };
}

function sayWritten({ file, added, removed }: Written): void {
  const nothing = added.length + removed.length === 0;
  say(`${file}: ${nothing ? 'as it was' : `${added.length} new, ${removed.length} gone`}`);
  for (const [sign, names] of [
    ['+', added],
    ['-', removed],
  ] as const) {
    for (const name of names.slice(0, 20)) say(`  ${sign} ${name}`);
    if (names.length > 20) say(`  ${sign} … and ${names.length - 20} more`);
  }
}

/**
 * The lineage as a Mermaid flowchart; `names` are entities, phases or tables of the archive, none = all of them.
 * Throws UsageError for a name that is none of these.
 */
export async function drawLineage(root: string, names: string[]): Promise<string> {
  const { readLineage } = await import('../../checks/coverage/files.ts');
  const { mermaid } = await import('../../checks/coverage/mermaid.ts');
  const { links } = await readLineage(root);
  const wants = ({ entity, phase }: (typeof links)[number], name: string) =>
    entity === name || phase === name || phase.slice(2) === name;
  const unknown = names.filter((name) => !links.some((link) => wants(link, name)));
  if (unknown.length > 0) {
    throw new UsageError(`there is no entity or phase ${unknown.join(', ')}`);
  }
  return mermaid(
    names.length === 0 ? links : links.filter((link) => names.some((name) => wants(link, name))),
  );
}

/**
 * What the coverage proof compares the files with: columns of the source, tables of the target, and what the views
 * depend on. Reads catalogs only, in the transaction of the caller, with the link open.
 */
export async function readLiveFacts(
  session: Session,
  catalog: Catalog,
  lists: Lists,
): Promise<LiveFacts> {
  return {
    sourceColumns: namesOf(
      await session.query('select s.name from migration.source_columns() as s (name)'),
    ),
    targetTables: namesOf(
      await session.query('select t.name from migration.target_tables($1) as t (name)', [
        coveredSchemas(catalog, lists),
      ]),
    ),
    dependencies: await readDependencies(session, catalog),
  };
}

/** Schemas of the target that entities write to, and those of the list: a table of theirs has to be decided on. */
function coveredSchemas(catalog: Catalog, { targetTables }: Lists): string[] {
  const listed = targetTables.map(({ name }) => name.slice(0, name.indexOf('.')));
  const schemas = new Set([...targetSchemas(catalog), ...listed]);
  return schemas.size === 0 ? ['public'] : [...schemas];
}

/** Views of files that changed since their last run are left out: they are not what the files say. */
async function readDependencies(
  session: Session,
  catalog: Catalog,
): Promise<Map<string, Set<string>>> {
  const rows = await session.query<{ entity: string; hash: string; columns: string[] }>(
    'select * from migration.view_columns()',
  );
  const entities = catalog.phases.flatMap((phase) => phase.entities);
  return new Map(
    rows
      .filter(({ entity, hash }) =>
        entities.some((each) => each.name === entity && each.hash === hash),
      )
      .map(({ entity, columns }) => [entity, new Set(columns)]),
  );
}

function namesOf(rows: { name: string }[]): string[] {
  return rows.map(({ name }) => name);
}

/** Columns of a table that entities fill that are NULL in all of its rows. */
export interface EmptyColumns {
  table_name: string;
  column_names: string[];
  row_count: number;
}

/** Reads the tables of the target that entities fill; changes nothing. */
export async function readEmptyColumns(
  session: Session,
  catalog: Catalog,
): Promise<EmptyColumns[]> {
  if ((await installed(session, catalog)) === undefined) return [];
  return transaction(
    session,
    async () => {
      await install(session, catalog, (make) => make());
      return session.query<EmptyColumns>('select * from migration.empty_columns()');
    },
    { commit: false },
  );
}
