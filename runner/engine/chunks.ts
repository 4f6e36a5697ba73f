import type { Entity } from './catalog.ts';
import { batch, type Session } from '../database.ts';
import {
  again,
  advance,
  type Begin,
  type Chunk,
  type Done,
  endEntity,
  hasWork,
  reading,
  type RunContext,
  startEntity,
  type Work,
  writing,
} from './entity.ts';
import { type Task, workThrough } from './pool.ts';
import { isSelfMapped } from './render.ts';
import { queueing } from './two.ts';

const CLOSE = 'select migration.close_link()';

/**
 * Chunk by chunk: a transaction that reads, a transaction that writes. Sessions work side by side, at
 * chunks of one entity and at entities that do not wait for each other.
 */
export async function mergeByChunks(
  context: RunContext,
  entities: readonly Entity[],
  { unproven, retrying, begin }: { unproven: boolean; retrying: boolean; begin: Begin },
): Promise<Done[]> {
  const lease = `select migration.hold_lease(${context.run})`;
  const done: Done[] = [];
  const open = new Set(entities);
  const waiting = new Set(entities);
  // one session at a time holds the link: reads queue, writes overlap
  const turn = queueing();

  const task = (entity: Entity, run: (session: Session) => Promise<Task[]>): Task => ({
    rank: entities.indexOf(entity),
    run: async (session) => {
      context.checkpoint();
      try {
        return await again(context, () => run(session));
      } catch (error) {
        // others are at work, too: this is the one to blame
        begin(entity.name);
        throw error;
      }
    },
  });
  /** What can begin now; an entity without work is done with. */
  const next = (): Task[] =>
    [...waiting].flatMap((entity) => {
      const before = [...open].filter(
        (other) => entities.indexOf(other) < entities.indexOf(entity),
      );
      if (before.some((other) => waitsFor(entity, other))) return [];
      waiting.delete(entity);
      if (retrying || hasWork(context, entity)) return [start(entity)];
      open.delete(entity);
      return [];
    });
  const start = (entity: Entity): Task =>
    task(entity, async (session) => {
      const work = await startEntity(context, entity, retrying, (calls) =>
        batch(session, [lease, ...calls]),
      );
      if (work.chunks.length === 0) return [end(work)];
      let left = work.chunks.length;
      return work.chunks.map((chunk) => {
        return task(entity, async (worker) => {
          await mergeChunk(worker, entity, chunk);
          advance(context, work, chunk);
          left -= 1;
          return left === 0 ? [end(work)] : [];
        });
      });
    });
  const mergeChunk = async (worker: Session, entity: Entity, chunk: Chunk): Promise<void> => {
    const read = ['select migration.await_link()', ...reading(entity, chunk)];
    const write = writing(entity, chunk);
    if (isSelfMapped(entity)) {
      await turn(() => batch(worker, [lease, ...read, ...write, CLOSE]));
      return;
    }
    await turn(() => batch(worker, [...read, CLOSE], { lockTimeout: '60s' }));
    await batch(worker, [lease, ...write]);
  };
  const end = (work: Work): Task =>
    task(work.entity, async (session) => {
      // the data checks of the phase are still to come, and a crash before them must be seen
      const complete = !unproven && work.chunks.length === 0;
      const ended = await endEntity(context, work, complete, retrying, (calls) =>
        turn(() => batch(session, [lease, 'select migration.await_link()', ...calls, CLOSE])),
      );
      context.report(ended);
      done.push(ended);
      open.delete(work.entity);
      return next();
    });

  await workThrough(context.sessions, next());
  return done;
}

/** For the ids it makes, or for what it does in the same table; `other` is the earlier one. */
function waitsFor({ idMaps, target }: Entity, other: Entity): boolean {
  const { schema, table } = other.target;
  return idMaps.includes(other.name) || (target.schema === schema && target.table === table);
}
