import { z } from "zod";
import { jsonSchema, type Json } from "../../../machines/events.ts";
import type { Message } from "../../../machines/messages.ts";
import type { AgentState } from "../../../machines/state.ts";
import type { Command } from "../commands.ts";
import { whenSchema } from "../protocol-turn.ts";
import { isRefusal, refuse, type Refusal } from "../refusal.ts";
import { readQuestionId, type Said } from "../spoken.ts";
import { OUTCOME, STOPPED } from "./interrupts.ts";
import type { AguiMessage } from "./messages.ts";

const messageSchema = z.looseObject({ id: z.string(), role: z.string(), content: z.unknown().optional() });

/** What a request of AG-UI says (`RunAgentInput`), as far as it is read here. */
export const aguiInputSchema = z.looseObject({
  /** The run. */
  threadId: z.string(),
  /** The name of this answer, echoed. */
  runId: z.string().max(256),
  messages: z.array(messageSchema),
  state: jsonSchema.optional(),
  tools: z.array(z.unknown()).nullish(),
  context: z.array(z.unknown()).nullish(),
  /** `when` says when the message is heard: `now`, `step` (default) or `done`. */
  forwardedProps: z.unknown().optional(),
  resume: z
    .array(
      z.looseObject({
        interruptId: z.string(),
        status: z.enum(["resolved", "cancelled"]),
        payload: z.unknown().optional(),
      }),
    )
    .nullish(),
});
export type AguiInput = z.output<typeof aguiInputSchema>;

/** The last message, where a person said it. */
export function lastSaid({ messages }: AguiInput): Said | undefined | Refusal {
  const last = messages.at(-1);
  if (last?.role !== "user") return undefined;
  const text = textOf(last.content);
  if (text === undefined) {
    return refuse(400, "unsupported_content", "Messages are text here: this one has other parts, or none.");
  }
  return { id: last.id, text };
}

const partsSchema = z.array(z.looseObject({ type: z.literal("text"), text: z.string() }));

function textOf(content: unknown): string | undefined {
  if (typeof content === "string") return content.trim() === "" ? undefined : content;
  const parts = partsSchema.safeParse(content);
  const text = parts.success ? parts.data.map((part) => part.text).join("") : "";
  return text.trim() === "" ? undefined : text;
}

/**
 * The conversation before the last message, for a thread that begins with one: what was said, without calls and without instructions, which are the
 * agent's own.
 */
export function historyOf({ messages }: AguiInput): Message[] {
  return messages.slice(0, -1).flatMap(({ id, role, content }): Message[] => {
    const text = textOf(content);
    if (text === undefined) return [];
    if (role === "user") return [{ role: "user", content: text, inputId: id }];
    return role === "assistant" ? [{ role: "assistant", content: text, messageId: id }] : [];
  });
}

/** Reasoning that the client has. */
export function reasoningOf({ messages }: AguiInput): AguiMessage[] {
  return messages.flatMap(({ id, role, content }): AguiMessage[] =>
    role === "reasoning" && typeof content === "string" ? [{ id, role, content }] : [],
  );
}

/** What of a request is not heeded: it is told so, since nothing else would show it. */
export function ignoredOf(input: AguiInput, begins: boolean): { readonly name: string; readonly value: Json }[] {
  const ignored: [boolean, string, string][] = [
    [
      (input.tools ?? []).length > 0,
      "tools",
      "Tools run where the agent runs. Those of a client are not offered to the model.",
    ],
    [(input.context ?? []).length > 0, "context", "What the model reads is in the log. Say it in a message."],
    [
      begins && input.messages.some(({ role }) => role === "system" || role === "developer"),
      "messages",
      "Instructions are the agent's own: system and developer messages are left out.",
    ],
  ];
  return ignored.flatMap(([is, field, message]) => (is ? [{ name: "rubato.ignored", value: { field, message } }] : []));
}

const propsSchema = z.looseObject({ when: whenSchema.optional() });
export function whenOf({ forwardedProps }: AguiInput): z.output<typeof whenSchema> | undefined {
  const props = propsSchema.safeParse(forwardedProps);
  return props.success ? props.data.when : undefined;
}

const answerSchema = z.union([
  z.boolean().transform((approved) => ({ approved })),
  z.strictObject({
    approved: z.boolean(),
    reason: z.string().optional(),
    args: jsonSchema.optional(),
    answer: z.string().optional(),
    forRun: z.boolean().optional(),
  }),
]);
const outcomeSchema = z.union([z.strictObject({ output: jsonSchema }), z.strictObject({ error: z.string() })]);
const goOnSchema = z
  .strictObject({
    instruction: z.string().optional(),
    partial: z.enum(["keep", "continue", "discard"]).optional(),
    budget: z.record(z.string(), z.number()).optional(),
  })
  .default({});

/**
 * What the answers to interrupts and a new message ask of a run. An approval is one that says so: `true`, or `{ approved: true, args?, answer?, forRun? }`.
 * `cancelled` rejects a call, and leaves a stopped run as it is.
 */
export function commandsOf(input: AguiInput, state: AgentState, said: Said | undefined): Command[] | Refusal {
  const commands: Command[] = [];
  let answered = false;
  let goOn: Command | undefined;
  for (const { interruptId, status, payload } of input.resume ?? []) {
    if (interruptId.startsWith(STOPPED)) {
      if (status === "cancelled") continue;
      const asked = goOnSchema.safeParse(payload);
      if (!asked.success) return unclear(interruptId);
      const { budget, partial } = asked.data;
      // A message of the client keeps its id when it is sent; where more than that is asked for, its text is the instruction.
      const plain = said !== undefined && budget === undefined && partial === undefined;
      if (!plain) goOn = { verb: "resume", ...asked.data, ...(said === undefined ? {} : { instruction: said.text }) };
      continue;
    }
    const command = answerOf(interruptId, status, payload);
    if (isRefusal(command)) return command;
    answered = true;
    if (command !== undefined) commands.push(command);
  }
  if (goOn !== undefined) return [...commands, goOn];
  if (said === undefined) return commands;
  // Who says something else instead of answering does not want what waits.
  const when = whenOf(input) ?? (state.status === "waiting" && !answered ? "now" : "step");
  return [...commands, { verb: "send", text: said.text, id: said.id, when }];
}

function answerOf(interruptId: string, status: string, payload: unknown): Command | undefined | Refusal {
  const { callId, about } = readQuestionId(interruptId);
  if (about === OUTCOME) {
    if (status === "cancelled") return undefined;
    const told = outcomeSchema.safeParse(payload);
    return told.success ? { verb: "settleCall", callId, ...told.data } : unclear(interruptId);
  }
  if (status === "cancelled") return { verb: "reject", callId, reason: "Nobody answered." };
  const answer = answerSchema.safeParse(payload);
  if (!answer.success) return unclear(interruptId);
  const { approved, ...more } = answer.data;
  if (!approved) return { verb: "reject", callId, ...("reason" in more ? { reason: more.reason } : {}) };
  const { reason: _reason, ...how } = { reason: undefined, ...more };
  return { verb: "approve", callId, ...how, ...(about === "" ? {} : { argsHash: about }) };
}

function unclear(interruptId: string): Refusal {
  const id = interruptId.slice(0, 128);
  return refuse(
    400,
    "invalid_request",
    `resume: the payload of "${id}" does not fit its responseSchema. Nothing was done.`,
  );
}
