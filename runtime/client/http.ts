import { RubatoError } from "../errors.ts";
import { retryAfterMs } from "../retry-after.ts";
import { abortedBy, backoffMs, link, sleep } from "./backoff.ts";
import { parseJson } from "./decode.ts";
import { httpError, isWireError, networkError } from "./failure.ts";
import type { Settings } from "./options.ts";
import { isRecord } from "../is-record.ts";

/** Statuses that another attempt may change. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/**
 * A token and a task are given to one server, and are not sent on to where it points: fetch keeps every header but `Authorization` when it follows, and
 * the body. A page is told nothing of a redirect but that there is one.
 */
export function redirected({ status, type }: Response): RubatoError | undefined {
  if (type !== "opaqueredirect" && !(status >= 301 && status <= 308 && status !== 304)) return undefined;
  const message = "The server points to another address, and nothing is sent on to it. Give its own address as `url`.";
  return new RubatoError("refused", message);
}

export function headersOf({ token, headers }: Settings): Record<string, string> {
  return { ...headers, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
}

/** Bytes of an answer. Far beyond any list of runs, and far from where memory ends. */
const MAX_ANSWER = 67_108_864;
/** Of one that says what is wrong: a sentence. */
const MAX_ERROR = 1_048_576;

/** The JSON of the body of an error; undefined for anything else. */
export async function bodyOf(response: Response): Promise<unknown> {
  const text = await textOf(response, MAX_ERROR);
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Undefined where it is longer, or has no end: the rest is not read. */
async function textOf(response: Response, maxBytes: number): Promise<string | undefined> {
  // Of a fetch that cannot read a response while it comes.
  if (typeof response.body?.getReader !== "function") return response.text();
  const reader = response.body.getReader();
  const utf8 = new TextDecoder();
  let text = "";
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + utf8.decode();
    length += value.byteLength;
    if (length > maxBytes) {
      await reader.cancel();
      return undefined;
    }
    text += utf8.decode(value, { stream: true });
  }
}

export interface Ask {
  readonly method: "GET" | "POST";
  /** Below the server's url. */
  readonly path: string;
  readonly body?: unknown;
  readonly signal: AbortSignal;
  /** Until the answer is complete, ms. */
  readonly timeoutMs: number;
  /** Whether it may be asked again where nobody knows whether it arrived. */
  readonly repeatable: boolean;
  /** Whoever asks asks again himself. */
  readonly once?: boolean;
  /** What it is, for an error. */
  readonly what: string;
}

export interface Answer {
  readonly status: number;
  readonly value: unknown;
  /** Asked more than once: an earlier one may have arrived. */
  readonly repeated: boolean;
}

type Once =
  | { readonly kind: "answer"; readonly status: number; readonly value: unknown }
  /** Refused before anything was done. */
  | { readonly kind: "later"; readonly error: RubatoError; readonly retryAfterMs: number | undefined }
  /** Nobody knows. */
  | { readonly kind: "cut"; readonly error: RubatoError };

/**
 * Asks the server, again where that is safe: what was refused before anything was done (429, shutting down), and what may be `repeatable`.
 *
 * Rejects with {@link RubatoError}: the server's code and sentence, `unknown_outcome`, `disconnected`, `aborted`, `protocol`.
 */
export async function ask(settings: Settings, asked: Ask): Promise<Answer> {
  const { reconnect, clock, random } = settings;
  let arrived = false;
  for (let attempt = 1; ; attempt++) {
    const once = await askOnce(settings, asked);
    if (once.kind === "answer") return { status: once.status, value: once.value, repeated: arrived };
    const { error } = once;
    if (once.kind === "cut") {
      if (asked.signal.aborted) throw abortedBy(asked.signal);
      if (!asked.repeatable) throw unknownOutcome(asked.what, error);
      arrived = true;
    }
    if (asked.once === true || attempt > reconnect.attempts)
      throw arrived ? unknownOutcome(asked.what, error, asked.method === "GET") : error;
    const wait = once.kind === "later" ? once.retryAfterMs : undefined;
    await sleep(clock, wait ?? backoffMs(reconnect, attempt, random), asked.signal);
  }
}

export function unknownOutcome(what: string, cause: RubatoError, harmless = false): RubatoError {
  if (harmless) return cause;
  return new RubatoError(
    "unknown_outcome",
    `The line broke while ${what} was on its way: whether it arrived is not known. Look at the run before you ask again.`,
    { cause },
  );
}

async function askOnce(settings: Settings, asked: Ask): Promise<Once> {
  const { clock, secrets, credentials } = settings;
  const { method, path, body, signal, timeoutMs } = asked;
  const controller = new AbortController();
  const unlink = link(signal, controller);
  const stop = clock.timer(timeoutMs, () => {
    controller.abort(new RubatoError("disconnected", `The server did not answer within ${timeoutMs} ms.`));
  });
  try {
    if (signal.aborted) throw abortedBy(signal);
    const response = await settings.fetch(`${settings.url}${path}`, {
      method,
      headers: {
        ...headersOf(settings),
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: controller.signal,
      redirect: "manual",
      ...(credentials === undefined ? {} : { credentials }),
    });
    const elsewhere = redirected(response);
    if (elsewhere !== undefined) {
      // Nobody reads the rest of it.
      controller.abort();
      throw new Answered(elsewhere);
    }
    const { status } = response;
    if (status >= 200 && status < 300) {
      const text = await textOf(response, MAX_ANSWER);
      if (text === undefined) throw new Answered(new RubatoError("protocol", "The server's answer has no end."));
      return { kind: "answer", status, value: parseJson(text) };
    }
    const value = await bodyOf(response);
    // A command that was not accepted is answered, not refused.
    if (status === 409 && isRecord(value) && value["accepted"] === false) return { kind: "answer", status, value };
    const error = httpError(status, value, secrets);
    const code = isRecord(value) && isWireError(value["error"]) ? value["error"].code : undefined;
    if (status === 429 || code === "closing") {
      return { kind: "later", error, retryAfterMs: retryAfterMs(response.headers.get("retry-after"), clock.now()) };
    }
    // Of somebody in between, who cannot know. What the server itself says is an answer.
    if (isPassing(status) && (code === undefined || asked.repeatable)) return { kind: "cut", error };
    throw new Answered(error);
  } catch (thrown) {
    if (thrown instanceof Answered) throw thrown.error;
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : thrown;
    return { kind: "cut", error: networkError(reason, secrets) };
  } finally {
    stop();
    unlink();
  }
}

/** Carries an answer out of the reach of what catches a broken line. */
class Answered extends Error {
  readonly error: RubatoError;

  constructor(error: RubatoError) {
    super(error.message);
    this.error = error;
  }
}
