/* `down` of everything: the rows of the application are as they were before us, and nothing is left. */
import { lastLine, runner } from '../runner.ts';
import type { Image, Known } from './model.ts';
import { Failure, type Oracle, show } from './oracle.ts';
import { COLUMNS, type Row, storedRows, type Table, TABLES, type World } from './world.ts';

/** What `down` says of an entity. */
interface Step {
  entity: string;
  created: number;
  restored: number;
  touched: number;
}

/**
 * Takes all phases back, by force only where the application has changed something, and compares
 * rows and report with what the README promises. Afterwards the oracle knows nothing of ours.
 */
export async function takeDown(world: World, oracle: Oracle): Promise<void> {
  const { pair, project, target } = world;
  await oracle.observe();
  const before = new Map(TABLES.map((table) => [table, expectedOf(oracle, table)]));
  const isTouched = [...before.values()].some(({ step }) => step.touched > 0);
  const args = [
    'down',
    '1-first',
    '--cascade',
    '--yes',
    '--json',
    ...(isTouched ? ['--force'] : []),
  ];
  const ended = await runner(pair, args, { root: project.root });
  if (ended.code !== 0) throw new Failure('down', `${ended.stdout}\n${ended.stderr}`);
  const { entities } = lastLine<{ entities: Step[] }>(ended);
  for (const { entity, created, restored, touched } of entities) {
    const said = { entity, created, restored, touched };
    const step = before.get(entity as Table)?.step;
    if (show(said) !== show(step))
      throw new Failure('down report', `${show(said)} is not ${show(step)}`);
  }
  for (const [table, { rows }] of before) {
    const stored = (await storedRows(target, table)).map(({ row }) => show(row)).toSorted();
    const expected = rows.map((row) => show(row)).toSorted();
    const more = stored.filter((row) => !expected.includes(row));
    const less = expected.filter((row) => !stored.includes(row));
    if (more.length + less.length + stored.length - expected.length > 0) {
      throw new Failure(`down ${table}`, `too many ${more.join('; ')}\nlack ${less.join('; ')}`);
    }
  }
  const lists = [
    ...TABLES.map((table) => `ids.${table}`),
    ...[
      'ranges',
      'lookups',
      'lookup_ranges',
      'rejects',
      'filtered',
      'gone',
      'before_images',
      'conflicts',
      'entities',
    ].map((name) => `migration.${name}`),
  ];
  const [left] = await target.unsafe<{ tables: string | null }[]>(`
    select string_agg(name, ', ') as tables from (${lists
      .map((name) => `select '${name}' as name where exists (select from ${name})`)
      .join(' union all ')}) as o`);
  if (left?.tables != null) throw new Failure('down left', left.tables);
  oracle.forget();
}

/** Rows that stay or come back, and what the report must say. */
function expectedOf(oracle: Oracle, table: Table): { rows: Row[]; step: Step } {
  const known = [...(oracle.known.get(table) ?? [])].map(([, each]) => each);
  const images = oracle.images.get(table) ?? new Map<string, Image[]>();
  const step: Step = { entity: table, created: 0, restored: 0, touched: 0 };
  const rows = [...(oracle.theirs.get(table) ?? [])].map(([, { row }]) => row);
  for (const { id, row, ours, adopted } of known.filter((each) => !isTheirs(each, images))) {
    if (adopted) {
      // never written by us: it stays as it is
      if (row !== undefined) rows.push(row);
      continue;
    }
    if (row !== undefined) step.created += 1;
    const changed = images.get(id)?.some(({ reason }) => reason === 'changed') === true;
    if (row === undefined || !ours || changed) step.touched += 1;
  }
  const byId = new Map(known.map((each) => [each.id, each]));
  for (const [id, taken] of images) {
    const here = byId.get(id);
    const removed = taken.some(({ reason }) => reason === 'removed');
    const [first] = taken;
    if (first === undefined || !(removed || here?.adopted === true)) continue;
    const edited =
      here?.row !== undefined &&
      (!here.ours || taken.slice(1).some(({ reason }) => reason === 'changed'));
    if (here?.row !== undefined || removed) step.restored += 1;
    if (edited || !(here?.row !== undefined || removed)) step.touched += 1;
    if (here?.row === undefined) {
      if (removed) rows.push(first.row);
    } else {
      rows.push(edited ? { ...here.row, ...ofView(table, first.row) } : first.row);
    }
  }
  return { rows, step };
}

/** A row of the application that we have overwritten. */
function isTheirs({ id, adopted }: Known, images: Map<string, Image[]>): boolean {
  return adopted && (images.get(id) ?? []).length > 0;
}

function ofView(table: Table, row: Row): Row {
  return Object.fromEntries(COLUMNS[table].map((name) => [name, row[name] ?? null]));
}
