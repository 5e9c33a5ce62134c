import { closeSync, fdatasyncSync } from "node:fs";
import type { Event } from "../../../machines/events.ts";
import { isRunId, type LogHead, type ReadRange } from "../event-log.ts";
import { folderOf } from "./folder.ts";
import { holdsRun } from "./owner.ts";
import type { Owners } from "./owners.ts";
import { damaged, isMissing, type Segment, type SegmentReader } from "./reader.ts";
import { join } from "node:path";

/** What this process itself stored in the newest segment of a run. */
export interface OwnEnd {
  readonly epoch: number;
  readonly durable: number;
  readonly durableSeq: number;
}

export interface PagesOptions {
  readonly root: string;
  readonly reader: SegmentReader;
  readonly owners: Owners;
  readonly ownEnd: (runId: string) => OwnEnd | undefined;
  /** What others wrote is on the disk before anybody sees it. */
  readonly power: boolean;
}

/** Reads runs, whoever writes them. */
export interface Pages {
  readonly read: (runId: string, range: ReadRange) => Event[];
  readonly head: (runId: string) => LogHead;
}

export function pages({ root, reader, owners, ownEnd, power }: PagesOptions): Pages {
  /** Another try where an owner changed, or a file was replaced, in the middle of the read. */
  function steadily<T>(runId: string, none: T, act: (folder: string, epochs: readonly number[]) => T | undefined): T {
    if (!isRunId(runId)) return none;
    const folder = join(root, folderOf(runId));
    for (let attempt = 0; ; attempt++) {
      try {
        const epochs = owners.settle(runId, folder);
        if (epochs.length === 0) return none;
        const answer = act(folder, epochs);
        if (answer !== undefined) return answer;
      } catch (error) {
        // Deleted meanwhile: then there is no run any more. A file that is missing from one that is there stays missing.
        if (!isMissing(error) || attempt > 100) throw error;
      }
    }
  }

  /** The segments from the one that holds the event behind a cursor, oldest first, opened. */
  function opened<T>(
    runId: string,
    folder: string,
    epochs: readonly number[],
    after: number,
    act: (list: readonly { readonly segment: Segment; readonly fd: number }[]) => T,
  ): T {
    const list: { segment: Segment; fd: number }[] = [];
    try {
      for (let at = epochs.length - 1; at >= 0; at--) {
        const one = reader.open(runId, folder, epochs[at] ?? 0);
        list.unshift(one);
        if (one.segment.header.after <= after) break;
      }
      return act(list);
    } finally {
      for (const { fd } of list) closeSync(fd);
    }
  }

  /** O4: what was read of a segment that others write counts only if nobody claimed meanwhile. */
  function holds(folder: string, epoch: number, fd: number): boolean {
    if (power) fdatasyncSync(fd);
    return !owners.isStale(folder, epoch);
  }

  return {
    read: (runId, { after, limit, bytes = Infinity }) =>
      steadily(runId, [], (folder, epochs) =>
        opened(runId, folder, epochs, after, (list) => {
          const events: Event[] = [];
          let left = bytes;
          for (const [at, { segment, fd }] of list.entries()) {
            if (events.length >= limit || (events.length > 0 && left <= 0)) break;
            const until = list[at + 1]?.segment.header.after;
            const { epoch } = segment.header;
            const own = until === undefined ? ownEnd(runId) : undefined;
            const bound = own?.epoch === epoch ? own.durable : undefined;
            const range = { after, limit, bytes: left };
            const { read, damage } = reader.page(runId, { segment, fd, until, bound }, range, events);
            left -= read;
            if (until === undefined && bound === undefined && !holds(folder, epoch, fd)) return undefined;
            // What stands before the damage is answered; whoever asks for more is told.
            if (damage !== undefined && events.length === 0) throw damaged(runId, segment.path, damage);
            if (damage !== undefined) break;
          }
          return events;
        }),
      ),
    head: (runId) =>
      steadily<LogHead>(runId, { seq: 0, epoch: 0, owned: false }, (folder, epochs) => {
        const newest = epochs.at(-1) ?? 0;
        const own = ownEnd(runId);
        if (own?.epoch === newest) return { seq: own.durableSeq, epoch: newest, owned: true };
        return opened(runId, folder, [newest], Infinity, ([one]) => {
          if (one === undefined) return undefined;
          const { segment, fd } = one;
          const end = reader.toEnd(runId, { segment, fd });
          if (!holds(folder, newest, fd)) return undefined;
          if (end.damage !== undefined) throw damaged(runId, segment.path, end.damage);
          return {
            seq: end.complete.seq,
            epoch: newest,
            owned: !end.released && holdsRun(segment.header.owner, folder, newest),
          };
        });
      }),
  };
}
