import type { Event } from "../../machines/events.ts";

/**
 * A run's events in memory, with consecutive tokens of one message kept as columns instead of objects: a token costs some 30 bytes instead of
 * some 200, and the objects that carried it die young, which is most of what a long stream costs a garbage collector.
 *
 * E1 What is read equals what was appended, field by field; tokens are made anew at every read.
 */
export interface PackedEvents {
  readonly length: number;
  /** The first event's seq is `length + 1`, and the others follow. */
  append(event: Event): void;
  /** At most `limit` events with a seq above `after`. */
  read(after: number, limit: number): Event[];
}

/** Tokens that follow each other in one kind of one message. */
interface TokenRun {
  readonly type: "tokens";
  readonly runId: string;
  readonly kind: "text" | "reasoning";
  readonly messageId: string;
  readonly attempt: number;
  /** Where its tokens begin in the columns. */
  readonly at: number;
}

type Segment = Event | TokenRun;

export function packedEvents(): PackedEvents {
  const segments: Segment[] = [];
  /** The first seq of each segment. */
  const starts: number[] = [];
  // One column for the tokens of the whole run: a few large arrays instead of many small ones.
  const texts: string[] = [];
  const offsets: number[] = [];
  const timestamps: number[] = [];
  let length = 0;
  let open: TokenRun | undefined;
  let nextOffset = 0;

  function append(event: Event): void {
    length++;
    if (event.type !== "token_stream" || event.cause !== undefined) {
      open = undefined;
      segments.push(event);
      starts.push(length);
      return;
    }
    const { text, offset, kind, messageId, attempt } = event.data;
    const continues =
      open !== undefined &&
      offset === nextOffset &&
      open.kind === kind &&
      open.attempt === attempt &&
      open.messageId === messageId &&
      open.runId === event.runId;
    if (!continues) {
      open = { type: "tokens", runId: event.runId, kind, messageId, attempt, at: texts.length };
      segments.push(open);
      starts.push(length);
    }
    texts.push(text);
    offsets.push(offset);
    timestamps.push(event.timestamp);
    nextOffset = offset + text.length;
  }

  function read(after: number, limit: number): Event[] {
    const events: Event[] = [];
    const last = Math.min(length, after + limit);
    let seq = after + 1;
    for (let at = segmentOf(seq); at < segments.length && seq <= last; at++) {
      const segment = segments[at];
      if (segment === undefined) break;
      if (segment.type !== "tokens") {
        events.push(segment);
        seq++;
        continue;
      }
      const start = starts[at] ?? 0;
      const end = Math.min(last, (starts[at + 1] ?? length + 1) - 1);
      for (; seq <= end; seq++) events.push(tokenAt(segment, segment.at + seq - start, seq));
    }
    return events;
  }

  function tokenAt({ runId, kind, messageId, attempt }: TokenRun, index: number, seq: number): Event {
    const data = { kind, text: texts[index] ?? "", messageId, attempt, offset: offsets[index] ?? 0 };
    return { seq, timestamp: timestamps[index] ?? 0, runId, type: "token_stream", data };
  }

  /** The segment that a seq lies in, by halves. */
  function segmentOf(seq: number): number {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  return {
    get length() {
      return length;
    },
    append,
    read,
  };
}
