import type { Lane, Lanes } from "./lanes.ts";
import type { Recording } from "./recording.ts";

/** Chrome's trace event format, which Perfetto and `chrome://tracing` open. Times are microseconds. */
export interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly ph: "X" | "i" | "M";
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly s?: "t" | "p";
  readonly args: Readonly<Record<string, unknown>>;
}

export interface ChromeTrace {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: "ms";
  readonly otherData: Readonly<Record<string, string>>;
}

/** One process, one thread per lane; control events are instants on a lane of their own. Tokens are left out: their spans say when they came. */
export function chromeTrace(recording: Recording, lanes: Lanes): ChromeTrace {
  const { entries, runId } = recording;
  const start = entries[0]?.timestamp ?? 0;
  const at = (index: number): number => Math.round(((lanes.times[index] ?? start) - start) * 1_000);
  const events: TraceEvent[] = [
    meta("process_name", 0, `rubato ${runId}`),
    meta("thread_name", 0, "events"),
    ...lanes.lanes.map((lane, index) => meta("thread_name", index + 1, lane.label)),
  ];
  for (const [index, lane] of lanes.lanes.entries()) events.push(...spansOf(lane, index + 1, entries.length - 1, at));
  for (const [index, { seq, type, data }] of entries.entries()) {
    if (type === "token_stream" || type === "tool_call_delta" || type === "tool_progress") continue;
    events.push({ name: type, cat: "event", ph: "i", ts: at(index), pid: 1, tid: 0, s: "t", args: { seq, ...data } });
  }
  return { traceEvents: events, displayTimeUnit: "ms", otherData: { runId, from: "rubato" } };
}

function spansOf({ kind, spans }: Lane, tid: number, last: number, at: (index: number) => number): TraceEvent[] {
  return spans.map(({ from, to = last, label, tone }) => ({
    name: label,
    cat: kind,
    ph: "X",
    ts: at(from),
    dur: Math.max(0, at(to) - at(from)),
    pid: 1,
    tid,
    args: { tone },
  }));
}

function meta(name: string, tid: number, value: string): TraceEvent {
  return { name, cat: "__metadata", ph: "M", ts: 0, pid: 1, tid, args: { name: value } };
}
