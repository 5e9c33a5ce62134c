import { raisedLimits, type Control } from "./control.ts";
import type { EventData, RunUsage, Usage } from "./events.ts";
import type { Message } from "./messages.ts";
import type { AgentState } from "./state.ts";

/**
 * The limits of a run, asked at its step boundaries: before a request (`derive`), and before the calls of a message are announced. Steps are counted
 * by the chart itself.
 */

type Limit = EventData<"limit">;

/** Steps of a cycle that is noticed: of one step (the same again and again) up to this many. */
const LONGEST_CYCLE = 4;

/** The limit that the run has reached and that keeps it from its next request; undefined while there is none. */
export function reachedLimit(state: AgentState): Limit | undefined {
  const { control, start } = state.core;
  const spent = control.limits === undefined ? undefined : (spentLimit(state.usage, control) ?? callLimit(state));
  return spent ?? repeatLimit(state, start?.limits.maxRepeats);
}

/** How many more calls of a complete message may run, beside those that are announced and did not start; those after them are skipped. */
export function callsAllowed({ usage, core }: AgentState): number {
  const { limits, toolCalls } = core.control;
  if (limits === undefined) return Number.POSITIVE_INFINITY;
  if (spentLimit(usage, core.control) !== undefined) return 0;
  if (limits.toolCalls === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(0, limits.toolCalls - toolCalls - core.context.pending - core.context.ready);
}

/** Whether a run that rests at a budget could go on with these. */
export function wouldSuffice({ usage, core }: AgentState, budget: Readonly<Record<string, number>>): boolean {
  const { limit, control } = core;
  if (limit === undefined) return true;
  const limits = raisedLimits(control.limits, budget);
  if (limit.kind === "tool_calls") return (limits?.toolCalls ?? Number.POSITIVE_INFINITY) > control.toolCalls;
  const timeUp = control.timeUp && budget["wallMs"] === undefined;
  return spentLimit(usage, { ...control, limits, timeUp }) === undefined;
}

/** Tokens, cost and time: what is used up whether anything more is asked or not. */
function spentLimit(usage: RunUsage, { limits, workedMs, timeUp }: Control): Limit | undefined {
  if (limits === undefined) return undefined;
  const { estimated, cost = 0 } = usage;
  const input = usage.inputTokens + (estimated?.inputTokens ?? 0);
  const output = usage.outputTokens + (estimated?.outputTokens ?? 0);
  return (
    reached("input_tokens", "inputTokens", input, limits.inputTokens) ??
    reached("output_tokens", "outputTokens", output, limits.outputTokens) ??
    reached("cost", "cost", cost, limits.cost) ??
    reached("wall_time", "wallMs", timeUp ? Math.max(workedMs, limits.wallMs ?? 0) : workedMs, limits.wallMs)
  );
}

function reached(kind: string, field: string, used: number, max: number | undefined): Limit | undefined {
  if (max === undefined || used < max) return undefined;
  return { kind, used, max, raise: `Resume with a higher budget: { ${field}: ... }.` };
}

/** Reached when the model asked for more: a run whose last call was allowed may still answer. */
function callLimit({ core }: AgentState): Limit | undefined {
  const max = core.control.limits?.toolCalls;
  if (max === undefined || core.control.toolCalls < max) return undefined;
  // The calls over the limit are the last of their message.
  const last = core.settledCalls.items[core.settledCalls.length - 1];
  return last?.error?.code === OVER_LIMIT ? reached("tool_calls", "toolCalls", core.control.toolCalls, max) : undefined;
}

/** The code of a call that was skipped because a limit was reached. */
export const OVER_LIMIT = "limit";

/**
 * A run that goes round in a circle: the same step (calls, arguments, results) so many times in a row, or a cycle of up to four steps more than half
 * as many times. Only steps of this turn count, and only those after the last input.
 */
function repeatLimit({ core }: AgentState, max: number | undefined): Limit | undefined {
  if (max === undefined || max === 0) return undefined;
  const { history, context } = core;
  for (let period = 1; period <= LONGEST_CYCLE; period++) {
    const times = period === 1 ? max : Math.max(2, Math.ceil((max + 1) / 2));
    if (context.turnSteps < period * times) return undefined;
    if (repeats(history.items, history.length, period, times)) {
      const what = period === 1 ? "the same step" : `a cycle of ${period} steps`;
      return {
        kind: "repeats",
        used: times,
        max: times,
        raise: `The run repeats ${what} with the same results. Resume with an instruction that leads out of it, or create the agent with a higher maxRepeats.`,
      };
    }
  }
  return undefined;
}

/** Whether the list ends with `times` times the same `period` steps: each of them, but for the first period, is the one that stands a period before it. */
function repeats(messages: readonly Message[], length: number, period: number, times: number): boolean {
  let later = stepStart(messages, length);
  if (later === undefined) return false;
  let earlier: number | undefined = length;
  for (let back = 0; back <= period && earlier !== undefined; back++) earlier = stepStart(messages, earlier);
  for (let same = 0; same < period * (times - 1); same++) {
    if (later === undefined || earlier === undefined || !sameStep(messages, earlier, later)) return false;
    later = stepStart(messages, later);
    earlier = stepStart(messages, earlier);
  }
  return true;
}

/** Where the step begins that ends before `end`: its message with calls, its results behind it. */
function stepStart(messages: readonly Message[], end: number): number | undefined {
  let index = end - 1;
  while (index >= 0 && messages[index]?.role === "tool") index--;
  const message = messages[index];
  return index < end - 1 && message?.role === "assistant" ? index : undefined;
}

function sameStep(messages: readonly Message[], one: number, other: number): boolean {
  for (let offset = 0; ; offset++) {
    const a = messages[one + offset];
    const b = messages[other + offset];
    if (offset === 0) {
      if (a?.role !== "assistant" || b?.role !== "assistant") return false;
      const calls = a.toolCalls ?? [];
      const others = b.toolCalls ?? [];
      if (calls.length !== others.length) return false;
      if (calls.some((call, index) => call.name !== others[index]?.name || call.args !== others[index].args))
        return false;
      continue;
    }
    if (a?.role !== "tool" || b?.role !== "tool") return a?.role !== "tool" && b?.role !== "tool";
    if (a.content !== b.content || a.outcome !== b.outcome) return false;
  }
}

/** Characters of a token of plain text, about. */
const CHARS_PER_TOKEN = 4;

/** What the open request may have used, where nobody tells: a rule of thumb over the texts that went out and came back. */
export function estimateUsage(state: AgentState): Usage {
  const { partial, core } = state;
  let sent = 0;
  for (let index = 0; index < core.history.length; index++) sent += lengthOf(core.history.items[index]);
  for (const message of core.tail) sent += lengthOf(message);
  const base = partial?.base.length ?? 0;
  let said = (partial?.text.length ?? 0) - base + (partial?.reasoning.length ?? 0);
  for (const call of partial?.calls ?? []) said += call.name.length + call.args.length;
  return { inputTokens: tokens(sent + base), outputTokens: tokens(said) };
}

function tokens(characters: number): number {
  return Math.ceil(characters / CHARS_PER_TOKEN);
}

function lengthOf(message: Message | undefined): number {
  if (message === undefined) return 0;
  let length = message.content.length;
  if (message.role === "assistant") {
    for (const call of message.toolCalls ?? []) length += call.name.length + call.args.length;
  }
  return length;
}

/** What tokens cost: per million, in any one currency. */
export interface Price {
  readonly input: number;
  readonly output: number;
}

export function costOf({ inputTokens, outputTokens }: Usage, { input, output }: Price): number {
  return (inputTokens * input + outputTokens * output) / 1_000_000;
}
