import { RubatoError } from "../errors.ts";
import { isRecord } from "../is-record.ts";

/**
 * Why a model request failed, for whoever decides about another attempt.
 *
 * `status`: the endpoint answered with an HTTP error. `timeout`: nothing came in time. `network`: no connection, or it broke. `frame`: a part of
 * the answer was not JSON. `reported`: the endpoint reported an error inside a stream that had begun, with a status where it told one.
 * `unknown`: anything else.
 *
 * `code` is the endpoint's own word for what went wrong: its code, or its type where it gives no code that says more; for a conversation that is
 * too long `context_length_exceeded`, also where it only says so in a sentence. Of `network` and `timeout` it is that of the system or of `fetch`.
 */
export type ModelFailure =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code: string | undefined;
      /** A header of the answer, by its name in any case. */
      header(name: string): string | undefined;
    }
  | { readonly kind: "reported"; readonly status: number | undefined; readonly code: string | undefined }
  | { readonly kind: "network" | "timeout"; readonly code: string | undefined }
  | { readonly kind: "frame" | "unknown" };

/** Reads the failure out of an error that a model threw: a `RubatoError`, or an error of the SDK itself. Never throws. */
export function modelFailureOf(error: unknown): ModelFailure {
  if (error instanceof RubatoError && error.cause === undefined && /^[a-z_]+_timeout$/.test(error.code))
    return { kind: "timeout", code: undefined };
  const thrown = error instanceof RubatoError ? error.cause : error;
  if (thrown instanceof SyntaxError) return { kind: "frame" };
  if (!isRecord(thrown)) return { kind: "unknown" };
  const { status, name, message } = thrown;
  const body = thrown["error"];
  if (typeof status === "number") {
    const headers = thrown["headers"];
    return {
      kind: "status",
      status,
      code: wordIn(thrown, body, status),
      header(key) {
        const value: unknown = isHeaders(headers) ? headers.get(key) : undefined;
        return typeof value === "string" ? value : undefined;
      },
    };
  }
  if (body !== undefined && body !== null) {
    const told = statusIn(body);
    return { kind: "reported", status: told, code: wordIn(thrown, body, told) };
  }
  // The SDK gives its errors no names of their own; a connection error is known by its fields.
  const connection = "status" in thrown && "requestID" in thrown;
  const systemCode = systemCodeIn(thrown, connection ? ANY_CODE : NETWORK_CODE);
  const slow = connection && typeof message === "string" && /timed? ?out/i.test(message);
  if (name === "TimeoutError" || slow || systemCode?.endsWith("_TIMEOUT") === true) {
    return { kind: "timeout", code: systemCode };
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
  /** What was waited for: a connection, the beginning of the answer, more of it. */
  readonly phase: "connect" | "headers" | "data";
  /** The models that the endpoint offers, where it was asked and answered. */
  readonly offered: readonly string[] | undefined;
}

/** Puts what the SDK threw into one sentence or two. The original is the cause, unless it holds a credential. */
export function explainFailure(thrown: unknown, request: FailedRequest): RubatoError {
  if (thrown instanceof RubatoError) return thrown;
  const failure = modelFailureOf(thrown);
  const code = failure.kind === "timeout" ? TIMEOUT_CODES[slowPhase(failure.code, request.phase)] : "model";
  return new RubatoError(code, sentence(failure, thrown, request), {
    cause: safeCause(thrown, failure, request.secrets),
  });
}

const TIMEOUT_CODES = {
  connect: "connect_timeout",
  headers: "first_byte_timeout",
  data: "idle_timeout",
  total: "total_timeout",
} as const;

/** What took too long when `fetch` gave up by itself: its code says it, which the SDK often drops. */
function slowPhase(code: string | undefined, waitedFor: FailedRequest["phase"]): FailedRequest["phase"] {
  switch (code) {
    case "UND_ERR_CONNECT_TIMEOUT":
      return "connect";
    case "UND_ERR_HEADERS_TIMEOUT":
      return "headers";
    case "UND_ERR_BODY_TIMEOUT":
      return "data";
    default:
      return waitedFor;
  }
}

/** The error for an answer that did not come, did not go on, or did not end in time. */
export function timedOut(shown: string, model: string, phase: keyof typeof TIMEOUT_CODES, ms: number): RubatoError {
  const text = timeoutSentence(shown, model, phase, ms);
  return new RubatoError(TIMEOUT_CODES[phase], text, { cause: new DOMException(text, "TimeoutError") });
}

function timeoutSentence(shown: string, model: string, phase: keyof typeof TIMEOUT_CODES, ms: number): string {
  switch (phase) {
    case "connect":
      return `${shown} could not be connected to within ${ms} ms: check the base URL, the network and that the endpoint is running, or raise connectTimeoutMs.`;
    case "headers":
      return `${shown} did not begin to answer within ${ms} ms: check that the endpoint works, or raise headerTimeoutMs.`;
    case "data":
      return `${shown} sent nothing for ${ms} ms in the middle of its answer: if the model ${quoted(model)} needs longer, raise idleTimeoutMs.`;
    case "total":
      return `${shown} did not end its answer within ${ms} ms: if the model ${quoted(model)} may take longer, raise totalTimeoutMs.`;
  }
}

/** `fetch` has limits of its own, which no option of rubato's raises. */
function gaveUpSentence(shown: string, phase: FailedRequest["phase"]): string {
  switch (phase) {
    case "connect":
      return `${shown} could not be connected to in time: check the base URL, the network and that the endpoint is running.`;
    case "headers":
      return `${shown} did not begin to answer in time: check that the endpoint works.`;
    case "data":
      return `${shown} sent nothing for too long in the middle of its answer: check that the endpoint works.`;
  }
}

function sentence(failure: ModelFailure, thrown: unknown, request: FailedRequest): string {
  const { shown } = request;
  const words = wordsOf(thrown, request.secrets);
  switch (failure.kind) {
    case "status":
      return statusSentence(failure.status, failure.code, words, request);
    case "timeout":
      return gaveUpSentence(shown, slowPhase(failure.code, request.phase));
    case "network": {
      const code = failure.code === undefined ? "" : ` (${failure.code})`;
      return request.phase === "data"
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
      if (code === CONTEXT_LENGTH) {
        return `${shown} refused the request (${status}) because it is too long for the model ${model}: say less, or use a model with a longer context${ending(words)}`;
      }
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
      return { error: { code: failure.code, status: failure.status } };
    case "network":
      return { message: "fetch failed", code: failure.code };
    case "timeout":
      return { name: "TimeoutError", code: failure.code };
    case "frame":
      return new SyntaxError("The text of the frame held a credential.");
    case "unknown":
      return undefined;
  }
}

function holdsSecret(value: unknown, secrets: readonly string[], depth: number): boolean {
  if (typeof value === "string") return hideSecrets(value, secrets) !== value;
  if (typeof value !== "object" || value === null || depth > 4) return false;
  const parts: unknown[] = isHeaders(value) ? [...value.values()] : Object.values(value);
  if (value instanceof Error) parts.push(value.message, value.stack, value.cause);
  return parts.some((part) => holdsSecret(part, secrets, depth + 1));
}

function codeIn(value: unknown): string | undefined {
  return textIn(value, "code");
}

const CONTEXT_LENGTH = "context_length_exceeded";
/** As vLLM, Anthropic, llama.cpp, DeepSeek and others put it. */
const TOO_LONG =
  /maximum context length|context (length|size|window)|prompt is too long|exceeds the maximum number of tokens/i;

/**
 * A code that only repeats the type says no more than the status, and neither does one that is a status itself. A sentence decides only where there
 * is no code, and only between errors that are not tried again either way: what endpoints write may change any day.
 */
function wordIn(thrown: Record<string, unknown>, body: unknown, status: number | undefined): string | undefined {
  const code = codeIn(body) ?? codeIn(thrown);
  const type = textIn(body, "type") ?? textIn(thrown, "type");
  if (code !== undefined && code !== type && !/^\d+$/.test(code)) return code;
  const said = typeof body === "string" ? body : (textIn(body, "message") ?? textIn(thrown, "message") ?? "");
  const mayBe = status === undefined || status === 400 || status === 413 || status === 422;
  return mayBe && TOO_LONG.test(said) ? CONTEXT_LENGTH : type;
}

/** A status that an endpoint gives to an error inside a stream: in place of a code, or beside it. */
function statusIn(body: unknown): number | undefined {
  if (!isRecord(body)) return undefined;
  for (const key of ["code", "status", "status_code"]) {
    const status = Number(body[key]);
    if (Number.isInteger(status) && status >= 400 && status <= 599) return status;
  }
  return undefined;
}

function textIn(value: unknown, key: string): string | undefined {
  const text = isRecord(value) ? value[key] : undefined;
  return typeof text === "string" && text !== "" ? text : undefined;
}

/** Also those of a `fetch` of another make. */
function isHeaders(value: unknown): value is Pick<Headers, "get" | "values"> {
  return isRecord(value) && typeof value["get"] === "function" && typeof value["values"] === "function";
}

/** EAI_AGAIN, but no ERR_INVALID_URL: that is a programming error. */
const NETWORK_CODE = /^(E(?!RR_)[A-Z_]{3,}|UND_ERR_[A-Z_]+)$/;
/** Where it is known that the connection failed: also what is wrong with a certificate. */
const ANY_CODE = /^[A-Z][A-Z0-9_]{2,}$/;

/** The code of the operating system or of `fetch` (ECONNREFUSED, UND_ERR_SOCKET), wherever in the chain of causes it stands. */
function systemCodeIn(thrown: Record<string, unknown>, known: RegExp): string | undefined {
  let at: unknown = thrown;
  for (let depth = 0; depth < 6 && isRecord(at); depth += 1) {
    const code = codeIn(at);
    if (code !== undefined && known.test(code)) return code;
    at = at["cause"];
  }
  return undefined;
}
