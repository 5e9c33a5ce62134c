import type { Line } from "./row.ts";

const HEADINGS = ["what", "hand-written loop", "rubato", "ratio", "target", ""];

/** The lines as a Markdown table that also reads well in a terminal. */
export function table(lines: readonly Line[]): string {
  const rows = [HEADINGS, ...lines.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const [head = "", ...body] = rows.map(
    (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`,
  );
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [head, rule, ...body].join("\n");
}

function cells({ what, loop, rubato, ratio, target = "", met }: Line): string[] {
  const verdict = met === undefined ? "" : met ? "met" : "NOT met";
  return [what, loop, rubato, ratio === undefined ? "" : `${ratio.toFixed(2)} x`, target, verdict];
}
