import { RubatoError, type RubatoErrorCode } from "../errors.ts";
import type { WireError } from "../server/protocol.ts";
import { isRecord } from "../is-record.ts";

/** Every code that the server says. A code that is not among them comes from somebody in between. */
const SERVER_CODES: ReadonlySet<string> = new Set<RubatoErrorCode>([
  "invalid_option",
  "invalid_input",
  "unknown_run",
  "run_exists",
  "owned",
  "not_owner",
  "newer_schema",
  "log",
  "internal",
  "invalid_json",
  "invalid_request",
  "unknown_command",
  "invalid_cursor",
  "cursor_beyond_head",
  "cursor_of_another_run",
  "unauthorized",
  "forbidden",
  "forbidden_host",
  "forbidden_origin",
  "not_found",
  "method_not_allowed",
  "not_acceptable",
  "too_large",
  "unsupported_media_type",
  "upgrade_required",
  "too_many_runs",
  "too_many_connections",
  "too_many_commands",
  "closing",
]);

function isServerCode(code: string): code is RubatoErrorCode {
  return SERVER_CODES.has(code);
}

export function isWireError(value: unknown): value is WireError {
  return isRecord(value) && typeof value["code"] === "string" && typeof value["message"] === "string";
}

/** The server's own code and sentence. */
export function serverError({ code, message }: WireError, secrets: Secrets): RubatoError {
  const sentence = secrets.hide(message).slice(0, 1_000);
  if (isServerCode(code)) return new RubatoError(code, sentence);
  return new RubatoError("refused", `The server refused (${secrets.hide(code).slice(0, 64)}): ${sentence}`);
}

/** What a body of an error says; a sentence of our own where it is not the server's. */
export function httpError(status: number, body: unknown, secrets: Secrets): RubatoError {
  const error = isRecord(body) ? body["error"] : undefined;
  if (isWireError(error)) return serverError(error, secrets);
  const hint = status < 500 ? "Does `url` name a rubato server, with its base path?" : "Try again later.";
  return new RubatoError("refused", `Something between here and the server answered with status ${status}. ${hint}`);
}

/** A request that got no answer. What lies below is kept as the cause, unless it shows what must not be shown. */
export function networkError(thrown: unknown, secrets: Secrets): RubatoError {
  if (thrown instanceof RubatoError) return thrown;
  const code = codeOf(thrown);
  const why = code === undefined ? "" : ` (${code})`;
  const options = secrets.isIn(thrown) ? {} : { cause: thrown };
  return new RubatoError("disconnected", `The server could not be reached, or the line broke${why}.`, options);
}

/** Such as `ECONNREFUSED`: node's fetch has it below its own error. */
function codeOf(thrown: unknown, depth = 0): string | undefined {
  if (!isObject(thrown) || depth > 3) return undefined;
  if ("code" in thrown && typeof thrown.code === "string" && /^[A-Z_]{3,40}$/.test(thrown.code)) return thrown.code;
  return "cause" in thrown ? codeOf(thrown.cause, depth + 1) : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** What must reach no error text: the token, and what the headers say. */
export interface Secrets {
  hide(text: string): string;
  isIn(thrown: unknown): boolean;
}

/** Shorter ones would hide half of every sentence, and are no secrets. */
const LEAST = 6;

export function secretsOf(values: readonly string[]): Secrets {
  const secrets = values.filter((value) => value.length >= LEAST);
  const shows = (text: string): boolean => secrets.some((secret) => text.includes(secret));
  function isIn(thrown: unknown, depth: number): boolean {
    if (typeof thrown === "string") return shows(thrown);
    if (!isObject(thrown)) return false;
    // Deeper than any chain that is honest.
    if (depth > 8) return true;
    const told = thrown instanceof Error ? [thrown.message, thrown.stack, thrown.cause] : Object.values(thrown);
    return told.some((one) => isIn(one, depth + 1));
  }
  return {
    hide(text) {
      let hidden = text;
      for (const secret of secrets) hidden = hidden.replaceAll(secret, "[hidden]");
      return hidden;
    },
    isIn(thrown) {
      try {
        return isIn(thrown, 0);
      } catch {
        return true;
      }
    },
  };
}
