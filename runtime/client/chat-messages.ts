import type { Message } from "../../machines/messages.ts";
import type { AgentState } from "../../machines/state.ts";

/** A message as a page shows it: what the model has been told, the answer as far as it has come, and what waits to be heard. */
export type ChatMessage = Message & {
  /** The answer that streams now. */
  readonly streaming?: true;
  /** Said, and not heard by the model yet. */
  readonly waiting?: true;
};

/** What a page shows of a conversation, from its state. A new list at every call. */
export function chatMessages(state: AgentState): readonly ChatMessage[] {
  const { partial, inputs } = state;
  const messages: ChatMessage[] = state.messages;
  if (partial !== undefined) {
    // The cut message that the answer continues stands at the head of its text.
    if (partial.base !== "") messages.pop();
    const { messageId, text } = partial;
    if (text !== "") messages.push({ role: "assistant", content: text, messageId, streaming: true });
  }
  for (const { id, text } of inputs) messages.push({ role: "user", content: text, inputId: id, waiting: true });
  return messages;
}
