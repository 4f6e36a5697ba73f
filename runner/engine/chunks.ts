import type { Entity } from './entity-file.ts';
import { batch, beginning, type Session } from '../database.ts';
import {
  again,
  advance,
  type Begin,
  type Chunk,
  type Done,
  endEntity,
  hasWork,
  mergeTogether,
  readChunk,
  readFirst,
  type RunContext,
  startEntity,
  type Work,
  writeChunk,
} from './entity.ts';
import { CLOSE_LINK, isWayClosed, WAYS } from './link.ts';
import { type Task, workThrough } from './pool.ts';
import { isSelfMapped } from './render.ts';
import { sharing } from './two.ts';

/** Up to so many source rows are merged together with others, in one transaction and one message. */
const SMALL_ROWS = 5000;

/**
 * Chunk by chunk: a transaction that reads, a transaction that writes; what is small, together. Sessions
 * work side by side, at chunks of one entity and at entities that do not wait for each other.
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
  // two sessions at a time hold the link, whoever writes holds none
  const reading = sharing(WAYS, isWayClosed);

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
  const next = (): Task[] => {
    const small: Entity[] = [];
    const large: Entity[] = [];
    for (const entity of waiting) {
      const before = [...open].filter(
        (other) => entities.indexOf(other) < entities.indexOf(entity) && waitsFor(entity, other),
      );
      // what stands in the same transaction, in front of it, is not waited for
      if (before.some((other) => !small.includes(other))) continue;
      if (retrying || hasWork(context, entity)) {
        if (isSmall(context, entity)) small.push(entity);
        else if (before.length === 0) large.push(entity);
        else continue;
      } else if (before.length > 0) continue;
      else open.delete(entity);
      waiting.delete(entity);
    }
    return [...(small.length > 0 ? [together(small)] : []), ...large.map(start)];
  };
  /** In one transaction, in which the link is open. */
  const together = (small: Entity[]): Task => ({
    rank: entities.indexOf(small[0] as Entity),
    run: async (session) => {
      context.checkpoint();
      let at: string | undefined;
      const how = {
        complete: unproven ? false : null,
        retrying,
        begin: (name?: string) => {
          at = name;
        },
      };
      const merged = await again(context, () =>
        mergeTogether(context, small, how, (calls, listener) =>
          reading((way) => batch(session, [lease, ...way, ...calls, CLOSE_LINK], { listener })),
        ),
      ).catch((error: unknown) => {
        begin(at);
        throw error;
      });
      for (const each of merged) context.report(each);
      done.push(...merged);
      for (const entity of small) open.delete(entity);
      return next();
    },
  });
  const start = (entity: Entity): Task =>
    task(entity, async (session) => {
      // it begins, and its first chunk is read: two transactions, one message
      const work = await startEntity(context, entity, retrying, (calls) =>
        reading((way) => {
          const read = [...way, ...readFirst(entity), CLOSE_LINK];
          return batch(session, [lease, ...calls, 'commit', ...beginning('60s'), ...read]);
        }),
      );
      const [first, ...others] = work.chunks;
      if (first === undefined) return end(session, work, []);
      const left = new Set(work.chunks);
      const merge = (chunk: Chunk): Task =>
        task(entity, async (worker) => {
          const read = [...readChunk(entity, chunk), CLOSE_LINK];
          await reading((way) => batch(worker, [...way, ...read], { lockTimeout: '60s' }));
          return write(worker, work, chunk, left);
        });
      return [...(await write(session, work, first, left)), ...others.map(merge)];
    });
  /** The last chunk to be written is one transaction with the end of the entity. */
  const write = async (
    session: Session,
    work: Work,
    chunk: Chunk,
    left: Set<Chunk>,
  ): Promise<Task[]> => {
    const { entity } = work;
    const calls = writeChunk(entity, chunk);
    if (left.size === 1) return end(session, work, calls, chunk);
    await batch(session, [lease, ...calls]);
    left.delete(chunk);
    advance(context, work, chunk);
    // others were written at the same time
    return left.size > 0 ? [] : [task(entity, (any) => end(any, work, []))];
  };
  const end = async (
    session: Session,
    work: Work,
    before: string[],
    chunk?: Chunk,
  ): Promise<Task[]> => {
    const { entity, chunks } = work;
    // the data checks of the phase are still to come, and a crash before them must be seen
    const complete = !unproven && chunks.length === 0;
    const ended = await endEntity(context, work, complete, retrying, (calls) =>
      batch(session, [lease, ...before, ...calls]),
    );
    if (chunk !== undefined) advance(context, work, chunk);
    context.report(ended);
    done.push(ended);
    open.delete(entity);
    return next();
  };
  await workThrough(context.sessions, next());
  return done;
}

/** So little is to be read that others can wait for it; or it is one transaction anyway. */
function isSmall({ plans }: RunContext, entity: Entity): boolean {
  if (isSelfMapped(entity)) return true;
  const plan = plans.get(entity.name);
  return plan !== undefined && plan.chunks <= 1 && plan.source_rows <= SMALL_ROWS;
}

/** For the ids it makes, or for what it does in the same table; `other` is the earlier one. */
function waitsFor({ idMaps, target }: Entity, other: Entity): boolean {
  const { schema, table } = other.target;
  return idMaps.includes(other.name) || (target.schema === schema && target.table === table);
}
