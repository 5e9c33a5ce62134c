import { parseArgs } from "node:util";

/** What the model will be. `offline` needs no network and no key. */
export type ModelChoice =
  | { readonly kind: "offline" }
  | { readonly kind: "openai"; readonly model: string; readonly baseURL: string | undefined };

export interface Settings {
  readonly model: ModelChoice;
  /** The folder that the tools may read. */
  readonly root: string;
  readonly maxSteps: number | undefined;
}

/** What the command line asks for. `piped`: the task is all of stdin. `usage`: one sentence about what is wrong with it. */
export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "usage"; readonly message: string }
  | { readonly kind: "chat"; readonly settings: Settings }
  | { readonly kind: "task"; readonly task: string; readonly json: boolean; readonly settings: Settings }
  | { readonly kind: "piped"; readonly json: boolean; readonly settings: Settings };

/** What the command line is read in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Keys can be read from stdin. */
  readonly keyboard: boolean;
  /** Stdout can be drawn on. */
  readonly screen: boolean;
}

/** At OpenAI's own service, where nobody named a model. */
export const DEFAULT_MODEL = "gpt-4.1-mini";
const OPENAI_HOST = "api.openai.com";

/** Names that will be commands: as a task they would surprise. `rubato run show` is the way to say one to the model. */
const LATER = ["runs", "show", "replay", "resume", "fork", "verify", "serve", "inspect", "worker"];

export const HELP = `rubato: talk to an agent that you can stop, redirect and resume at any moment.

Usage
  rubato [chat]             talk in the terminal
  rubato [run] "task"       do one task and exit
  echo "task" | rubato      the same, with the task from a pipe

Options
  --model NAME              the model (or RUBATO_MODEL; default at OpenAI: ${DEFAULT_MODEL})
  --base-url URL            an OpenAI-compatible endpoint (or OPENAI_BASE_URL)
  --offline                 the offline model: small, rule-based, no network
  --root DIR                the folder that the tools may read (default: the current one)
  --max-steps N             model requests per turn, then it rests (default: 10)
  --json                    with a task: print every event as one line of JSON
  --help, --version

Without OPENAI_API_KEY and without an endpoint the offline model answers.

With a task, the answer goes to stdout and everything else to stderr. Exit codes:
  0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C, or a limit was reached),
  143 terminated (SIGTERM), 141 nobody read the output to its end.
  Ctrl-C stops at once and keeps what was said; a second Ctrl-C leaves without waiting.
`;

/** Reads the command line. Pure: whether a folder exists is found out later. */
export function parseCommand(argv: readonly string[], around: Surroundings): Command {
  const parsed = parse(argv);
  if (typeof parsed === "string") return usage(parsed);
  const { values, positionals } = parsed;
  if (values.help === true) return { kind: "help" };
  if (values.version === true) return { kind: "version" };

  const [first, ...rest] = positionals;
  const named = first === "chat" || first === "run" ? first : undefined;
  const words = named === undefined ? positionals : rest;
  if (named === undefined && first !== undefined && rest.length === 0 && LATER.includes(first)) {
    return usage(`The command "${first}" is not there yet. To say it to the model: rubato run ${first}.`);
  }
  if (named === "chat" && words.length > 0) return usage('"chat" takes no task. For one task: rubato "task".');

  const settings = settingsOf(values, around);
  if (typeof settings === "string") return usage(settings);
  const json = values.json === true;
  if (words.length > 0) {
    const task = words.join(" ");
    return task.trim() === "" ? usage("The task is empty.") : { kind: "task", task, json, settings };
  }
  if (named !== "chat" && !around.keyboard) return { kind: "piped", json, settings };
  if (named === "run" || json) return usage(`${json ? "--json" : '"run"'} needs a task: rubato run "task".`);
  if (!around.keyboard || !around.screen) {
    return usage('The chat needs a terminal for its keys and its screen. For one task: rubato "task".');
  }
  return { kind: "chat", settings };
}

interface Values {
  readonly model?: string | undefined;
  readonly "base-url"?: string | undefined;
  readonly root?: string | undefined;
  readonly "max-steps"?: string | undefined;
  readonly offline?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly help?: boolean | undefined;
  readonly version?: boolean | undefined;
}

function parse(argv: readonly string[]): { readonly values: Values; readonly positionals: string[] } | string {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        model: { type: "string" },
        "base-url": { type: "string" },
        root: { type: "string" },
        "max-steps": { type: "string" },
        offline: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
    });
  } catch (error) {
    // The rest of node's message is about positional arguments.
    const [sentence] = error instanceof Error ? error.message.split(/[.\n]/, 1) : [];
    return `${sentence ?? "The options cannot be read"}.`;
  }
}

function settingsOf(values: Values, { env, cwd }: Surroundings): Settings | string {
  const model = modelOf(values, env);
  if (typeof model === "string") return model;
  const steps = values["max-steps"];
  if (steps !== undefined && !/^[1-9]\d{0,5}$/.test(steps)) {
    return `--max-steps must be a whole number from 1 to 999999, got ${JSON.stringify(steps)}.`;
  }
  if (values.root === "") return "--root must name a folder.";
  return { model, root: values.root ?? cwd, maxSteps: steps === undefined ? undefined : Number(steps) };
}

function modelOf(values: Values, env: Surroundings["env"]): ModelChoice | string {
  const { model, "base-url": url } = values;
  if (values.offline === true) {
    const other = model === undefined ? (url === undefined ? undefined : "--base-url") : "--model";
    return other === undefined ? { kind: "offline" } : `--offline and ${other} exclude each other.`;
  }
  if (model?.trim() === "") return "--model must name a model.";
  if (url !== undefined && !isHttp(url)) return `--base-url must be an http(s) address, got ${JSON.stringify(url)}.`;
  const baseURL = url ?? said(env["OPENAI_BASE_URL"]);
  if (url === undefined && baseURL !== undefined && !isHttp(baseURL)) {
    return `OPENAI_BASE_URL must be an http(s) address, got ${JSON.stringify(baseURL)}.`;
  }
  if (baseURL === undefined && said(env["OPENAI_API_KEY"]) === undefined) {
    return model === undefined ? { kind: "offline" } : "--model needs OPENAI_API_KEY, or an endpoint by --base-url.";
  }
  const name = model ?? said(env["RUBATO_MODEL"]);
  if (name !== undefined) return { kind: "openai", model: name, baseURL };
  if (baseURL !== undefined && new URL(baseURL).hostname !== OPENAI_HOST) {
    return `Which model of ${new URL(baseURL).host}? Name it with --model or RUBATO_MODEL.`;
  }
  return { kind: "openai", model: DEFAULT_MODEL, baseURL };
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function said(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text.trim();
}

function usage(message: string): Command {
  return { kind: "usage", message };
}
