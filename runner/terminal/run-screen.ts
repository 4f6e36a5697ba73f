import type { Happening } from '../engine/events.ts';
import type { Counts } from '../engine/ledger.ts';
import { type Standing, trackRun } from '../engine/progress.ts';
import { live } from './live.ts';
import { columnsOf, isMoving, roomOf } from './stream.ts';
import { note, noteWrapped, words } from './terminal.ts';
import { about, counted, cut, duration, number, padded, percent, widthOf } from './text.ts';

/** What a run has done, as it was told; counts are those of this run. */
export interface Told {
  /** By entity. */
  entities: Map<string, Counts>;
  /** Milliseconds of the phases that ended. */
  phases: Map<string, number>;
  committed: string[];
  /** Where it was when it stopped, and whether what it had committed of that phase stays. */
  phase: string | undefined;
  stays: boolean;
  dryRun: boolean;
  sourceRows: number;
  seconds(): number;
}

/** A run as a person follows it. */
export interface RunScreen {
  told: Told;
  hear(event: Happening): void;
  /** A remark; `check`: of which check before the first write. */
  remark(line: string, check?: string): void;
  /** Nothing moves any more; what was held back is printed. */
  end(): void;
}

/** Milliseconds between two lines where lines do not move. */
const SILENCE_MS = 10_000;
const FRAME_MS = 500;
/** Lines are as wide as the terminal, and not wider than a person reads. */
const WIDEST = 80;

/** Shows a run on standard error: a line per phase, and three that move while one is at work. */
export function runScreen(): RunScreen {
  const began = Date.now();
  const tracker = trackRun();
  const told: Told = {
    entities: new Map(),
    phases: new Map(),
    committed: tracker.committed,
    phase: undefined,
    stays: false,
    dryRun: false,
    sourceRows: 0,
    seconds: () => (Date.now() - began) / 1000,
  };
  const before = {
    schema: 0,
    schemaSeconds: 0,
    ok: 0,
    notes: [] as string[],
    remarks: [] as string[],
  };
  let begun = false;
  let printed = Date.now();

  const print = (line: string) => {
    printed = Date.now();
    note(line);
  };
  /** What was told before the run could be: the first line comes first. */
  const flush = () => {
    if (before.schema > 0) {
      const applied = `${before.schema} applied`;
      print(lineOf(words.good('✓'), 'schema changes', applied, before.schemaSeconds));
    }
    if (before.ok + before.notes.length > 0) print(checksLine(before.ok, before.notes));
    for (const line of before.remarks) print(line);
    Object.assign(before, { schema: 0, ok: 0, notes: [], remarks: [] });
  };
  let drawn = 0;
  const frame = (atOnce = true) => {
    if (!atOnce && Date.now() - drawn < FRAME_MS / 4) return;
    drawn = Date.now();
    const standing = tracker.standing();
    if (isMoving('stderr')) {
      if (standing !== undefined) live(liveLines(standing, told));
      else live(begun ? [] : ['▸ looking at source and target']);
    } else if (standing !== undefined && Date.now() - printed >= SILENCE_MS) {
      print(datedLine(standing));
    }
  };
  const timer = setInterval(() => frame(), FRAME_MS);
  timer.unref();

  return {
    told,
    hear: (event) => {
      tracker.hear(event);
      if (event.type === 'run.started') {
        begun = true;
        told.dryRun = event.dryRun;
        told.sourceRows = event.sourceRows ?? 0;
        noteWrapped(firstLine(event));
        printed = Date.now();
        flush();
      } else if (event.type === 'schema.applied') {
        before.schema += 1;
        before.schemaSeconds = told.seconds();
      } else if (event.type === 'check.done' && event.phase === null) {
        if (event.findings === 0) before.ok += 1;
      } else if (event.type === 'phase.started') {
        told.phase = event.phase;
      } else if (event.type === 'entity.done') {
        told.entities.set(event.entity, event.counts);
      } else if (event.type === 'phase.committed' || event.type === 'phase.rehearsed') {
        told.phases.set(event.phase, event.ms);
        print(phaseLine(event));
        told.phase = undefined;
      } else if (event.type === 'phase.rolledback' || event.type === 'phase.failed') {
        told.phases.set(event.phase, event.ms);
        told.stays = event.type === 'phase.failed';
        const what = told.stays ? 'stopped' : 'rolled back';
        print(lineOf(words.bad('✗'), event.phase, what, event.ms / 1000));
      }
      frame(event.type === 'phase.started');
    },
    remark: (line, check) => {
      if (begun) print(line);
      else if (check === undefined) before.remarks.push(line);
      else before.notes.push(`${check}: ${line}`);
    },
    end: () => {
      clearInterval(timer);
      live([]);
      flush();
    },
  };
}

