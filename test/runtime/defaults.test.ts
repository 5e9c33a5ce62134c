import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, scriptedModel } from "rubato";
import { eventsOf, quiet, testAgent, until } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// What an agent does whose program names no number: the defaults that the README and the types promise.

const deaf = defineTool({
  name: "deaf",
  description: "",
  input: z.object({}),
  execute: () => new Promise(() => {}),
});

describe("without options", () => {
  it("a run rests after 10 steps, and can be resumed", async () => {
    const count = defineTool({
      name: "count",
      description: "",
      input: z.object({ n: z.number() }),
      execute: ({ n }) => n,
    });
    const model = scriptedModel((_request, index) =>
      index < 12 ? { calls: [{ name: "count", args: { n: index } }] } : "Done.",
    );
    const { agent, log } = testAgent({ model, tools: [count] });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "interrupted", steps: 10, error: { code: "limit" } });
    expect(run.state.limit).toMatchObject({ kind: "max_steps", used: 10, max: 10 });
    expect(model.requests).toHaveLength(10);
    expect(await run.resume()).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "Done.", steps: 13 });
    checkLog(await stored(log, run.id));
  });

  it("5 calls of a step execute at once", async () => {
    let running = 0;
    let most = 0;
    const work = defineTool({
      name: "work",
      description: "",
      input: z.object({}),
      async execute() {
        most = Math.max(most, ++running);
        await quiet();
        running--;
      },
    });
    const calls = Array.from({ length: 6 }, () => ({ name: "work" }));
    const { agent, log } = testAgent({ model: scriptedModel([{ calls }, "Done."]), tools: [work] });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(most).toBe(5);
    expect((await eventsOf(log, run, "tool_result")).map(({ data }) => data.outcome)).toEqual(calls.map(() => "ok"));
  });

  it("a tool has 300 seconds, and is given up 5 seconds later if it does not stop", async () => {
    const { agent, log, clock } = testAgent({
      model: scriptedModel([{ calls: [{ name: "deaf" }] }, "Done."]),
      tools: [deaf],
    });
    const run = agent.run("go");
    await until(run, "tool_start");
    await quiet();
    clock.advance(299_999);
    await quiet();
    // The grace begins where the time ends: had that been sooner, this would be over now.
    clock.advance(5_000);
    await quiet();
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe(undefined);
    clock.advance(1);
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "unknown" });
    checkLog(await stored(log, run.id));
  });

  it("the signal of a tool aborts after 300 seconds, not before", async () => {
    const aborted: string[] = [];
    const polite = defineTool({
      name: "polite",
      description: "",
      input: z.object({}),
      execute: (_input, { callId, signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            aborted.push(callId);
            reject(new Error("out of time"));
          });
        }),
    });
    const { agent, clock } = testAgent({
      model: scriptedModel([{ calls: [{ name: "polite" }] }, "Done."]),
      tools: [polite],
    });
    const run = agent.run("go");
    await until(run, "tool_start");
    await quiet();
    clock.advance(299_999);
    await quiet();
    expect(aborted).toEqual([]);
    clock.advance(1);
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "timeout" });
  });

  it("an interrupt waits 5 seconds for a tool that ignores it", async () => {
    const { agent, log, clock } = testAgent({ model: scriptedModel([{ calls: [{ name: "deaf" }] }]), tools: [deaf] });
    const run = agent.run("go");
    await until(run, "tool_start");
    const stopped = run.interrupt("", { mode: "now" });
    await quiet();
    clock.advance(4_999);
    await quiet();
    expect(run.state.value).toBe("interrupted.draining");
    clock.advance(1);
    expect(await stopped).toMatchObject({ effective: true, latencyMs: 5_000 });
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "unknown" });
    checkLog(await stored(log, run.id));
  });
});
