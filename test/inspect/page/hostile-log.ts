import type { Event } from "rubato/machines";
import { golden } from "./golden.ts";

/** Texts as an attacker or an accident writes them: without a space, wide, right to left, stacked, empty, long. */
const LONG = "W".repeat(3_000);
const STACKED = `e${"\u0301".repeat(400)}`;

/** A run that folds, whose every text is as bad for a page as it can be: hundreds of tools, names without an end, errors of a megabyte. */
export function hostileLog(): Event[] {
  const events: Event[] = [];
  let seq = 0;
  const shift = (event: Event): Event => ({ ...event, seq: ++seq, runId: "h".repeat(120) });
  const source = golden("parallel-tools");
  for (const event of source) {
    if (event.type === "user_input") {
      events.push(shift({ ...event, data: { ...event.data, text: `${LONG} ${STACKED} \u202Eright to left` } }));
    } else if (event.type === "tool_start") {
      events.push(shift(event));
      for (let index = 0; index < 40; index++) {
        const { seq: _seq, timestamp, runId } = event;
        const name = index % 2 === 0 ? `${LONG.slice(0, 300)}${index}` : `${STACKED}${index}`;
        events.push(
          shift({ seq: 0, timestamp, runId, type: "custom", data: { name, data: { [LONG]: [LONG, STACKED] } } }),
        );
      }
    } else if (event.type === "tool_result") {
      events.push(shift({ ...event, data: { ...event.data, output: `${LONG}\n`.repeat(300) } }));
    } else {
      events.push(shift(event));
    }
  }
  return events.map(({ cause: _cause, ...event }) => event);
}
