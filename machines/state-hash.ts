import { NO_CONTROL } from "./control.ts";
import type { RunUsage } from "./events.ts";
import { canonical, hexOf, Mixer } from "./hash.ts";
import type { Message } from "./messages.ts";
import { initialState, type AgentState, type Core } from "./state.ts";
import type { Timeline } from "./timeline.ts";

const hashes = new WeakMap<Timeline<Message>, Core["hashed"]>();

/**
 * The chained hash of the settled messages, from where the last rest left it: a long conversation is hashed once, not once per turn. Kept per
 * version of the history, since the event that carries it and the state after it need the same one.
 */
export function hashHistory({ history, hashed }: Core): Core["hashed"] {
  const known = hashes.get(history);
  if (known !== undefined) return known;
  const mixer = new Mixer(hashed.hash);
  for (let index = hashed.count; index < history.length; index++) {
    const message = history.items[index];
    if (message !== undefined) mixMessage(mixer, message);
  }
  const made = { count: history.length, hash: mixer.hash() };
  hashes.set(history, made);
  return made;
}

function mixMessage(mixer: Mixer, message: Message): void {
  mixer.add(message.role);
  switch (message.role) {
    case "assistant":
      mixer.add(message.content);
      mixer.add(message.messageId ?? "");
      mixer.add(message.cut === true ? "cut" : "");
      mixer.close();
      for (const { callId, providerCallId, name, args } of message.toolCalls ?? NO_CALLS) {
        mixer.add(callId);
        mixer.add(providerCallId);
        mixer.add(name);
        mixer.add(args);
        mixer.close();
      }
      return;
    case "tool":
      mixer.add(message.callId);
      mixer.add(message.name);
      mixer.add(message.outcome);
      mixer.add(message.content);
      break;
    case "user":
      mixer.add(message.content);
      mixer.add(message.inputId ?? "");
      break;
    case "system":
      mixer.add(message.content);
      break;
  }
  mixer.close();
}

const NO_CALLS: readonly never[] = [];

/** The hash that stands in rest events: of everything that decides how the run goes on. */
export function stateHash(state: AgentState): string {
  const { value, context, tail, inputs, usage, output, control, start } = state.core;
  const mixer = new Mixer(hashHistory(state.core).hash);
  for (const message of tail) mixMessage(mixer, message);
  for (const { id, text, queue } of inputs) {
    mixer.add(id);
    mixer.add(text);
    mixer.add(queue);
    mixer.close();
  }
  // The context's fields stand in one order in every state, since only `copyOf()` makes new ones.
  const counted = [usage.inputTokens, usage.outputTokens, usage.requests, usage.unknownRequests].join();
  for (const part of [value, JSON.stringify(context), counted, output]) mixer.add(part);
  if (usage.estimated !== undefined || usage.cost !== undefined) mixer.add(spentText(usage));
  if (start?.limits.maxRepeats !== undefined) mixer.add(String(start.limits.maxRepeats));
  if (control !== NO_CONTROL) mixer.add(canonical(control));
  mixer.close();
  return hexOf(mixer.hash());
}

/** The canonical bytes, written out: every interrupt waits for them. */
function spentText({ estimated, cost }: RunUsage): string {
  if (estimated === undefined) return JSON.stringify({ cost });
  const { inputTokens, outputTokens } = estimated;
  return JSON.stringify({ cost, estimated: { inputTokens, outputTokens } });
}

/** A history whose last message was taken away is hashed from its start again. */
export const UNHASHED: Core["hashed"] = initialState().core.hashed;