function firstLine(event: Extract<Happening, { type: 'run.started' }>): string {
  const { run, command, phases, entities, rows, sourceRows, target } = event;
  const what =
    rows === 0
      ? 'nothing to read'
      : rows === sourceRows
        ? counted(rows ?? 0, 'row')
        : `${number(rows ?? 0)} of ${counted(sourceRows ?? 0, 'row')} to look at`;
  const size = `${counted(phases ?? 0, 'phase')}, ${counted(entities ?? 0, 'entity', 'entities')}`;
  return `run ${run} · ${command} · ${size}, ${what} → ${words.strong(target)}`;
}

function checksLine(ok: number, notes: string[]): string {
  const said = notes.length === 0 ? '' : `, ${counted(notes.length, 'note')}: ${notes.join(' · ')}`;
  const mark = notes.length === 0 ? words.good('✓') : words.strong('!');
  const line = `${mark} ${padded('checks before', NAME)}  ${ok} ok${said}`;
  return cut(line, roomOf('stderr'));
}

/** Cells of the name of a phase. */
const NAME = 16;

/** A line with its time at the end: of the line, if there is room. */
function lineOf(mark: string, name: string, middle: string, seconds: number): string {
  const width = Math.min(columnsOf('stderr'), WIDEST);
  const time = duration(seconds);
  const left = `${mark} ${padded(name, NAME)}  ${middle}`;
  const room = width - widthOf(time) - 2;
  return `${padded(cut(left, room), room)}  ${words.dim(time)}`;
}

function phaseLine(event: Extract<Happening, { type: 'phase.committed' | 'phase.rehearsed' }>) {
  const { phase, entities, of, counts, ms } = event;
  const { inserted, updated, unchanged, kept, rejected, gone } = counts;
  const parts: [number, string][] =
    unchanged + kept + updated === 0
      ? [[inserted, 'stored']]
      : [
          [inserted, 'new'],
          [updated, 'changed'],
        ];
  const said = [...parts, [gone, 'gone'] as const, [rejected, 'rejected'] as const]
    .filter(([count]) => count > 0)
    .map(([count, what]) => ` ${number(count).padStart(8)} ${what}`);
  const size = `${entities} of ${of}`;
  const middle = `${size.padStart(11)}${said.length === 0 ? '  no row changes' : said.join('')}`;
  return lineOf(words.good('✓'), phase, middle, ms / 1000);
}

/** The three lines that move. */
export function liveLines(at: Standing, { committed, dryRun }: Pick<Told, 'committed' | 'dryRun'>) {
  const share = at.phaseTotal === 0 ? 0 : at.phaseDone / at.phaseTotal;
  const rows =
    at.phaseTotal === 0
      ? 'no rows to read'
      : `${number(at.phaseDone)} of ${counted(at.phaseTotal, 'row')}`;
  const entities = `${at.entitiesDone} of ${at.entities}`;
  const speed = at.rate === undefined ? '' : `   ${number(Math.round(at.rate))} rows/s`;
  const eta = at.phaseLeft === undefined ? '' : `   ${about(at.phaseLeft)}`;
  const bar = Math.max(10, Math.min(32, columnsOf('stderr') - 45));
  const full = Math.floor(share * bar);
  const left = at.left === undefined ? '' : ` · ${about(at.left)} left`;
  const last = committed.at(-1);
  const safe = dryRun
    ? 'nothing will be kept'
    : `Ctrl-C is safe: ${last === undefined ? 'nothing is left half done' : `${last} is committed`}`;
  return [
    lineOf('▸', at.phase, `${entities.padStart(11)}  ${rows}   ${at.entity}`, at.phaseSeconds),
    `  ${words.good('█'.repeat(full))}${words.dim('░'.repeat(bar - full))}  ${percent(share)}${speed}${eta}`,
    `  all phases ${percent(at.total === 0 ? 0 : at.done / at.total)}${left} · ${safe}`,
  ];
}

/** Where lines do not move: `03:12:41 3-operations tasks 40,989/307,585 13 % · all 39 % · eta 63 s`. */
function datedLine(at: Standing): string {
  const rows =
    at.entityTotal === 0
      ? ''
      : ` ${number(at.entityDone)}/${number(at.entityTotal)} ${percent(at.entityDone / at.entityTotal)}`;
  const all = percent(at.total === 0 ? 0 : at.done / at.total);
  const eta = at.left === undefined ? '' : ` · eta ${Math.ceil(at.left)} s`;
  return `${new Date().toTimeString().slice(0, 8)} ${at.phase} ${at.entity}${rows} · all ${all}${eta}`;
}
