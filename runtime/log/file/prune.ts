import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Event } from "../../../machines/events.ts";
import { prunable, type SeqRange } from "../prunable.ts";
import { gapLine } from "./encoder.ts";
import { FILE_MODE } from "./folder.ts";
import { damaged, type SegmentRange, type SegmentReader } from "./reader.ts";
import { syncFolder } from "./segment.ts";

const CHUNK_BYTES = 65_536;

/** The ranges that a run can do without, from all of its events. */
export function rangesOf(read: (after: number, limit: number) => readonly Event[]): SeqRange[] {
  const found = prunable();
  for (let after = 0; ;) {
    const page = read(after, 1_000);
    const last = page.at(-1);
    if (last === undefined) return found.ranges();
    for (const event of page) found.take(event);
    after = last.seq;
  }
}

/** Bytes of a segment, and the line in their place. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly line: Buffer;
}

/** Lines that go. */
interface Dropped {
  readonly from: number;
  to: number;
  readonly start: number;
  end: number;
  /** The CRC of the line before them. */
  readonly before: number;
  last: number;
  open: boolean;
  timestamp: number;
}

/**
 * Writes a segment anew without the ranges, beside the old one, and puts it in its place: whoever reads the old one at that moment still has
 * it, and a crash leaves one of the two. Nobody owns it and it is sealed. A range that goes on in the next segment becomes a gap in each.
 */
export function pruneSegment(
  reader: SegmentReader,
  runId: string,
  folder: string,
  range: SegmentRange,
  drop: readonly SeqRange[],
): void {
  const { edits, end } = editsOf(reader, runId, range, drop);
  if (edits.length === 0) return;
  const temporary = join(folder, `.tmp-${randomUUID()}`);
  try {
    const to = openSync(temporary, "wx", FILE_MODE);
    try {
      let at = 0;
      for (const { start, end: next, line } of edits) {
        copy(range.fd, to, at, start);
        for (let done = 0; done < line.length;) done += writeSync(to, line, done);
        at = next;
      }
      copy(range.fd, to, at, end);
      fsyncSync(to);
    } finally {
      closeSync(to);
    }
    renameSync(temporary, range.segment.path);
    syncFolder(folder);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function editsOf(
  reader: SegmentReader,
  runId: string,
  range: SegmentRange,
  drop: readonly SeqRange[],
): { edits: readonly Edit[]; end: number } {
  const edits: Edit[] = [];
  let dropped: Dropped | undefined;
  let crc = range.segment.places[0]?.crc ?? 0;
  let index = 0;

  const finish = (digest: string): void => {
    if (dropped === undefined) return;
    const { from, to, start, end, timestamp, open, before, last } = dropped;
    edits.push({
      start,
      end,
      line: gapLine({ seq: to, timestamp, data: { from, to, digest } }, { open, before, last }),
    });
    dropped = undefined;
  };

  const { end, chain } = reader.verify(runId, range, (events, { start, end }, decoder, chain) => {
    const first = events[0];
    const last = events.at(-1);
    if (first === undefined || last === undefined) return true;
    while ((drop[index]?.to ?? Infinity) < first.seq) index++;
    const { from, to } = drop[index] ?? { from: Infinity, to: 0 };
    const goes = first.seq >= from && last.seq <= to;
    // What follows a range has ended the last group in it.
    if (dropped !== undefined && (!goes || dropped.to < from)) finish(chain.ended);
    if (goes) {
      dropped ??= { from: first.seq, to: 0, start, end, before: crc, last: 0, open: false, timestamp: 0 };
      dropped.to = last.seq;
      dropped.end = end;
      dropped.last = decoder.crc;
      dropped.open = decoder.open;
      dropped.timestamp = last.timestamp;
    }
    crc = decoder.crc;
    return true;
  });
  if (end.damage !== undefined) throw damaged(runId, range.segment.path, end.damage);
  chain.end();
  finish(chain.ended);
  return { edits, end: end.complete.offset };
}

function copy(from: number, to: number, start: number, end: number): void {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = start; at < end;) {
    const count = readSync(from, chunk, 0, Math.min(chunk.length, end - at), at);
    if (count === 0) return;
    for (let done = 0; done < count;) done += writeSync(to, chunk, done, count - done);
    at += count;
  }
}
