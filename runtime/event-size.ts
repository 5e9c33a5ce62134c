import type { Event } from "../machines/events.ts";

/** Of an event without its texts. */
const ENVELOPE = 100;
const NUMBER = 8;

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
  const rest: unknown[] = [data];
  while (rest.length > 0) {
    const value = rest.pop();
    if (typeof value === "string") size += textSize(value);
    else if (Array.isArray(value)) for (const item of value) rest.push(item);
    else if (typeof value === "object" && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        size += textSize(key);
        rest.push(item);
      }
    } else size += NUMBER;
  }
  return size;
}
