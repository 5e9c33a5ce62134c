import type { AgentState } from "../../machines/state.ts";
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
    }`,
    `seq       ${state.seq}, stored up to ${durableSeq}`,
  ];
  if (limit !== undefined) lines.push(`limit     ${oneLine(limit.kind, 40)}, ${limit.used} of ${limit.max}`);
  if (error !== undefined) lines.push(`error     ${oneLine(error.message, 200)}`);
  for (const input of inputs) lines.push(`waiting   ${whenOf(input.queue)}: ${oneLine(input.text, 100)}`);
  return lines.join("\n");
}

/** When a waiting input will be heard. */
export function whenOf(queue: "step" | "done"): string {
  return queue === "step" ? "at the next step" : "after the answer";
}
