import { isAtRest, type AgentState } from "../../machines/state.ts";
import { raiseOf } from "./budget.ts";
import { describeLimit } from "./describe-limit.ts";
import { shortId } from "./find-run.ts";
import { oneLine } from "./sanitizer.ts";

/** What became of a run that somebody picks up again, in one sentence. */
export function describeFound(state: AgentState, owned: boolean): string {
  const run = `Run ${shortId(state.runId)}, ${state.seq} events`;
  if (owned) return `${run}: another process works on it. What you say goes there.`;
  if (isAtRest(state)) return `${run}: ${atRest(state)}`;
  return `${run}: its process ended ${placeOf(state)}. Enter goes on, or say something.`;
}

/** The calls of a run at rest whose outcome nobody knows. */
export function describePending({ orphans }: AgentState): string[] {
  return orphans.map(
    ({ callId, name }) =>
      `Call ${callId} of ${oneLine(name, 64)} has no known outcome. /settle ${callId} ok TEXT or /settle ${callId} error TEXT says how it ended; or just go on.`,
  );
}

function atRest({ status, value, limit, error }: AgentState): string {
  switch (status) {
    case "done":
      return "its answer is complete.";
    case "waiting":
      return "it waits for your answer.";
    case "failed":
      return `its turn failed${error === undefined ? "" : ` (${oneLine(error.message, 200)})`}. Enter tries again.`;
    case "cancelled":
      return "it was cancelled, that is final. /exit, and start another.";
    case "interrupted":
      return `interrupted${limit === undefined ? "" : `, ${describeLimit(limit)}`}. ${goesOnBy(limit)}`;
    default:
      return `${value}.`;
  }
}

function goesOnBy(limit: AgentState["limit"]): string {
  const more = limit === undefined ? undefined : raiseOf(limit);
  return more === undefined ? "Enter goes on, or say something." : `/budget ${more} goes on (all in all).`;
}

/** Where it stood when its process ended. */
function placeOf({ value, step, core }: AgentState): string {
  const running = core.calls.filter((call) => call.phase === "running").map(({ name }) => oneLine(name, 64));
  if (running.length > 0) return `while ${running.join(", ")} ran (step ${step})`;
  switch (value) {
    case "thinking.streaming":
      return `in the middle of an answer (step ${step})`;
    case "thinking.backoff":
      return "while it waited to try again";
    case "thinking.finishing":
      return "after the answer";
    case "interrupted.draining":
      return "while it stopped";
    default:
      return value.startsWith("acting") ? `between its tools (step ${step})` : "before the answer began";
  }
}
