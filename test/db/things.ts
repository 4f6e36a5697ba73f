/* Entities that read the same small table, a view each that takes its time: for what sessions do side by side. */
import type { Sql } from 'postgres';
import type { uvu } from 'uvu';
import { dropPair, preparePair } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { entityFile, type Scratch, tinyProject } from '../runner.ts';

/** A pair with the tables, and the project. */
export interface Things {
  pair: TestPair;
  source: Sql;
  target: Sql;
  project: Scratch;
}

/** Adds to a suite: a pair with `rows` rows and a target table per entity, whose views sleep for `nap` seconds. */
export function onThings(
  test: uvu.Test<Things>,
  name: string,
  { entities, rows, nap, header = '', files = {} }: Options,
): void {
  test.before(async (context) => {
    const joins = [`cross join (select 1 as one from pg_sleep(${nap})) as nap`];
    const sql = entities.map((entity, index) => [
      `sql/1-things/${index}0_${entity}.sql`,
      entityFile(entity, 'thing', ['t.note as note'], { header, joins }),
    ]);
    context.project = tinyProject({ ...Object.fromEntries(sql), ...files });
    Object.assign(context, await preparePair({ name, source: 'empty' }));
    await context.source.unsafe(`
      create table thing (id integer primary key, note text);
      insert into thing select g, concat('note ', g) from generate_series(1, ${rows}) as g;
      grant select on thing to legacy_reader`);
    for (const entity of entities) {
      await context.target.unsafe(`
        create table public.${entity} (id uuid primary key, note text);
        alter table public.${entity} owner to postgres`);
    }
  });
  test.after(async (context) => {
    context.project.remove();
    await dropPair(context);
  });
}

interface Options {
  entities: string[];
  rows: number;
  nap: number;
  /** Of each entity's file. */
  header?: string;
  /** More files of the project. */
  files?: Record<string, string>;
}
