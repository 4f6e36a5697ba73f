import type { Catalog } from './catalog.ts';
import type { Session } from '../database.ts';
import { literal } from '../quote.ts';
import { at, positionAt, type Problem } from './text.ts';

/** An entity with state that the files do not define, or define with another target or source. */
export interface Stray {
  entity: string;
  phase: string;
  /** As the ledger has it: `public.people`; the source is null for `source none`. */
  target: string;
  source: string | null;
  /** A file defines it, with these. */
  defined: boolean;
  target_now: string | null;
  source_now: string | null;
  /** An entity without state that writes the same table from the same source. */
  renamed: string | null;
}

/**
 * The statement that compares the files with what was migrated by them: rows are strays. None where a
 * file cannot be read: which entity it defines is not known, and that is a problem of its own.
 */
export function strayQuery(catalog: Catalog): string[] {
  if (catalog.problems.length > 0) return [];
  const defined = literal(JSON.stringify(allOf(catalog)));
  return [`select * from migration.stray_entities(${defined})`];
}

/** What that statement finds. */
export async function strayEntities(session: Session, catalog: Catalog): Promise<Stray[]> {
  return (await session.batch(strayQuery(catalog))) as unknown as Stray[];
}

/** What each of them is, and the ways out. */
export function strayProblems(catalog: Catalog, strays: readonly Stray[]): Problem[] {
  return strays.map((stray) => {
    const { entity, phase, target, source, target_now: to, source_now: from, renamed } = stray;
    const was = `${entity} is migrated from ${source ?? 'no source'} to ${target}`;
    const down = catalog.phases.some(({ name }) => name === phase)
      ? `or take its rows back: \`runner down ${phase}\` (the ledger knows where they are)`
      : `and take its rows back: \`runner down ${phase}\``;
    const forget = `or keep them: \`runner forget ${entity}\``;
    if (stray.defined) {
      const file = [...catalog.phases.flatMap(({ entities }) => entities), ...catalog.archive].find(
        ({ name }) => name === entity,
      );
      const mark = target === to ? /-- source/ : /-- target/;
      const { line, column } = positionAt(file?.text ?? '', file?.text.search(mark) ?? 0);
      const says = `${was}; its file says from ${from ?? 'no source'} to ${to}`;
      const fix = `put the header back, ${down}, ${forget}`;
      return at('ledger', file?.file ?? 'sql', line, column, says, fix);
    }
    const folder = `sql/${phase}`;
    if (renamed !== null) {
      const says = `${was}, and no file defines it; ${renamed} would bring the same rows a second time`;
      return at('ledger', folder, 1, 1, says, `name the file ${entity} as before, ${down}`);
    }
    const fix =
      phase === 'archive'
        ? `put its file back, ${forget}`
        : `put its file back, ${down}, ${forget}`;
    return at('ledger', folder, 1, 1, `${was}, and no file defines it`, fix);
  });
}

function allOf({ phases, archive }: Catalog): object[] {
  return [...phases.flatMap(({ entities }) => entities), ...archive].map(
    ({ name, target, source }) => ({
      entity: name,
      target: `${target.schema}.${target.table}`,
      source,
    }),
  );
}
