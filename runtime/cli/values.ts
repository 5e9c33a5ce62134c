import { parseArgs } from "node:util";

/** Every option of every command. One that a command does not know is refused by it, so that options may stand before its name too. */
const OPTIONS = {
  model: { type: "string" },
  "base-url": { type: "string" },
  root: { type: "string" },
  "max-steps": { type: "string" },
  offline: { type: "boolean" },
  log: { type: "string" },
  "no-log": { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
  resume: { type: "boolean" },
  last: { type: "boolean" },
  status: { type: "string" },
  "older-than": { type: "string" },
  yes: { type: "boolean", short: "y" },
  from: { type: "string" },
  type: { type: "string" },
  speed: { type: "string" },
  step: { type: "boolean" },
  to: { type: "string" },
  takeover: { type: "boolean" },
  "allow-changed": { type: "boolean" },
  now: { type: "boolean" },
  done: { type: "boolean" },
  grace: { type: "string" },
  at: { type: "string" },
  result: { type: "string", multiple: true },
  all: { type: "boolean" },
  out: { type: "string" },
  mermaid: { type: "boolean" },
  svg: { type: "boolean" },
  tools: { type: "string" },
  "max-tokens": { type: "string" },
  "max-cost": { type: "string" },
  price: { type: "string" },
  timeout: { type: "string" },
  budget: { type: "string", multiple: true },
  args: { type: "string" },
  answer: { type: "string" },
  "for-run": { type: "boolean" },
  port: { type: "string" },
  host: { type: "string" },
  token: { type: "string" },
  origin: { type: "string", multiple: true },
} as const;

export type OptionName = keyof typeof OPTIONS;

type ValueOf<Option> = Option extends { readonly multiple: true }
  ? readonly string[]
  : Option extends { readonly type: "string" }
    ? string
    : boolean;

/** What was said for each option; nothing for those that were not given. */
export type Values = { readonly [Name in OptionName]?: ValueOf<(typeof OPTIONS)[Name]> | undefined };

/** What stands on the command line: words in their order, and options. */
export interface Line {
  readonly words: readonly string[];
  readonly values: Values;
}

/** Splits a command line, or says in one sentence what is wrong with it. */
export function readLine(argv: readonly string[]): Line | string {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
    return { words: positionals, values };
  } catch (error) {
    // The rest of node's message is about positional arguments.
    const [sentence] = error instanceof Error ? error.message.split(/[.\n]/, 1) : [];
    return `${sentence ?? "The options cannot be read"}.`;
  }
}

/** The first option that was given and is none of these. */
export function foreignOption(values: Values, known: readonly OptionName[]): string | undefined {
  const names: readonly string[] = known;
  return Object.keys(values).find((name) => !names.includes(name));
}

/** A whole number in an option, or a sentence. */
export function countOf(
  name: OptionName,
  text: string | undefined,
  least: number,
  most = 1_000_000_000,
): number | undefined | string {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d{1,10}$/.test(text) && count >= least && count <= most) return count;
  return `--${name} must be a whole number from ${least} to ${most}, got ${JSON.stringify(text)}.`;
}
