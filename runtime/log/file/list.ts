import { closeSync, fstatSync } from "node:fs";
import { join } from "node:path";
import { isHot, type Event } from "../../../machines/events.ts";
import type { Status } from "../../../machines/state.ts";
import { messageOf } from "../../errors.ts";
import { keepLatest } from "../../keep-latest.ts";
import { PAGE_BYTES, type RunSummary } from "../event-log.ts";
import { decidesStatus, emptySummary, summarize } from "../summary.ts";
import { runOf } from "./folder.ts";
import { holdsRun } from "./owner.ts";
import type { Owners } from "./owners.ts";
import type { Pages, PagesOptions } from "./pages.ts";
import { damaged, isMissing, type Segment, type SegmentReader } from "./reader.ts";
import { contentsOf, namesIn } from "./segment.ts";
import { tailOf, type Tail } from "./tail.ts";
import { Window } from "./walk.ts";

/** So many events at the beginning of a run are looked at for its title. */
const TITLE_WITHIN = 64;
/** Runs whose summaries are kept: a list that is asked for again and again reads only what has grown. */
const KNOWN = 10_000;

/** The end of a run, as far as its status needs it. */
interface RunEnd {
  readonly events: readonly Event[];
  /** Its owner let go. */
  readonly released: boolean;
  readonly seq: number;
  readonly timestamp: number | undefined;
}

interface SegmentFile extends Pick<Segment, "file" | "header"> {
  readonly size: number;
  /** When it was written to, ms. */
  readonly changed: number;
}

/** A summary, and the files that it was made of. */
interface Seen extends Pick<RunEnd, "released"> {
  readonly stamp: string;
  readonly summary: RunSummary;
}

export interface ListOptions extends Pick<PagesOptions, "ownEnd">, Pick<Pages, "read"> {
  readonly root: string;
  readonly reader: SegmentReader;
  readonly owners: Owners;
}

/** Summaries of all runs in a folder, oldest first, from the first and the last lines of each. What lies between is not read, and not checked. */
export function runLister(options: ListOptions): (status: Status | undefined) => RunSummary[] {
  const { root, reader, owners, read, ownEnd } = options;
  const window = new Window();
  const known = new Map<string, Seen>();

  /** The events at the end of a run, enough to tell its status, and whether its owner let go. */
  function endOf(runId: string, folder: string, epochs: readonly number[]): RunEnd {
    const events: Event[] = [];
    let released = false;
    let seq = 0;
    let timestamp: number | undefined;
    let until: number | undefined;
    for (const epoch of epochs.toReversed()) {
      const { segment, fd } = reader.open(runId, folder, epoch);
      let tail: Tail;
      try {
        const own = until === undefined ? ownEnd(runId) : undefined;
        const bound = own?.epoch === epoch ? own.durable : undefined;
        tail = tailOf(runId, { segment, fd, until, bound }, window, decidesStatus);
      } finally {
        closeSync(fd);
      }
      if (tail.damage !== undefined) throw damaged(runId, segment.path, tail.damage);
      if (until === undefined) {
        released = tail.released;
        seq = tail.complete.seq;
      }
      timestamp ??= tail.timestamp;
      events.unshift(...tail.events);
      if (events.some(decidesStatus)) break;
      until = segment.header.after;
    }
    return { events, released, seq, timestamp };
  }

  /** Which file a segment is, and as far as that tells, whether anything was written to it. */
  function fileOf(runId: string, folder: string, epoch: number): SegmentFile {
    const { segment, fd } = reader.open(runId, folder, epoch);
    try {
      const { size, mtimeMs } = fstatSync(fd);
      return { file: segment.file, header: segment.header, size, changed: mtimeMs };
    } finally {
      closeSync(fd);
    }
  }

  /** What the ends of a run say: read again only where one of the files is another one, or has grown. */
  function summaryOf(runId: string, folder: string): { summary: RunSummary; at: number } | undefined {
    let summary = emptySummary(runId, { seq: 0, timestamp: 0 });
    // A run whose first line cannot be read stands first, where it is seen.
    let at = 0;
    try {
      const epochs = owners.settle(runId, folder);
      const [first] = epochs;
      if (first === undefined) return undefined;
      const newest = epochs.at(-1) ?? first;
      const begin = fileOf(runId, folder, first);
      const end = newest === first ? begin : fileOf(runId, folder, newest);
      at = begin.header.at;
      const own = ownEnd(runId);
      const stamp = [epochs.join(), stampOf(begin), stampOf(end), own?.epoch, own?.durable].join(" ");
      let seen = known.get(runId);
      if (seen?.stamp !== stamp) {
        const beginning = read(runId, { after: 0, limit: TITLE_WITHIN, bytes: PAGE_BYTES });
        const [start] = beginning;
        if (start !== undefined) summary = emptySummary(runId, start);
        for (const event of beginning) if (!isHot(event)) summarize(summary, event);
        const { title } = summary;
        const { events, released, seq, timestamp = summary.updatedAt } = endOf(runId, folder, epochs);
        for (const event of events) summarize(summary, event);
        seen = { stamp, released, summary: { ...summary, title, updatedAt: timestamp, seq } };
      }
      keepLatest(known, runId, seen, KNOWN);
      // Whether a process lives is looked at each time.
      const owned = !seen.released && holdsRun(end.header.owner, folder, newest);
      return { at, summary: { ...seen.summary, owned } };
    } catch (error) {
      known.delete(runId);
      // Deleted meanwhile.
      if (isMissing(error) && contentsOf(folder).segments.length === 0) return undefined;
      return { at, summary: { ...summary, problem: messageOf(error) } };
    }
  }

  return (status) =>
    namesIn(root)
      .flatMap((name) => {
        const runId = runOf(name);
        return runId === undefined ? [] : (summaryOf(runId, join(root, name)) ?? []);
      })
      .sort((a, b) => a.at - b.at)
      .map(({ summary }) => summary)
      .filter((summary) => status === undefined || summary.status === status);
}

function stampOf({ file, size, changed }: SegmentFile): string {
  return `${file} ${size} ${changed}`;
}
