import type { Command } from "./command.ts";
import type { Event } from "./events.ts";
import type { TraceHeaders } from "./trace-context.ts";

/**
 * The command that an event of a log is the first record of, as somebody gave it; undefined for an event that no command begins with. `next` is the
 * event after it: what a person says when they resume is recorded there.
 */
export function recordedCommand(event: Event, next: Event | undefined): Command | undefined {
  switch (event.type) {
    case "user_input": {
      const { id, text, when } = event.data;
      return when === "start" ? undefined : { type: "send", id, text, when, ...traced(event.data) };
    }
    case "interrupt": {
      const { by, reason, mode, cancel } = event.data;
      return cancel === true ? { type: "cancel", by, reason } : { type: "interrupt", by, reason, mode };
    }
    case "cancelled":
      return { type: "cancel", by: event.data.by, reason: event.data.reason };
    case "resume": {
      const { by, partial, inputId, budget } = event.data;
      // Where the log was cut between the two, as a fork may be, what was said is not known and does not matter.
      const text = next?.type === "user_input" && next.data.id === inputId ? next.data.text : "";
      const input = inputId === undefined ? {} : { input: { id: inputId, text } };
      const raised = budget === undefined ? {} : { budget };
      return { type: "resume", by, partial, ...input, ...raised, ...traced(event.data) };
    }
    case "approval": {
      const { callId, by, decision, args, answer, forRun, reason = "" } = event.data;
      if (decision === "reject") return { type: "reject", by, callId, reason, ...traced(event.data) };
      return {
        type: "approve",
        by,
        callId,
        ...(args === undefined ? {} : { args }),
        ...(answer === undefined ? {} : { answer }),
        ...(forRun === undefined ? {} : { forRun }),
        ...traced(event.data),
      };
    }
    default:
      return undefined;
  }
}

/** Whose trace it brought, as it stands there. */
function traced({
  traceparent,
  tracestate,
}: {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}): { readonly caller?: TraceHeaders } {
  if (traceparent === undefined) return {};
  return { caller: tracestate === undefined ? { traceparent } : { traceparent, tracestate } };
}

/**
 * Whether an event can come from outside of the run's own code: from a person, the model, a tool, another owner. All others follow from what was
 * recorded before them.
 */
export function isFromOutside(event: Event): boolean {
  switch (event.type) {
    case "input_delivered":
      // Of a run at rest that is cancelled; else it goes before a `cancelled` that follows by itself.
      return !event.data.delivered;
    case "message":
      return event.data.finish !== "interrupted";
    case "tool_result":
      return event.data.late === true || event.data.from === "running" || event.data.from === "orphaned";
    case "resume":
      return event.data.by !== "input";
    case "thinking":
    case "tool_call":
    case "approval_request":
    case "tool_start":
    case "interrupted":
    case "limit":
    case "done":
    case "failed":
      return false;
    default:
      return true;
  }
}
