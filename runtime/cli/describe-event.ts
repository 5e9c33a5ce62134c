import type { Event } from "../../machines/events.ts";
import { describeCall, describeResult, describeProgress, describeValue } from "./describe-call.ts";
import { describeDuration, describeLimit } from "./describe-interrupt.ts";
import { oneLine, safeJson } from "./sanitizer.ts";

/** An event as one readable line for `/log`: `  12 18:04:07.120 interrupt        now, by user`. */
export function describeEvent(event: Event): string {
  const time = new Date(event.timestamp).toISOString().slice(11, 23);
  return `${String(event.seq).padStart(4)} ${time} ${event.type.padEnd(15)} ${contentOf(event)}`.trimEnd();
}

/** An event of a newer version may lack what this one would say of it: then it is shown as it stands. */
export function lineOf(event: Event): string {
  try {
    return describeEvent(event);
  } catch {
    return `${String(event.seq).padStart(4)} ${safeJson(event)}`;
  }
}

function contentOf(event: Event): string {
  switch (event.type) {
    case "run_start":
      return `${oneLine(event.data.agent.name, 40)}, model ${oneLine(event.data.model, 40)}`;
    case "owner":
      return `epoch ${event.data.epoch}, ${event.data.why}`;
    case "user_input":
      return `${event.data.when}: ${oneLine(event.data.text, 80)}`;
    case "thinking":
      return `step ${event.data.step}, attempt ${event.data.attempt}`;
    case "token_stream":
      return `${event.data.kind === "reasoning" ? "reasoning " : ""}${JSON.stringify(oneLine(event.data.text, 60))}`;
    case "tool_call_delta":
      return oneLine(`${event.data.callId} ${event.data.name ?? ""} ${event.data.args}`, 80);
    case "message":
      return `${event.data.finish}, ${event.data.text.length} characters, ${event.data.calls.length} calls`;
    case "tool_call":
      return `${event.data.callId} ${describeCall(event.data.name, event.data.args, 80)}`;
    case "approval_request":
      return event.data.callId;
    case "approval":
      return `${event.data.callId} ${event.data.decision} by ${oneLine(event.data.by, 40)}`;
    case "tool_start":
      return `${event.data.callId} ${oneLine(event.data.name, 64)}, attempt ${event.data.attempt}`;
    case "tool_progress":
      return `${event.data.callId} ${describeProgress(event.data.value)}`;
    case "tool_result": {
      const { callId, outcome, late } = event.data;
      const said = describeResult(event.data, 80);
      return `${callId} ${late === true ? "late, " : ""}${outcome === "ok" ? `ok ${said}` : said}`;
    }
    case "interrupt":
      return `${event.data.mode}, by ${oneLine(event.data.by, 40)} ${oneLine(event.data.reason, 60)}`;
    case "interrupted":
      return `at ${event.data.where}, ${event.data.keptChars} characters kept, ${describeDuration(event.data.latencyMs)}`;
    case "resume":
      return `by ${oneLine(event.data.by, 40)}, partial ${event.data.partial}`;
    case "input_delivered": {
      const { id, delivered, step, reason } = event.data;
      if (!delivered) return `${id} not delivered: ${oneLine(reason ?? "", 60)}`;
      return step === undefined ? id : `${id} heard at step ${step}`;
    }
    case "retry":
      return `attempt ${event.data.attempt} in ${describeDuration(event.data.delayMs)}: ${oneLine(event.data.reason, 80)}`;
    case "retry_due":
      return `attempt ${event.data.attempt}`;
    case "deadline":
      return oneLine(event.data.name, 60);
    case "error":
      return oneLine(`${event.data.severity} ${event.data.code}: ${event.data.message}`, 100);
    case "limit":
      return describeLimit(event.data);
    case "gap":
      return `${event.data.to - event.data.from + 1} deltas dropped, from seq ${event.data.from}`;
    case "custom":
      return oneLine(`${event.data.name} ${describeValue(event.data.data, 60)}`, 80);
    case "done":
      return `${event.data.steps} steps, ${event.data.output.length} characters`;
    case "failed":
      return oneLine(event.data.error.message, 100);
    case "cancelled":
      return `by ${oneLine(event.data.by, 40)} ${oneLine(event.data.reason, 60)}`;
  }
}
