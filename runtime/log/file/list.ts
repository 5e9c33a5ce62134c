import { closeSync } from "node:fs";
import { join } from "node:path";
import { isHot, type Event } from "../../../machines/events.ts";
import type { Status } from "../../../machines/state.ts";
import { messageOf } from "../../errors.ts";
import type { RunSummary } from "../event-log.ts";
import { decidesStatus, emptySummary, summarize } from "../summary.ts";
import { runOf } from "./folder.ts";
import { holdsRun } from "./owner.ts";
import type { Owners } from "./owners.ts";
import type { Pages, PagesOptions } from "./pages.ts";
import { damaged, isMissing, type SegmentReader } from "./reader.ts";
import { contentsOf, namesIn } from "./segment.ts";
import { tailOf, type Tail } from "./tail.ts";
import { Window } from "./walk.ts";

/** So many events at the beginning of a run are looked at for its title. */
const TITLE_WITHIN = 64;

export interface ListOptions extends Pick<PagesOptions, "ownEnd">, Pick<Pages, "read"> {
  readonly root: string;
  readonly reader: SegmentReader;
  readonly owners: Owners;
}

/** Summaries of all runs in a folder, oldest first, from the first and the last lines of each. What lies between is not read, and not checked. */
export function runLister(options: ListOptions): (status: Status | undefined) => RunSummary[] {
  const { root, reader, owners, read, ownEnd } = options;
  const window = new Window();

  /** The events at the end of a run, enough to tell its status, and whether its owner let go. */
  function endOf(
    runId: string,
    folder: string,
    epochs: readonly number[],
  ): { events: Event[]; owned: boolean; seq: number } {
    const events: Event[] = [];
    let owned = false;
    let seq = 0;
    let until: number | undefined;
    for (const epoch of epochs.toReversed()) {
      const { segment, fd } = reader.open(runId, folder, epoch);
      let tail: Tail;
      try {
        const own = until === undefined ? ownEnd(runId) : undefined;
        const bound = own?.epoch === epoch ? own.durable : undefined;
        tail = tailOf(runId, { segment, fd, until, bound }, window, (found) => found.some(decidesStatus));
      } finally {
        closeSync(fd);
      }
      if (tail.damage !== undefined) throw damaged(runId, segment.path, tail.damage);
      if (until === undefined) {
        owned = !tail.released && holdsRun(segment.header.owner, folder, epoch);
        seq = tail.complete.seq;
      }
      events.unshift(...tail.events);
      if (events.some(decidesStatus)) break;
      until = segment.header.after;
    }
    return { events, owned, seq };
  }

  function summaryOf(runId: string, folder: string): { summary: RunSummary; at: number } | undefined {
    let summary = emptySummary(runId, { seq: 0, timestamp: 0 });
    // A run whose first line cannot be read stands first, where it is seen.
    let at = 0;
    try {
      const epochs = owners.settle(runId, folder);
      const [first] = epochs;
      if (first === undefined) return undefined;
      const { segment, fd } = reader.open(runId, folder, first);
      closeSync(fd);
      at = segment.header.at;
      const beginning = read(runId, 0, TITLE_WITHIN);
      const [start] = beginning;
      if (start !== undefined) summary = emptySummary(runId, start);
      for (const event of beginning) if (!isHot(event)) summarize(summary, event);
      const { events, owned, seq } = endOf(runId, folder, epochs);
      const { title } = summary;
      for (const event of events) if (!isHot(event)) summarize(summary, event);
      const last = events.at(-1)?.timestamp ?? summary.updatedAt;
      return { at, summary: { ...summary, title, updatedAt: last, seq, owned } };
    } catch (error) {
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
