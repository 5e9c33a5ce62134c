import type { Event } from "../machines/events.ts";

/** Of an event without its texts. */
const ENVELOPE = 100;
const NUMBER = 8;
/** Values that are looked at one by one; what lies beyond counts as numbers. Whoever tells a large value must not wait for it to be measured (P28). */
const LOOKED_AT = 10_000;

/** About what an event takes in memory, and at most what it takes on a wire but for escapes: bytes. */
export function sizeOf(event: Event): number {
  if (event.type === "token_stream") return ENVELOPE + textSize(event.data.text);
  if (event.type === "tool_call_delta") return ENVELOPE + textSize(event.data.args);
  return ENVELOPE + valueSize(event.data);
}

export function textSize(text: string): number {
  return 2 * text.length;
}

/** With a list of what is still to be looked at instead of a call for each depth: what a tool tells may be deeply nested. */
function valueSize(data: object): number {
  let size = 0;
  let left = LOOKED_AT;
  const rest: unknown[] = [data];
  for (; rest.length > 0; left--) {
    const value = rest.pop();
    if (typeof value === "string") size += textSize(value);
    else if (typeof value !== "object" || value === null) size += NUMBER;
    else if (Array.isArray(value)) {
      const seen = Math.min(value.length, Math.max(0, left - rest.length));
      size += NUMBER * (value.length - seen);
      for (let index = 0; index < seen; index++) rest.push(value[index]);
    } else {
      for (const [key, item] of Object.entries(value)) {
        size += textSize(key);
        if (rest.length < left) rest.push(item);
        else size += NUMBER;
      }
    }
  }
  return size;
}
