import { statusOfSummary } from "./run-status.ts";
import type { RunSummary } from "../log/event-log.ts";
import { shortId } from "./find-run.ts";
import { oneLine } from "./sanitizer.ts";
import type { Theme } from "./theme.ts";
import { columnsOf, fit } from "./wrap.ts";

const HEAD = ["RUN", "STATUS", "AGENT", "EVENTS", "AGE", "TITLE"] as const;
const GAP = "  ";
const MIN_TITLE = 20;

/** The runs as rows of a table, cut to the width where there is one. */
export function formatRuns(
  runs: readonly RunSummary[],
  { now, width, theme }: { readonly now: number; readonly width: number | undefined; readonly theme: Theme },
): string[] {
  const ids = runs.map(({ runId }) => shortId(runId));
  const rows = runs.map((run, index) => {
    const short = ids[index] ?? run.runId;
    const own = ids.indexOf(short) === ids.lastIndexOf(short);
    return [
      own ? short : run.runId,
      statusOfSummary(run),
      oneLine(run.agent, 24),
      String(run.seq),
      run.updatedAt === 0 ? "" : age(now - run.updatedAt),
      oneLine(run.problem ?? run.title, run.problem === undefined ? 100 : 300),
    ];
  });
  const widths = HEAD.map((name, at) => Math.max(name.length, ...rows.map((row) => columnsOf(row[at] ?? ""))));
  const before = widths.slice(0, -1).reduce((sum, size) => sum + size + GAP.length, 0);
  const room = width === undefined ? undefined : Math.max(MIN_TITLE, width - before);
  return [HEAD, ...rows].map((row, line) => {
    const cells = row.map((cell, at) => {
      if (at === row.length - 1) return room === undefined ? cell : fit(cell, room);
      const space = " ".repeat(Math.max(0, (widths[at] ?? 0) - columnsOf(cell)));
      return HEAD[at] === "EVENTS" ? space + cell : cell + space;
    });
    const text = cells.join(GAP).trimEnd();
    if (line === 0) return theme.dim(text);
    return runs[line - 1]?.problem === undefined ? text : theme.error(text);
  });
}

/** How long ago, in one unit. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
