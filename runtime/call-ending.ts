import type { Draft, EventData, Json } from "../machines/events.ts";
import type { ToolCallState } from "../machines/state.ts";
import { isAsyncCheck, type Tool } from "../tools/tool.ts";
import { toJson } from "./arguments.ts";
import { messageOf } from "./errors.ts";

/** What a call ended with, before it is an event. */
export type Ending = Pick<EventData<"tool_result">, "outcome"> & {
  output?: Json;
  error?: { code: string; message: string };
};

/** Why a call was told to stop. */
export type StopReason = "interrupt" | "timeout";

/** The ending of a call whose tool answered. */
export function returned<Context>(tool: Tool<Context>, value: unknown): Ending {
  try {
    const checked = tool.output?.safeParse(value);
    if (checked !== undefined && !checked.success) {
      const [first] = checked.error.issues;
      const where = `${first?.path.join(".")} ${first?.message}`;
      return failure("output", `The tool answered what its output schema refuses: ${where}`);
    }
    return { outcome: "ok", output: toJson(checked === undefined ? value : checked.data) };
  } catch (error) {
    if (isAsyncCheck(error)) {
      return failure("output", "The tool's output schema has asynchronous checks, which an output cannot have.");
    }
    return failure("output", `The tool answered what is not JSON: ${messageOf(error)}`);
  }
}

/** The ending of a call whose tool threw. After a stop was asked for that is its way to stop: an abort is never a tool failure. */
export function thrown(stop: StopReason | undefined, error: unknown, timeoutMs: number): Ending {
  switch (stop) {
    case "timeout":
      return { outcome: "timeout", error: { code: "timeout", message: `no result within ${timeoutMs} ms` } };
    case "interrupt":
      return { outcome: "aborted", error: { code: "aborted", message: messageOf(error) } };
    case undefined:
      return failure("tool", messageOf(error));
  }
}

/** What the event of a call that ran says. Written out: spreading one object into another takes longer than everything else here. */
export function resultOf(
  callId: string,
  attempt: number,
  { outcome, output, error }: Ending,
): EventData<"tool_result"> {
  if (output !== undefined) return { callId, attempt, outcome, output, from: "running" };
  if (error !== undefined) return { callId, attempt, outcome, error, from: "running" };
  return { callId, attempt, outcome, from: "running" };
}

/** The outcome of a call that cannot run: it goes back to the model. */
export function refusal(call: ToolCallState, message: string): Draft {
  return {
    type: "tool_result",
    data: {
      callId: call.callId,
      attempt: 0,
      outcome: "error",
      from: "complete",
      error: { code: "invalid_call", message },
    },
  };
}

function failure(code: string, message: string): Ending {
  return { outcome: "error", error: { code, message } };
}
