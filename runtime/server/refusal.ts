import type { z } from "zod";
import { RubatoError, type RubatoErrorCode } from "../errors.ts";

/** Why a request is not served: its status, and what the JSON says. A value, not an exception. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function refuse(
  status: number,
  code: string,
  message: string,
  headers?: Readonly<Record<string, string>>,
): Refusal {
  return { status, code, message, ...(headers === undefined ? {} : { headers }) };
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "status" in value && "code" in value && "message" in value;
}

/** Every other is a failure of the server: 500. */
const STATUS: Readonly<Partial<Record<RubatoErrorCode, number>>> = {
  invalid_option: 400,
  invalid_input: 400,
  unknown_run: 404,
  run_exists: 409,
  owned: 409,
  not_owner: 409,
  newer_schema: 409,
  log: 503,
  closed: 503,
};

/**
 * What a caller is told about something that was thrown. The text of an error that is not about the request may name files, keys or what a model
 * said: it stays here.
 */
export function refusalOf(thrown: unknown): Refusal {
  const { code, message } =
    thrown instanceof RubatoError ? thrown : { code: "internal" as const, message: "something failed" };
  const status = STATUS[code] ?? 500;
  if (status < 500) return refuse(status, code, message);
  if (code === "log")
    return refuse(status, code, "The log cannot be used now. Nothing was done that it does not hold.");
  if (code === "closed") return refuse(status, "closing", "The server is shutting down. Try again later.");
  return refuse(500, "internal", "The server failed to do this. Its own records say why.");
}

/** The first thing that is wrong with what was sent, as one sentence. */
export function issueOf(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return "The request is not valid.";
  const path = issue.path.map(String).join(".");
  return `${path === "" ? "" : `${path}: `}${issue.message}.`;
}
