import { isHot, type Event } from "../../machines/events.ts";

/** Seqs that stand next to each other, both ends included. */
export interface SeqRange {
  readonly from: number;
  readonly to: number;
}

/**
 * The deltas that a log can do without: those of messages and calls that are finished, since what they put together stands in the `message` and
 * the `tool_result`. A fold without them differs in `partial` only. Ranges in order; deltas that a gap stands for already are not among them.
 */
export function prunable(): { take(event: Event): void; ranges(): SeqRange[] } {
  const open = new Map<string, number[]>();
  const free: number[] = [];

  const finish = (what: string): void => {
    for (const seq of open.get(what) ?? []) free.push(seq);
    open.delete(what);
  };

  return {
    take(event) {
      if (isHot(event)) {
        const what = event.type === "tool_progress" ? `call ${event.data.callId}` : `message ${event.data.messageId}`;
        const seqs = open.get(what);
        if (seqs === undefined) open.set(what, [event.seq]);
        else seqs.push(event.seq);
      } else if (event.type === "message") finish(`message ${event.data.messageId}`);
      else if (event.type === "tool_result") finish(`call ${event.data.callId}`);
    },
    ranges() {
      const ranges: { from: number; to: number }[] = [];
      for (const seq of free.sort((a, b) => a - b)) {
        const last = ranges.at(-1);
        if (last?.to === seq - 1) last.to = seq;
        else ranges.push({ from: seq, to: seq });
      }
      return ranges;
    },
  };
}
