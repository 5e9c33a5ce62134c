import { RubatoError } from "../errors.ts";
import { isRecord } from "./openai-decoder.ts";

/**
 * Why a model request failed, for whoever decides about another attempt.
 *
 * `status`: the endpoint answered with an HTTP error; `code` is the endpoint's own word for it. `timeout`: nothing came in time.
 * `network`: no connection, or it broke. `frame`: a part of the answer was not JSON. `reported`: the endpoint reported an error inside a
 * stream that had begun. `unknown`: anything else.
 */
export type ModelFailure =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code: string | undefined;
      /** A header of the answer, by its name in any case. */
      header(name: string): string | undefined;
    }
  | { readonly kind: "network" | "reported"; readonly code: string | undefined }
  | { readonly kind: "timeout" | "frame" | "unknown" };

/** Reads the failure out of an error that a model threw: `RubatoError` with code `model`, or an error of the SDK itself. Never throws. */
export function modelFailureOf(error: unknown): ModelFailure {
  const thrown = error instanceof RubatoError ? error.cause : error;
  if (thrown instanceof SyntaxError) return { kind: "frame" };
  if (!isRecord(thrown)) return { kind: "unknown" };
  const { status, name, message } = thrown;
  const body = thrown["error"];
  const code = codeIn(thrown) ?? codeIn(body);
  if (typeof status === "number") {
    const headers = thrown["headers"];
    return {
      kind: "status",
      status,
      code,
      header: (key) => (headers instanceof Headers ? headers.get(key) : undefined) ?? undefined,
    };
  }
  if (body !== undefined && body !== null) return { kind: "reported", code };
  const systemCode = systemCodeIn(thrown);
  // The SDK gives its errors no names of their own; a connection error is known by its fields.
  const connection = "status" in thrown && "requestID" in thrown;
  if (name === "TimeoutError" || (connection && typeof message === "string" && /timed? ?out/i.test(message))) {
    return { kind: "timeout" };
  }
  if (connection || systemCode !== undefined || message === "terminated" || message === "fetch failed") {
    return { kind: "network", code: systemCode };
  }
  return { kind: "unknown" };
}

/** What the sentences need to know about the request that failed. */
export interface FailedRequest {
  readonly model: string;
  /** The endpoint's address, without credentials. */
  readonly shown: string;
  readonly hasKey: boolean;
  readonly secrets: readonly string[];
  /** Whether the answer had begun. */
  readonly begun: boolean;
  /** The models that the endpoint offers, where it was asked and answered. */
  readonly offered: readonly string[] | undefined;
}

/** Puts what the SDK threw into one sentence or two. The original is the cause, unless it holds a credential. */
export function explainFailure(thrown: unknown, request: FailedRequest): RubatoError {
  if (thrown instanceof RubatoError) return thrown;
  const failure = modelFailureOf(thrown);
  return new RubatoError("model", sentence(failure, thrown, request), {
    cause: safeCause(thrown, failure, request.secrets),
  });
}

/** The error for an answer that did not come, or did not go on, in time. */
export function timedOut(shown: string, model: string, phase: "headers" | "data", ms: number): RubatoError {
  const text =
    phase === "headers"
      ? `${shown} did not begin to answer within ${ms} ms: check that the endpoint works, or raise headerTimeoutMs.`
      : `${shown} sent nothing for ${ms} ms in the middle of its answer: if the model ${quoted(model)} needs longer, raise idleTimeoutMs.`;
  return new RubatoError("model", text, { cause: new DOMException(text, "TimeoutError") });
}

function sentence(failure: ModelFailure, thrown: unknown, request: FailedRequest): string {
  const { shown } = request;
  const words = wordsOf(thrown, request.secrets);
  switch (failure.kind) {
    case "status":
      return statusSentence(failure.status, failure.code, words, request);
    case "timeout":
      return `${shown} did not answer in time: check that the endpoint works.`;
    case "network": {
      const code = failure.code === undefined ? "" : ` (${failure.code})`;
      return request.begun
        ? `The connection to ${shown} broke in the middle of the answer${code}.`
        : `${shown} cannot be reached${code}: check the base URL and that the endpoint is running.`;
    }
    case "frame":
      return `${shown} sent something that is not JSON in the middle of its answer.`;
    case "reported":
      return `${shown} reported an error in the middle of its answer${ending(words)}`;
    case "unknown":
      return `The request to ${shown} failed${ending(words)}`;
  }
}

