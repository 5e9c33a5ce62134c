import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, scriptedModel, type ChatModel, type ModelChunk } from "rubato";
import { testAgent } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// Whatever a tool, a model or a bucket throws: the run comes to rest, and what is recorded can be read again.

const trap = (): never => {
  throw new Error("trap");
};

function errorWith(message: PropertyDescriptor): Error {
  return Object.defineProperty(new Error("x"), "message", message);
}

const THROWN: readonly (readonly [string, unknown])[] = [
  ["nothing", undefined],
  ["a proxy that answers nothing", new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap })],
  ["an Error whose message throws", errorWith({ get: trap })],
  ["an Error whose message is a symbol", errorWith({ value: Symbol("m") })],
  ["an Error whose message is no JSON", errorWith({ value: { a: 1n } })],
  ["a status that throws", Object.defineProperty({}, "status", { get: trap })],
  ["headers that throw", Object.assign(new Error("x"), { status: 503, headers: { get: trap, values: trap } })],
  ["headers of numbers", Object.assign(new Error("x"), { status: 503, headers: { get: () => 5, values: () => [] } })],
];

async function* breaking(thrown: unknown): AsyncGenerator<ModelChunk> {
  yield { type: "text", text: "I " };
  await Promise.resolve();
  throw thrown;
}

async function rejected(thrown: unknown): Promise<never> {
  await Promise.resolve();
  throw thrown;
}

function failing(error: unknown): ChatModel {
  return { name: "failing", stream: () => breaking(error) };
}

describe("an error that is hard to read", () => {
  it.each(THROWN)("of a tool that throws %s", async (_name, error) => {
    for (const late of [false, true]) {
      const broken = defineTool({
        name: "broken",
        description: "",
        input: z.object({}),
        execute() {
          if (late) return rejected(error);
          throw error;
        },
      });
      const { agent, log } = testAgent({
        model: scriptedModel([{ calls: [{ name: "broken" }] }, "Done."]),
        tools: [broken],
      });
      const run = agent.run("go");
      expect(await run.settled()).toMatchObject({ status: "done", output: "Done." });
      expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "error", error: { code: "tool" } });
      checkLog(await stored(log, run.id));
    }
  });

  it.each(THROWN)("of a model that throws %s", async (_name, error) => {
    const { agent, log } = testAgent({ model: failing(error) });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "failed" });
    checkLog(await stored(log, run.id));
  });

  it("of a bucket for retries that throws: the failure is told, and nothing is made again", async () => {
    const model = failing(Object.assign(new Error("busy"), { status: 503 }));
    const { agent, log } = testAgent({ model, retry: { bucket: { take: trap, available: trap } } });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining("busy") },
    });
    checkLog(await stored(log, run.id));
  });
});
