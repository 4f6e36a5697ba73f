import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command as Program, CommanderError } from 'commander';

import { type Command, COMMON, type Option, UsageError } from './command.ts';
import { COMMANDS, type Entry, GROUPS } from './list.ts';
import { PACKAGE } from '../project.ts';

/* From argv to a command. What is said about the command line is said here. */

/** A command that is to be run, and what it was given. */
export interface Call {
  command: Command;
  positionals: string[];
  /** By the name of the option; true for a switch. */
  values: ReadonlyMap<string, string | true>;
}

/** What was asked is answered without running anything: help, version. */
export interface Answer {
  text: string;
  json: object;
}

const ENDS = `\`runner help <command>\` shows its options. \`runner up --embedded\` tries it out.

Exit codes: 0 done · 1 failed or found something · 2 wrong call or configuration
            3 another runner is at work · 4 connection lost, run it again
            5 could not connect, nothing was sent · 130 interrupted, rolled back`;

/** How the command that argv names is called; '' where it names none. */
export function usageOf(argv: readonly string[]): string {
  const [word] = words(argv).filter((each) => each !== 'help');
  const entry = COMMANDS.find(({ name }) => name === word);
  return entry === undefined ? '' : usageLine(entry.name, entry.usage);
}

/** Reads argv; loads the one command it names. Throws UsageError. */
export async function readCall(argv: readonly string[]): Promise<Call | Answer> {
  const asked = words(argv);
  const name = asked[0] === 'help' ? asked[1] : asked[0];
  const entry = COMMANDS.find((each) => each.name === name);
  if (asked[0] === 'help' && asked.length > 2) {
    throw new UsageError(`help takes one command: ${asked[2]} is one too many`);
  }
  const texts: string[] = [];
  const version = versionOf();
  const { program, subs } = programOf(version, (text) => texts.push(text));
  const sub = entry && subs.get(entry.name);
  let command: Command | undefined;
  if (entry !== undefined && sub !== undefined) {
    command = await entry.load();
    for (const [option, { text, value }] of Object.entries(command.options)) {
      sub.option(flagsOf(option, value), text);
    }
  }
  try {
    program.parse(argsOf(argv, entry, name), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.version') return { text: version, json: { version } };
    const text = texts.join('').trimEnd();
    if (error.code === 'commander.helpDisplayed') return { text, json: helpJson(entry, command) };
    if (error.code === 'commander.help') throw new UsageError('say a command', text);
    throw wrongCall(error, program);
  }
  if (entry === undefined || sub === undefined || command === undefined) {
    throw new UsageError('say a command', program.helpInformation());
  }
  refuseExcess(entry, sub.args);
  const values = [...program.options, ...sub.options].map((option) => {
    const owner = program.options.includes(option) ? program : sub;
    return [option.name(), owner.getOptionValue(option.attributeName()) as unknown] as const;
  });
  return {
    command,
    positionals: sub.args,
    values: new Map(values.filter(isGiven)),
  };
}

/** An empty text is a value, too. */
function isGiven(pair: readonly [string, unknown]): pair is [string, string | true] {
  return pair[1] === true || typeof pair[1] === 'string';
}

/** The words of argv up to the command and behind it, where arguments of its options may be among them. */
function words(argv: readonly string[]): string[] {
  return argv.filter((each, i) => {
    const before = COMMON[argv[i - 1]?.replace(/^--/, '') ?? ''];
    return !each.startsWith('-') && before?.value === undefined;
  });
}

/** argv as the library takes it: `help x` is `x --help`, and an unknown command is refused first. */
function argsOf(argv: readonly string[], entry: Entry | undefined, name: string | undefined) {
  if (name !== undefined && entry === undefined) return [name];
  const at = argv.indexOf('help');
  return words(argv)[0] === 'help' ? [...argv.toSpliced(at, 1), '--help'] : argv;
}

function programOf(version: string, write: (text: string) => void) {
  const usages = new Map(COMMANDS.map(({ name, usage }) => [name, usage]));
  const program = new Program('runner')
    .description('Moves a legacy PostgreSQL database into its new schema, every row accounted for.')
    .usage('<command> [options]')
    .version(version, '-V, --version', 'version of the runner')
    .helpOption('-h, --help', 'this text')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write, outputError: () => {} })
    .configureHelp({
      subcommandTerm: (sub) => `${sub.name()} ${usages.get(sub.name()) ?? ''}`.trim(),
    })
    .addHelpText('after', `\n${ENDS}`);
  for (const [option, { text, value }] of Object.entries(COMMON)) {
    program.option(flagsOf(option, value), text);
  }
  const common = program.options.filter(({ long }) => long !== '--version');
  const subs = new Map<string, Program>();
  for (const { name, group, usage, summary } of GROUPS.flatMap((each) =>
    COMMANDS.filter((entry) => entry.group === each),
  )) {
    const sub = program
      .command(name)
      .summary(summary)
      .description(`${capital(summary)}.`)
      .helpGroup(`${capital(group)}:`)
      .argument('[words...]')
      .action(() => {})
      .configureHelp({
        showGlobalOptions: true,
        visibleGlobalOptions: () => common,
        visibleArguments: () => [],
        commandUsage: () => usageLine(name, usage),
        styleTitle: (title) => title.replace('Global Options:', 'Options of every command:'),
      });
    subs.set(name, sub);
  }
  return { program, subs };
}

function usageLine(name: string, usage: string): string {
  return `runner ${name} ${usage === '' ? '' : `${usage} `}[options]`;
}

function capital(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}

function flagsOf(name: string, value: string | undefined): string {
  return `--${name}${value === undefined ? '' : ` <${value}>`}`;
}

/** What was wrong and what was meant; the overview where nothing is like it. */
function wrongCall({ code, message }: CommanderError, program: Program): UsageError {
  const [said = '', meant] = message.replace(/^error: /, '').split('\n');
  const fix = meant?.replace(/^\(Did (.*)\)$/, 'did $1');
  const overview = code === 'commander.unknownCommand' ? program.helpInformation() : undefined;
  return new UsageError(said, fix ?? overview);
}

/** Refuses words that no command takes. Without this they would be left out in silence. */
function refuseExcess({ name, usage }: Entry, given: readonly string[]): void {
  const taken = words(usage.split(' ').filter((word) => word !== ''));
  if (taken.at(-1)?.endsWith('...]') === true || given.length <= taken.length) return;
  throw new UsageError(
    `${name} takes ${usage === '' ? 'no words' : usage}: ${given[taken.length]} is one too many`,
  );
}

function helpJson(entry: Entry | undefined, command: Command | undefined): object {
  const of = ({ name, group, usage, summary }: Entry) => ({ name, group, usage, summary });
  if (entry === undefined || command === undefined) {
    return { commands: COMMANDS.map(of), options: optionsJson(COMMON) };
  }
  return { ...of(entry), options: optionsJson({ ...command.options, ...COMMON }) };
}

function optionsJson(options: Record<string, Option>): object[] {
  return Object.entries(options).map(([name, { text, value = null }]) => ({ name, value, text }));
}

function versionOf(): string {
  const text = readFileSync(join(PACKAGE, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
