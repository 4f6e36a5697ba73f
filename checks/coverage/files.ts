import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readCatalog, type Problem } from '../../runner/catalog.ts';
import { problem, readSql, selectOf, viewFile, type SqlFile } from '../static/sql.ts';
import { lineageOf, type How } from './lineage.ts';

/** One source column in one place of the target. */
export interface Link {
  /** Entity, or the file of the archive without `.sql`. */
  entity: string;
  /** Folder in sql/: `2-core`, `archive`. */
  phase: string;
  source: { table: string; column: string };
  /**
   * `public.patients` and `metadata.legacy.sex`: the keys of a JSON object that the view builds are part of the
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
  /** Tables that entities fill (without schema), in the order of execution. */
  filled: Map<string, string>;
  /** Places in views that cannot be followed. */
  problems: Problem[];
}

// They say what becomes of the row, and are stored nowhere in the target.
const NOT_STORED = new Set(['filter', 'missing', 'reject']);

/**
 * Reads every entity and every file of the archive of a project. A file that does not parse or has an unusable
 * header is left out: the static checks report it. Throws only what the file system throws.
 */
export async function readLineage(root: string): Promise<Lineage> {
  const lineage: Lineage = { links: [], reads: new Map(), filled: new Map(), problems: [] };
  for (const { entities } of readCatalog(root).phases) {
    for (const entity of entities) {
      const file = viewFile(await readSql(root, entity.file), entity.name, entity);
      const select = selectOf(file.view?.query);
      if (select === undefined) continue;
      const { columns, reads, problems } = lineageOf(file, select);
      lineage.reads.set(entity.name, { file: entity.file, columns: reads });
      lineage.problems.push(...problems);
      if (entity.target.schema === 'public') lineage.filled.set(entity.target.table, entity.file);
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
  for (const file of archiveFiles(root)) {
    lineage.links.push(...archiveLinks(await readSql(root, file), lineage.problems));
  }
  return lineage;
}

function archiveFiles(root: string): string[] {
  if (!existsSync(join(root, 'sql/archive'))) return [];
  return readdirSync(join(root, 'sql/archive'))
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
    .map((name) => `sql/archive/${name}`);
}

/** A file of the archive copies the columns of its table from the columns of the same name. */
function archiveLinks(sql: SqlFile, problems: Problem[]): Link[] {
  const [, source] = /^-- source\s+(\S+)\s*$/m.exec(sql.text) ?? [];
  const table = sql.statements
    .flatMap(({ stmt }) => (stmt !== undefined && 'CreateStmt' in stmt ? [stmt.CreateStmt] : []))
    .find(({ relation }) => relation?.schemaname === 'legacy_archive');
  if (source === undefined || table === undefined) {
    const fix = 'begin with `-- source <table>` and `create table legacy_archive.<table>`';
    problems.push(problem('coverage', sql, 0, 'what this file archives cannot be read', fix));
    return [];
  }
  const columns = (table.tableElts ?? []).flatMap((element) =>
    'ColumnDef' in element ? [element.ColumnDef.colname ?? ''] : [],
  );
  return columns.map((column) => ({
    entity: table.relation?.relname ?? '',
    phase: 'archive',
    source: { table: source, column },
    target: { table: `legacy_archive.${table.relation?.relname ?? ''}`, column },
    how: 'value',
  }));
}
