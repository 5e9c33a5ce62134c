import type { Event } from "../machines/events.ts";

/**
 * One event for two that follow each other in one text, or in the arguments of one call; undefined where they do not. A fold of the merged one
 * says the same as a fold of both.
 */
export function merge(first: Event, second: Event): Event | undefined {
  if (first.type === "token_stream" && second.type === "token_stream") {
    const { kind, messageId, attempt, offset } = first.data;
    const next = second.data;
    if (kind !== next.kind || messageId !== next.messageId || attempt !== next.attempt) return undefined;
    // A piece between them was lost to whoever reads: what comes next does not stand where this one ends.
    if (offset + first.data.text.length !== next.offset) return undefined;
    return { ...second, data: { kind, text: first.data.text + next.text, messageId, attempt, offset } };
  }
  if (first.type === "tool_call_delta" && second.type === "tool_call_delta") {
    const next = second.data;
    const { messageId, attempt, callId } = first.data;
    if (messageId !== next.messageId || attempt !== next.attempt || callId !== next.callId) return undefined;
    // A head that comes twice may say something else the second time.
    if (next.name !== undefined || next.providerCallId !== undefined) return undefined;
    return { ...second, data: { ...first.data, args: first.data.args + next.args } };
  }
  return undefined;
}
