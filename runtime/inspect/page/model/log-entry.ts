import { z } from "zod";
import { eventSchema, type Event } from "../../../../machines/events.ts";
import { isRecord } from "../../../is-record.ts";

/**
 * One line of a log as the page shows it. Logs come from anywhere: of a line nothing is believed that was not checked, and a line whose type this
 * version does not know is still a line with a place and a time.
 */
export interface LogEntry {
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly runId: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly cause?: number | undefined;
}

export type Read =
  | { readonly kind: "event"; readonly event: Event }
  /** An envelope that holds, around something that this version does not know. */
  | { readonly kind: "unknown"; readonly entry: LogEntry; readonly why: string }
  | { readonly kind: "bad"; readonly why: string };

const envelopeSchema = z.object({
  seq: z.number().int().positive(),
  timestamp: z.number(),
  runId: z.string(),
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
  cause: z.number().int().positive().optional(),
});

/** Checks a value that was a line of a log. */
export function readEntry(value: unknown): Read {
  // Nearly all of a long log are tokens: those are checked by hand, in a fraction of the time.
  if (isToken(value)) return { kind: "event", event: value };
  // As it came, not as the schema would copy it: what is exported again is the same, byte for byte.
  if (isEvent(value)) return { kind: "event", event: value };
  if (!isEnvelope(value)) return { kind: "bad", why: "it is no event" };
  const [issue] = eventSchema.safeParse(value).error?.issues ?? [];
  const at = issue?.path.join(".") ?? "";
  const why = at === "type" ? `it is of the unknown type "${value.type}"` : `its field ${at} is not as it should be`;
  return { kind: "unknown", entry: value, why };
}

function isEvent(value: unknown): value is Event {
  return eventSchema.safeParse(value).success;
}

function isEnvelope(value: unknown): value is LogEntry {
  return envelopeSchema.safeParse(value).success;
}

type Token = Extract<Event, { type: "token_stream" }>;

function isToken(value: unknown): value is Token {
  if (!isRecord(value) || value["type"] !== "token_stream") return false;
  const { seq, timestamp, runId, data, cause } = value;
  if (!isOrdinal(seq) || !Number.isFinite(timestamp) || typeof runId !== "string" || !isRecord(data)) return false;
  if (cause !== undefined && !isOrdinal(cause)) return false;
  const { kind, text, messageId, attempt, offset } = data;
  return (
    (kind === "text" || kind === "reasoning") &&
    typeof text === "string" &&
    typeof messageId === "string" &&
    isOrdinal(attempt) &&
    Number.isInteger(offset) &&
    Number(offset) >= 0
  );
}

function isOrdinal(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value > 0;
}
