import type { AgentState, ChatMessage } from "rubato/client";

/** One part of the conversation, as text. What a model or a tool said is never markup. */
export interface Entry {
  readonly kind: "user" | "assistant" | "tool" | "system";
  readonly who: string;
  readonly text: string;
  /** What there is to know about it, such as `stopped`. */
  readonly note: string;
}

/** Undefined: there is nothing to show here, as of a message that only calls tools: they follow it. */
export function entryOf(message: ChatMessage, state: AgentState): Entry | undefined {
  switch (message.role) {
    case "user":
      return { kind: "user", who: "You", text: message.content, note: message.waiting === true ? "not heard yet" : "" };
    case "assistant": {
      if (message.content === "") return undefined;
      const note = message.streaming === true ? "streaming" : message.cut === true ? "stopped" : "";
      return { kind: "assistant", who: "Agent", text: message.content, note };
    }
    case "tool": {
      const { callId, name, content, outcome } = message;
      const call = state.toolCalls.get(callId);
      // What waits for a person stands below, with its buttons.
      if (call?.phase === "awaiting_approval") return undefined;
      const asked = call?.rawArgs ?? "";
      // The content of an open call is a placeholder for the model.
      const text = outcome === "open" ? asked : `${asked}\n${content}`;
      return { kind: "tool", who: name, text, note: outcome === "open" ? "running" : outcome };
    }
    case "system":
      return { kind: "system", who: "System", text: message.content, note: "" };
  }
}
