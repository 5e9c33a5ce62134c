import { closeSync } from "node:fs";
import { join } from "node:path";
import { isHot } from "../../../machines/events.ts";
import type { Status } from "../../../machines/state.ts";
import { messageOf } from "../../errors.ts";
import type { RunSummary } from "../event-log.ts";
import { emptySummary, summarize } from "../summary.ts";
import { runOf } from "./folder.ts";
import type { Pages } from "./pages.ts";
import type { SegmentReader } from "./reader.ts";
import { contentsOf, namesIn } from "./segment.ts";

export interface ListOptions extends Pages {
  readonly root: string;
  readonly reader: SegmentReader;
}

/** Summaries of all runs in a folder, oldest first. */
export function runLister({ root, reader, read, head }: ListOptions): (status: Status | undefined) => RunSummary[] {
  /** When the run was made, by the first line of its first segment. */
  function madeAt(runId: string, folder: string, epoch: number): number {
    try {
      const { segment, fd } = reader.open(runId, folder, epoch);
      closeSync(fd);
      return segment.header.at;
    } catch {
      // Damaged: it stands first, where it is seen.
      return 0;
    }
  }

  function summaryOf(runId: string): RunSummary {
    let summary = emptySummary(runId, { seq: 0, timestamp: 0 });
    let seq = 0;
    try {
      for (;;) {
        const page = read(runId, seq, 1_000);
        const [first] = page;
        if (first === undefined) break;
        if (seq === 0) summary = emptySummary(runId, first);
        for (const event of page) {
          if (!isHot(event)) summarize(summary, event);
          seq = event.seq;
          summary.updatedAt = event.timestamp;
        }
      }
      return { ...summary, seq, owned: head(runId).owned };
    } catch (error) {
      return { ...summary, seq, problem: messageOf(error) };
    }
  }

  return (status) =>
    namesIn(root)
      .flatMap((name) => {
        const runId = runOf(name);
        const [first] = runId === undefined ? [] : contentsOf(join(root, name)).segments;
        if (runId === undefined || first === undefined) return [];
        return [{ at: madeAt(runId, join(root, name), first), summary: summaryOf(runId) }];
      })
      .sort((a, b) => a.at - b.at)
      .map(({ summary }) => summary)
      .filter((summary) => status === undefined || summary.status === status);
}