function statusSentence(status: number, code: string | undefined, words: string, request: FailedRequest): string {
  const { shown, offered } = request;
  const model = quoted(request.model);
  switch (status) {
    case 401:
      return request.hasKey
        ? `${shown}: the endpoint refused the key (401): check OPENAI_API_KEY, or the key that the program passes.`
        : `${shown}: the endpoint wants a key (401): set OPENAI_API_KEY, or pass apiKey.`;
    case 403:
      return `${shown} refused access (403): the key may not be allowed to use the model ${model}${ending(words)}`;
    case 404:
      if (offered === undefined)
        return `${shown} answered 404: check the model ${model} and the base URL${ending(words)}`;
      return offered.length === 0
        ? `${shown} does not offer the model ${model} (404), nor any other.`
        : `${shown} does not offer the model ${model} (404). It offers: ${offered.join(", ")}.`;
    case 429:
      return code === "insufficient_quota"
        ? `${shown} refused the request because the account has no quota left (429): check its plan and billing.`
        : `${shown} gets too many requests at the moment (429): try again later, or send fewer at once${ending(words)}`;
    default:
      return status >= 500
        ? `${shown} failed with status ${status}: try again later${ending(words)}`
        : `${shown} refused the request (${status})${ending(words)}`;
  }
}

function ending(words: string): string {
  return words === "" ? "." : `: ${words}`;
}

const MAX_WORDS = 300;

/** What the endpoint itself says, in one printable line. */
function wordsOf(thrown: unknown, secrets: readonly string[]): string {
  if (!isRecord(thrown)) return "";
  const body = thrown["error"];
  const said =
    typeof body === "string" ? body : isRecord(body) && typeof body["message"] === "string" ? body["message"] : "";
  const message = typeof thrown["message"] === "string" ? thrown["message"].replace(/^\d{3} /, "") : "";
  const words = oneLine(hideSecrets(said === "" ? message : said, secrets), MAX_WORDS);
  // The SDK's words for "no body", and the pages that proxies answer with, say nothing.
  return words.startsWith("<") || words.includes("status code (no body)") ? "" : words;
}

/** Control characters, line breaks and signs that reorder text become spaces: this text comes from outside and ends in terminals and logs. */
export function oneLine(text: string, limit: number): string {
  const line = text
    .slice(0, limit * 4)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length > limit ? `${line.slice(0, limit)}...` : line;
}

function quoted(text: string): string {
  return JSON.stringify(oneLine(text, 100));
}

function hideSecrets(text: string, secrets: readonly string[]): string {
  let hidden = text;
  for (const secret of secrets) if (secret !== "") hidden = hidden.replaceAll(secret, "***");
  // Some endpoints echo a part of the key, with or without stars.
  return hidden.replace(/\bsk-[\w*.-]{4,}/g, "***").replace(/\b(Bearer|Basic)\s+[\w*.~+/=-]{4,}/gi, "$1 ***");
}

/** An endpoint may echo what was sent to it. Then only the facts go on, and not the error that holds the echo. */
function safeCause(thrown: unknown, failure: ModelFailure, secrets: readonly string[]): unknown {
  if (!holdsSecret(thrown, secrets, 0)) return thrown;
  switch (failure.kind) {
    case "status": {
      const headers = new Headers();
      for (const name of ["retry-after", "retry-after-ms", "x-should-retry", "x-request-id"]) {
        const value = failure.header(name);
        if (value !== undefined && !holdsSecret(value, secrets, 0)) headers.set(name, value);
      }
      return { status: failure.status, code: failure.code, headers };
    }
    case "reported":
      return { error: { code: failure.code } };
    case "network":
      return { message: "fetch failed", code: failure.code };
    case "timeout":
      return { name: "TimeoutError" };
    case "frame":
      return new SyntaxError("The text of the frame held a credential.");
    case "unknown":
      return undefined;
  }
}

function holdsSecret(value: unknown, secrets: readonly string[], depth: number): boolean {
  if (typeof value === "string") return hideSecrets(value, secrets) !== value;
  if (typeof value !== "object" || value === null || depth > 4) return false;
  const parts: unknown[] = value instanceof Headers ? [...value.values()] : Object.values(value);
  if (value instanceof Error) parts.push(value.message, value.stack, value.cause);
  return parts.some((part) => holdsSecret(part, secrets, depth + 1));
}

function codeIn(value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  const { code } = value;
  return typeof code === "string" && code !== "" ? code : undefined;
}

/** The code of the operating system or of `fetch` (ECONNREFUSED, UND_ERR_SOCKET), wherever in the chain of causes it stands. */
function systemCodeIn(thrown: Record<string, unknown>): string | undefined {
  let at: unknown = thrown;
  for (let depth = 0; depth < 6 && isRecord(at); depth += 1) {
    const code = codeIn(at);
    if (code !== undefined && /^(E[A-Z]{3,}|UND_ERR_[A-Z_]+)$/.test(code)) return code;
    at = at["cause"];
  }
  return undefined;
}
