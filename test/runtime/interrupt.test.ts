import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, toolCalls, type ChatModel } from "rubato";
import { checkLog } from "../support/invariants.ts";
import { deferred, eventsOf, quiet, testAgent, until } from "../support/agents.ts";
import { stored } from "../support/logs.ts";

describe("interrupt", () => {
  it("now: text stops at once, is kept, and the receipt says so (P18)", async () => {
    const gate = pause();
    const { agent, log } = testAgent({ model: scriptedModel([["One sentence. Half a sen", gate, "tence."]]) });
    const run = agent.run("?");
    await gate.reached;
    expect(await run.interrupt("wrong way", { mode: "now" })).toEqual({
      accepted: true,
      seq: expect.any(Number),
      effective: true,
      where: "thinking.streaming",
      step: 1,
      keptChars: 24,
      latencyMs: 0,
    });
    expect(await eventsOf(log, run, "interrupted")).toMatchObject([
      { data: { by: "user", reason: "wrong way", mode: "now" } },
    ]);
    checkLog(await stored(log, run.id));
  });

  it("I2 now, with a log in memory: the receipt is there in the next turn of the microtasks", async () => {
    const gate = pause();
    const { agent } = testAgent({ model: scriptedModel([["text", gate]]) });
    const run = agent.run("?");
    await gate.reached;
    const receipts: unknown[] = [];
    const stopped = run.interrupt("", { mode: "now" }).then((receipt) => receipts.push(receipt));
    await Promise.resolve();
    expect(receipts).toMatchObject([{ accepted: true, effective: true, keptChars: 4 }]);
    await stopped;
  });

  it("I1 what listeners ask for while they are told of the stop changes nothing about its receipt", async () => {
    for (const pattern of ["message", "interrupted", "*"] as const) {
      const gates = [pause(), pause()] as const;
      const { agent, clock, log } = testAgent({
        model: scriptedModel([
          ["text", gates[0]],
          ["more text", gates[1]],
        ]),
      });
      const run = agent.run("?");
      await gates[0].reached;
      const asked: Promise<unknown>[] = [];
      const off = run.subscribe(pattern, ({ type }) => {
        if (type !== "message" && type !== "interrupted") return;
        off();
        asked.push(run.resume("go on"), run.interrupt("again", { mode: "now" }), run.cancel("enough"));
      });
      // After the stop: what it takes is not the stop's.
      run.subscribe("cancelled", () => {
        clock.advance(1_000);
      });
      expect(await run.interrupt("first", { mode: "now" })).toMatchObject({
        effective: true,
        where: "thinking.streaming",
        keptChars: 4,
        latencyMs: 0,
      });
      await Promise.all(asked);
      expect(run.state.status).toBe("cancelled");
      checkLog(await stored(log, run.id));
    }
  });

  it("I1 of a run with a signal, whose commands are answered later: the stop that came before the answer counts", async () => {
    const gate = pause();
    const { agent } = testAgent({ model: scriptedModel([["text", gate]]) });
    const run = agent.run("?", { signal: new AbortController().signal });
    await gate.reached;
    expect(await run.interrupt("", { mode: "now" })).toMatchObject({ effective: true, step: 1, keptChars: 4 });
  });

  it("I1 a stop from before the command is not what it ends in", async () => {
    const [first, second] = [pause(), pause()];
    const tool = defineTool({ name: "t", description: "t", input: z.object({}), execute: () => "x" });
    const model = scriptedModel([
      ["one", first],
      ["two", second, { calls: [{ name: "t" }] }],
    ]);
    const { agent } = testAgent({ model, tools: [tool] });
    const run = agent.run("?");
    await first.reached;
    await run.interrupt("", { mode: "now" });
    await run.resume("go on");
    await second.reached;
    const receipts: unknown[] = [];
    const stopped = run.interrupt("at the boundary").then((receipt) => receipts.push(receipt));
    await quiet();
    expect(receipts).toEqual([]);
    second.open();
    await stopped;
    expect(receipts).toMatchObject([{ accepted: true, effective: true, step: 2 }]);
  });

  it("step: waits for the boundary; the calls of the message that follows are skipped", async () => {
    const gate = pause();
    const started: string[] = [];
    const tool = defineTool({
      name: "t",
      description: "t",
      input: z.object({}),
      execute: (_i, ctx) => started.push(ctx.callId),
    });
    const model = scriptedModel([["thinking", gate, { calls: [{ name: "t" }, { name: "t" }] }], "end"]);
    const { agent, log } = testAgent({ model, tools: [tool] });
    const run = agent.run("?");
    await gate.reached;
    const stopped = run.interrupt();
    await quiet();
    expect(run.state.status).toBe("thinking");
    gate.open();
    expect(await stopped).toMatchObject({ effective: true });
    expect(started).toEqual([]);
    expect([...run.state.toolCalls.values()].map(({ outcome }) => outcome)).toEqual(["skipped", "skipped"]);
    checkLog(await stored(log, run.id));
  });

  it("twice is one: both promises resolve with the one `interrupted`; a stronger mode escalates (P19)", async () => {
    const gate = pause();
    const { agent, log } = testAgent({ model: scriptedModel([["text", gate]]) });
    const run = agent.run("?");
    await gate.reached;
    const gentle = run.interrupt("first");
    const again = run.interrupt("second");
    await quiet();
    expect(run.state.status).toBe("thinking");
    const hard = run.interrupt("third", { mode: "now" });
    expect(await Promise.all([gentle, again, hard])).toMatchObject([
      { effective: true },
      { effective: true },
      { effective: true },
    ]);
    expect(await eventsOf(log, run, "interrupt")).toHaveLength(2);
    expect(await eventsOf(log, run, "interrupted")).toHaveLength(1);
  });

  it("again with a shorter grace: a tool that ignores its signal is given up that much sooner", async () => {
    const tool = defineTool({
      name: "deaf",
      description: "d",
      input: z.object({}),
      execute: () => new Promise<never>(() => {}),
    });
    const { agent, clock } = testAgent({ model: scriptedModel([{ calls: [{ name: "deaf" }] }]), tools: [tool] });
    const run = agent.run("?");
    await until(run, "tool_start");
    const patient = run.interrupt("", { mode: "now", graceMs: 60_000 });
    const hurried = run.interrupt("", { mode: "now", graceMs: 5 });
    await quiet();
    clock.advance(5);
    expect(await Promise.all([patient, hurried])).toMatchObject([{ effective: true }, { effective: true }]);
    expect([...run.state.toolCalls.values()].map(({ outcome }) => outcome)).toEqual(["unknown"]);
  });

  it("a cancel that overtakes it: effective false", async () => {
    const gate = deferred();
    const tool = defineTool({ name: "deaf", description: "d", input: z.object({}), execute: () => gate.promise });
    const { agent, log } = testAgent({ model: scriptedModel([{ calls: [{ name: "deaf" }] }]), tools: [tool] });
    const run = agent.run("?");
    await until(run, "tool_start");
    const stopped = run.interrupt();
    const cancelled = run.cancel("enough");
    gate.resolve();
    expect(await stopped).toMatchObject({ accepted: true, effective: false });
    expect(await cancelled).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "cancelled" });
    checkLog(await stored(log, run.id));
  });

  it("case 6: stop is a state of the run: it works between two steps as well", async () => {
    const tool = defineTool({ name: "t", description: "t", input: z.object({}), execute: () => "x" });
    const model = scriptedModel([{ calls: [{ name: "t" }] }, "end"]);
    const { agent, log } = testAgent({ model, tools: [tool] });
    const run = agent.run("?");
    const asked = deferred<unknown>();
    run.subscribe("tool_result", () => {
      run.interrupt("between").then(asked.resolve, asked.reject);
    });
    expect(await asked.promise).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    checkLog(await stored(log, run.id));
  });

  it("case 7: when interrupt() resolves everything is quiet: nothing of the stopped answer comes after it", async () => {
    const model = stubborn();
    const { agent, log } = testAgent({ model: model.port });
    const run = agent.run("?");
    await until(run, "token_stream");
    await run.interrupt("", { mode: "now" });
    const { seq } = run.state;
    model.push("late text");
    await quiet();
    expect(run.state.seq).toBe(seq);
    expect((await stored(log, run.id)).at(-1)?.type).toBe("interrupted");
    expect(model.closed()).toBe(true);
    await agent.close();
  });

  it("case 9: the receipt comes only after the effect, request and effect are two events", async () => {
    const gate = deferred();
    const tool = defineTool({ name: "deaf", description: "d", input: z.object({}), execute: () => gate.promise });
    const { agent, log } = testAgent({ model: scriptedModel([{ calls: [{ name: "deaf" }] }]), tools: [tool] });
    const run = agent.run("?");
    await until(run, "tool_start");
    let answered = false;
    const stopped = run.interrupt().then((receipt) => {
      answered = true;
      return receipt;
    });
    await quiet();
    expect(await eventsOf(log, run, "interrupt")).toHaveLength(1);
    expect(answered).toBe(false);
    gate.resolve();
    const receipt = await stopped;
    const [interrupt] = await eventsOf(log, run, "interrupt");
    expect(receipt).toMatchObject({ seq: interrupt?.seq });
  });

  it("racing the end: the first in the log wins (P19)", async () => {
    const { agent } = testAgent({ model: scriptedModel(["done"]) });
    const run = agent.run("?");
    await run.settled();
    expect(await run.interrupt()).toEqual({ accepted: false, reason: "done" });
    expect(await run.cancel()).toEqual({ accepted: false, reason: "done" });
  });
});

