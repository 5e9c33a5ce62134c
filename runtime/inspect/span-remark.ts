import type { Event } from "../../machines/events.ts";
import type { SpanAttributes } from "./turn-spans.ts";

/** What happens beside requests and calls, as an event of its turn's span; undefined for what is none. `content`: also what somebody said. */
export function remarkOf(event: Event, content: boolean): SpanAttributes | undefined {
  switch (event.type) {
    case "interrupt": {
      const { by, mode, reason, cancel = false } = event.data;
      return { by, mode, cancel, ...(content ? { reason } : {}) };
    }
    case "interrupted": {
      const { by, mode, where, keptChars, latencyMs } = event.data;
      return { by, mode, where, kept_chars: keptChars, latency_ms: latencyMs };
    }
    case "resume":
      return { by: event.data.by, partial: event.data.partial };
    case "retry": {
      const { step, attempt, delayMs, class: kind, fallback } = event.data;
      const why = { ...(kind === undefined ? {} : { class: kind }), ...(fallback === undefined ? {} : { fallback }) };
      return { step, attempt, delay_ms: delayMs, ...why };
    }
    case "limit": {
      const { kind, used, max } = event.data;
      return { kind, used, max };
    }
    case "approval_request":
      return { callId: event.data.callId };
    case "approval":
      return { callId: event.data.callId, decision: event.data.decision, by: event.data.by };
    case "user_input":
      return { id: event.data.id, when: event.data.when };
    case "owner":
      return { epoch: event.data.epoch, why: event.data.why };
    default:
      return undefined;
  }
}
