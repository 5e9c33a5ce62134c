import { z } from "zod";
import type { DeepReadonly } from "./deep-readonly.ts";

/** A call as the model asked for it. `callId` is ours (`step.index`); the provider's id may repeat or be empty and is only a note. */
export const requestedCallSchema = z.object({
  callId: z.string(),
  providerCallId: z.string(),
  name: z.string(),
  /** The arguments as JSON text, exactly as streamed. May be invalid: nothing runs before it is parsed and validated. */
  args: z.string(),
});
export type RequestedCall = Readonly<z.infer<typeof requestedCallSchema>>;

/** How a tool call ended. `open` is the placeholder of a call that has no outcome yet. */
export const toolOutcomeSchema = z.enum(["ok", "error", "rejected", "skipped", "aborted", "timeout", "unknown"]);
export type ToolOutcome = z.infer<typeof toolOutcomeSchema>;

/**
 * A message in the provider-neutral form that a model request carries and `state.messages` shows.
 * In every list that rubato makes, each call of an assistant message is followed by exactly one `tool` message, in call order.
 */
export const messageSchema = z.discriminatedUnion("role", [
  z.object({ role: z.literal("system"), content: z.string() }),
  z.object({ role: z.literal("user"), content: z.string(), inputId: z.string().optional() }),
  z.object({
    role: z.literal("assistant"),
    content: z.string(),
    messageId: z.string().optional(),
    toolCalls: z.array(requestedCallSchema).optional(),
    /** The message was stopped before its end and stays as it was. */
    cut: z.literal(true).optional(),
  }),
  z.object({
    role: z.literal("tool"),
    callId: z.string(),
    name: z.string(),
    content: z.string(),
    outcome: z.union([toolOutcomeSchema, z.literal("open")]),
  }),
]);
export type Message = DeepReadonly<z.infer<typeof messageSchema>>;

/**
 * Says what a provider would refuse in a message list, or undefined when it is valid: every call has exactly one result,
 * directly after its message and in call order, and no result stands without its call.
 */
export function messageListProblem(messages: readonly Message[]): string | undefined {
  let expected: string[] = [];
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      const wanted = expected.shift();
      if (wanted === undefined)
        return `message ${index} is the result of call "${message.callId}", which nothing asked for`;
      if (wanted !== message.callId) {
        return `message ${index} is the result of call "${message.callId}" where the one of "${wanted}" must stand`;
      }
      continue;
    }
    if (expected.length > 0) return `call "${expected[0]}" has no result before message ${index}`;
    if (message.role !== "assistant") continue;
    expected = (message.toolCalls ?? []).map((call) => call.callId);
    if (new Set(expected).size < expected.length) return `message ${index} has two calls of one id`;
  }
  return expected.length > 0 ? `call "${expected[0]}" has no result` : undefined;
}

/**
 * True for arguments that are the JSON text of an object. A provider refuses others, and then every later request of the run: half a call never
 * reaches history, it is shown as `{}`.
 */
export function isObjectText(args: string): boolean {
  try {
    const value: unknown = JSON.parse(args);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
