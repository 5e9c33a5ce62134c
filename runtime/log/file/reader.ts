import { closeSync, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../../machines/events.ts";
import { RubatoError } from "../../errors.ts";
import { keepLatest } from "../../keep-latest.ts";
import type { ReadRange } from "../event-log.ts";
import { Chain } from "./chain.ts";
import type { Place } from "./decoder.ts";
import { codeOf } from "./folder.ts";
import { parseHeader, segmentName, type Header } from "./segment.ts";
import { walk, Window, type Damage, type LineAt, type Walk, type WalkEnd } from "./walk.ts";

/** Events between two places of the index. */
const INDEX_STEP = 512;
/** Segments whose places are kept. Each costs some 200 bytes per 512 events. */
const KEPT = 256;
/** A header longer than this is none. */
const HEADER_BYTES = 4_096;

/** What is known of one segment, as long as it is the same file. */
export interface Segment {
  readonly path: string;
  readonly header: Header;
  /** At the start of its chain. */
  readonly h: string;
  /** Which file this is about. A pruned one is another. */
  readonly file: string;
  /** In order, the first one behind the header, each at the end of a batch. */
  readonly places: Place[];
  /** Where the last read ended: the next one mostly begins there. */
  last: Place;
  /** Batches up to this seq are complete. */
  known: number;
}

/** The lines of a segment, read as they are needed. */
export interface SegmentReader {
  /** What is in a segment's first line, and an index of what is behind it. Rejects with `log` when it is no segment of this run. */
  open(runId: string, folder: string, epoch: number): { readonly segment: Segment; readonly fd: number };
  /**
   * Adds events behind `after` until there are `limit`, or some whose lines take `bytes`: in whole batches or up to the limit. Keeps an index, so
   * that the next page costs its own length. Answers the bytes that it read of them too.
   */
  page(runId: string, at: SegmentRange, range: Required<ReadRange>, into: Event[]): WalkEnd & { readonly read: number };
  /** Reads on from the furthest place that is known, to where it ends now. */
  toEnd(runId: string, at: SegmentRange): WalkEnd;
  /** Reads all of it with its hash chain. */
  verify(runId: string, at: SegmentRange, take?: TakeLine): { readonly end: WalkEnd; readonly chain: Chain };
}

/** Like that of a walk, with the chain up to this line. */
export type TakeLine = (...line: [...Parameters<Walk["take"]>, chain: Chain]) => boolean;

/** An open segment and what of it counts. */
export interface SegmentRange {
  readonly segment: Segment;
  readonly fd: number;
  readonly until?: number | undefined;
  readonly bound?: number | undefined;
}

export function segmentReader(): SegmentReader {
  const window = new Window();
  /** By path, the latest used last. */
  const kept = new Map<string, Segment>();

  function open(runId: string, folder: string, epoch: number): { segment: Segment; fd: number } {
    const path = join(folder, segmentName(epoch));
    const fd = openSync(path, "r");
    try {
      const { ino, birthtimeMs } = fstatSync(fd);
      const file = `${ino} ${birthtimeMs}`;
      let segment = kept.get(path);
      if (segment?.file !== file) segment = readHeader(runId, path, epoch, fd, file);
      keepLatest(kept, path, segment, KEPT);
      return { segment, fd };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  function readHeader(runId: string, path: string, epoch: number, fd: number, file: string): Segment {
    const count = window.fill(fd, 0, 0, HEADER_BYTES);
    const end = window.bytes.subarray(0, count).indexOf("\n");
    const parsed = end === -1 ? "it has no first line" : parseHeader(window.bytes.toString("utf8", 0, end));
    if (typeof parsed === "string") throw damaged(runId, path, { seq: 1, what: parsed });
    const { header, crc, h } = parsed;
    if (header.run !== runId || header.epoch !== epoch) {
      const what = `it is epoch ${header.epoch} of run "${header.run}"`;
      throw damaged(runId, path, { seq: header.after + 1, what });
    }
    const first: Place = { offset: end + 1, seq: header.after, crc, context: undefined };
    return { path, header, h, file, places: [first], last: first, known: header.after };
  }

  function page(
    runId: string,
    at: SegmentRange,
    { after, limit, bytes }: Required<ReadRange>,
    into: Event[],
  ): WalkEnd & { readonly read: number } {
    let read = 0;
    const end = advance(runId, at, placeBefore(at.segment, after), (events, line) => {
      // On to the end of the batch, to see that it has one: what is left of it is another page's.
      if (into.length >= limit || (into.length > 0 && read >= bytes)) return false;
      for (const event of events) if (event.seq > after && into.length < limit) into.push(event);
      if (into.length > 0) read += line.end - line.start;
      return into.length < limit && (into.length === 0 || read < bytes);
    });
    // Of a batch that has no end nothing is there.
    const counts = at.until ?? at.segment.known;
    while ((into.at(-1)?.seq ?? 0) > counts) into.pop();
    return { ...end, read };
  }

  function advance(
    runId: string,
    { segment, fd, until, bound }: SegmentRange,
    from: Place,
    take: (events: readonly Event[], at: LineAt) => boolean,
  ): WalkEnd {
    const found: Place[] = [];
    let newest = segment.places.at(-1)?.seq ?? from.seq;
    const known = until ?? segment.known;
    const end = walk({
      fd,
      window,
      runId,
      from,
      until,
      bound,
      known,
      take(events, at, decoder) {
        if (!decoder.open && decoder.seq >= newest + INDEX_STEP) {
          found.push(decoder.place(at.end));
          newest = decoder.seq;
        }
        return take(events, at);
      },
    });
    for (const place of found) if (place.seq <= end.complete.seq) segment.places.push(place);
    segment.known = Math.max(segment.known, end.complete.seq);
    // Behind the line that says that the owner let go, nobody would see it again.
    if (end.damage === undefined) segment.last = end.next.seq <= known && !end.released ? end.next : end.complete;
    return end;
  }

  return {
    open,
    page,
    toEnd: (runId, range) => advance(runId, range, placeBefore(range.segment, Infinity), () => true),
    verify(runId, { segment, fd, until, bound }, take = () => true) {
      const chain = new Chain(segment.h);
      const [from] = segment.places;
      if (from === undefined) throw new TypeError("unreachable: a segment has a first place");
      const known = segment.header.after;
      const end = walk({
        fd,
        window,
        runId,
        from,
        until,
        bound,
        known,
        chain,
        take: (events, at, decoder) => take(events, at, decoder, chain),
      });
      return { end, chain };
    },
  };
}

/** The nearest place of the index that is not behind a cursor. */
function placeBefore({ places, last }: Segment, after: number): Place {
  let low = 0;
  let high = places.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((places[middle]?.seq ?? 0) <= after) low = middle;
    else high = middle - 1;
  }
  const place = places[low] ?? last;
  return last.seq <= after && last.seq > place.seq ? last : place;
}

/** The refusal of a log that is damaged. Nothing behind the damage is read, and nothing is cut off. */
export function damaged(runId: string, path: string, { seq, what }: Damage): RubatoError {
  return new RubatoError(
    "log",
    `The log of run "${runId}" is damaged at seq ${seq}, in ${path}: ${what}. What stands before it can be read; restore the file from a copy.`,
  );
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
}
