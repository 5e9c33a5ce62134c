import { isNote, type Event } from "../../machines/events.ts";
import type { Status } from "../../machines/state.ts";
import type { RunSummary } from "./event-log.ts";

/** What a list says about a run, kept up to date event by event and in place. */
export type OpenSummary = { -readonly [Key in keyof RunSummary]: RunSummary[Key] };

export function emptySummary(runId: string, { timestamp, seq }: Pick<Event, "timestamp" | "seq">): OpenSummary {
  return {
    runId,
    agent: "",
    status: "idle",
    title: "",
    metadata: {},
    createdAt: timestamp,
    updatedAt: timestamp,
    seq,
    owned: false,
  };
}

/** Takes in a control event or a note. */
export function summarize(summary: OpenSummary, event: Event): void {
  if (event.type === "run_start") {
    summary.agent = event.data.agent.name;
    summary.metadata = event.data.metadata ?? {};
  }
  if (event.type === "user_input" && summary.title === "") summary.title = titleOf(event.data.text);
  // Said to a run at rest it begins a turn; said to one that works, or waits for a person, it waits.
  const busy = summary.status === "acting" || summary.status === "waiting";
  const begins = event.type === "user_input" && !busy;
  summary.status = begins ? "thinking" : (statusAfter(event) ?? summary.status);
}

/** The first line of what was said, at most 80 characters. */
export function titleOf(text: string): string {
  const line = text.trim().split(/[\r\n\u2028\u2029]/, 1)[0] ?? "";
  if (line.length <= 80) return line.toWellFormed();
  // Not through the middle of a character: half of one is no text.
  const end = /[\uD800-\uDBFF]/.test(line.charAt(78)) ? 78 : 79;
  return `${line.slice(0, end)}…`.toWellFormed();
}

/** Whether the status after an event can be told without what came before it. */
export function decidesStatus(event: Event): boolean {
  return statusAfter(event) !== undefined;
}

/** Read from the event alone: good enough for a list, where folding every run would cost too much. */
function statusAfter(event: Event): Status | undefined {
  if (isNote(event)) return undefined;
  switch (event.type) {
    case "done":
    case "failed":
    case "cancelled":
    case "interrupted":
      return event.type;
    case "approval_request":
      return "waiting";
    case "tool_start":
    case "tool_call":
      return "acting";
    case "thinking":
    case "resume":
    case "message":
      return "thinking";
    default:
      return undefined;
  }
}
