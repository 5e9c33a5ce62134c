import type { LogEntry } from "./log-entry.ts";

/**
 * What the page keeps of one run at most: a tab that has no memory left shows nothing at all. A browser gives a tab between one and four gigabytes;
 * what is kept is a part of it, for reading, drawing and writing a file need memory as well.
 */
export interface Bounds {
  readonly lines: number;
  /** Bytes of memory, as {@link weightOf} guesses them. */
  readonly weight: number;
}

export const BOUNDS: Bounds = { lines: 1_500_000, weight: 512 * 1_048_576 };
/** Of one line, in UTF-16 units: what it is made into may take ten times that before anybody can weigh it. */
export const LONGEST_LINE = 64 * 1_048_576;

/** Of a line: its envelope, its place in the lists, and its part in what is found in them. */
const ENVELOPE = 160;
const TEXT = 20;
const FIELD = 12;

/** About how many bytes of memory a line takes: of what was measured between one half and twice. Small arrays take many times their text, and are weighed so. */
export function weightOf({ data, type }: LogEntry): number {
  const { text } = data;
  // Nearly all of a long log.
  if (type === "token_stream" && typeof text === "string") return ENVELOPE + 5 * FIELD + weightOfText(text);
  let weight = ENVELOPE;
  // No call within a call: a line of an unknown type may be nested deeper than the stack goes.
  const open: unknown[] = [data];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    weight += FIELD;
    if (typeof value === "string") weight += weightOfText(value);
    if (typeof value !== "object" || value === null) continue;
    weight += TEXT;
    if (Array.isArray(value)) {
      for (const inner of value) open.push(inner);
    } else {
      for (const inner of Object.values(value)) open.push(inner);
    }
  }
  return weight;
}

/** One character beyond Latin-1 makes every one of its text take two bytes. */
function weightOfText(text: string): number {
  return TEXT + (/[\u0100-\uffff]/.test(text) ? 2 * text.length : text.length);
}
