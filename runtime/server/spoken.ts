import type { EventData } from "../../machines/events.ts";
import type { AgentState } from "../../machines/state.ts";
import { FIRST_INPUT } from "../input-id.ts";

/** What other protocols say of a run, in the same words for all of them. */

/** What a person says in a message, under the id that its client gave it. */
export interface Said {
  readonly id: string;
  readonly text: string;
}

/** In the metadata of a run that another protocol began: the id that its client gave the first message. */
export const FIRST_MESSAGE = "firstMessageId";

/** The id by which a client knows an input: the one that it gave the message. */
export function messageIdOf(state: AgentState, inputId: string): string {
  if (inputId !== FIRST_INPUT) return inputId;
  const metadata = state.core.start?.metadata;
  const given = metadata !== undefined && Object.hasOwn(metadata, FIRST_MESSAGE) ? metadata[FIRST_MESSAGE] : undefined;
  return typeof given === "string" ? given : FIRST_INPUT;
}

/** The ids of all messages that people said, as clients know them, with the seq of each. */
export function spokenIds(state: AgentState): ReadonlyMap<string, number> {
  const { items, length } = state.core.inputIds;
  const ids = new Map<string, number>();
  for (const { id, seq } of items.slice(0, length)) ids.set(messageIdOf(state, id), seq);
  return ids;
}

/** The id under which a call is asked about: `CALLID:ABOUT`, behind the colon the hash of the arguments that a person sees. */
export function questionId(callId: string, about: string): string {
  return `${callId}:${about}`;
}

/** The same, read. `about` is empty where a client says the call's id alone. */
export function readQuestionId(id: string): { readonly callId: string; readonly about: string } {
  const cut = id.indexOf(":");
  return cut < 0 ? { callId: id, about: "" } : { callId: id.slice(0, cut), about: id.slice(cut + 1) };
}

/** What the model reads of a call that is settled. */
export function resultOf(state: AgentState, callId: string): string {
  const { tail, history } = state.core;
  for (const message of tail) if (message.role === "tool" && message.callId === callId) return message.content;
  for (let at = history.length - 1; at >= 0; at--) {
    const message = history.items[at];
    if (message?.role === "tool" && message.callId === callId) return message.content;
  }
  return "";
}

/** Why a run rests that was stopped, in a sentence for people; by whom, where the reader saw it. */
export function whyInterrupted({ limit }: AgentState, stop?: EventData<"interrupted">): string {
  if (limit !== undefined) return `It reached a limit: ${limit.kind} is ${limit.used} of ${limit.max}. ${limit.raise}`;
  if (stop === undefined) return "It was stopped.";
  return `It was stopped by ${stop.by}${stop.reason === "" ? "" : `: ${stop.reason}`}.`;
}
