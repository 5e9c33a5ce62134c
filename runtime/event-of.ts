import type { Draft, Event } from "../machines/events.ts";

export interface Envelope {
  readonly seq: number;
  readonly timestamp: number;
  readonly runId: string;
  readonly cause: number | undefined;
}

/** A draft with its place in a run. */
export function eventOf(draft: Draft, { seq, timestamp, runId, cause }: Envelope): Event {
  return { ...draft, seq, timestamp, runId, ...(cause === undefined ? {} : { cause }) };
}
