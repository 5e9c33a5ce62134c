import { join } from "node:path";
import type { Price } from "../../machines/limits.ts";
import type { Budget } from "../agent-options.ts";
import { durationOf } from "./duration.ts";
import { oneLine } from "./sanitizer.ts";
import type { OptionName, Values } from "./values.ts";

/** What the model will be. `offline` needs no network and no key. */
export type ModelChoice =
  | { readonly kind: "offline" }
  | {
      readonly kind: "openai";
      /** By name, in the order in which they are asked where one fails for good. */
      readonly models: readonly [string, ...string[]];
      readonly baseURL: string | undefined;
    };

/** Where runs are kept. `ours`: nobody named the folder, so it is made in a corner of its own that no repository takes in. */
export type LogChoice =
  | { readonly kind: "memory" }
  | { readonly kind: "folder"; readonly folder: string; readonly ours: boolean };

/** `read`: tools that change nothing. `all`: also those that act, each call of which waits for a person. */
export type ToolChoice = "read" | "all";

export interface Settings {
  readonly model: ModelChoice;
  /** The folder that the tools may use. */
  readonly root: string;
  /** Undefined: those that the run was begun with, for a new one all. */
  readonly tools: ToolChoice | undefined;
  /** Nobody is asked before a tool runs. */
  readonly yes: boolean;
  readonly maxSteps: number | undefined;
  readonly budget: Budget;
  /** Of every model. */
  readonly price: Price | undefined;
  readonly log: LogChoice;
  readonly again: Again;
}

/** What has to be typed again to come back to the same runs, and to go on with them as they were: options as they were given, each behind a space. */
export interface Again {
  readonly log: string;
  readonly agent: string;
}

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

/** For every command that may talk to a model. */
export const AGENT_OPTIONS: readonly OptionName[] = [
  "model",
  "base-url",
  "offline",
  "root",
  "tools",
  "yes",
  "max-steps",
  "price",
];
/** For every command that may begin a run: what it may use is settled then. */
export const LIMIT_OPTIONS: readonly OptionName[] = ["max-tokens", "max-cost", "timeout"];
/** For every command that reads runs. */
export const LOG_OPTIONS: readonly OptionName[] = ["log"];

/** What the options and the environment come to, or one sentence about what is wrong. */
export function settingsOf(values: Values, around: Surroundings): Settings | string {
  const { env, cwd } = around;
  const model = modelOf(values, env);
  if (typeof model === "string") return model;
  const steps = values["max-steps"];
  if (steps !== undefined && !/^[1-9]\d{0,5}$/.test(steps)) {
    return `--max-steps must be a whole number from 1 to 999999, got ${JSON.stringify(steps)}.`;
  }
  if (values.root === "") return "--root must name a folder.";
  const { tools, yes = false } = values;
  if (tools !== undefined && tools !== "read" && tools !== "all") {
    return `--tools must be read or all, got ${JSON.stringify(tools)}.`;
  }
  const limits = limitsOf(values, model);
  if (typeof limits === "string") return limits;
  const log = logOf(values, around);
  if (typeof log === "string") return log;
  const maxSteps = steps === undefined ? undefined : Number(steps);
  const again = { log: typed(values, LOG_OPTIONS), agent: typed(values, SAME_AGENT) };
  return { model, root: values.root ?? cwd, tools, yes, maxSteps, ...limits, log, again };
}

/** Not `yes`: whoever goes on decides that anew. */
const SAME_AGENT: readonly OptionName[] = ["model", "base-url", "offline", "root", "tools", "max-steps", "price"];

function typed(values: Values, names: readonly OptionName[]): string {
  const words = names.map((name) => {
    const value = values[name];
    if (value === true) return ` --${name}`;
    // What cannot be shown as it is cannot be typed from there either.
    if (typeof value !== "string" || oneLine(value, value.length + 1) !== value) return "";
    return value.startsWith("-") ? ` --${name}=${quoted(value)}` : ` --${name} ${quoted(value)}`;
  });
  return words.join("");
}

