import type { Event, EventOf } from "../../machines/events.ts";

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
  readonly first: EventOf<"token_stream">;
  readonly texts: string[];
  readonly offsets: number[];
  readonly timestamps: number[];
  nextOffset: number;
}

type Segment = Event | TokenRun;

export function packedEvents(): PackedEvents {
  const segments: Segment[] = [];
  /** The first seq of each segment. */
  const starts: number[] = [];
  let length = 0;
  let open: TokenRun | undefined;

  function append(event: Event): void {
    length++;
    if (event.type !== "token_stream" || event.cause !== undefined) {
      open = undefined;
      segments.push(event);
      starts.push(length);
      return;
    }
    const { text, offset } = event.data;
    if (open === undefined || !continues(open, event)) {
      open = { first: event, texts: [], offsets: [], timestamps: [], nextOffset: offset };
      segments.push(open);
      starts.push(length);
    }
    open.texts.push(text);
    open.offsets.push(offset);
    open.timestamps.push(event.timestamp);
    open.nextOffset = offset + text.length;
  }

  function read(after: number, limit: number): Event[] {
    const events: Event[] = [];
    const last = Math.min(length, after + limit);
    let seq = after + 1;
    for (let at = segmentOf(seq); at < segments.length && seq <= last; at++) {
      const segment = segments[at];
      const start = starts[at] ?? 0;
      if (segment === undefined) break;
      if (!("texts" in segment)) {
        events.push(segment);
        seq++;
        continue;
      }
      for (let index = seq - start; index < segment.texts.length && seq <= last; index++, seq++) {
        events.push(tokenAt(segment, index, seq));
      }
    }
    return events;
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

function continues({ first, nextOffset }: TokenRun, { runId, data }: EventOf<"token_stream">): boolean {
  return (
    data.offset === nextOffset &&
    data.kind === first.data.kind &&
    data.attempt === first.data.attempt &&
    data.messageId === first.data.messageId &&
    runId === first.runId
  );
}

function tokenAt({ first, texts, offsets, timestamps }: TokenRun, index: number, seq: number): Event {
  const { kind, messageId, attempt } = first.data;
  return {
    seq,
    timestamp: timestamps[index] ?? first.timestamp,
    runId: first.runId,
    type: "token_stream",
    data: { kind, text: texts[index] ?? "", messageId, attempt, offset: offsets[index] ?? 0 },
  };
}
