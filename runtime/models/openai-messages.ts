import { isObjectText, type Message } from "../../machines/messages.ts";
import type { WireCall, WireMessage, WireTool } from "./openai-client.ts";
import type { ModelRequest, ToolDescription } from "./chat-model.ts";

const CONTINUE =
  "Your last message was cut off. Go on exactly where its text stops. Do not repeat any of it and do not comment on the interruption.";

/**
 * The messages of a request in the form of the Chat Completions API.
 *
 * The calls of the request get ids of ours, since what providers send may repeat or be empty. An assistant message that says nothing and
 * calls nothing is left out: endpoints refuse it. A list that ends with a cut message is a person's "go on", and the model is told so.
 */
export function toWireMessages(request: ModelRequest): WireMessage[] {
  const wire: WireMessage[] = [];
  if (request.instructions !== "") wire.push({ role: "system", content: request.instructions });
  const ids = wireIds();
  for (const message of request.messages) {
    const converted = toWireMessage(message, ids);
    if (converted !== undefined) wire.push(converted);
  }
  const last = request.messages.at(-1);
  if (last?.role === "assistant" && last.cut === true && last.content !== "") {
    // As the user: some chat templates take a system message at the start only.
    wire.push({ role: "user", content: CONTINUE });
  }
  return wire;
}

/** Names calls in the order of the list: each call gets an id that the request has not had, its result the id of its call. */
interface WireIds {
  readonly ofCall: (callId: string) => string;
  readonly ofResult: (callId: string) => string;
}

/** A conversation that was imported may hold the same ids as the run that goes on with it. */
function wireIds(): WireIds {
  const times = new Map<string, number>();
  const named = (callId: string, time: number): string => wireCallId(callId) + (time > 1 ? `_${time}` : "");
  return {
    ofCall(callId) {
      const time = (times.get(callId) ?? 0) + 1;
      times.set(callId, time);
      return named(callId, time);
    },
    ofResult: (callId) => named(callId, times.get(callId) ?? 1),
  };
}

function toWireMessage(message: Message, ids: WireIds): WireMessage | undefined {
  switch (message.role) {
    case "system":
      return { role: "system", content: message.content };
    case "user":
      return { role: "user", content: message.content };
    case "tool":
      return { role: "tool", tool_call_id: ids.ofResult(message.callId), content: message.content };
    case "assistant": {
      const calls = message.toolCalls ?? [];
      if (calls.length === 0) {
        return message.content === "" ? undefined : { role: "assistant", content: message.content };
      }
      const toolCalls = calls.map((call): WireCall => ({
        id: ids.ofCall(call.callId),
        type: "function",
        function: { name: wireName(call.name), arguments: isObjectText(call.args) ? call.args : "{}" },
      }));
      return { role: "assistant", content: message.content === "" ? null : message.content, tool_calls: toolCalls };
    }
  }
}

/**
 * Our call id in the letters that providers allow, at most 40 of them: `3.0` becomes `call_3_0`. Ids of another form (a program's own
 * messages) get a checksum, so that two of them never become one.
 */
export function wireCallId(callId: string): string {
  if (/^\d{1,9}\.\d{1,9}$/.test(callId)) return `call_${callId.replace(".", "_")}`;
  return `call_${callId.replace(/[^A-Za-z0-9-]/g, "-").slice(0, 20)}_x${fnv1a(callId).toString(16)}`;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** A name that the model invented, in the letters that endpoints take: they would answer 400 to it, and to every later request of the run. */
function wireName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "unnamed";
}

export function toWireTools(tools: readonly ToolDescription[]): WireTool[] {
  return tools.map(({ name, description, parameters }) => ({
    type: "function",
    function: { name, description, parameters },
  }));
}
