import { afterEach, describe, expect, it, vi } from "vitest";
import { createAgent, defineTool, memoryLog, type ModelChunk } from "rubato";
import { z } from "zod";
import { burstTime } from "../../runtime/burst-time.ts";
import { quiet } from "../support/agents.ts";
import { stored } from "../support/logs.ts";

/** The system's clock, and how often it was looked at. */
function clock(read: (look: number) => number) {
  const spy = vi.spyOn(Date, "now");
  let looks = 0;
  spy.mockImplementation(() => read(looks++));
  return { looks: () => looks };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("burstTime", () => {
  it("looks once for eight, where two looks saw the same millisecond", async () => {
    await quiet();
    let now = 5_000;
    const { looks } = clock(() => now);
    expect([burstTime(), burstTime(), looks()]).toEqual([5_000, 5_000, 2]);
    now = 5_001;
    for (let count = 0; count < 7; count++) expect(burstTime()).toBe(5_000);
    expect(looks()).toBe(2);
    expect([burstTime(), looks()]).toEqual([5_001, 3]);
    now = 5_002;
    expect([burstTime(), looks()]).toEqual([5_002, 4]);
  });

  it("looks again after anything was waited for", async () => {
    await quiet();
    let now = 6_000;
    clock(() => now);
    burstTime();
    burstTime();
    await Promise.resolve();
    now = 6_500;
    expect(burstTime(), "nothing was waited for").toBe(6_000);
    await quiet();
    expect(burstTime()).toBe(6_500);
  });
});

it("H7 the times of a run never go back, however many runs look at the clock in between", async () => {
  async function* answer(step: number): AsyncGenerator<ModelChunk> {
    for (let token = 0; token < 20; token++) yield { type: "text", text: `${token} ` };
    if (step < 4) yield { type: "tool_call", index: 0, id: "c", name: "t", args: `{"step":${step}}` };
    yield { type: "finish", finish: step < 4 ? "tool_calls" : "stop" };
  }
  const tool = defineTool({
    name: "t",
    description: "",
    input: z.object({ step: z.number() }),
    execute: async ({ step }) => step,
  });
  // A millisecond every few looks: some fall into a burst, some between two.
  clock((look) => 7_000 + Math.floor(look / 3));
  const runs = Array.from({ length: 20 }, (_, index) => {
    const log = memoryLog();
    let step = 0;
    const model = { name: "m", stream: () => answer(++step) };
    // Every other one is listened to: its tokens are told one by one.
    const run = createAgent({ name: "a", model, tools: [tool], log }).run("go");
    if (index % 2 === 0) run.subscribe("token_stream", () => {});
    return { log, run };
  });
  for (const { log, run } of runs) {
    expect(await run.settled()).toMatchObject({ status: "done" });
    const times = (await stored(log, run.id)).map((event) => event.timestamp);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  }
});
