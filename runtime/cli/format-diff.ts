import type { DiffSide, RunDiff } from "../diff-runs.ts";
import { describeCall } from "./describe-call.ts";
import { lineOf } from "./describe-event.ts";
import { shortId } from "./find-run.ts";
import { oneLine } from "./sanitizer.ts";
import type { Theme } from "./theme.ts";

/** Two runs side by side, as lines: `-` is of the first, `+` of the second. */
export function formatDiff({ common, same, a, b, text }: RunDiff, theme: Theme): string[] {
  const minus = (line: string): string => theme.error(`- ${line}`);
  const plus = (line: string): string => theme.add(`+ ${line}`);
  const rows = [minus(headOf(a)), plus(headOf(b))];
  if (same) return [...rows, `the same in all ${common} events`];
  rows.push(common === 0 ? "they have nothing in common" : `the same up to seq ${common}`);
  if (a.first !== undefined) rows.push(minus(lineOf(a.first)));
  if (b.first !== undefined) rows.push(plus(lineOf(b.first)));
  rows.push("", "text");
  for (const { kind, line } of text) {
    const shown = oneLine(line, 400);
    rows.push(kind === "same" ? `  ${shown}` : kind === "removed" ? minus(shown) : plus(shown));
  }
  rows.push("", "tools", ...callsOf(a).map(minus), ...callsOf(b).map(plus));
  rows.push("", "cost", minus(costOf(a)), plus(costOf(b)));
  return rows;
}

function headOf({ runId, status, seq }: DiffSide): string {
  return `${shortId(runId)}  ${status}, ${seq} events`;
}

function callsOf({ calls }: DiffSide): string[] {
  if (calls.length === 0) return ["none"];
  return calls.map(({ callId, name, args, outcome }) => `${callId} ${describeCall(name, args)} → ${outcome ?? "open"}`);
}

function costOf({ steps, usage }: DiffSide): string {
  const { inputTokens, outputTokens, unknownRequests } = usage;
  const more =
    unknownRequests === 0 ? "" : `, ${unknownRequests} ${unknownRequests === 1 ? "request" : "requests"} not counted`;
  return `${steps} ${steps === 1 ? "step" : "steps"}, ${inputTokens} tokens in, ${outputTokens} out${more}`;
}
