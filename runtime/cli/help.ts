import { LOG_COMMANDS } from "./commands/table.ts";
import type { LogCommand } from "./log-command.ts";
import { DEFAULT_MODEL } from "./settings.ts";

const WIDTH = 26;

export function help(): string {
  return `rubato: talk to an agent that you can stop, redirect and resume at any moment.

Usage
${rows([
  ["rubato [chat]", "talk in the terminal"],
  ["rubato [chat] --resume [RUN]", "go on with the last conversation, or with that one"],
  ['rubato [run] "task"', "do one task and exit"],
  ['echo "task" | rubato', "the same, with the task from a pipe"],
])}

The log: every run is kept, event by event
${rows(LOG_COMMANDS.map(({ name, says }) => [`rubato ${name}`, says]))}
RUN is an id, or a beginning of one that no other run has. A task that begins with the name of a command is said
as one word, "show me the files", or behind run: rubato run show me the files.

Options
${rows([
  ["--model NAME[,NAME]", `the model (or RUBATO_MODEL; default at OpenAI: ${DEFAULT_MODEL}); the next where one fails`],
  ["--base-url URL", "an OpenAI-compatible endpoint (or OPENAI_BASE_URL)"],
  ["--offline", "the offline model: small, rule-based, no network"],
  ["--root DIR", "the folder that the tools may use (default: the current one)"],
  [
    "--tools read | all",
    "only tools that change nothing, or (default) also commands, files and the web: you are asked",
  ],
  ["--yes, -y", "nobody is asked: every call runs at once, but for questions to you"],
  ["--max-steps N", "model requests per turn, then it rests (default: 10)"],
  ["--max-tokens OUT[,IN]", "tokens of the whole run, then it rests"],
  ["--max-cost N", "the same by cost; --price IN,OUT is what a million tokens cost"],
  ["--timeout 10m", "the same by the time that it works (s, m, h)"],
  ["--log FOLDER", "where runs are kept (or RUBATO_LOG; default: .rubato/runs below the current folder)"],
  ["--no-log, --log none", "keep nothing: the run ends with the process"],
  ["--json", "with a task: print every event as one line of JSON"],
  ["--help, --version", "rubato COMMAND --help says more about a command"],
])}

Without OPENAI_API_KEY and without an endpoint the offline model answers.

What was asked for goes to stdout, everything else to stderr. Exit codes:
  0 done, 1 failed or refused, 2 wrong usage, 3 a call waits for a person (rubato approve, rubato reject), 130 interrupted (Ctrl-C, or a limit was reached),
  143 terminated (SIGTERM), 129 hung up, 141 nobody read the output to its end.
  Ctrl-C stops at once and keeps what was said; a second Ctrl-C leaves without waiting.
`;
}

export function helpOf({ usage, says, details = [] }: LogCommand): string {
  const more = details.length === 0 ? "" : `\n${rows(details)}\n`;
  return `rubato ${usage}\n${says[0]?.toUpperCase() ?? ""}${says.slice(1)}.\n${more}`;
}

function rows(lines: readonly (readonly [string, string])[]): string {
  return lines
    .map(([left, right]) =>
      left.length > WIDTH ? `  ${left}\n  ${" ".repeat(WIDTH)}${right}` : `  ${left.padEnd(WIDTH)}${right}`,
    )
    .join("\n");
}
