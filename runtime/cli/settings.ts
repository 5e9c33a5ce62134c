import { join } from "node:path";
import type { OptionName, Values } from "./values.ts";

/** What the model will be. `offline` needs no network and no key. */
export type ModelChoice =
  | { readonly kind: "offline" }
  | { readonly kind: "openai"; readonly model: string; readonly baseURL: string | undefined };

/** Where runs are kept. `ours`: nobody named the folder, so it is made in a corner of its own that no repository takes in. */
export type LogChoice =
  | { readonly kind: "memory" }
  | { readonly kind: "folder"; readonly folder: string; readonly ours: boolean };

export interface Settings {
  readonly model: ModelChoice;
  /** The folder that the tools may read. */
  readonly root: string;
  readonly maxSteps: number | undefined;
  readonly log: LogChoice;
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
export const AGENT_OPTIONS: readonly OptionName[] = ["model", "base-url", "root", "max-steps", "offline"];
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
  const log = logOf(values, around);
  if (typeof log === "string") return log;
  return { model, root: values.root ?? cwd, maxSteps: steps === undefined ? undefined : Number(steps), log };
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
