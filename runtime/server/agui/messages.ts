import type { Message } from "../../../machines/messages.ts";
import type { AgentState } from "../../../machines/state.ts";
import { messageIdOf } from "../spoken.ts";

interface AguiToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A message as AG-UI has it. */
export type AguiMessage =
  | { readonly id: string; readonly role: "system" | "user" | "reasoning"; readonly content: string }
  | {
      readonly id: string;
      readonly role: "assistant";
      readonly content: string;
      readonly toolCalls?: readonly AguiToolCall[];
    }
  | {
      readonly id: string;
      readonly role: "tool";
      readonly toolCallId: string;
      readonly content: string;
      readonly metadata: { readonly outcome: string };
    };

/** The id of the message that carries a call's result. */
export function resultId(callId: string): string {
  return `${callId}.result`;
}

/** The conversation as the log has it, with the answer that streams as far as it has come. A call without a result has none here. */
export function messagesOf(state: AgentState): AguiMessage[] {
  const list = state.messages.flatMap((message, index) => messageOf(state, message, index));
  const { partial } = state;
  if (partial === undefined || (partial.text === "" && partial.calls.length === 0)) return list;
  // The cut message that it continues stands at the end already.
  const before = list.at(-1)?.id === partial.messageId ? list.slice(0, -1) : list;
  const named = partial.calls.filter(({ name }) => name !== "");
  const calls = named.map(({ callId, name, args }) => callOf(callId, name, args));
  return [...before, assistant(partial.messageId, partial.text, calls)];
}

function messageOf(state: AgentState, message: Message, index: number): AguiMessage[] {
  switch (message.role) {
    case "system":
      return [{ id: `system.${index}`, role: "system", content: message.content }];
    case "user": {
      const id = message.inputId === undefined ? `user.${index}` : messageIdOf(state, message.inputId);
      return [{ id, role: "user", content: message.content }];
    }
    case "assistant": {
      const calls = (message.toolCalls ?? []).map(({ callId, name, args }) => callOf(callId, name, args));
      return [assistant(message.messageId ?? `assistant.${index}`, message.content, calls)];
    }
    case "tool": {
      const { callId, content, outcome } = message;
      if (outcome === "open") return [];
      return [{ id: resultId(callId), role: "tool", toolCallId: callId, content, metadata: { outcome } }];
    }
  }
}

function assistant(id: string, content: string, toolCalls: readonly AguiToolCall[]): AguiMessage {
  return { id, role: "assistant", content, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
}

function callOf(id: string, name: string, args: string): AguiToolCall {
  return { id, type: "function", function: { name, arguments: args } };
}
