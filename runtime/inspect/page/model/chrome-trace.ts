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

/**
 * One process, one thread per lane; control events are instants on a lane of their own. Tokens are left out: their spans say when they came. The
 * text comes in pieces, an event each: that of a long run in one string would be more than a browser can hold.
 */
export function* chromeTrace(recording: Recording, lanes: Lanes): Generator<string, void, undefined> {
  yield '{"traceEvents":[';
  let between = "";
  for (const event of eventsOf(recording, lanes)) {
    yield `${between}${JSON.stringify(event)}`;
    between = ",\n";
  }
  yield `],"displayTimeUnit":"ms","otherData":${JSON.stringify({ runId: recording.runId, from: "rubato" })}}`;
}

function* eventsOf({ entries, runId }: Recording, lanes: Lanes): Generator<TraceEvent, void, undefined> {
  // As they are now: of a run that goes on one may come while this is written.
  const { lanes: all } = lanes;
  const start = entries[0]?.timestamp ?? 0;
  const at = (index: number): number => Math.round(((lanes.times[index] ?? start) - start) * 1_000);
  yield meta("process_name", 0, `rubato ${runId}`);
  yield meta("thread_name", 0, "events");
  for (const [index, lane] of all.entries()) yield meta("thread_name", index + 1, lane.label);
  for (const [index, lane] of all.entries()) yield* spansOf(lane, index + 1, entries.length - 1, at);
  for (const [index, { seq, type, data }] of entries.entries()) {
    if (type === "token_stream" || type === "tool_call_delta" || type === "tool_progress") continue;
    yield { name: type, cat: "event", ph: "i", ts: at(index), pid: 1, tid: 0, s: "t", args: { seq, ...data } };
  }
}

function* spansOf(
  { kind, spans }: Lane,
  tid: number,
  last: number,
  at: (index: number) => number,
): Generator<TraceEvent, void, undefined> {
  for (const { from, to = last, label, tone } of spans) {
    const dur = Math.max(0, at(to) - at(from));
    yield { name: label, cat: kind, ph: "X", ts: at(from), dur, pid: 1, tid, args: { tone } };
  }
}

function meta(name: string, tid: number, value: string): TraceEvent {
  return { name, cat: "__metadata", ph: "M", ts: 0, pid: 1, tid, args: { name: value } };
}
