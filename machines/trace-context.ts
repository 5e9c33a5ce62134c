import { hashText } from "./hash.ts";

/**
 * Ids of traces and spans (W3C Trace Context), made from what the log says: the same log gives the same trace wherever it is read, and a request that
 * goes out can name its span before anybody made one.
 */

/** `00-TRACE-SPAN-FLAGS`, as the header `traceparent` says it. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?$/;

/** What a `traceparent` says; undefined where it says nothing that can be used. */
export function readTraceparent(text: string | undefined): TraceContext | undefined {
  const [, traceId, spanId, flags = "00"] = TRACEPARENT.exec(text ?? "") ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  // Version 00 has nothing behind the flags.
  if (text?.startsWith("00") === true && text.length !== 55) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The trace of a run that nobody's trace contains: 32 hex digits. */
export function traceIdOf(runId: string): string {
  return hashText(`trace ${runId}`) + hashText(`${runId} trace`);
}

/** The span that the event of this seq begins: 16 hex digits. */
export function spanIdOf(runId: string, seq: number): string {
  return hashText(`span ${seq} ${runId}`);
}

/** What goes out with the work that the event of this seq begins. `parent`: what the run was begun with. */
export function traceparentOf(runId: string, seq: number, parent: string | undefined): string {
  const { traceId, sampled } = readTraceparent(parent) ?? { traceId: traceIdOf(runId), sampled: true };
  return `00-${traceId}-${spanIdOf(runId, seq)}-0${sampled ? 1 : 0}`;
}
