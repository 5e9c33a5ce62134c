import type { EventData } from "../../machines/events.ts";
import { durationOf } from "./duration.ts";

/** What a run may use, as it is typed and as the runtime wants it: totals of the whole run, not what is added. */
export type RaisedBudget = Readonly<Record<string, number>>;

const NAMES = ["outputTokens", "inputTokens", "toolCalls", "cost", "wallMs", "maxSteps"];

export const BUDGET_HELP = `${NAMES.join(", ")}, or timeout=10m`;

/** `outputTokens=20000,cost=2` or the same in several words; or one sentence about what is wrong. */
export function readBudget(words: readonly string[]): RaisedBudget | string {
  const budget: [string, number][] = [];
  for (const word of words.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== "")) {
    const [, name = "", value = ""] = /^(\w+)=(.+)$/.exec(word) ?? [];
    const field = name === "timeout" ? "wallMs" : name;
    const number = name === "timeout" ? durationOf(value) : numberOf(value);
    const whole = field === "cost" || Number.isSafeInteger(number);
    if (!NAMES.includes(field) || number === undefined || !whole || (field === "maxSteps" && number < 1)) {
      return `A budget is NAME=NUMBER with ${BUDGET_HELP}; got ${JSON.stringify(word)}.`;
    }
    budget.push([field, number]);
  }
  return budget.length === 0
    ? `A budget is NAME=NUMBER with ${BUDGET_HELP}, such as outputTokens=20000.`
    : Object.fromEntries(budget);
}

function numberOf(text: string): number | undefined {
  return /^\d{1,15}(?:\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}

const FIELDS: Readonly<Record<string, string>> = {
  input_tokens: "inputTokens",
  output_tokens: "outputTokens",
  tool_calls: "toolCalls",
  cost: "cost",
};

/** What to type to go on from a limit, with about twice of what was used; undefined where nothing has to be raised. */
export function raiseOf({ kind, used, max }: EventData<"limit">): string | undefined {
  if (kind === "wall_time") return `timeout=${Math.max(1, Math.ceil((Math.max(used, max) * 2) / 60_000))}m`;
  const field = FIELDS[kind];
  if (field === undefined) return undefined;
  const twice = Math.max(used, max, field === "cost" ? 0.01 : 1) * 2;
  return `${field}=${field === "cost" ? roundUp(twice) : Math.ceil(twice)}`;
}

/** To two digits that count: a cost of 0.0031 is no 0.01. */
function roundUp(cost: number): number {
  return Number(cost.toPrecision(2));
}
