import type { Command } from './command.ts';

/** The groups of the overview, in its order. */
export const GROUPS = ['begin', 'migrate', 'look', 'schema'] as const;

/** One command as the overview knows it; the rest is loaded when it is asked for. */
export interface Entry {
  name: string;
  group: (typeof GROUPS)[number];
  /** The words after the name: `<needed>`, `[left out]`, `[several...]`, `one|of|these`. */
  usage: string;
  /** One line for the overview. */
  summary: string;
  load: () => Promise<Command>;
}

/** Every command. A new one is a file in this folder and an entry here, nothing else. */
export const COMMANDS: readonly Entry[] = [
  {
    name: 'init',
    group: 'begin',
    usage: '<dir>',
    summary: 'makes a project of your own',
    load: async () => (await import('./init.ts')).init,
  },
  {
    name: 'scaffold',
    group: 'begin',
    usage: '<table>',
    summary: 'drafts the file that brings a table over',
    load: async () => (await import('./scaffold.ts')).scaffold,
  },
  {
    name: 'up',
    group: 'migrate',
    usage: '[phase...]',
    summary: 'migrates, the first time and every time after',
    load: async () => (await import('./up.ts')).up,
  },
  {
    name: 'down',
    group: 'migrate',
    usage: '<phase>',
    summary: 'takes our rows of a phase back, and nothing else',
    load: async () => (await import('./down.ts')).down,
  },
  {
    name: 'retry',
    group: 'migrate',
    usage: '[entity]',
    summary: 'reads rejected rows again',
    load: async () => (await import('./retry.ts')).retry,
  },
  {
    name: 'forget',
    group: 'migrate',
    usage: '<entity>',
    summary: 'lets go of an entity without a file; its rows stay',
    load: async () => (await import('./forget.ts')).forget,
  },
  {
    name: 'uninstall',
    group: 'migrate',
    usage: '',
    summary: 'writes the audit trail, removes all but the data',
    load: async () => (await import('./uninstall.ts')).uninstall,
  },
  {
    name: 'doctor',
    group: 'look',
    usage: '',
    summary: 'looks at both sides: each finding with its fix',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'plan',
    group: 'look',
    usage: '',
    summary: 'what `up` would do, or the statements of one entity',
    load: async () => (await import('./plan.ts')).plan,
  },
  {
    name: 'diff',
    group: 'look',
    usage: '[entity...]',
    summary: 'what a changed file would do to the rows',
    load: async () => (await import('./diff.ts')).diff,
  },
  {
    name: 'status',
    group: 'look',
    usage: '',
    summary: 'phases, entities, counts, rejects, and a verdict',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'rejects',
    group: 'look',
    usage: '[entity]',
    summary: 'rows that could not be stored, and why',
    load: async () => (await import('./rejects.ts')).rejects,
  },
  {
    name: 'conflicts',
    group: 'look',
    usage: '[entity]',
    summary: 'rows that both sides had changed, and who won',
    load: async () => (await import('./conflicts.ts')).conflicts,
  },
  {
    name: 'verify',
    group: 'look',
    usage: '[entity...]',
    summary: 'compares every row of every view with the target',
    load: async () => (await import('./verify.ts')).verify,
  },
  {
    name: 'check',
    group: 'look',
    usage: '[name...]',
    summary: 'checks of the data, of the files, of the coverage',
    load: async () => (await import('./check.ts')).check,
  },
  {
    name: 'report',
    group: 'look',
    usage: '[file]',
    summary: 'what became of every row: a page to sign',
    load: async () => (await import('./report.ts')).report,
  },
  {
    name: 'id',
    group: 'look',
    usage: '[entity|uuid] [key...]',
    summary: 'from old ids to new ones, and back',
    load: async () => (await import('./id.ts')).id,
  },
  {
    name: 'acknowledge',
    group: 'look',
    usage: '<check>',
    summary: 'accepts what a check finds now, with a reason',
    load: async () => (await import('./acknowledge.ts')).acknowledge,
  },
  {
    name: 'schema',
    group: 'schema',
    usage: 'up|down|status',
    summary: 'schema changes, and the column removal step by step',
    load: async () => (await import('./schema.ts')).schema,
  },
  {
    name: 'cases',
    group: 'begin',
    usage: '[entity...]',
    summary: 'plays test/cases, in servers of its own',
    load: async () => (await import('./cases.ts')).cases,
  },
  {
    name: 'embedded',
    group: 'begin',
    usage: '',
    summary: 'starts two servers with sample data, until Ctrl-C',
    load: async () => (await import('./embedded.ts')).embedded,
  },
  {
    name: 'completion',
    group: 'begin',
    usage: 'bash|zsh|fish',
    summary: 'prints what makes your shell complete these words',
    load: async () => (await import('./completion.ts')).completion,
  },
];
