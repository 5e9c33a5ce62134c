import type { Fault, RunUsage } from "../machines/events.ts";
import type { AgentState, ToolCallState } from "../machines/state.ts";
import type { RubatoError } from "./errors.ts";

/** How a run stands when it is at rest. */
export interface Outcome {
  readonly status: "done" | "interrupted" | "waiting" | "failed" | "cancelled";
  /** The answer, when there is a complete one. */
  readonly output?: string;
  /** Why it failed, or the limit that it rests at (`code: "limit"`). */
  readonly error?: Fault;
  /** Calls that wait for a person: for an approval, or (interrupted) to be told how they ended. */
  readonly pending?: readonly ToolCallState[];
  readonly usage: RunUsage;
  /** Model requests of the whole run. */
  readonly steps: number;
  /** Of the last event. */
  readonly seq: number;
}

export function outcomeOf(state: AgentState, failure: RubatoError | undefined, durableSeq: number): Outcome {
  const figures = { usage: state.usage, steps: state.step, seq: failure === undefined ? state.seq : durableSeq };
  if (failure !== undefined) {
    return { status: "failed", error: { code: failure.code, message: failure.message }, ...figures };
  }
  switch (state.status) {
    case "done":
      return { status: "done", output: state.output, ...figures };
    case "waiting":
      return {
        status: "waiting",
        pending: state.core.calls.filter((call) => call.phase === "awaiting_approval"),
        ...figures,
      };
    case "failed":
      return { status: "failed", ...(state.error === undefined ? {} : { error: state.error }), ...figures };
    case "cancelled":
      return { status: "cancelled", ...figures };
    default: {
      const pending = state.orphans;
      return {
        status: "interrupted",
        ...(state.limit === undefined ? {} : { error: limitFault(state) }),
        ...(pending.length === 0 ? {} : { pending }),
        ...figures,
      };
    }
  }
}

/** Of a run that stands in the middle of its work and that nobody owns. */
export function notRunning(state: AgentState): Outcome {
  return {
    status: "interrupted",
    error: {
      code: "not_running",
      message: `Nobody runs it: its process ended at ${state.value}. Resume it to go on.`,
    },
    usage: state.usage,
    steps: state.step,
    seq: state.seq,
  };
}

function limitFault({ limit }: AgentState): Fault {
  if (limit === undefined) return { code: "limit", message: "A limit was reached." };
  return {
    code: "limit",
    message: `The limit ${limit.kind} was reached (${limit.used} of ${limit.max}). ${limit.raise}`,
  };
}
