import type { Event } from "../machines/events.ts";
import { settle, type AgentObserver } from "./observe.ts";
import type { Redact } from "./redact.ts";

/** Where lines go: pino and every logger of its shape. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
export type LogLevel = keyof Logger;

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/**
 * One line per control event: who and where as fields, the event's type as the message. What people, models and tools said is not in it, but its
 * length is; reasons and messages of errors are, redacted once more as the log was, and without anything that looks like a credential.
 *
 * `error`: what ends a turn (`failed`, severity high and critical, a log that failed). `warn`: what goes on and should be looked at (retries, limits,
 * calls that did not end well, severity medium). `info`: what people and turns do; an interrupt is no failure (P25). `debug`: the rest.
 */
export function loggingObserver(logger: Logger, agent: string, redact: Redact | undefined): AgentObserver {
  const say = (text: string): string => clean(text, redact);
  return {
    event(event, run) {
      if (event.type === "token_stream" || event.type === "tool_call_delta") return;
      const { seq, cause, type } = event;
      const fields = { agent, runId: run.id, seq, ...(cause === undefined ? {} : { cause }), ...fieldsOf(event, say) };
      settle(logger[levelOf(event)](fields, type));
    },
    failed({ code, message }, { id: runId, durableSeq: seq }) {
      const fields = { agent, runId, seq, severity: "critical", error: { code, message: say(message) } };
      settle(logger.error(fields, "log_failed"));
    },
  };
}

function levelOf(event: Event): LogLevel {
  switch (event.type) {
    case "run_start":
    case "owner":
    case "user_input":
    case "message":
    case "approval_request":
    case "approval":
    case "interrupt":
    case "interrupted":
    case "resume":
    case "done":
    case "cancelled":
      return "info";
    case "retry":
    case "limit":
    case "deadline":
      return "warn";
    case "tool_result": {
      const { outcome } = event.data;
      return outcome === "error" || outcome === "timeout" || outcome === "unknown" ? "warn" : "debug";
    }
    case "input_delivered":
      return event.data.delivered ? "debug" : "warn";
    case "error":
      return LEVEL_BY_SEVERITY[event.data.severity];
    case "failed":
      return "error";
    default:
      return "debug";
  }
}

const LEVEL_BY_SEVERITY = { low: "info", medium: "warn", high: "error", critical: "error" } as const;

type Fields = Readonly<Record<string, unknown>>;

/** Ids, names and numbers as they are; texts of somebody's only as their length. */
function fieldsOf(event: Event, say: (text: string) => string): Fields {
  switch (event.type) {
    case "run_start": {
      const { model, limits, parent, fork } = event.data;
      const origin = { ...(parent === undefined ? {} : { parent }), ...(fork === undefined ? {} : { fork }) };
      return { model, limits, ...origin, ...callerOf(event.data) };
    }
    case "user_input": {
      const { id, text, when } = event.data;
      return { id, when, chars: text.length, ...callerOf(event.data) };
    }
    case "message": {
      const { messageId, step, attempt, finish, text, calls, usage, cost } = event.data;
      const called = calls.map(({ callId, name }) => ({ callId, name }));
      return { messageId, step, attempt, finish, chars: text.length, calls: called, usage, cost };
    }
    case "tool_call": {
      const { callId, name, approval } = event.data;
      return { callId, name, approval };
    }
    case "approval": {
      const { callId, decision, reason, by, forRun } = event.data;
      const also = { ...(forRun === undefined ? {} : { forRun }), ...callerOf(event.data) };
      return { callId, decision, by, ...reasonOf(reason, say), ...also };
    }
    case "approval_request":
      return { callId: event.data.callId, expiresAt: event.data.expiresAt };
    case "tool_start":
      return { callId: event.data.callId, name: event.data.name, attempt: event.data.attempt };
    case "tool_result": {
      const { callId, attempt, outcome, from, error, late } = event.data;
      return { callId, attempt, outcome, from, ...faultOf(error, say), ...(late === undefined ? {} : { late }) };
    }
    case "interrupt": {
      const { by, mode, reason, cancel, redirect } = event.data;
      return { by, mode, ...reasonOf(reason, say), cancel, redirect };
    }
    case "interrupted": {
      const { by, mode, reason, where, step, keptChars, latencyMs, usage } = event.data;
      return { by, mode, ...reasonOf(reason, say), where, step, keptChars, latencyMs, usage };
    }
    case "retry": {
      const { step, attempt, delayMs, class: kind, reason, fallback } = event.data;
      return { step, attempt, delayMs, class: kind, ...reasonOf(reason, say), fallback };
    }
    case "input_delivered":
      return { ...event.data, ...reasonOf(event.data.reason, say) };
    case "error":
      return { ...event.data, message: say(event.data.message) };
    case "custom":
      return { name: event.data.name, callId: event.data.callId };
    case "done": {
      const { output, usage, steps } = event.data;
      return { chars: output.length, usage, steps };
    }
    case "failed": {
      const { error, usage, steps } = event.data;
      return { ...faultOf(error, say), usage, steps };
    }
    case "cancelled": {
      const { by, reason, usage, steps } = event.data;
      return { by, ...reasonOf(reason, say), usage, steps };
    }
    case "owner":
    case "resume": {
      const { tracestate: _vendors, ...said } = event.data;
      return said;
    }
    case "thinking":
    case "retry_due":
    case "deadline":
    case "limit":
    case "gap":
      return event.data;
    default:
      return {};
  }
}

/** By which a line is found from a trace. What vendors keep beside it is theirs. */
function callerOf({ traceparent }: { readonly traceparent?: string | undefined }): Fields {
  return traceparent === undefined ? {} : { traceparent };
}

function reasonOf(reason: string | undefined, say: (text: string) => string): Fields {
  return reason === undefined || reason === "" ? {} : { reason: say(reason) };
}

function faultOf(
  error: { readonly code: string; readonly message: string } | undefined,
  say: (text: string) => string,
) {
  return error === undefined ? {} : { error: { code: error.code, message: say(error.message) } };
}

/**
 * What providers and servers hand out as secrets, and what stands behind a word that announces one. A tool's error may be as long as what it read, and
 * hostile: each takes time by the length of the text, and none by its square.
 */
const CREDENTIALS: readonly RegExp[] = [
  /\b(?:bearer|basic)\s+[\w.~+/=-]{6,}/gi,
  /\b(?:sk|pk|rk|xox[abprs]|gh[opsur]|github_pat|glpat)[-_][\w-]{8,}/g,
  /\bAKIA[0-9A-Z]{12,}/g,
  /\beyJ[\w-]{8,1024}\.[\w-]*\.?[\w-]*/g,
  /(?<=:\/\/)[^\s/@:]*:[^\s/@]+(?=@)/g,
  /(?<=\b(?:api[_-]?key|access[_-]?key|token|secret|password|passwd|authorization)["']?\s{0,32}[:=]\s{0,32}["']?)[^\s"',;&]{4,}/gi,
];

/** Fit for a line: redacted, without credentials. A text that cannot be redacted is left out. */
function clean(text: string, redact: Redact | undefined): string {
  let said: unknown = text;
  try {
    if (redact !== undefined && text !== "") said = redact(text);
  } catch {
    return "[not redacted]";
  }
  if (typeof said !== "string") return "[not redacted]";
  return CREDENTIALS.reduce((rest, pattern) => rest.replace(pattern, "[credential]"), said);
}

/** Answers whether an option is a logger. */
export function isLogger(value: Logger): boolean {
  return LOG_LEVELS.every((level) => typeof value?.[level] === "function");
}
