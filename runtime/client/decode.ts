import { eventSchema, type Event } from "../../machines/events.ts";
import { RubatoError } from "../errors.ts";
import type { CommandReceipt } from "../server/protocol.ts";
import { isRecord } from "../is-record.ts";

/** The event in what came; itself, so that nothing of it is lost. Throws {@link RubatoError} `protocol`. */
export function eventOf(value: unknown): Event {
  if (isEvent(value)) return value;
  throw new RubatoError("protocol", "The server sent something that is no event of this version of rubato.");
}

function isEvent(value: unknown): value is Event {
  return eventSchema.safeParse(value).success;
}

/** Throws {@link RubatoError} `protocol`. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RubatoError("protocol", "The server sent something that is no JSON.");
  }
}

/** As the server answers a command, also a refused one. */
export function isReceipt(value: unknown): value is CommandReceipt {
  if (!isRecord(value)) return false;
  return value["accepted"] === true
    ? typeof value["seq"] === "number"
    : value["accepted"] === false && typeof value["reason"] === "string";
}
