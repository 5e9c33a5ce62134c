import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, type ModelChunk, type Tool, type ToolContext } from "rubato";
import { checkLog } from "../support/invariants.ts";
import { eventsOf, quiet, testAgent, until } from "../support/agents.ts";
import { slowLog, stored } from "../support/logs.ts";

function tool(name: string, execute: (ctx: ToolContext) => unknown): Tool {
  return defineTool({ name, description: name, input: z.looseObject({}), execute: (_input, ctx) => execute(ctx) });
}

function model(...chunks: unknown[]): { name: string; stream: () => AsyncGenerator<ModelChunk> } {
  return {
    name: "hostile",
    async *stream() {
      for (const chunk of chunks) {
        const text = JSON.stringify(chunk);
        const parsed: ModelChunk = JSON.parse(text);
        yield parsed;
      }
    },
  };
}

describe("commands that race with what was accepted before them", () => {
  it("P17 an interrupt waits for its own `interrupted`, not for that of a redirect before it", async () => {
    const gates = [pause(), pause()] as const;
    const log = slowLog();
    const { agent } = testAgent({
      log,
      model: scriptedModel([
        ["a b", gates[0], "c"],
        ["d ", gates[1], "e"],
      ]),
    });
    const run = agent.run("x");
    await gates[0].reached;
    const sent = run.send("other", { when: "now" });
    const stopped = run.interrupt("stop", { mode: "step" });
    expect(await sent).toMatchObject({ accepted: true });
    await gates[1].reached;
    gates[1].open();
    const receipt = await stopped;
    expect(run.state.status).toBe("interrupted");
    const last = (await eventsOf(log, run, "interrupted")).at(-1);
    expect(receipt).toMatchObject({ effective: true, step: last?.data.step, keptChars: last?.data.keptChars });
    checkLog(await stored(log, run.id));
  });

  it("settled() tells how it stood at the moment of rest, also when the run works again right after", async () => {
    const gate = pause();
    const { agent } = testAgent({ model: scriptedModel(["one", ["two", gate]]) });
    const run = agent.run("x");
    await run.settled();
    const early = run.settled();
    const sent = run.send("again");
    expect(await early).toMatchObject({ status: "done", output: "one" });
    await sent;
    gate.open();
    expect(await run.settled()).toMatchObject({ status: "done", output: "two" });
  });

  it("an abandoned tool has no say in later turns (P15, P17)", async () => {
    const kept: ToolContext[] = [];
    const gate = pause();
    const { agent, clock } = testAgent({
      model: scriptedModel([{ calls: [{ name: "deaf" }] }, ["next ", gate, "answer"]]),
      tools: [
        tool("deaf", (ctx) => {
          kept.push(ctx);
          return new Promise(() => {});
        }),
      ],
    });
    const run = agent.run("x");
    await until(run, "tool_start");
    const stopped = run.interrupt("", { mode: "now" });
    await quiet();
    clock.advance(5_000);
    await stopped;
    await run.resume();
    await gate.reached;
    expect(await kept[0]?.interrupt("zombie")).toEqual({ accepted: false, reason: "settled" });
    gate.open();
    expect(await run.settled()).toMatchObject({ status: "done", output: "next answer" });
  });

  it("the grace is never prolonged by a further stop, and a shorter one counts (P16, I11)", async () => {
    const { agent, clock } = testAgent({
      model: scriptedModel([{ calls: [{ name: "deaf" }] }]),
      tools: [tool("deaf", () => new Promise(() => {}))],
    });
    const run = agent.run("x");
    await until(run, "tool_start");
    const stopped = run.interrupt("", { mode: "now" });
    await quiet();
    const again: Promise<unknown>[] = [];
    for (let round = 0; round < 3; round++) {
      clock.advance(1_500);
      await run.send(`more ${round}`);
      again.push(run.interrupt("again", { mode: "now" }));
      await quiet();
    }
    clock.advance(500);
    expect(await stopped).toMatchObject({ accepted: true, effective: true });
    await Promise.all(again);
  });

  it("a signal that aborts at the first event of a later turn interrupts it", async () => {
    for (const type of ["user_input", "input_delivered", "thinking"] as const) {
      const controller = new AbortController();
      const { agent } = testAgent({ model: scriptedModel(["one", "two"]) });
      const run = agent.run("x", { signal: controller.signal });
      await run.settled();
      run.subscribe(type, () => {
        controller.abort();
      });
      await run.send("again");
      expect(await run.settled(), type).toMatchObject({ status: "interrupted" });
    }
  });
});

describe("usage (P25, case 23)", () => {
  it("of a request that was cut or failed before it said anything is unknown", async () => {
    const gate = pause();
    const cutEarly = testAgent({ model: scriptedModel([[{ type: "reasoning", text: "hm" }, gate]]) });
    const run = cutEarly.agent.run("x");
    await gate.reached;
    await run.interrupt("", { mode: "now" });
    expect(await run.settled()).toMatchObject({ usage: { requests: 1, unknownRequests: 1 } });

    const { agent } = testAgent({ model: scriptedModel([{ error: "down" }]) });
    expect(await agent.run("x").settled()).toMatchObject({
      status: "failed",
      usage: { requests: 1, unknownRequests: 1 },
    });
  });

  it("of a whole request is what the provider counted", async () => {
    const { agent } = testAgent({ model: scriptedModel([{ text: "hi", usage: { inputTokens: 7, outputTokens: 2 } }]) });
    expect(await agent.run("x").settled()).toMatchObject({
      usage: { inputTokens: 7, outputTokens: 2, requests: 1, unknownRequests: 0 },
    });
  });
});

