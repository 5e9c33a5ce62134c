import { z } from "zod";
import type { Message } from "../../../machines/messages.ts";
import type { AgentState } from "../../../machines/state.ts";
import type { Command } from "../commands.ts";
import { whenSchema } from "../protocol-turn.ts";
import { refuse, type Refusal } from "../refusal.ts";
import { readQuestionId, type Said } from "../spoken.ts";

const messageSchema = z.looseObject({
  id: z.string(),
  role: z.string(),
  parts: z.array(z.looseObject({ type: z.string() })),
});

/** What the `DefaultChatTransport` of the AI SDK sends, and what its option `body` may add. */
export const uiInputSchema = z.looseObject({
  /** The chat, which is the run. */
  id: z.string(),
  messages: z.array(messageSchema).min(1),
  trigger: z.enum(["submit-message", "regenerate-message"]).default("submit-message"),
  /** The agent of a new chat, where the server has several. */
  agent: z.string().optional(),
  /** When the message is heard by a run that works. Default `step`. */
  when: whenSchema.optional(),
});
export type UiInput = z.output<typeof uiInputSchema>;
type UiMessage = UiInput["messages"][number];

/** The last message, where a person said it. */
export function lastSaid({ messages }: UiInput): Said | undefined | Refusal {
  const last = messages.at(-1);
  if (last?.role !== "user") return undefined;
  const text = textOf(last);
  if (last.parts.some(({ type }) => type === "file") || text.trim() === "") {
    return refuse(400, "unsupported_content", "Messages are text here: this one has a file, or no text.");
  }
  return { id: last.id, text };
}

function textOf({ parts }: UiMessage): string {
  return parts
    .flatMap((part) => {
      const { text } = part;
      return part.type === "text" && typeof text === "string" && !isSuperseded(part) ? [text] : [];
    })
    .join("\n");
}

function isSuperseded({ providerMetadata }: Readonly<Record<string, unknown>>): boolean {
  return supersededSchema.safeParse(providerMetadata).success;
}
const supersededSchema = z.looseObject({ rubato: z.looseObject({ superseded: z.literal(true) }) });

/** The conversation before the last message, for a chat that is no run yet: what was said, without calls and without instructions. */
export function historyOf({ messages }: UiInput): Message[] {
  return messages.slice(0, -1).flatMap((message): Message[] => {
    const text = textOf(message);
    if (text.trim() === "") return [];
    if (message.role === "user") return [{ role: "user", content: text, inputId: message.id }];
    return message.role === "assistant" ? [{ role: "assistant", content: text, messageId: message.id }] : [];
  });
}

const respondedSchema = z.looseObject({
  state: z.literal("approval-responded"),
  toolCallId: z.string(),
  approval: z.looseObject({ id: z.string(), approved: z.boolean(), reason: z.string().optional() }),
});

/** Answers to what was asked: those that the run does not wait for any more are left out. */
export function answersOf(
  { messages }: UiInput,
  state: AgentState,
): { readonly commands: Command[]; readonly stale: boolean } {
  const waiting = new Set(state.pendingApprovals.map(({ callId }) => callId));
  const commands: Command[] = [];
  let stale = false;
  for (const part of messages.flatMap(({ parts }) => parts)) {
    const responded = respondedSchema.safeParse(part);
    if (!responded.success) continue;
    const { id, approved, reason } = responded.data.approval;
    const { callId, about: argsHash } = readQuestionId(id);
    if (!waiting.has(callId)) stale = true;
    else if (!approved) commands.push({ verb: "reject", callId, ...(reason === undefined ? {} : { reason }) });
    else commands.push({ verb: "approve", callId, ...(argsHash === "" ? {} : { argsHash }) });
  }
  return { commands, stale };
}
