import { LOG_COMMANDS } from "./commands/table.ts";
import type { Job } from "./io.ts";
import type { LogCommand } from "./log-command.ts";
import { AGENT_OPTIONS, LIMIT_OPTIONS, LOG_OPTIONS, settingsOf, type Settings, type Surroundings } from "./settings.ts";
import { foreignOption, readLine, type Line, type OptionName } from "./values.ts";

/**
 * What the command line asks for. `piped`: the task is all of stdin. `job`: a command over the log. `usage`: one sentence about what is wrong with
 * it; `command` names the command whose help says more.
 */
export type Command =
  | { readonly kind: "help"; readonly command?: LogCommand }
  | { readonly kind: "version" }
  | { readonly kind: "usage"; readonly message: string; readonly command?: string }
  | { readonly kind: "chat"; readonly settings: Settings; readonly pickUp: PickUp | undefined }
  | { readonly kind: "task"; readonly task: string; readonly json: boolean; readonly settings: Settings }
  | { readonly kind: "piped"; readonly json: boolean; readonly settings: Settings }
  | { readonly kind: "job"; readonly job: Job; readonly settings: Settings };

/** Which run a chat goes on with. */
export interface PickUp {
  /** Undefined: the last one. */
  readonly run: string | undefined;
  readonly allowChanged: boolean;
}

/** Names that will be commands: as a task they would surprise. */
const LATER = ["worker"];
const GENERAL: readonly OptionName[] = [
  "help",
  "version",
  "no-log",
  ...AGENT_OPTIONS,
  ...LIMIT_OPTIONS,
  ...LOG_OPTIONS,
];
const TASK_OPTIONS: readonly OptionName[] = [...GENERAL, "json"];
const CHAT_OPTIONS: readonly OptionName[] = [...GENERAL, "resume", "allow-changed"];

/** Reads the command line. Pure: whether a folder exists is found out later. */
export function parseCommand(argv: readonly string[], around: Surroundings): Command {
  const line = readLine(argv);
  if (typeof line === "string") return usage(line);
  const { words, values } = line;
  if (values.version === true) return { kind: "version" };
  const [first, ...rest] = words;
  const command = LOG_COMMANDS.find(({ name }) => name === first);
  if (values.help === true || (first === "help" && rest.length < 2)) {
    const asked = command ?? LOG_COMMANDS.find(({ name }) => name === rest[0]);
    return asked === undefined ? { kind: "help" } : { kind: "help", command: asked };
  }
  if (command !== undefined) return parseJob(command, { words: rest, values }, around);
  if (first !== undefined && rest.length === 0 && LATER.includes(first)) {
    return usage(`The command "${first}" is not there yet. To say it to the model: rubato run ${first}.`);
  }
  if (values.resume === true || first === "chat") {
    return parseChat({ words: first === "chat" ? rest : words, values }, around);
  }
  return parseTask(line, around);
}

function parseJob(command: LogCommand, line: Line, around: Surroundings): Command {
  const { name } = command;
  const foreign = foreignOption(line.values, [...LOG_OPTIONS, ...command.options]);
  if (foreign !== undefined) return { kind: "usage", message: `"${name}" has no option --${foreign}.`, command: name };
  const settings = settingsOf(line.values, around);
  if (typeof settings === "string") return { kind: "usage", message: settings, command: name };
  const job = command.read(line);
  if (typeof job === "string") return { kind: "usage", message: job, command: name };
  return { kind: "job", job, settings };
}

function parseChat({ words, values }: Line, around: Surroundings): Command {
  const foreign = foreignOption(values, CHAT_OPTIONS);
  if (foreign !== undefined) return usage(`The chat has no option --${foreign}.`);
  const resumes = values.resume === true;
  if (words.length > (resumes ? 1 : 0)) {
    return usage(
      resumes
        ? `--resume takes one run, got ${JSON.stringify(words[1])} behind it.`
        : '"chat" takes no task. For one task: rubato "task".',
    );
  }
  if (values["allow-changed"] === true && !resumes) return usage("--allow-changed goes with --resume.");
  const settings = settingsOf(values, around);
  if (typeof settings === "string") return usage(settings);
  if (resumes && settings.log.kind === "memory") return usage("--resume needs a log to resume from: not --no-log.");
  if (!around.keyboard || !around.screen) {
    return usage(
      resumes
        ? 'The chat needs a terminal. Without one: rubato resume --last "instruction".'
        : 'The chat needs a terminal for its keys and its screen. For one task: rubato "task".',
    );
  }
  const pickUp = resumes ? { run: words[0], allowChanged: values["allow-changed"] === true } : undefined;
  return { kind: "chat", settings, pickUp };
}

function parseTask({ words: all, values }: Line, around: Surroundings): Command {
  const named = all[0] === "run";
  const words = named ? all.slice(1) : all;
  const foreign = foreignOption(values, TASK_OPTIONS);
  if (foreign !== undefined) return usage(`A task has no option --${foreign}.`);
  const settings = settingsOf(values, around);
  if (typeof settings === "string") return usage(settings);
  const json = values.json === true;
  if (words.length > 0) {
    const task = words.join(" ");
    return task.trim() === "" ? usage("The task is empty.") : { kind: "task", task, json, settings };
  }
  if (!around.keyboard) return { kind: "piped", json, settings };
  if (named || json) return usage(`${json ? "--json" : '"run"'} needs a task: rubato run "task".`);
  return parseChat({ words, values }, around);
}

function usage(message: string): Command {
  return { kind: "usage", message };
}
