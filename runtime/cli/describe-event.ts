import type { Event, EventData } from "../../machines/events.ts";
import { describeCall, describeFields, describeResult, describeProgress, describeValue } from "./describe-call.ts";
import { describeDuration } from "./describe-duration.ts";
import { describeLimit } from "./describe-limit.ts";
import { expose } from "./exposed.ts";
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

/** What it says, without its place and time. */
export function contentOf(event: Event): string {
  switch (event.type) {
    case "run_start":
      return `${oneLine(event.data.agent.name, 40)}, model ${oneLine(event.data.model, 40)}`;
    case "owner":
      return `epoch ${event.data.epoch}, ${event.data.why}`;
    case "user_input":
      return `${event.data.when}: ${oneLine(event.data.text, 80)}`;
    case "thinking":
      return `step ${event.data.step}, attempt ${event.data.attempt}, model ${oneLine(event.data.model, 40)}`;
    case "token_stream":
      return `${event.data.kind === "reasoning" ? "reasoning " : ""}${JSON.stringify(oneLine(event.data.text, 60))}`;
    case "tool_call_delta":
      return oneLine(`${event.data.callId} ${event.data.name ?? ""} ${event.data.args}`, 80);
    case "message":
      return `${event.data.finish}, ${event.data.text.length} characters, ${event.data.calls.length} calls`;
    case "tool_call":
      return `${event.data.callId} ${describeCall(event.data.name, event.data.args, 80)}`;
    case "approval_request": {
      const { callId, expiresAt } = event.data;
      const until = expiresAt === undefined ? "" : `, until ${new Date(expiresAt).toISOString().slice(0, 16)}Z`;
      return `${callId} waits for a person${until}`;
    }
    case "approval":
      return approvalLine(event.data);
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
    case "resume": {
      const { by, partial, budget } = event.data;
      const raised = Object.entries(budget ?? {}).map(([name, value]) => `${name} ${value}`);
      return `by ${oneLine(by, 40)}, partial ${partial}${raised.length === 0 ? "" : `, up to ${oneLine(raised.join(", "), 80)}`}`;
    }
    case "input_delivered": {
      const { id, delivered, step, reason } = event.data;
      if (!delivered) return `${id} not delivered: ${oneLine(reason ?? "", 60)}`;
      return step === undefined ? id : `${id} heard at step ${step}`;
    }
    case "retry":
      return retryLine(event.data);
    case "retry_due":
      return `the wait is over, attempt ${event.data.attempt} begins`;
    case "deadline":
      return deadlineLine(event.data);
    case "error": {
      const { severity, class: kind, code, message, retryable } = event.data;
      return oneLine(`${severity} ${kind ?? code}${retryable ? ", may pass" : ""}: ${message}`, 120);
    }
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

function approvalLine({ callId, decision, by, args, answer, forRun, reason = "" }: EventData<"approval">): string {
  const parts = [`${callId} ${decision === "approve" ? "allowed" : "not allowed"} by ${oneLine(by, 40)}`];
  if (args !== undefined) parts.push(`with ${oneLine(expose(describeFields(args, 80)), 80)}`);
  if (answer !== undefined) parts.push(`answer ${JSON.stringify(oneLine(answer, 60))}`);
  if (forRun === true) parts.push("and for the rest of the run");
  if (reason !== "") parts.push(oneLine(reason, 60));
  return parts.join(", ");
}

function retryLine({ attempt, delayMs, reason, class: kind, fallback, superseded = 0 }: EventData<"retry">): string {
  const how =
    fallback === undefined
      ? `asked again in ${describeDuration(delayMs)}, attempt ${attempt}`
      : `another model is asked (number ${fallback + 1} of the list), attempt ${attempt}`;
  const lost = superseded === 0 ? "" : `, ${superseded} characters superseded`;
  return `${how}${lost}: ${kind === undefined ? "" : `${oneLine(kind, 40)}, `}${oneLine(reason, 80)}`;
}

function deadlineLine({ name, callId }: EventData<"deadline">): string {
  if (name === "approval") return `nobody answered call ${callId ?? ""} in time`;
  return name === "wall_time" ? "the time that the run may work is up" : oneLine(name, 60);
}
