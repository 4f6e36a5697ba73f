import { type Command, COMMON, type Option, UsageError } from './command.ts';
import type { Entry } from './list.ts';
import { say, sayJson } from '../terminal/terminal.ts';

export const completion: Command = {
  options: {},
  anywhere: true,
  run: async (context) => {
    const [shell = '', ...more] = context.positionals;
    const script = SCRIPTS.get(shell);
    if (script === undefined || more.length > 0) throw new UsageError('say bash, zsh or fish');
    // the list loads this file: named here alone, it would be a circle
    const { COMMANDS } = await import('./list.ts');
    const text = script(await Promise.all(COMMANDS.map(wordsOf)));
    if (context.has('json')) sayJson({ shell, text });
    else say(text);
    return 0;
  },
};

/** What can stand behind the name of a command. */
interface Words {
  name: string;
  summary: string;
  options: [string, Option][];
  /** Of `up|down|status`. */
  choices: string[];
}

async function wordsOf({ name, summary, usage, load }: Entry): Promise<Words> {
  const { options } = await load();
  const help: Option = { text: 'options of the command' };
  return {
    name,
    summary,
    options: Object.entries({ ...options, ...COMMON, help }),
    choices: /^[a-z|]+$/.test(usage) ? usage.split('|') : [],
  };
}

const SCRIPTS = new Map<string, (commands: Words[]) => string>([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
]);

function bash(commands: Words[]): string {
  const names = ['help', ...commands.map(({ name }) => name)].join(' ');
  const files = new Set(
    commands.flatMap(({ options }) =>
      options.filter(([, { value }]) => isFile(value)).map(([name]) => `--${name}`),
    ),
  );
  const cases = commands.map(({ name, options, choices }) => {
    const words = [...choices, ...options.map(([option]) => `--${option}`)].join(' ');
    return `    ${name}) words='${words}' ;;`;
  });
  return `# runner completion bash > /etc/bash_completion.d/runner
_runner() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} words=''
  COMPREPLY=()
  case $before in
    ${[...files].join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  if [ "$COMP_CWORD" = 1 ] || [ "$before" = help ]; then
    COMPREPLY=($(compgen -W '${names} --help --version' -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _runner runner`;
}

function zsh(commands: Words[]): string {
  const cases = commands.map(({ name, options, choices }) => {
    const specs = options.map(([option, { text, value }]) => {
      const argument = value === undefined ? '' : `:${value}:${isFile(value) ? '_files' : ''}`;
      return quoted(`--${option}[${text.replace(/[[\]:]/g, '\\$&')}]${argument}`);
    });
    if (choices.length > 0) specs.push(quoted(`1:word:(${choices.join(' ')})`));
    return `    ${name}) _arguments ${specs.join(' ')} ;;`;
  });
  const names = commands.map(({ name, summary }) => quoted(`${name}:${summary}`));
  return `#compdef runner
# runner completion zsh > "\${fpath[1]}/_runner"
_runner() {
  local -a commands=(${names.join(' ')})
  if (( CURRENT == 2 )) || [[ \${words[2]} = help ]]; then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT -= 1 ))
  case \${words[1]} in
${cases.join('\n')}
  esac
}
if [[ \${zsh_eval_context[-1]} = loadautofunc ]]; then _runner "$@"; else compdef _runner runner; fi`;
}

function fish(commands: Words[]): string {
  const lines = commands.flatMap(({ name, summary, options, choices }) => {
    const seen = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c runner -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...options.map(([option, { text, value }]) => {
        const argument = value === undefined ? '' : isFile(value) ? ' -r -F' : ' -x';
        return `complete -c runner ${seen} -l ${option}${argument} -d ${quoted(text)}`;
      }),
      ...choices.map((word) => `complete -c runner ${seen} -a ${word}`),
    ];
  });
  return [
    '# runner completion fish > ~/.config/fish/completions/runner.fish',
    'complete -c runner -f',
    ...lines,
  ].join('\n');
}

/** Where a file or folder is taken, the shell completes as always. */
function isFile(value: string | undefined): boolean {
  return value === 'file' || value === 'dir';
}

/** In single quotes; within them all three shells take \`'\\''\` for a quote. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
