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

  /** The seq of what caused this one; undefined for what came from outside. */
  causeOf(seq: number): number | undefined {
    return this.causes.get(seq);
  }

  /** What it caused, in order; of what streamed only how much. */
  effectsOf(seq: number): { readonly seqs: readonly number[]; readonly streamed: number } {
    return { seqs: this.effects.get(seq) ?? [], streamed: this.streamed.get(seq) ?? 0 };
  }

  /** From this event back to what came from outside, at most {@link LONGEST} events. */
  chainOf(seq: number): readonly number[] {
    const chain = [seq];
    for (let at = this.causes.get(seq); at !== undefined && chain.length < LONGEST; at = this.causes.get(at)) {
      chain.push(at);
    }
    return chain;
  }

  private add(entry: LogEntry): void {
    const cause = entry.cause ?? impliedCause(entry, this.lasts);
    remember(entry, this.lasts);
    // Only what came before can be a cause: what a file made up goes round in no circle.
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

function impliedCause({ type, data }: LogEntry, lasts: ReadonlyMap<string, number>): number | undefined {
  switch (type) {
    case "token_stream":
    case "tool_call_delta":
    case "message":
      return lasts.get("thinking");
    case "tool_progress":
    case "tool_result":
      return lasts.get(`start ${String(data["callId"])}`) ?? lasts.get(`call ${String(data["callId"])}`);
    case "tool_start":
    case "approval_request":
      return lasts.get(`call ${String(data["callId"])}`);
    case "tool_call":
    case "done":
      return lasts.get("message");
    case "retry_due":
      return lasts.get("retry");
    case "interrupted":
      return lasts.get("interrupt");
    default:
      return undefined;
  }
}

function remember({ type, data, seq }: LogEntry, lasts: Map<string, number>): void {
  switch (type) {
    case "thinking":
    case "message":
    case "retry":
    case "interrupt":
      lasts.set(type, seq);
      return;
    case "tool_call":
      lasts.set(`call ${String(data["callId"])}`, seq);
      return;
    case "tool_start":
      lasts.set(`start ${String(data["callId"])}`, seq);
      return;
    default:
  }
}
