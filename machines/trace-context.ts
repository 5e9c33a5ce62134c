import { hashText } from "./hash.ts";

/**
 * W3C Trace Context: what a caller says about its trace, and the ids of ours. Those are made from what the log says: the same log gives the same trace
 * wherever it is read, and a request that goes out can name its span before anybody made one.
 */

/** `00-TRACE-SPAN-FLAGS`, as the header `traceparent` says it. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

/** The two headers of a caller. Made by {@link traceHeaders}: they fit the grammar and are no longer than they may be. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

const TRACEPARENT = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?$/;
/** Of a version to come. What is longer is nobody's. */
const MOST_TRACEPARENT = 512;

/** What a `traceparent` says; undefined where it says nothing that can be used. */
export function readTraceparent(text: string | undefined): TraceContext | undefined {
  if (text === undefined || text.length > MOST_TRACEPARENT) return undefined;
  const [, version = "", traceId, spanId, flags = "00"] = TRACEPARENT.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  // Version 00 has nothing behind the flags.
  if (version === "00" && text.length !== 55) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

const KEY = "[a-z][\\da-z_*/-]{0,255}|[\\da-z][\\da-z_*/-]{0,240}@[a-z][\\da-z_*/-]{0,13}";
const VALUE = "[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]";
const MEMBER = new RegExp(`^(${KEY})=${VALUE}$`);
const MOST_MEMBERS = 32;
/** Headers of one name come joined. What is longer than this is not even looked at. */
const MOST_READ = 16_384;
/** What is handed on, characters. Members longer than the second go first, then the last ones, as the recommendation says. */
const MOST_TRACESTATE = 512;
const LONG_MEMBER = 128;

/** A `tracestate` as it is handed on; undefined where there is none, or one that breaks the grammar (then all of it is dropped). */
export function readTracestate(text: string | undefined): string | undefined {
  if (text === undefined || text.length > MOST_READ) return undefined;
  const keys = new Set<string>();
  let members: string[] = [];
  for (const part of text.split(",")) {
    const member = part.replace(/^[ \t]+|[ \t]+$/g, "");
    if (member === "") continue;
    const key = MEMBER.exec(member)?.[1];
    if (key === undefined || keys.has(key) || keys.size === MOST_MEMBERS) return undefined;
    keys.add(key);
    members.push(member);
  }
  const tooLong = (): boolean => members.join(",").length > MOST_TRACESTATE;
  if (tooLong()) members = members.filter((member) => member.length <= LONG_MEMBER);
  while (tooLong()) members.pop();
  return members.length === 0 ? undefined : members.join(",");
}

/** What a caller said; undefined where it said nothing that can be used. A `tracestate` says nothing without its `traceparent`. */
export function traceHeaders(
  traceparent: string | null | undefined,
  tracestate: string | null | undefined,
): TraceHeaders | undefined {
  const context = readTraceparent(traceparent ?? undefined);
  if (context === undefined) return undefined;
  const state = readTracestate(tracestate ?? undefined);
  const flags = context.sampled ? "01" : "00";
  return {
    // Of a later version what this one knows.
    traceparent: `00-${context.traceId}-${context.spanId}-${flags}`,
    ...(state === undefined ? {} : { tracestate: state }),
  };
}

/** A run among all: agents that have logs of their own may use the same ids. */
export interface TracedRun {
  readonly agent: string;
  readonly runId: string;
}

/** The trace of a run that nobody's trace contains: 32 hex digits. */
export function traceIdOf({ agent, runId }: TracedRun): string {
  return hashText(`trace ${runId} ${agent}`) + hashText(`${runId} trace ${agent}`);
}

/** The span that the event of this seq begins: 16 hex digits. */
export function spanIdOf({ agent, runId }: TracedRun, seq: number): string {
  return hashText(`span ${seq} ${runId} ${agent}`);
}

/** What goes out with the work that the event of this seq begins. `caller`: who began the turn. */
export function headersOut(run: TracedRun, seq: number, caller: TraceHeaders | undefined): TraceHeaders {
  const { traceId, sampled } = readTraceparent(caller?.traceparent) ?? { traceId: traceIdOf(run), sampled: true };
  const traceparent = `00-${traceId}-${spanIdOf(run, seq)}-0${sampled ? 1 : 0}`;
  return caller?.tracestate === undefined ? { traceparent } : { traceparent, tracestate: caller.tracestate };
}