describe("parts that break their contract end the run in a known state", () => {
  it("a tool that answers something with a throwing `then`", async () => {
    const key = ["th", "en"].join("");
    const answer = Object.defineProperty({}, key, {
      get: () => {
        throw new Error("boo");
      },
    });
    for (const log of [slowLog(), undefined]) {
      const { agent, log: used } = testAgent({
        ...(log === undefined ? {} : { log }),
        model: scriptedModel([{ calls: [{ name: "t" }] }, "end"]),
        tools: [tool("t", () => answer)],
      });
      const run = agent.run("x");
      expect(await run.settled()).toMatchObject({ status: "done" });
      expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "error", error: { message: "boo" } });
      checkLog(await stored(used, run.id));
    }
  });

  const bad: readonly (readonly [string, unknown])[] = [
    ["an unknown chunk", { type: "image", data: "x" }],
    ["a negative index", { type: "tool_call", index: -1, name: "t" }],
    ["a fractional index", { type: "tool_call", index: 0.5, name: "t" }],
    ["a name that is no text", { type: "tool_call", index: 0, name: 5 }],
    ["arguments that are no text", { type: "tool_call", index: 0, name: "t", args: {} }],
  ];
  it.each(bad)("a model that yields %s", async (_name, chunk) => {
    const { agent, log } = testAgent({ model: model({ type: "text", text: "so " }, chunk) });
    const run = agent.run("x");
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "model" } });
    checkLog(await stored(log, run.id));
  });

  it("a model that tells impossible usage", async () => {
    const finish = { type: "finish", finish: "stop", usage: { inputTokens: -1, outputTokens: 1.5 } };
    const { agent, log } = testAgent({ model: model({ type: "text", text: "hi" }, finish) });
    const run = agent.run("x");
    expect(await run.settled()).toMatchObject({ status: "done", usage: { unknownRequests: 1 } });
    checkLog(await stored(log, run.id));
  });

  it("a model that never closes its stream after a bad chunk", async () => {
    async function* stream(): AsyncGenerator<ModelChunk> {
      try {
        yield { type: "tool_call", index: 99, name: "t" };
      } finally {
        await new Promise(() => {});
      }
    }
    const { agent } = testAgent({ model: { name: "stuck", stream } });
    expect(await agent.run("x").settled()).toMatchObject({ status: "failed" });
  });

  it("half characters at the end of text, reasoning or a failed answer are replaced", async () => {
    const { agent, log } = testAgent({
      model: scriptedModel([[{ type: "reasoning", text: "r\ud83d" }, "t\ud83d", { error: "cut" }]]),
    });
    const run = agent.run("x");
    await run.settled();
    const [message] = await eventsOf(log, run, "message");
    expect(message?.data).toMatchObject({ text: "t\uFFFD", reasoning: "r\uFFFD" });
    checkLog(await stored(log, run.id));
  });

  it("a tool timeout that no timer can hold is refused at once", () => {
    for (const timeoutMs of [2 ** 40, Number.POSITIVE_INFINITY, Number.NaN, 0, -5]) {
      const slow = defineTool({ name: "t", description: "t", input: z.object({}), timeoutMs, execute: () => null });
      expect(() => testAgent({ model: scriptedModel([]), tools: [slow] })).toThrow(/timeoutMs of tool "t"/);
    }
  });

  it("commands with wrong types throw, and nothing is recorded", async () => {
    const { agent } = testAgent({ model: scriptedModel(["a"]) });
    const run = agent.run("x");
    await run.settled();
    const { seq } = run.state;
    await expect(run.send("x", { id: "start" })).rejects.toThrow(/other than "start"/);
    await expect(run.send("x", { id: "" })).rejects.toThrow(/"id"/);
    const number: string = JSON.parse("5");
    await expect(run.interrupt(number)).rejects.toThrow(/"reason" must be a text; received 5/);
    await expect(run.resume(number)).rejects.toThrow(/"instruction"/);
    expect(run.state.seq).toBe(seq);
  });
});

describe("runs that the agent let go", () => {
  it("keep nobody's subscription alive, get new ones, and are closed with their background work", async () => {
    const { agent } = testAgent({ model: scriptedModel(() => "ok") });
    const heard: string[] = [];
    const off = agent.subscribe("done", () => heard.push("old"));
    const first = agent.run("x", { runId: "first" });
    await first.settled();
    for (let count = 0; count < 101; count++) await agent.run("x").settled();
    off();
    heard.length = 0;
    agent.subscribe("done", ({ runId }) => heard.push(`new ${runId}`));
    await first.send("again");
    await first.settled();
    expect(heard).toEqual(["new first"]);

    for (let count = 0; count < 101; count++) await agent.run("x").settled();
    let aborted = false;
    first.background("b", async (signal) => {
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
      aborted = true;
    });
    await Promise.all([agent.close(), agent.close()]);
    expect(aborted).toBe(true);
    expect(first.background("after", () => Promise.resolve())).toBe(false);
  });
});
