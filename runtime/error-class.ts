import type { EventData } from "../machines/events.ts";
import { RubatoError, type RubatoErrorCode } from "./errors.ts";
import { modelFailureOf, type ModelFailure } from "./models/openai-errors.ts";
import { exactRetryAfterMs, retryAfterMs } from "./retry-after.ts";

/**
 * What kind of failure it was, for whoever decides about another attempt (P30).
 *
 * Retryable: `network` (no connection, one that broke, a frame that is no JSON), `timeout` (connect, first byte, idle, total), `rate_limit` (429), `server` (408, 409, 5xx),
 * `truncated` (the answer ended without saying so). Fatal: `auth` (401, 403), `quota`, `context_length`, `not_found` (404), `request` (other 4xx, a
 * model that breaks its contract), and `unknown`, which is everything else.
 */
export type ErrorClass =
  | "network"
  | "timeout"
  | "rate_limit"
  | "server"
  | "truncated"
  | "auth"
  | "quota"
  | "context_length"
  | "not_found"
  | "request"
  | "unknown";

/** A failure of a model request, classified. */
export interface ClassifiedError {
  readonly class: ErrorClass;
  /** For programs, such as `idle_timeout`. */
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  /** `medium`: it is tried again. `high`: the turn ends with it. */
  readonly severity: Extract<EventData<"error">["severity"], "medium" | "high">;
  /** What the endpoint asks to wait, ms, 0 to 60,000; undefined where it asks nothing that can be kept. */
  readonly retryAfterMs: number | undefined;
}

const RETRYABLE: ReadonlySet<ErrorClass> = new Set<ErrorClass>([
  "network",
  "timeout",
  "rate_limit",
  "server",
  "truncated",
]);

/** Classifies what a model threw. `now` is ms since 1970, for a Retry-After that is a date. Never throws: what cannot be read is `unknown`. */
export function classify(error: unknown, message: string, now: number): ClassifiedError {
  try {
    return judge(error, message, now);
  } catch {
    return { class: "unknown", code: "model", message, retryable: false, severity: "high", retryAfterMs: undefined };
  }
}

function judge(error: unknown, message: string, now: number): ClassifiedError {
  const failure = modelFailureOf(error);
  const kind = classOf(error, failure);
  const said = failure.kind === "status" ? failure.header("x-should-retry") : undefined;
  // What the endpoint says about itself wins.
  const retryable = said === "true" || (said !== "false" && RETRYABLE.has(kind));
  return {
    class: kind,
    code: error instanceof RubatoError ? error.code : "model",
    message,
    retryable,
    severity: retryable ? "medium" : "high",
    retryAfterMs: failure.kind === "status" ? retryAfter(failure, now) : undefined,
  };
}

/** No connection came about: nothing was sent. */
const UNREACHED: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** The model was not asked, so that it has used nothing: the endpoint refused the request, or there was no connection. */
export function wasNotAsked(error: unknown): boolean {
  try {
    return neverSent(error);
  } catch {
    return false;
  }
}

function neverSent(error: unknown): boolean {
  if (error instanceof RubatoError && error.code === "connect_timeout") return true;
  const failure = modelFailureOf(error);
  switch (failure.kind) {
    case "status":
      return failure.status < 500 && failure.status !== 408;
    case "network":
    case "timeout":
      return failure.code !== undefined && UNREACHED.has(failure.code);
    default:
      return false;
  }
}

const TIMEOUTS: ReadonlySet<RubatoErrorCode> = new Set<RubatoErrorCode>([
  "connect_timeout",
  "first_byte_timeout",
  "idle_timeout",
  "total_timeout",
]);

function classOf(error: unknown, failure: ModelFailure): ErrorClass {
  if (error instanceof RubatoError) {
    if (error.code === "truncated") return "truncated";
    if (TIMEOUTS.has(error.code)) return "timeout";
    if (error.code === "missing_key") return "auth";
  }
  switch (failure.kind) {
    case "timeout":
      return "timeout";
    case "network":
    case "frame":
      return "network";
    case "status":
      return classOfStatus(failure.status, failure.code);
    case "reported":
      return failure.status === undefined
        ? (classOfCode(failure.code) ?? "unknown")
        : classOfStatus(failure.status, failure.code);
    case "unknown":
      return error instanceof RubatoError && error.code === "model" && error.cause === undefined
        ? "request"
        : "unknown";
  }
}

function classOfStatus(status: number, code: string | undefined): ErrorClass {
  const said = classOfCode(code);
  if (said === "quota" || said === "context_length") return said;
  if (status === 429) return "rate_limit";
  if (status === 408 || status === 409 || status >= 500) return "server";
  if (status === 401 || status === 403) return "auth";
  if (status === 402) return "quota";
  if (status === 404) return "not_found";
  if (status === 413) return "context_length";
  // The request is wrong, whatever else the code says: made again it is wrong again.
  return said === undefined || RETRYABLE.has(said) ? "request" : said;
}

/** By the endpoint's own word, as OpenAI and those compatible with it write it. */
function classOfCode(code: string | undefined): ErrorClass | undefined {
  if (code === undefined) return undefined;
  if (/quota|billing|credit|payment/i.test(code)) return "quota";
  if (/context_?(length|window|size)|(prompt|input|request)_too_(long|large)/i.test(code)) return "context_length";
  if (/rate_?limit|too_?many_?requests|throttl/i.test(code)) return "rate_limit";
  if (/overload|server_?error|unavailable|internal|capacity/i.test(code)) return "server";
  if (/timeout|timed_out/i.test(code)) return "timeout";
  if (/api_?key|unauthorized|authentication|permission|forbidden/i.test(code)) return "auth";
  if (/not_?found/i.test(code)) return "not_found";
  if (/invalid_?request|bad_?request/i.test(code)) return "request";
  return undefined;
}

/** `retry-after-ms`, else `Retry-After`. */
function retryAfter(failure: Extract<ModelFailure, { kind: "status" }>, now: number): number | undefined {
  return exactRetryAfterMs(failure.header("retry-after-ms")) ?? retryAfterMs(failure.header("retry-after"), now);
}
