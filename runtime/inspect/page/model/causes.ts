import type { LogEntry } from "./log-entry.ts";
import type { Recording } from "./recording.ts";

/**
 * What led to an event, and what it led to. Control events say their cause in the log; what streams says whom it belongs to, and that is its
 * cause. Built once per length of the log, when somebody asks.
 */
export interface Causes {
  /** The seq of what caused this one; undefined for what came from outside. */
  causeOf(seq: number): number | undefined;
  /** What it caused, in order; of what streamed only how much. */
  effectsOf(seq: number): { readonly seqs: readonly number[]; readonly streamed: number };
  /** From this event back to what came from outside. */
  chainOf(seq: number): readonly number[];
}

/** The longest way back that is walked: causes that a file made up may go round. */
const LONGEST = 200;

export function causesOf({ entries }: Recording): Causes {
  const causes = new Map<number, number>();
  const effects = new Map<number, number[]>();
  const streamed = new Map<number, number>();
  const lasts = new Map<string, number>();
  for (const entry of entries) {
    const cause = entry.cause ?? impliedCause(entry, lasts);
    remember(entry, lasts);
    if (cause === undefined || cause >= entry.seq) continue;
    causes.set(entry.seq, cause);
    if (isStreamed(entry)) {
      streamed.set(cause, (streamed.get(cause) ?? 0) + 1);
      continue;
    }
    const known = effects.get(cause);
    if (known === undefined) effects.set(cause, [entry.seq]);
    else known.push(entry.seq);
  }
  return {
    causeOf: (seq) => causes.get(seq),
    effectsOf: (seq) => ({ seqs: effects.get(seq) ?? [], streamed: streamed.get(seq) ?? 0 }),
    chainOf(seq) {
      const chain = [seq];
      for (let at = causes.get(seq); at !== undefined && chain.length < LONGEST; at = causes.get(at)) chain.push(at);
      return chain;
    },
  };
}

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
