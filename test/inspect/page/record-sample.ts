import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createAgent, defineTool, memoryLog, type ChatModel, type ModelChunk, type Run } from "rubato";
import { z } from "zod";
import type { Event } from "rubato/machines";
import { stored } from "../../support/logs.ts";

// Records the sample of the page from a real run, in real time: `npm run inspect:sample`. A person steers, a request is retried, tools run in parallel, one
// waits for a person, one fails, and the person stops the answer and goes on.

const file = join(import.meta.dirname, "../../../runtime/inspect/page/sample.jsonl");

const weather = defineTool({
  name: "weather",
  description: "The weather of a city",
  input: z.object({ city: z.string() }),
  idempotent: true,
  async execute({ city }, ctx) {
    for (const part of ["asking", "reading"]) {
      ctx.progress(`${part} ${city}`);
      await wait(60 + city.length * 20, undefined, { signal: ctx.signal });
    }
    if (city === "Atlantis") throw new Error("There is no station in Atlantis.");
    return { city, celsius: { Paris: 14, Rome: 22, Oslo: 6 }[city] ?? 10, sky: "clear" };
  },
});

const book = defineTool({
  name: "book_train",
  description: "Books a train",
  input: z.object({ to: z.string(), seats: z.number() }),
  approval: "always",
  async execute({ to, seats }) {
    await wait(120);
    return `booked: ${seats} seats to ${to}`;
  },
});

async function* say(text: string, signal: AbortSignal, pace = 14): AsyncGenerator<ModelChunk> {
  for (const word of text.match(/\s*\S+/g) ?? []) {
    await wait(pace, undefined, { signal });
    yield { type: "text", text: word };
  }
}

async function* call(index: number, name: string, args: object): AsyncGenerator<ModelChunk> {
  const text = JSON.stringify(args);
  yield { type: "tool_call", index, id: `call_${index}_${name}`, name };
  for (let at = 0; at < text.length; at += 8) {
    await wait(6);
    yield { type: "tool_call", index, args: text.slice(at, at + 8) };
  }
}

let failures = 1;
const model: ChatModel = {
  name: "sample-model",
  async *stream({ messages }, { signal }) {
    await wait(40);
    const answered = messages.filter(({ role }) => role === "tool").length;
    const said = messages.findLast(({ role }) => role === "user")?.content ?? "";
    const usage = { inputTokens: 180 + messages.length * 40, outputTokens: 60 };
    if (answered === 0) {
      yield { type: "reasoning", text: "Three cities, so three calls." };
      yield* say("Let me look at the weather in all three.", signal);
      for (const [index, city] of ["Paris", "Rome", "Atlantis"].entries()) yield* call(index, "weather", { city });
      yield { type: "finish", finish: "tool_calls", usage };
    } else if (failures > 0) {
      failures--;
      yield* say("Paris is", signal);
      // The stream ends without an end: it is asked again.
      return;
    } else if (answered === 3) {
      yield* call(0, "weather", { city: "Oslo" });
      yield* call(1, "book_train", { to: "Rome", seats: 2 });
      yield { type: "finish", finish: "tool_calls", usage };
    } else if (!/Fahrenheit|short/i.test(said)) {
      yield* say(
        "Paris has 14 °C, Rome 22 °C and Oslo 6 °C. There is no station in Atlantis, which is no wonder. Your train to Rome is booked: two seats, by the window, on the left in the direction of travel, so that you see the sea in the evening. I could go on about the sea for a long time, as it is wide and blue",
        signal,
        22,
      );
      yield { type: "finish", finish: "stop", usage };
    } else {
      yield* say("Paris 57 °F, Rome 72 °F, Oslo 43 °F. The train to Rome is booked for two.", signal);
      yield { type: "finish", finish: "stop", usage };
    }
  },
};

const log = memoryLog();
const agent = createAgent({
  name: "traveller",
  instructions: "Help with journeys. Be brief.",
  model,
  tools: [weather, book],
  log,
  retry: { retries: 2, baseMs: 400 },
  random: () => 0.8,
});
const run = agent.run("How warm are Paris, Rome and Atlantis today?", {
  runId: "sample",
  metadata: { kind: "sample" },
});

await until(run, ({ type }) => type === "tool_start");
await run.send("Also Oslo, and book a train to Rome for four.");
await until(run, ({ type }) => type === "approval_request");
await run.settled();
await wait(500);
const [pending] = run.state.pendingApprovals;
if (pending !== undefined) await run.approve(pending.callId, { args: { to: "Rome", seats: 2 }, by: "ada" });
await until(run, (event) => event.type === "token_stream" && event.data.offset > 190);
await run.interrupt("too long", { mode: "now", by: "ada" });
await wait(150);
await run.resume("In Fahrenheit, and short.", { by: "ada" });
await run.settled();
const events = await stored(log, "sample");
writeFileSync(file, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
console.log(`${events.length} events, ${run.state.status}`);
await agent.close();

/** Waits for the first event like that. */
async function until(run: Run, is: (event: Event) => boolean): Promise<void> {
  for await (const event of run.events({ follow: true })) if (is(event)) return;
}
