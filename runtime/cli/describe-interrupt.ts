import type { EventData } from "../../machines/events.ts";
import { describeDuration } from "./describe-duration.ts";
import { oneLine } from "./sanitizer.ts";
import type { TracedCall, TurnTrace } from "./turn-trace.ts";

/** Says what an interrupt did, in one line: `interrupted, step 2, mid-sentence, 214 characters kept, 0.8 ms`. */
export function describeInterrupted(data: EventData<"interrupted">, turn: TurnTrace): string {
  const { step, keptChars, latencyMs } = data;
  const parts = [whatOf(data)];
  if (step > 0) parts.push(`step ${step}`);
  parts.push(placeOf(data, turn));
  if (keptChars > 0) parts.push(`${keptChars} ${keptChars === 1 ? "character" : "characters"} kept`);
  parts.push(...skippedNote(turn.calls));
  parts.push(describeDuration(latencyMs));
  return parts.join(", ");
}

function whatOf({ by, reason }: EventData<"interrupted">): string {
  switch (by) {
    case "input":
      return "redirected";
    case "tool":
      return `interrupted by a tool${reason === "" ? "" : ` (${oneLine(reason, 80)})`}`;
    default:
      return "interrupted";
  }
}

function placeOf({ where, mode }: EventData<"interrupted">, { tail, asks, calls }: TurnTrace): string {
  if (where === "thinking.backoff") return "while it waited to try again";
  if (where === "thinking.finishing") return "after the answer";
  if (where.startsWith("acting")) {
    const ran = calls.filter((call) => call.started);
    if (ran.length === 0) return "before a tool ran";
    const stopped = ran.some((call) => call.outcome === "aborted" || call.outcome === "unknown");
    const names = ran.map(({ name, outcome }) => `${oneLine(name, 64)} (${outcome ?? "open"})`);
    return `${stopped ? "during" : "after"} ${names.join(", ")}`;
  }
  if (where === "thinking.streaming") {
    if (mode === "step") return "after the answer";
    if (asks) return "while it asked for a tool";
    if (tail.trim() === "") return "before the answer began";
    return endsSentence(tail) ? "after a sentence" : "mid-sentence";
  }
  return "before the answer began";
}

function endsSentence(text: string): boolean {
  return /[.!?…。！？]["'”’)\]」』）]*\s*$|\n\s*$/.test(text);
}

function skippedNote(calls: readonly TracedCall[]): string[] {
  const skipped = calls.filter((call) => call.outcome === "skipped").length;
  return skipped === 0 ? [] : [`${skipped} ${skipped === 1 ? "call" : "calls"} skipped`];
}
