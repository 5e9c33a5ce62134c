import { isRecord } from "../../../is-record.ts";
import type { LogEntry } from "./log-entry.ts";

/**
 * What led to an event, and what it led to. Control events say their cause in the log; what streams says whom it belongs to, and that is its
 * cause. Kept up to date when somebody asks.
 */
export class Causes {
  private readonly causes = new Map<number, number>();
  private readonly effects = new Map<number, number[]>();
  private readonly streamed = new Map<number, number>();
  private readonly lasts = new Map<string, number>();
  private length = 0;

  /** Takes in the lines that came since. */
  catchUp(entries: readonly LogEntry[]): this {
    for (; this.length < entries.length; this.length++) {
      const entry = entries[this.length];
      if (entry !== undefined) this.add(entry);
    }
    return this;
  }

  /** Forgets what was before a seq, which the first lines were so many of. */
  drop(lines: number, firstSeq: number): void {
    this.length = Math.max(0, this.length - lines);
    for (const map of [this.causes, this.effects, this.streamed]) {
      // In the order of their seqs, but for the causes of what came later.
      for (const seq of map.keys()) if (seq < firstSeq) map.delete(seq);
    }
  }

  /** The seq of what caused this one; undefined for what came from outside. */
  causeOf(seq: number): number | undefined {
    return this.causes.get(seq);
  }

  /** What it caused, in order; of what streamed only how much. */
  effectsOf(seq: number): { readonly seqs: readonly number[]; readonly streamed: number } {
    return { seqs: this.effects.get(seq) ?? [], streamed: this.streamed.get(seq) ?? 0 };
  }

  /** From this event back to what came from outside, at most {@link LONGEST} events: the last of them may have a cause of its own. */
  chainOf(seq: number): readonly number[] {
    const chain = [seq];
    for (let at = this.causes.get(seq); at !== undefined && chain.length < LONGEST; at = this.causes.get(at)) {
      chain.push(at);
    }
    return chain;
  }

  private add(entry: LogEntry): void {
    // Only what came before can be a cause: what a file made up goes round in no circle.
    const said = entry.cause !== undefined && entry.cause < entry.seq ? entry.cause : undefined;
    const cause = said ?? impliedCause(entry, this.lasts);
    remember(entry, this.lasts);
    if (cause === undefined || cause >= entry.seq) return;
    this.causes.set(entry.seq, cause);
    if (isStreamed(entry)) {
      this.streamed.set(cause, (this.streamed.get(cause) ?? 0) + 1);
      return;
    }
    const known = this.effects.get(cause);
    if (known === undefined) this.effects.set(cause, [entry.seq]);
    else known.push(entry.seq);
  }
}

/** Of a chain of causes. One of thousands of steps says nothing more than its end. */
const LONGEST = 24;

function isStreamed({ type }: LogEntry): boolean {
  return type === "token_stream" || type === "tool_call_delta" || type === "tool_progress";
}

function impliedCause(entry: LogEntry, lasts: ReadonlyMap<string, number>): number | undefined {
  const { type, data } = entry;
  switch (type) {
    case "token_stream":
    case "tool_call_delta":
    case "message":
      return lasts.get("thinking");
    case "gap":
      return lasts.get("streams");
    case "tool_progress":
    case "tool_result":
      return lasts.get(`start ${callOf(entry)}`) ?? lasts.get(`call ${callOf(entry)}`);
    case "tool_start":
    case "approval_request":
      return lasts.get(`call ${callOf(entry)}`);
    case "tool_call":
    case "done":
      return lasts.get("message");
    case "retry_due":
      return lasts.get("retry");
    case "interrupted":
      return lasts.get("interrupt");
    case "interrupt":
      // Which of several does not stand there: what all of them are of is their message.
      return data["by"] === "tool" ? lasts.get("message") : undefined;
    case "input_delivered":
      return lasts.get(`input ${String(data["id"])}`);
    case "deadline":
      return data["name"] === "wall_time" ? lasts.get("time") : lasts.get(`asked ${callOf(entry)}`);
    default:
      return undefined;
  }
}

function callOf({ data }: LogEntry): string {
  return String(data["callId"]);
}

function remember(entry: LogEntry, lasts: Map<string, number>): void {
  const { type, data, seq } = entry;
  switch (type) {
    case "run_start":
      lasts.set("time", seq);
      return;
    case "resume":
      if (isRecord(data["budget"]) && "wallMs" in data["budget"]) lasts.set("time", seq);
      return;
    case "thinking":
      lasts.set("thinking", seq);
      lasts.set("streams", seq);
      return;
    case "message":
    case "retry":
    case "interrupt":
      lasts.set(type, seq);
      return;
    case "user_input":
      lasts.set(`input ${String(data["id"])}`, seq);
      return;
    case "tool_call":
      lasts.set(`call ${callOf(entry)}`, seq);
      return;
    case "approval_request":
      lasts.set(`asked ${callOf(entry)}`, seq);
      return;
    case "tool_start":
      lasts.set(`start ${callOf(entry)}`, seq);
      lasts.set("streams", seq);
      return;
    default:
  }
}
