import { scriptedModel, toolCalls, type ChatModel, type ModelRequest, type Script, type ScriptStep } from "rubato";
import type { Message } from "rubato/machines";
import { beat } from "./pace.ts";

const CITIES = ["Paris", "Rome", "Oslo"];
const STORIES: Readonly<Record<string, string>> = {
  lighthouse:
    "On the last rock of the coast stood a lighthouse whose keeper had not spoken to anyone since the spring. Every evening he climbed " +
    "the two hundred steps, lit the lamp, and counted the ships that passed. One night a ship did not pass. It stopped, turned its bow " +
    "to the light, and answered with a lamp of its own: three long, two short. He had waited eleven years for that sign.",
  garden:
    "Behind the station lay a garden that no map showed. The gardener planted clocks there, small ones in spring and tall ones in " +
    "autumn, and whoever missed a train could pick an hour. Nobody ever picked more than one.",
};

/**
 * The model of most demos: it answers from the conversation alone, so whoever stops, steers or redirects it gets a fitting answer at any moment.
 */
export function demoModel(): ChatModel & { readonly requests: readonly ModelRequest[] } {
  return paced("demo", answer);
}

/** A script at a pace that can be watched. It also shows the whole port that an endpoint implements: a name and a stream of chunks. */
export function paced(name: string, script: Script): ChatModel & { readonly requests: readonly ModelRequest[] } {
  const model = scriptedModel(script);
  return {
    name,
    requests: model.requests,
    async *stream(request, options) {
      for await (const chunk of model.stream(request, options)) {
        await beat(options.signal);
        yield chunk;
      }
    },
  };
}

function answer({ messages }: ModelRequest): ScriptStep {
  const said = lastWords(messages);
  if (/one sentence/i.test(said)) return "There was a light, and somebody came.";
  const story = Object.keys(STORIES).find((name) => said.includes(name));
  if (story !== undefined) return STORIES[story] ?? "";

  const known = new Map(messages.flatMap((message) => degreesIn(message)));
  const missing = CITIES.filter((city) => said.includes(city) && !known.has(city));
  if (missing.length > 0) {
    const calls = missing.map((city) => ({ name: "weather", args: { city } }));
    return toolCalls(calls, { fragment: 6 });
  }

  if (said.includes("ticket") && !messages.some((message) => message.role === "tool" && message.name === "pay")) {
    return { calls: [{ name: "pay", args: { cents: 1_250 } }] };
  }
  const paid = messages.find((message) => message.role === "tool" && message.name === "pay");

  const fahrenheit = said.includes("Fahrenheit");
  const facts = [...known].map(
    ([city, celsius]) => `${city} ${fahrenheit ? `${celsius * 1.8 + 32} °F` : `${celsius} °C`}`,
  );
  if (paid !== undefined) return `It is ${facts.join(", ")}. The ticket: ${paid.content}.`;
  return facts.length > 0 ? `It is ${facts.join(", ")}.` : "Hello! Ask me about the weather, or for a story.";
}

export function lastWords(messages: readonly Message[]): string {
  return messages.findLast((message) => message.role === "user")?.content ?? "";
}

function degreesIn(message: Message): [string, number][] {
  if (message.role !== "tool" || message.outcome !== "ok" || message.name !== "weather") return [];
  const result: unknown = JSON.parse(message.content);
  if (typeof result !== "object" || result === null || !("city" in result && "celsius" in result)) return [];
  return [[String(result.city), Number(result.celsius)]];
}
