import type { AgentState } from "../../machines/state.ts";
import { pendingLine } from "./answer.ts";
import { describeLimit } from "./describe-limit.ts";
import { oneLine } from "./sanitizer.ts";

/** Where a run stands, for `/state`. */
export function describeState(state: AgentState, durableSeq: number): string {
  const { usage, inputs, limit, error } = state;
  const lines = [
    `run       ${state.runId}`,
    `state     ${state.value}${state.interruptRequested ? ", a stop is asked for" : ""}`,
    `turn      ${state.turn}, step ${state.step}`,
    `messages  ${state.messages.length}`,
    `calls     ${state.toolCalls.size}`,
    `usage     ${usage.inputTokens} tokens in, ${usage.outputTokens} out, ${usage.requests} requests${
      usage.unknownRequests === 0 ? "" : `, ${usage.unknownRequests} of them not counted by the endpoint`
    }${usage.cost === undefined ? "" : `, cost ${Number(usage.cost.toPrecision(3))}`}`,
    `seq       ${state.seq}, stored up to ${durableSeq}`,
  ];
  const limits = Object.entries(state.core.control.limits ?? {}).map(([name, max]) => `${name} ${max}`);
  if (limits.length > 0) lines.push(`limits    ${limits.join(", ")}`);
  if (limit !== undefined) lines.push(`limit     ${describeLimit(limit)}`);
  for (const call of state.pendingApprovals) lines.push(`asks      ${pendingLine(call)}`);
  const allowed = state.allowedTools.map((name) => oneLine(name, 64)).join(", ");
  if (allowed !== "") lines.push(`allowed   ${allowed}, for the rest of the run`);
  if (state.retry !== undefined) lines.push(`retry     attempt ${state.retry.attempt}`);
  if (error !== undefined) lines.push(`error     ${oneLine(error.message, 200)}`);
  for (const input of inputs) lines.push(`waiting   ${whenOf(input.queue)}: ${oneLine(input.text, 100)}`);
  return lines.join("\n");
}

/** When a waiting input will be heard. */
export function whenOf(queue: "step" | "done"): string {
  return queue === "step" ? "at the next step" : "after the answer";
}
