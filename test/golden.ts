/*
 * The rendered SQL of one entity of each kind, in test/golden. `npm run golden` reads the shapes of
 * these entities from an embedded pair and writes all of it anew; test/unit/golden.test.ts compares
 * the texts, test/db/golden.test.ts the shapes.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCatalog } from '../runner/catalog.ts';
import { connect, transaction } from '../runner/database.ts';
import { readShapes } from '../runner/preflight.ts';
import { render, type Shape } from '../runner/render.ts';
import { configOf, migrate, preparePair } from './migrate.ts';
import { type Databases, ROOT } from './runner.ts';

/** One entity of each kind: small ones, so that a change of the engine can be read. */
export const KINDS: Record<string, string> = {
  plain: 'purchases',
  filtered: 'technicians',
  adopting: 'teams',
  'self-referring': 'categories',
  'by-range': 'user_actions',
  removing: 'template_predecessors',
  constant: 'system_profile',
};

/** What the databases say about an entity; the rest of its shape is what its file says. */
export type Recorded = Omit<Shape, 'entity'>;

const FOLDER = join(ROOT, 'test/golden');
const TEMPLATES = join(ROOT, 'sql/engine/templates');
const SHAPES = join(FOLDER, 'shapes.json');

/** The shapes as they were recorded, by entity. */
export function recordedShapes(): Record<string, Recorded> {
  return JSON.parse(readFileSync(SHAPES, 'utf8')) as Record<string, Recorded>;
}

/** The shapes as they are in a target whose phases are migrated. */
export async function realShapes(urls: Databases): Promise<Record<string, Recorded>> {
  const session = await connect(configOf(urls).target, 'golden');
  try {
    // the settings of a transaction decide how types are printed
    const shapes = await transaction(session, () => readShapes(session, readCatalog(ROOT)));
    return Object.fromEntries(
      Object.values(KINDS).map((name) => {
        const { entity: _, ...shape } = of(shapes.get(name), name);
        return [name, shape];
      }),
    );
  } finally {
    await session.close();
  }
}

/** The text of every golden file, by kind: each template of the engine, rendered for its entity. */
export function goldenTexts(shapes = recordedShapes()): Record<string, string> {
  const entities = readCatalog(ROOT).phases.flatMap((phase) => phase.entities);
  const templates = readdirSync(TEMPLATES)
    .filter((file) => file.endsWith('.sql'))
    .toSorted()
    .map((file) => readFileSync(join(TEMPLATES, file), 'utf8'));
  return Object.fromEntries(
    Object.entries(KINDS).map(([kind, name]) => {
      const entity = of(
        entities.find((each) => each.name === name),
        name,
      );
      const shape = { ...of(shapes[name], name), entity };
      return [kind, templates.map((template) => render(template, shape)).join('\n')];
    }),
  );
}

/** Where the golden file of a kind is. */
export function goldenFile(kind: string): string {
  return join(FOLDER, `${kind}.sql`);
}

function of<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`there is no entity ${name} (test/golden.ts)`);
  return value;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { pair, source, target } = await preparePair({ name: 'golden', source: 'sample' });
  await migrate(pair, { phases: 7 });
  const shapes = await realShapes(pair);
  writeFileSync(SHAPES, `${JSON.stringify(shapes, null, 2)}\n`);
  for (const [kind, text] of Object.entries(goldenTexts(shapes))) {
    writeFileSync(goldenFile(kind), text);
  }
  await source.end();
  await target.end();
  await pair.drop();
}
