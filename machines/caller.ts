import type { Event, EventData } from "./events.ts";
import type { Core } from "./state.ts";
import { traceHeaders, type TraceHeaders } from "./trace-context.ts";

/**
 * Whose trace a turn belongs to: that of the command that began it, or else of whoever began the run. Decided here for both who need it, the state (what
 * goes out names a trace) and the spans (which are in it), so that they cannot come to different answers.
 */

/** What is known before the event. */
export interface CallersBefore {
  /** Of an input that waits to be heard. */
  callerOfInput(id: string): TraceHeaders | undefined;
  /** Of the `resume` that was recorded while the turn before was still being stopped. */
  readonly nextCaller: TraceHeaders | undefined;
}

/** Who said this, as the event tells. A log may be foreign: what is no trace context is none. */
export function callerIn(
  data: EventData<"run_start" | "owner" | "user_input" | "resume" | "approval">,
): TraceHeaders | undefined {
  return data.traceparent === undefined ? undefined : traceHeaders(data.traceparent, data.tracestate);
}

/** The same without who said it: whose request it was has nothing to do with what it says. */
export function withoutCaller<Data extends { traceparent?: unknown; tracestate?: unknown }>(
  data: Data,
): Omit<Data, "traceparent" | "tracestate"> {
  const { traceparent: _parent, tracestate: _state, ...rest } = data;
  return rest;
}

/** Who began the turn that this event begins; undefined: whoever began the run. */
export function callerOfTurn(event: Event, before: CallersBefore): TraceHeaders | undefined {
  switch (event.type) {
    case "user_input":
      return callerIn(event.data);
    case "resume":
      return callerOfResume(event.data, before);
    case "input_delivered":
      return before.callerOfInput(event.data.id);
    default:
      return before.nextCaller;
  }
}

/** Whose trace what goes out now belongs to. */
export function callerOf({ caller, start }: Pick<Core, "caller" | "start">): TraceHeaders | undefined {
  return caller ?? (start === undefined ? undefined : callerIn(start));
}

/** A run goes on by itself with an input that redirected it: then it is that one's. */
export function callerOfResume(data: EventData<"resume">, before: CallersBefore): TraceHeaders | undefined {
  return callerIn(data) ?? (data.inputId === undefined ? undefined : before.callerOfInput(data.inputId));
}
