import { z } from "zod";
import { defineTool, type Tool } from "rubato";
import type { Message } from "rubato/machines";
import { scriptedModel, toolCalls, type ScriptedModel, type ScriptStep } from "../../runtime/models/scripted.ts";

/**
 * A run of about 60 events with three parallel tools, then one more, then an answer. The model decides from the conversation alone, so it
 * comes to the same answer however often it was stopped; tools are idempotent and write to a ledger outside the runtime.
 */
export const GOLDEN_ANSWER = "Paris is mild, Rome is warm, Oslo is cold; on average it is 14 degrees there today.";
const DEGREES: Readonly<Record<string, number>> = { Paris: 14, Rome: 22, Oslo: 6 };

export interface Ledger {
  readonly started: string[];
  readonly finished: string[];
  readonly aborted: string[];
}

export function goldenTools(ledger: Ledger, atStart: (callId: string) => void = () => {}): Tool[] {
  const work = async (callId: string, signal: AbortSignal, turns: number): Promise<void> => {
    atStart(callId);
    ledger.started.push(callId);
    for (let turn = 0; turn < turns; turn++) {
      await Promise.resolve();
      if (signal.aborted) {
        ledger.aborted.push(callId);
        throw new DOMException("stopped", "AbortError");
      }
    }
    ledger.finished.push(callId);
  };
  return [
    defineTool({
      name: "weather",
      description: "Degrees in a city",
      input: z.object({ city: z.string() }),
      idempotent: true,
      async execute({ city }, ctx) {
        ctx.progress({ city, at: "start" });
        await work(ctx.callId, ctx.signal, city.length * 2);
        ctx.progress({ city, at: "end" });
        return { city, degrees: DEGREES[city] ?? 0 };
      },
    }),
    defineTool({
      name: "average",
      description: "Average of numbers",
      input: z.object({ values: z.array(z.number()) }),
      idempotent: true,
      async execute({ values }, ctx) {
        await work(ctx.callId, ctx.signal, 4);
        ctx.emit("averaged", { count: values.length });
        return values.reduce((sum, value) => sum + value, 0) / values.length;
      },
    }),
  ];
}

export function goldenModel(): ScriptedModel {
  return scriptedModel((request) => golden(request.messages));
}

function golden(messages: readonly Message[]): ScriptStep {
  const known = new Set(messages.flatMap((message) => okCity(message)));
  const missing = Object.keys(DEGREES).filter((city) => !known.has(city));
  if (missing.length > 0) {
    return [
      { type: "reasoning", text: "I need the degrees." },
      "Let me look up the weather in these cities.",
      ...toolCalls(
        missing.map((city) => ({ name: "weather", args: { city } })),
        { fragment: 6 },
      ),
      { type: "finish", finish: "tool_calls", usage: { inputTokens: 30, outputTokens: 12 } },
    ];
  }
  const averaged = messages.some(
    (message) => message.role === "tool" && message.name === "average" && message.outcome === "ok",
  );
  if (!averaged) return { calls: [{ name: "average", args: { values: Object.values(DEGREES) } }] };
  return [GOLDEN_ANSWER, { type: "finish", finish: "stop", usage: { inputTokens: 60, outputTokens: 18 } }];
}

function okCity(message: Message): string[] {
  if (message.role !== "tool" || message.name !== "weather" || message.outcome !== "ok") return [];
  const result: unknown = JSON.parse(message.content);
  return typeof result === "object" && result !== null && "city" in result ? [String(result.city)] : [];
}
