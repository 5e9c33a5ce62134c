import { fstatSync, readSync } from "node:fs";
import { isHot, isNote, type Event } from "../../../machines/events.ts";
import { crcAt } from "./crc.ts";
import type { Place } from "./decoder.ts";
import type { SegmentRange } from "./reader.ts";
import { walk, type Walk, type WalkEnd, type Window } from "./walk.ts";

const FIRST_LOOK = 16_384;
const LINE_END = 10;

export interface Tail extends WalkEnd {
  /** Control events in the part that was looked at, oldest first, whole batches only, without notes: from the last one that decides on. */
  readonly events: readonly Event[];
  /** When the last event of them all came; undefined where there is none in that part. */
  readonly timestamp: number | undefined;
  /** That was all of the segment. */
  readonly whole: boolean;
}

/**
 * The end of a segment without what stands before it: a run of a million events is shown in a list as fast as one of ten. Looks at more and
 * more until there is an event that `decides`. What comes before the last such event is not kept: it may be large.
 */
export function tailOf(
  runId: string,
  { segment, fd, until, bound }: SegmentRange,
  window: Window,
  decides: (event: Event) => boolean,
): Tail {
  const size = Math.min(fstatSync(fd).size, bound ?? Infinity);
  const [first] = segment.places;
  if (first === undefined) throw new TypeError("unreachable: a segment has a first place");
  for (let look = FIRST_LOOK; ; look *= 4) {
    const whole = size - look <= first.offset;
    const from = whole ? first : placeIn(fd, size - look, size);
    if (from === undefined || (until !== undefined && from.seq >= until)) {
      if (!whole) continue;
    }
    let events: Event[] = [];
    let timestamp: number | undefined;
    // What has an end, apart from what may have none: only whole batches count.
    let open: Event[] = [];
    const take: Walk["take"] = (line, _at, decoder) => {
      for (const event of line) open.push(event);
      if (decoder.open) return true;
      timestamp = open.at(-1)?.timestamp ?? timestamp;
      for (const event of open) {
        if (isHot(event) || isNote(event)) continue;
        if (decides(event)) events = [];
        events.push(event);
      }
      open = [];
      return true;
    };
    const end = walk({ fd, window, runId, from: from ?? first, until, bound, known: 0, take });
    if (whole || end.damage !== undefined || events.some(decides)) return { ...end, events, timestamp, whole };
  }
}

/** The first line in a part of a file from which a reader can go on: it names its seq, and a batch ends before it. */
function placeIn(fd: number, start: number, end: number): Place | undefined {
  const bytes = Buffer.allocUnsafe(end - start);
  const view = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, start));
  let before = view.indexOf(LINE_END) + 1;
  for (;;) {
    const at = view.indexOf(LINE_END, before) + 1;
    const next = view.indexOf(LINE_END, at);
    if (before === 0 || at === 0 || next === -1) return undefined;
    const record = recordOf(view, at, next);
    if (record !== undefined && endsBatch(view, before, at - 1)) {
      return { offset: start + at, seq: record - 1, crc: crcAt(view, at - 11), context: undefined };
    }
    before = at;
  }
}

/** The first seq that a line names; undefined for a short one, and for what is none. */
function recordOf(view: Buffer, start: number, end: number): number | undefined {
  const record = parsed(view, start, end);
  if (typeof record !== "object" || record === null || Array.isArray(record) || "t" in record) return undefined;
  return "seq" in record && typeof record.seq === "number" ? record.seq : undefined;
}

/** Whether a batch ends with a line. A pruned range's record does not say so itself: the line behind it goes on from another CRC. */
function endsBatch(view: Buffer, start: number, end: number): boolean {
  const record = parsed(view, start, end);
  if (Array.isArray(record)) return record.length % 2 === 1;
  return typeof record === "object" && record !== null && "seq" in record && !("b" in record) && !("t" in record);
}

function parsed(view: Buffer, start: number, end: number): unknown {
  try {
    return JSON.parse(view.toString("utf8", start, end));
  } catch {
    return undefined;
  }
}
