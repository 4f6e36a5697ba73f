import type { Counts } from './ledger.ts';

/* What a run tells while it is at work: one definition for the types, the JSON Schema and the log. */

/** Fields of an event: text, whole number, text or null, counts of rows, truth. Never a row value. */
const EVENTS = {
  /** Of `up` and `retry`: everything is planned, no row is read. Else a command begins. */
  'run.started': {
    run: 'number?',
    command: 'text',
    target: 'text',
    dryRun: 'truth',
    phases: 'number?',
    entities: 'number?',
    /** Rows to look at, of so many in the source. */
    rows: 'number?',
    sourceRows: 'number?',
  },
  'schema.applied': { file: 'text' },
  /** A check before the first write (phase null), or at the end of a phase. */
  'check.done': { check: 'text', phase: 'text?', severity: 'text', findings: 'number' },
  'phase.started': { phase: 'text', entities: 'number', rows: 'number' },
  /** Rows of the plan that are done; in a phase of one transaction they are not committed yet. */
  'entity.progress': { phase: 'text', entity: 'text', done: 'number', total: 'number' },
  /** Its rows are committed; in a dry run they are done. */
  'entity.done': { phase: 'text', entity: 'text', counts: 'counts', ms: 'number' },
  /** So many of its entities had something to do. */
  'phase.committed': {
    phase: 'text',
    entities: 'number',
    of: 'number',
    counts: 'counts',
    ms: 'number',
  },
  /** Done in a dry run, which rolls everything back when it ends. */
  'phase.rehearsed': {
    phase: 'text',
    entities: 'number',
    of: 'number',
    counts: 'counts',
    ms: 'number',
  },
  /** Nothing of the phase is in the target. */
  'phase.rolledback': { phase: 'text', entity: 'text?', message: 'text', ms: 'number' },
  /** It commits range by range: those committed before stay, the phase is not complete. */
  'phase.failed': { phase: 'text', entity: 'text?', message: 'text', ms: 'number' },
  'run.done': { command: 'text', exit: 'number', ms: 'number' },
  'run.failed': { command: 'text', exit: 'number', ms: 'number', message: 'text' },
  'run.interrupted': { command: 'text', exit: 'number', ms: 'number', message: 'text' },
  /** What a person is told; the code is a SQLSTATE or what the system calls it. */
  error: { exit: 'number', code: 'text?', message: 'text', fix: 'text?' },
} as const;

interface Kinds {
  text: string;
  'text?': string | null;
  'number?': number | null;
  number: number;
  truth: boolean;
  counts: Counts;
}

type Fields<Of> = {
  -readonly [Name in keyof Of]: Of[Name] extends keyof Kinds ? Kinds[Of[Name]] : never;
};

/** What has happened. */
export type Happening = {
  [Type in keyof typeof EVENTS]: { type: Type } & Fields<(typeof EVENTS)[Type]>;
}[keyof typeof EVENTS];

/** The same as it is written: a line of a log. `run` is null before the run has a number. */
export type RunEvent = { v: 1; at: string; run: number | null } & Happening;

const COUNTS: (keyof Counts)[] = [
  'source',
  'inserted',
  'updated',
  'unchanged',
  'kept',
  'rejected',
  'filtered',
  'gone',
  'read',
];

/** The JSON Schema (2020-12) of every event. */
export function eventSchema(): object {
  const whole = { type: 'integer', minimum: 0 };
  const kinds = {
    text: { type: 'string' },
    'text?': { type: ['string', 'null'] },
    number: whole,
    'number?': { type: ['integer', 'null'] },
    truth: { type: 'boolean' },
    counts: closed(Object.fromEntries(COUNTS.map((name) => [name, whole]))),
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title:
      'Events of a runner: a line each of --log, of `up --json`, and on the input of NOTIFY_COMMAND',
    oneOf: Object.entries(EVENTS).map(([type, fields]) =>
      closed({
        v: { const: 1 },
        type: { const: type },
        at: { type: 'string', format: 'date-time' },
        run: { type: ['integer', 'null'] },
        ...Object.fromEntries(Object.entries(fields).map(([name, kind]) => [name, kinds[kind]])),
      }),
    ),
  };
}

function closed(properties: Record<string, object>): object {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

/** Counts of several entities together. */
export function addCounts(all: readonly Counts[]): Counts {
  const sum = (name: keyof Counts) => all.reduce((total, counts) => total + counts[name], 0);
  return {
    source: sum('source'),
    inserted: sum('inserted'),
    updated: sum('updated'),
    unchanged: sum('unchanged'),
    kept: sum('kept'),
    rejected: sum('rejected'),
    filtered: sum('filtered'),
    gone: sum('gone'),
    read: sum('read'),
  };
}
