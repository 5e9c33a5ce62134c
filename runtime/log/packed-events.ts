import type { Event } from "../../machines/events.ts";

/**
 * A run's events in memory, with consecutive tokens of one message kept as columns instead of objects: a token costs some 30 bytes instead of
 * some 200, and the objects that carried it die young, which is most of what a long stream costs a garbage collector.
 *
 * E1 What is read equals what was appended, field by field; tokens are made anew at every read.
 */
export interface PackedEvents {
  /** The last seq. */
  readonly length: number;
  /** The event follows: it begins at seq `length + 1`. */
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
  /** Of its first token. Those of the others follow from the lengths of the texts before them. */
  readonly offset: number;
}

/** Tokens that one run of them may have: whoever reads in the middle of it adds up the lengths of those before. */
const LONGEST = 256;

type Segment = Event | TokenRun;

export function packedEvents(): PackedEvents {
  return new Columns();
}

class Columns implements PackedEvents {
  length = 0;
  private readonly segments: Segment[] = [];
  /** The first seq of each segment. */
  private readonly starts: number[] = [];
  // One column for the tokens of the whole run: a few large arrays instead of many small ones.
  private readonly texts: string[] = [];
  private readonly timestamps: number[] = [];
  private open: TokenRun | undefined;
  private nextOffset = 0;

  append(event: Event): void {
    const start = this.length + 1;
    // A gap stands for more than one.
    this.length = event.type === "gap" ? event.seq : start;
    if (event.type !== "token_stream" || event.cause !== undefined) {
      this.open = undefined;
      this.segments.push(event);
      this.starts.push(start);
      return;
    }
    const { text, offset, kind, messageId, attempt } = event.data;
    const continues =
      this.open !== undefined &&
      this.texts.length - this.open.at < LONGEST &&
      offset === this.nextOffset &&
      this.open.kind === kind &&
      this.open.attempt === attempt &&
      this.open.messageId === messageId &&
      this.open.runId === event.runId;
    if (!continues) {
      this.open = { type: "tokens", runId: event.runId, kind, messageId, attempt, at: this.texts.length, offset };
      this.segments.push(this.open);
      this.starts.push(this.length);
    }
    this.texts.push(text);
    this.timestamps.push(event.timestamp);
    this.nextOffset = offset + text.length;
  }

  read(after: number, limit: number): Event[] {
    const events: Event[] = [];
    let seq = after + 1;
    for (let at = this.segmentOf(seq); at < this.segments.length && seq <= this.length && events.length < limit; at++) {
      const segment = this.segments[at];
      if (segment === undefined) break;
      if (segment.type !== "tokens") {
        events.push(segment);
        seq = segment.seq + 1;
        continue;
      }
      const start = this.starts[at] ?? 0;
      const end = Math.min((this.starts[at + 1] ?? this.length + 1) - 1, seq + limit - events.length - 1);
      let { at: index, offset } = segment;
      for (; index < segment.at + seq - start; index++) offset += this.texts[index]?.length ?? 0;
      for (; seq <= end; seq++, index++) {
        const text = this.texts[index] ?? "";
        events.push(this.token(segment, index, seq, offset));
        offset += text.length;
      }
    }
    return events;
  }

  private token({ runId, kind, messageId, attempt }: TokenRun, index: number, seq: number, offset: number): Event {
    const data = { kind, text: this.texts[index] ?? "", messageId, attempt, offset };
    return { seq, timestamp: this.timestamps[index] ?? 0, runId, type: "token_stream", data };
  }

  /** The segment that a seq lies in, by halves. */
  private segmentOf(seq: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0) <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
