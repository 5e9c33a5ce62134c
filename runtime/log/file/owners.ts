import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RubatoError } from "../../errors.ts";
import { crcText } from "./crc.ts";
import type { SegmentEnd } from "./encoder.ts";
import { isOwner, thisProcess, type Owner } from "./owner.ts";
import { damaged, type SegmentReader } from "./reader.ts";
import { claimName, contentsOf, createWhole, headerLine, isThere, segmentName } from "./segment.ts";

/**
 * How a run passes from one owner to the next without a lock.
 *
 * O1 Epoch q belongs to whoever made the mark `q.claim`; link(2) lets one of any number of claimants do that. A run's first epoch belongs to
 *    whoever renamed its folder into place.
 * O2 The segment of q is made after its mark: its header says where the segment before it ends, as it was read after the mark was there. An
 *    owner looks for the mark after every write (W2). So a batch that was answered as stored was in the file before the mark, and whoever reads
 *    the file for the header finds it; what a stale owner writes later stands behind the end that the header names, and counts for nobody (I16).
 * O3 Segments and marks appear complete or not at all. A claimant that dies between the two leaves a mark without a segment: whoever looks at
 *    the run next, reader or claimant, makes the segment in its name. Of several the first counts, and all of them read after the mark (O2).
 * O4 A read of the newest segment counts only if no newer mark is there after it: else it may have seen what the header will leave out.
 */
export interface Owners {
  /** The epochs of a run's segments, oldest first, after every mark has its segment. Empty for a run that does not exist. */
  settle(runId: string, folder: string): readonly number[];
  /** Makes the next epoch ours. False when somebody else was first. */
  claim(runId: string, folder: string, newest: number): boolean;
  /** Whether somebody claimed the epoch behind this one. */
  isStale(folder: string, epoch: number): boolean;
  /** Where a segment ends, with everything in it checked. */
  endOf(runId: string, folder: string, epoch: number, bound?: number): FileEnd;
}

/** Where the next line goes, and what it goes on from. */
export interface FileEnd extends SegmentEnd {
  readonly offset: number;
}

export function owners(reader: SegmentReader, now: () => number): Owners {
  function endOf(runId: string, folder: string, epoch: number, bound?: number): FileEnd {
    const { segment, fd } = reader.open(runId, folder, epoch);
    try {
      const { end, chain } = reader.verify(runId, { segment, fd, bound });
      if (end.damage !== undefined) throw damaged(runId, segment.path, end.damage);
      const { seq, crc, offset } = end.complete;
      if (end.next.seq === seq) return { seq, crc, offset, chain };
      // The chain went into a batch that has no end.
      return { seq, crc, offset, chain: reader.verify(runId, { segment, fd, bound, until: seq }).chain };
    } finally {
      closeSync(fd);
    }
  }

  /** Makes the segment that belongs to a mark. */
  function seal(runId: string, folder: string, before: number, epoch: number): void {
    const { seq, crc, chain } = endOf(runId, folder, before);
    const owner = claimantOf(folder, epoch);
    const header = { run: runId, epoch, after: seq, owner, at: now(), before: { h: chain.end(), c: crcText(crc) } };
    createWhole(folder, segmentName(epoch), headerLine(header).line);
  }

  return {
    settle(runId, folder) {
      for (;;) {
        const { segments, claim } = contentsOf(folder);
        const newest = segments.at(-1);
        if (newest === undefined || claim <= newest) return segments;
        seal(runId, folder, newest, newest + 1);
      }
    },
    claim(runId, folder, newest) {
      // Before the mark: a log that is damaged refuses here, and stays as it is.
      endOf(runId, folder, newest);
      return createWhole(folder, claimName(newest + 1), `${JSON.stringify(thisProcess())}\n`);
    },
    isStale: (folder, epoch) => isThere(folder, claimName(epoch + 1)),
    endOf,
  };
}

function claimantOf(folder: string, epoch: number): Owner {
  const value: unknown = JSON.parse(readFileSync(join(folder, claimName(epoch)), "utf8"));
  if (isOwner(value)) return value;
  throw new RubatoError("log", `${join(folder, claimName(epoch))} does not say who claimed the run. Restore it.`);
}