/** As a POSIX shell reads it as one word. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Tokens, cost and time. */
function limitsOf(
  values: Values,
  model: ModelChoice,
): { readonly budget: Budget; readonly price: Price | undefined } | string {
  const { "max-tokens": tokens, "max-cost": most, price: rates, timeout } = values;
  const [, output, input] = /^(\d{1,12})(?:,(\d{1,12}))?$/.exec(tokens ?? "") ?? [];
  if (tokens !== undefined && output === undefined) {
    return `--max-tokens must be a number of tokens that the model may write, or OUT,IN; got ${JSON.stringify(tokens)}.`;
  }
  const [, inRate, outRate] = /^(\d{1,9}(?:\.\d{1,9})?),(\d{1,9}(?:\.\d{1,9})?)$/.exec(rates ?? "") ?? [];
  if (rates !== undefined && inRate === undefined) {
    return `--price must be what a million tokens in and out cost, such as 0.40,1.60; got ${JSON.stringify(rates)}.`;
  }
  if (most !== undefined && !/^\d{1,9}(?:\.\d{1,9})?$/.test(most)) {
    return `--max-cost must be a number, got ${JSON.stringify(most)}.`;
  }
  // What the offline model costs is known.
  if (most !== undefined && rates === undefined && model.kind !== "offline") {
    return "--max-cost needs --price IN,OUT: what a million tokens cost.";
  }
  const wallMs = timeout === undefined ? undefined : durationOf(timeout);
  if (timeout !== undefined && (wallMs === undefined || wallMs === 0)) {
    return `--timeout must be a number and s, m, h or d, such as 10m; got ${JSON.stringify(timeout)}.`;
  }
  const price = rates === undefined ? undefined : { input: Number(inRate), output: Number(outRate) };
  return {
    budget: {
      ...(output === undefined ? {} : { outputTokens: Number(output) }),
      ...(input === undefined ? {} : { inputTokens: Number(input) }),
      ...(most === undefined ? {} : { cost: Number(most) }),
      ...(wallMs === undefined ? {} : { wallMs }),
    },
    price: price ?? (most === undefined ? undefined : { input: 0, output: 0 }),
  };
}

/** `--log`, else `RUBATO_LOG`, else `.rubato/runs` below the current folder. `none` keeps nothing. */
export function logOf(values: Values, { env, cwd }: Surroundings): LogChoice | string {
  if (values["no-log"] === true) {
    return values.log === undefined ? { kind: "memory" } : "--no-log and --log exclude each other.";
  }
  if (values.log?.trim() === "") return "--log must name a folder, or none.";
  const folder = values.log ?? said(env["RUBATO_LOG"]);
  if (folder === "none") return { kind: "memory" };
  return { kind: "folder", folder: folder ?? join(cwd, ".rubato", "runs"), ours: folder === undefined };
}

function modelOf(values: Values, env: Surroundings["env"]): ModelChoice | string {
  const { model, "base-url": url } = values;
  if (values.offline === true) {
    const other = model === undefined ? (url === undefined ? undefined : "--base-url") : "--model";
    return other === undefined ? { kind: "offline" } : `--offline and ${other} exclude each other.`;
  }
  if (model?.trim() === "") return "--model must name a model, or several with commas between them.";
  if (url !== undefined && !isHttp(url)) return `--base-url must be an http(s) address, got ${JSON.stringify(url)}.`;
  const baseURL = url ?? said(env["OPENAI_BASE_URL"]);
  if (url === undefined && baseURL !== undefined && !isHttp(baseURL)) {
    return `OPENAI_BASE_URL must be an http(s) address, got ${JSON.stringify(baseURL)}.`;
  }
  if (baseURL === undefined && said(env["OPENAI_API_KEY"]) === undefined) {
    return model === undefined ? { kind: "offline" } : "--model needs OPENAI_API_KEY, or an endpoint by --base-url.";
  }
  const name = model ?? said(env["RUBATO_MODEL"]);
  if (name !== undefined) {
    const [first = "", ...others] = name.split(",").map((one) => one.trim());
    if ([first, ...others].includes("")) return `A model has no name in ${JSON.stringify(name)}.`;
    return { kind: "openai", models: [first, ...others], baseURL };
  }
  if (baseURL !== undefined && new URL(baseURL).hostname !== OPENAI_HOST) {
    return `Which model of ${new URL(baseURL).host}? Name it with --model or RUBATO_MODEL.`;
  }
  return { kind: "openai", models: [DEFAULT_MODEL], baseURL };
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function said(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text.trim();
}
