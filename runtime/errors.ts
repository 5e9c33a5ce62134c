/**
 * Every code a {@link RubatoError} can have.
 *
 * `invalid_option`, `invalid_tool`, `invalid_input`: a programming error in what was passed. `unknown_run`, `run_exists`: a run id.
 * `newer_schema`: the log was written by a newer version. `model`: the endpoint answered with an error or could not be reached. `truncated`: a stream ended without saying that it was complete.
 * `connect_timeout`, `first_byte_timeout`, `idle_timeout`, `total_timeout`: a model took too long, in what.
 * `missing_key`, `missing_package`: the endpoint cannot be used yet. `log`: the log refused or failed. `closed`: the agent was closed.
 * `overflow`: a subscriber was too slow for its queue, and its policy says `disconnect`.
 * `internal`: a fault of rubato's own or of an injected part (a clock, a tool object).
 *
 * Of a client: `disconnected` (the server could not be reached within the attempts), `unknown_outcome` (the line was cut while a command was on its
 * way: whether it arrived is not known), `superseded` (a newer stream of the same client), `protocol` (what came is not this protocol), `refused` (an
 * answer that is not the server's own, such as a proxy's), `aborted` (by a signal), and whatever the server says ({@link ServerErrorCode}).
 */
export type RubatoErrorCode =
  | "invalid_option"
  | "invalid_tool"
  | "invalid_input"
  | "unknown_run"
  | "run_exists"
  | "not_owner"
  | "owned"
  | "newer_schema"
  | "model"
  | "truncated"
  | "connect_timeout"
  | "first_byte_timeout"
  | "idle_timeout"
  | "total_timeout"
  | "missing_key"
  | "missing_package"
  | "log"
  | "closed"
  | "overflow"
  | "internal"
  | "disconnected"
  | "unknown_outcome"
  | "superseded"
  | "protocol"
  | "refused"
  | "aborted"
  | ServerErrorCode;

/** What only `rubato/server` says, over HTTP and in a socket's frames; its other codes are among those above. */
export type ServerErrorCode =
  | "invalid_json"
  | "invalid_request"
  | "unknown_command"
  | "invalid_cursor"
  | "cursor_beyond_head"
  | "cursor_of_another_run"
  | "unauthorized"
  | "forbidden"
  | "forbidden_host"
  | "forbidden_origin"
  | "not_found"
  | "method_not_allowed"
  | "not_acceptable"
  | "too_large"
  | "unsupported_media_type"
  | "upgrade_required"
  | "too_many_runs"
  | "too_many_connections"
  | "too_many_commands"
  | "closing";

/** The one error class. The message says what happened and what to do; `cause` keeps what lay below. */
export class RubatoError extends Error {
  readonly code: RubatoErrorCode;

  constructor(code: RubatoErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "RubatoError";
    this.code = code;
  }
}

/** The sentence in whatever was thrown. Never a stack trace. Never throws: what a tool or a model throws may have any fields, and getters. */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) {
      const told: readonly unknown[] = [thrown.message, thrown.name];
      const text = told.find((one) => one !== "");
      return typeof text === "string" ? text : "an Error without a message was thrown";
    }
  } catch {
    return "an Error that cannot be read was thrown";
  }
  return typeof thrown === "string" ? thrown : "something that is not an Error was thrown";
}
