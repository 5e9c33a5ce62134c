import type { Event, HotEvent, Json } from "../../../machines/events.ts";

/**
 * What a short line leaves out, because the line before it said it: the place where a stream of deltas stands. A short line holds only the time
 * since the delta before it, and its text, fragment or value. Encoder and decoder move this place in the same way.
 */
export type Context =
  | {
      readonly type: "token_stream";
      readonly kind: "text" | "reasoning";
      readonly messageId: string;
      readonly attempt: number;
      /** Where the next text begins. */
      offset: number;
      timestamp: number;
    }
  | {
      readonly type: "tool_call_delta";
      readonly messageId: string;
      readonly attempt: number;
      readonly index: number;
      readonly callId: string;
      timestamp: number;
    }
  | { readonly type: "tool_progress"; readonly callId: string; readonly attempt: number; timestamp: number };

/** The place behind a delta that was written in full. */
export function contextAfter(event: HotEvent): Context {
  const { timestamp } = event;
  switch (event.type) {
    case "token_stream": {
      const { kind, messageId, attempt, offset, text } = event.data;
      return { type: event.type, kind, messageId, attempt, offset: offset + text.length, timestamp };
    }
    case "tool_call_delta": {
      const { messageId, attempt, index, callId } = event.data;
      return { type: event.type, messageId, attempt, index, callId, timestamp };
    }
    case "tool_progress": {
      const { callId, attempt } = event.data;
      return { type: event.type, callId, attempt, timestamp };
    }
  }
}

/** What a short line would hold of this delta; undefined where it must be written in full. Moves the place. */
export function continued(context: Context, event: HotEvent): Json | undefined {
  const since = event.timestamp - context.timestamp;
  // The sum of two fractions may be another one.
  if (event.cause !== undefined || context.timestamp + since !== event.timestamp) return undefined;
  const value = valueOf(context, event);
  if (value !== undefined) context.timestamp = event.timestamp;
  return value;
}

function valueOf(context: Context, event: HotEvent): Json | undefined {
  if (event.type === "token_stream") {
    if (context.type !== "token_stream") return undefined;
    const { kind, text, messageId, attempt, offset } = event.data;
    if (offset !== context.offset || kind !== context.kind) return undefined;
    if (attempt !== context.attempt || messageId !== context.messageId) return undefined;
    context.offset = offset + text.length;
    return text;
  }
  if (event.type === "tool_call_delta") {
    if (context.type !== "tool_call_delta") return undefined;
    const { messageId, attempt, index, callId, providerCallId, name, args } = event.data;
    if (providerCallId !== undefined || name !== undefined || index !== context.index) return undefined;
    const same = callId === context.callId && attempt === context.attempt && messageId === context.messageId;
    return same ? args : undefined;
  }
  if (context.type !== "tool_progress") return undefined;
  const { callId, attempt, value } = event.data;
  return callId === context.callId && attempt === context.attempt ? value : undefined;
}

/** What a delta belongs to: the lines of one of these are kept or pruned together. */
export function groupOf(event: HotEvent): string {
  return event.type === "tool_progress" ? `call ${event.data.callId}` : `message ${event.data.messageId}`;
}

/** The delta that a short line stands for; undefined when its value does not fit. Moves the place. */
export function deltaOf(
  context: Context,
  seq: number,
  runId: string,
  since: unknown,
  value: unknown,
): Event | undefined {
  if (typeof since !== "number") return undefined;
  const timestamp = context.timestamp + since;
  context.timestamp = timestamp;
  if (context.type === "tool_progress") {
    const { callId, attempt } = context;
    if (!isParsed(value)) return undefined;
    return { seq, timestamp, runId, type: "tool_progress", data: { callId, attempt, value } };
  }
  if (typeof value !== "string") return undefined;
  if (context.type === "tool_call_delta") {
    const { messageId, attempt, index, callId } = context;
    return {
      seq,
      timestamp,
      runId,
      type: "tool_call_delta",
      data: { messageId, attempt, index, callId, args: value },
    };
  }
  const { kind, messageId, attempt, offset } = context;
  context.offset = offset + value.length;
  return { seq, timestamp, runId, type: "token_stream", data: { kind, text: value, messageId, attempt, offset } };
}

/** What JSON.parse made is JSON. */
function isParsed(value: unknown): value is Json {
  return value !== undefined;
}
