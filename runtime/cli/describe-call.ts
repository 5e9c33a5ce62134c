import type { EventData, Fault, Json } from "../../machines/events.ts";
import type { ToolOutcome } from "../../machines/messages.ts";
import { expose } from "./exposed.ts";
import { headOf } from "./head-of.ts";
import { MAX_STRING, oneLine } from "./sanitizer.ts";

/** What a tool gave back or asked for, in one line of at most `max` UTF-16 units. */
export function describeValue(value: Json | undefined, max = 120): string {
  if (value === undefined || value === null) return "";
  return oneLine(typeof value === "string" ? value : describeFields(value, max), max);
}

/** A call with its arguments: `read_file path: "README.md"`. */
export function describeCall(name: string, args: Json | undefined, max = 120): string {
  // As it is: what cannot be seen in it stands there as an escape.
  return oneLine(`${oneLine(name, 64)} ${expose(describeFields(args, max))}`, max);
}

/** Arguments as `name: value`, in one line, for {@link oneLine} with this `max`: of more than that looks at they are only the beginning, for a tool may answer megabytes. */
export function describeFields(value: Json | undefined, max: number): string {
  if (value === undefined || value === null) return "";
  const shown = headOf(value, max * 4 + MAX_STRING);
  if (typeof shown !== "object" || shown === null || Array.isArray(shown)) return JSON.stringify(shown);
  return Object.entries(shown)
    .map(([key, field]) => `${key}: ${JSON.stringify(field)}`)
    .join(", ");
}

/** How a call ended: what it answered, or why it has no answer. */
export function describeOutcome(
  outcome: ToolOutcome,
  output: Json | undefined,
  error: Fault | undefined,
  max = 120,
): string {
  const why = error === undefined ? "" : `: ${oneLine(error.message, max)}`;
  switch (outcome) {
    case "ok":
      return describeValue(output, max) || "ok";
    case "error":
      return `failed${why}`;
    case "unknown":
      return why === "" ? "unknown: it did not stop in time, so nobody knows what it did" : `unknown${why}`;
    case "timeout":
    case "rejected":
    case "skipped":
    case "aborted":
      return `${outcome}${why}`;
  }
}

/** The same for the event that says it. */
export function describeResult({ outcome, output, error, from }: EventData<"tool_result">, max = 120): string {
  if (outcome === "unknown" && from === "orphaned") return "unknown: its process ended while it ran";
  return describeOutcome(outcome, output, error, max);
}

/** A tool's progress. `{ elapsed, total }` in seconds reads `3/20 s`. */
export function describeProgress(value: Json): string {
  if (typeof value === "object" && value !== null && "elapsed" in value && "total" in value) {
    const { elapsed, total } = value;
    if (typeof elapsed === "number" && typeof total === "number") return `${elapsed}/${total} s`;
  }
  return describeValue(value, 40);
}
