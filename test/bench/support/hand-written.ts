import type { ChatModel, Message } from "rubato";
import { weather, type City } from "./weather.ts";

/**
 * The loop that everybody writes first, and what the ratios stand on: it reads the stream, runs the tool, and asks again. No schema check, no
 * log, no interrupt: nothing in it makes rubato look better.
 */
export async function handWrittenLoop(model: ChatModel, task: string): Promise<Message[]> {
  const messages: Message[] = [{ role: "user", content: task }];
  const { signal } = new AbortController();
  for (let step = 1; ; step++) {
    let text = "";
    const calls: { callId: string; providerCallId: string; name: string; args: string }[] = [];
    for await (const chunk of model.stream({ instructions: "", messages, tools: [] }, { signal })) {
      if (chunk.type === "text") text += chunk.text;
      else if (chunk.type === "tool_call") {
        const known = calls[chunk.index];
        if (known === undefined) {
          const { index, id = "", name = "", args = "" } = chunk;
          calls[index] = { callId: `${step}.${index}`, providerCallId: id, name, args };
        } else known.args += chunk.args ?? "";
      }
    }
    if (calls.length === 0) {
      messages.push({ role: "assistant", content: text });
      return messages;
    }
    messages.push({ role: "assistant", content: text, toolCalls: calls });
    for (const { callId, name, args } of calls) {
      const input: City = JSON.parse(args);
      const output = await weather(input);
      messages.push({ role: "tool", callId, name, content: JSON.stringify(output), outcome: "ok" });
    }
  }
}