describe("the run's signal", () => {
  it("case 5: aborted already: settles at once with zero model calls", async () => {
    const model = scriptedModel(["never"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("?", { signal: AbortSignal.abort() });
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(model.requests).toHaveLength(0);
    expect((await stored(log, run.id)).map(({ type }) => type)).toEqual([
      "run_start",
      "user_input",
      "interrupt",
      "interrupted",
    ]);
  });

  it("aborting interrupts now; the run can be resumed; the listener is gone at rest", async () => {
    const gate = pause();
    const controller = new AbortController();
    const { agent, log } = testAgent({ model: scriptedModel([["text", gate], "end"]) });
    const run = agent.run("?", { signal: controller.signal });
    await gate.reached;
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    controller.abort();
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(await eventsOf(log, run, "interrupted")).toMatchObject([{ data: { by: "signal", mode: "now" } }]);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done" });
  });

  it("is let go where a command comes in the moment in which the run comes back to its rest by itself", async () => {
    const controller = new AbortController();
    const pay = defineTool({
      name: "pay",
      description: "pays",
      input: z.object({}),
      approval: "always",
      execute: () => "paid",
    });
    const model = scriptedModel([[...toolCalls([{ name: "pay" }])], "fine"]);
    const { agent, clock } = testAgent({ model, tools: [pay], approvalTimeoutMs: 1_000, maxSteps: 1 });
    const run = agent.run("?", { signal: controller.signal });
    await run.settled();
    const receipts: Promise<unknown>[] = [];
    run.subscribe("interrupted", () => {
      receipts.push(run.interrupt("it rests already"));
    });
    clock.advance(1_000);
    await quiet();
    expect(run.state).toMatchObject({ status: "interrupted", limit: { kind: "max_steps" } });
    expect(await Promise.all(receipts)).toMatchObject([{ accepted: false }]);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    await agent.close();
  });
});

describe("closing the agent", () => {
  it("interrupts what runs (by shutdown), waits, and refuses new work", async () => {
    const gate = pause();
    const { agent, log } = testAgent({ model: scriptedModel([["text", gate]]) });
    const run = agent.run("?");
    await gate.reached;
    await agent.close();
    expect(run.state.status).toBe("interrupted");
    expect(await eventsOf(log, run, "interrupted")).toMatchObject([{ data: { by: "shutdown", mode: "now" } }]);
    expect(await run.resume()).toEqual({ accepted: false, reason: "closed" });
    expect(() => agent.run("more")).toThrow(/closed/);
  });

  it("works as an async disposable", async () => {
    const gate = pause();
    const { agent } = testAgent({ model: scriptedModel([["text", gate]]) });
    const run = agent.run("?");
    await gate.reached;
    await agent[Symbol.asyncDispose]();
    expect(run.state.status).toBe("interrupted");
  });
});

/** A model that ignores its signal and can be made to speak after it was stopped. */
function stubborn(): { port: ChatModel; push: (text: string) => void; closed: () => boolean } {
  let wake = (_text: string): void => {};
  let closed = false;
  async function* stream(): AsyncGenerator<{ type: "text"; text: string }> {
    try {
      yield { type: "text", text: "first" };
      for (;;) {
        const text = await new Promise<string>((resolve) => {
          wake = resolve;
        });
        yield { type: "text", text };
      }
    } finally {
      closed = true;
    }
  }
  return {
    port: { name: "stubborn", stream },
    push: (text) => {
      wake(text);
    },
    closed: () => closed,
  };
}
