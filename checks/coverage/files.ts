import { readCatalog } from '../../runner/engine/catalog.ts';
import { type Problem } from '../../runner/engine/text.ts';
import { selectOf } from '../../runner/engine/grammar.ts';
import { readSql, viewFile, type SqlFile } from '../static/sql.ts';
import { lineageOf, type How } from './lineage.ts';

/** One source column in one place of the target. */
export interface Link {
  /** Entity, or table of the archive. */
  entity: string;
  /** Folder in sql/: `2-core`, `archive`. */
  phase: string;
  source: { table: string; column: string };
  /**
   * `public.people` and `metadata.legacy.sex`: the keys of a JSON object that the view builds are part of the
   * column. legacy_key is shown where it is kept: `ids.<entity>`, `legacy_id`.
   */
  target: { table: string; column: string };
  how: How;
}

/** What the files of sql/ say about where source columns go. */
export interface Lineage {
  /** In the order of execution, archive last; within an entity in the order of its columns. */
  links: Link[];
  /** Source columns (`table.column`) that each entity's view mentions anywhere. */
  reads: Map<string, { file: string; columns: Set<string> }>;
  /** Tables that entities fill (`schema.table`), with the last file that does, in the order of execution. */
  filled: Map<string, string>;
  /** Places in views that cannot be followed. */
  problems: Problem[];
  /** Files that could not be read: what they carry and fill is not known. */
  unread: string[];
}

// They say what becomes of the row, and are stored nowhere in the target.
const NOT_STORED = new Set(['filter', 'missing', 'reject']);

/**
 * Reads every entity and every file of the archive of a project. A file that does not parse or has an unusable
 * header is left out: the static checks report it. Throws only what the file system throws.
 */
export async function readLineage(root: string): Promise<Lineage> {
  const lineage: Lineage = {
    links: [],
    reads: new Map(),
    filled: new Map(),
    problems: [],
    unread: [],
  };
  const { phases, archive, problems: unusable } = readCatalog(root);
  lineage.unread.push(...unusable.map(({ file }) => file).filter((file) => file.endsWith('.sql')));
  for (const { entities } of phases) {
    for (const entity of entities) {
      const file = viewFile(await readSql(root, entity.file), entity.name, entity);
      const select = selectOf(file.view?.query);
      if (select === undefined) {
        lineage.unread.push(entity.file);
        continue;
      }
      const { columns, reads, problems } = lineageOf(file, select);
      lineage.reads.set(entity.name, { file: entity.file, columns: reads });
      lineage.problems.push(...problems);
      lineage.filled.set(`${entity.target.schema}.${entity.target.table}`, entity.file);
      for (const { name, origins } of columns) {
        if (name === null || NOT_STORED.has(name)) continue;
        const isKey = name === 'legacy_key';
        const table = isKey
          ? `ids.${entity.name}`
          : `${entity.target.schema}.${entity.target.table}`;
        for (const { table: from, column, how, path } of origins) {
          lineage.links.push({
            entity: entity.name,
            phase: entity.phase,
            source: { table: from, column },
            target: { table, column: [isKey ? 'legacy_id' : name, ...path].join('.') },
            how,
          });
        }
      }
    }
  }
  for (const { file, source, target } of archive) {
    const columns = tableColumns(await readSql(root, file));
    if (columns.length === 0) lineage.unread.push(file);
    for (const column of columns) {
      lineage.links.push({
        entity: target.table,
        phase: 'archive',
        source: { table: source, column },
        target: { table: `${target.schema}.${target.table}`, column },
        how: 'value',
      });
    }
  }
  return lineage;
}

/** A file of the archive copies into the columns of its table the source columns of the same name. */
function tableColumns({ statements }: SqlFile): string[] {
  const tables = statements.flatMap(({ stmt }) =>
    stmt !== undefined && 'CreateStmt' in stmt ? [stmt.CreateStmt] : [],
  );
  return (tables[0]?.tableElts ?? []).flatMap((element) =>
    'ColumnDef' in element ? [element.ColumnDef.colname ?? ''] : [],
  );
}

/** A file whose columns are not known: the coverage proof cannot be made without it. */
export function unreadable(file: string): Problem {
  const archives = file.startsWith('sql/archive/');
  const message = archives
    ? 'which columns this file archives cannot be read'
    : 'what this file carries cannot be read: nothing is proved of its columns';
  const fix = archives
    ? 'begin with `create table if not exists legacy_archive.<table> (`'
    : 'correct what the static checks say of it';
  return { rule: 'coverage', file, line: 1, column: 1, message, fix };
}
