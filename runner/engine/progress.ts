import type { Happening } from './events.ts';

/* How far a run is, from what it has told: for the screen, and for the name of the keeper. */

/** Rows are those of the plan: what is in the chunks that are looked at. */
export interface Standing {
  phase: string;
  entity: string;
  /** Of the entity. */
  entityDone: number;
  entityTotal: number;
  /** Of the phase: entities that have work, and those of them that are done. */
  entities: number;
  entitiesDone: number;
  phaseDone: number;
  phaseTotal: number;
  phaseSeconds: number;
  /** Of the run. */
  done: number;
  total: number;
  /** Rows per second over the last 15 seconds; undefined while it is not known. */
  rate: number | undefined;
  /** Seconds that are left, of the phase and of the run; undefined below 3 % and without a rate. */
  phaseLeft: number | undefined;
  left: number | undefined;
}

/** Hears what happens and says where the run stands; undefined between phases. */
export interface Tracker {
  hear(event: Happening): void;
  standing(): Standing | undefined;
  /** Phases that are committed by this run. */
  committed: string[];
}

const RATE_MS = 15_000;
/** Less than this share done tells nothing about the rest. */
const KNOWN_SHARE = 0.03;

/** Follows one run; `now` in milliseconds. */
export function trackRun(now: () => number = Date.now): Tracker {
  /** Done and total of every entity, by phase. */
  const rows = new Map<string, Map<string, { done: number; total: number }>>();
  const committed: string[] = [];
  let planned = 0;
  let before = 0;
  let phase: { name: string; entities: number; rows: number; began: number } | undefined;
  let entity = '';
  let samples: { at: number; done: number }[] = [];

  const doneOf = (name: string) => sum([...(rows.get(name)?.values() ?? [])].map((e) => e.done));
  const totalOf = (name: string) => sum([...(rows.get(name)?.values() ?? [])].map((e) => e.total));
  return {
    committed,
    hear: (event) => {
      if (event.type === 'run.started') {
        planned = event.rows ?? 0;
      } else if (event.type === 'phase.started') {
        phase = { name: event.phase, entities: event.entities, rows: event.rows, began: now() };
        entity = '';
        rows.set(event.phase, new Map());
      } else if (event.type === 'entity.progress') {
        entity = event.entity;
        rows.get(event.phase)?.set(event.entity, { done: event.done, total: event.total });
        const at = now();
        samples.push({ at, done: before + doneOf(event.phase) });
        // one that is older than the window says where it begins
        const first = samples.findIndex((sample) => sample.at > at - RATE_MS);
        samples = samples.slice(Math.max(0, first - 1));
      } else if (event.type.startsWith('phase.') && phase !== undefined) {
        before += Math.max(phase.rows, doneOf(phase.name));
        if (event.type === 'phase.committed') committed.push(event.phase);
        phase = undefined;
        samples = [];
      }
    },
    standing: () => {
      if (phase === undefined) return undefined;
      const here = rows.get(phase.name) ?? new Map<string, { done: number; total: number }>();
      const { done: entityDone, total: entityTotal } = here.get(entity) ?? { done: 0, total: 0 };
      const phaseDone = doneOf(phase.name);
      // an entity whose id maps have grown was planned with fewer
      const phaseTotal = Math.max(phase.rows, totalOf(phase.name));
      const done = before + phaseDone;
      const total = Math.max(planned + phaseTotal - phase.rows, done);
      const rate = rateOf(samples, now());
      const leftOf = (of: number, all: number) =>
        rate === undefined || of < KNOWN_SHARE * all ? undefined : (all - of) / rate;
      return {
        phase: phase.name,
        entity,
        entityDone,
        entityTotal,
        entities: Math.max(phase.entities, here.size),
        entitiesDone: Math.max(0, here.size - 1),
        phaseDone,
        phaseTotal,
        phaseSeconds: (now() - phase.began) / 1000,
        done,
        total,
        rate,
        phaseLeft: leftOf(phaseDone, phaseTotal),
        left: leftOf(done, total),
      };
    },
  };
}

function rateOf(samples: { at: number; done: number }[], now: number): number | undefined {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.done <= first.done) return undefined;
  // what is done since the last sample is not known yet: the time of it counts once it is long
  const until = Math.max(last.at, now - (last.at - first.at) / Math.max(samples.length - 1, 1));
  const seconds = (until - first.at) / 1000;
  return seconds < 0.5 ? undefined : (last.done - first.done) / seconds;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** The longest name that a server keeps of a session. */
const NAME_BYTES = 63;

/**
 * What other sessions see of a run: `runner up 3-operations/tasks 41pct eta 38s 40989/307585`, in at
 * most 63 bytes; the rows of the entity only where there is room.
 */
export function nameOf(command: string, at: Standing | undefined): string {
  if (at === undefined) return `runner ${command}`.slice(0, NAME_BYTES);
  const percent = at.total === 0 ? 100 : Math.min(99, Math.floor((100 * at.done) / at.total));
  const eta = at.left === undefined ? '' : ` eta ${Math.ceil(at.left)}s`;
  const end = ` ${percent}pct${eta}`;
  const place = at.entity === '' ? at.phase : `${at.phase}/${at.entity}`;
  const start = `runner ${command} ${place}`.slice(0, NAME_BYTES - end.length);
  const rows = ` ${at.entityDone}/${at.entityTotal}`;
  return start.length + end.length + rows.length > NAME_BYTES ? start + end : start + end + rows;
}
