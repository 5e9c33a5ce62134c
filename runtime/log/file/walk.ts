import { readSync } from "node:fs";
import type { Event } from "../../../machines/events.ts";
import { messageOf } from "../../errors.ts";
import { Decoder, type Place } from "./decoder.ts";
import type { Chain } from "./chain.ts";
import type { Context } from "./context.ts";

const LINE_END = 10;
const NUL = 0;

/** Damage: where, and what. */
export interface Damage {
  /** Of the first event that cannot be read. */
  readonly seq: number;
  readonly what: string;
}

/** Bytes on their way from a file. One for all readers of a log: a read is synchronous. */
export class Window {
  bytes = Buffer.allocUnsafe(CHUNK_BYTES);

  /** Reads on behind the first `filled` bytes, at most `most`. Answers how many came. */
  fill(fd: number, filled: number, position: number, most: number): number {
    if (most <= 0) return 0;
    if (filled === this.bytes.length) {
      // A line that is longer than the window.
      const larger = Buffer.allocUnsafe(this.bytes.length * 2);
      this.bytes.copy(larger);
      this.bytes = larger;
    } else if (filled < CHUNK_BYTES && this.bytes.length > CHUNK_BYTES * 16) {
      // One large event must not cost its room for ever.
      const smaller = Buffer.allocUnsafe(CHUNK_BYTES);
      this.bytes.copy(smaller, 0, 0, filled);
      this.bytes = smaller;
    }
    return readSync(fd, this.bytes, filled, Math.min(this.bytes.length - filled, most), position);
  }
}

const CHUNK_BYTES = 65_536;

export interface Walk {
  readonly fd: number;
  readonly window: Window;
  readonly runId: string;
  readonly from: Place;
  /** The last seq that counts, where a later segment says so: the walk ends there, and what stands behind is not looked at. */
  readonly until?: number | undefined;
  /** Bytes that count at most: behind them somebody writes. */
  readonly bound?: number | undefined;
  /** Batches up to this seq are known to be complete: there a walk may end in the middle of one. */
  readonly known: number;
  /** Checked along, when given. */
  readonly chain?: Chain | undefined;
  /** Takes the events that each line holds, in the list that is used again for the next line. False ends the walk, at the end of the batch. */
  readonly take: (events: readonly Event[], at: LineAt, decoder: Decoder) => boolean;
}

/** Where a line stands: `[start, end)` in the file, line end included. */
export interface LineAt {
  readonly start: number;
  readonly end: number;
}

export interface WalkEnd {
  /** Behind the last batch that is complete. */
  readonly complete: Place;
  /** Where the walk ended, perhaps in the middle of a batch. */
  readonly next: Place;
  readonly released: boolean;
  /** The walk came to the end of what counts. */
  readonly atEnd: boolean;
  readonly damage?: Damage;
}

/**
 * Reads the lines of a segment from a place on. What counts ends where the last complete batch ends: an append that was cut off leaves the
 * beginning of a batch, or (after a power loss) zeros up to the end of the file; that is no damage, and is not read. Everything else that does
 * not fit is.
 */
export function walk({ fd, window, runId, from, until, bound, known, chain, take }: Walk): WalkEnd {
  const decoder = new Decoder(runId, from, chain);
  const complete = new Mark(decoder, from.offset);
  let base = from.offset;
  let filled = 0;
  let at = 0;
  let view = window.bytes.subarray(0, 0);
  let wanted = true;
  const events: Event[] = [];
  const line = { start: 0, end: 0 };
  const ended = (atEnd: boolean, damage?: Damage): WalkEnd => ({
    complete: complete.place(),
    next: decoder.place(base + at),
    released: decoder.released,
    atEnd,
    ...(damage === undefined ? {} : { damage }),
  });

  for (;;) {
    if (until !== undefined && decoder.seq >= until && !decoder.open) return ended(true);
    if (!wanted && (!decoder.open || decoder.seq <= known)) return ended(false);
    const end = view.indexOf(LINE_END, at);
    if (end === -1) {
      if (at > 0) window.bytes.copyWithin(0, at, filled);
      base += at;
      filled -= at;
      at = 0;
      const count = window.fill(fd, filled, base + filled, bound === undefined ? Infinity : bound - base - filled);
      filled += count;
      view = window.bytes.subarray(0, filled);
      if (count > 0) continue;
      const seq = decoder.seq + 1;
      // One bit makes another byte of a line end: what an append left unfinished is shorter than a record, never longer.
      if (filled > 1 && view[filled - 1] !== NUL && decoder.fits(view, 0, filled - 1)) {
        return ended(false, { seq, what: "its line has no end" });
      }
      if (until === undefined) return ended(true);
      return ended(false, { seq, what: `the file ends before seq ${until}, which a later segment names` });
    }
    const seq = decoder.seq + 1;
    const what = lineOf(decoder, window.bytes, at, end, events);
    if (what !== undefined) return ended(false, { seq, what });
    line.start = base + at;
    line.end = base + end + 1;
    if (!take(events, line, decoder)) wanted = false;
    events.length = 0;
    at = end + 1;
    if (!decoder.open && !decoder.released) complete.set(decoder, base + at);
  }
}

/** A place that moves with every batch, and so is no object of its own each time. */
class Mark {
  private offset: number;
  private seq: number;
  private crc: number;
  private context: Context | undefined;
  private textAt = 0;
  private timestamp = 0;

  constructor({ seq, crc, context }: Decoder, offset: number) {
    this.offset = offset;
    this.seq = seq;
    this.crc = crc;
    this.context = context;
    this.set({ seq, crc, context }, offset);
  }

  set({ seq, crc, context }: Pick<Decoder, "seq" | "crc" | "context">, offset: number): void {
    this.offset = offset;
    this.seq = seq;
    this.crc = crc;
    this.context = context;
    if (context === undefined) return;
    this.timestamp = context.timestamp;
    if (context.type === "token_stream") this.textAt = context.offset;
  }

  place(): Place {
    const { offset, seq, crc, context, timestamp } = this;
    if (context === undefined) return { offset, seq, crc, context };
    const then =
      context.type === "token_stream" ? { ...context, timestamp, offset: this.textAt } : { ...context, timestamp };
    return { offset, seq, crc, context: then };
  }
}

function lineOf(decoder: Decoder, bytes: Buffer, start: number, end: number, events: Event[]): string | undefined {
  try {
    return decoder.line(bytes, start, end, events);
  } catch (error) {
    return `it is no JSON: ${messageOf(error)}`;
  }
}
