import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, type ScriptedModel } from "rubato";
import { checkLog } from "../support/invariants.ts";
import { eventsOf, testAgent } from "../support/agents.ts";
import { stored } from "../support/logs.ts";

function contents(model: ScriptedModel, request: number): string[] {
  return (model.requests[request]?.messages ?? []).map(({ role, content }) => `${role}: ${content}`);
}

/** A run whose first answer was cut after "Paris is the ". */
async function cut(rest: Parameters<typeof scriptedModel>[0]) {
  const gate = pause();
  const script = typeof rest === "function" ? [] : rest;
  const model = scriptedModel([["Paris is the ", gate, "never"], ...script]);
  const setup = testAgent({ model });
  const run = setup.agent.run("Paris?");
  await gate.reached;
  await run.interrupt("", { mode: "now" });
  return { ...setup, run, model };
}

describe("the partial text of a cut answer", () => {
  it("keep (default): it stays, marked as cut", async () => {
    const { run, model, log } = await cut(["capital."]);
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: "capital." });
    expect(contents(model, 1)).toEqual(["user: Paris?", "assistant: Paris is the "]);
    expect(run.state.messages).toMatchObject([{}, { cut: true }, { content: "capital." }]);
    checkLog(await stored(log, run.id));
  });

  it("continue: new text joins that message", async () => {
    const { run, model, log } = await cut(["capital of France."]);
    await run.resume(undefined, { partial: "continue" });
    expect(await run.settled()).toMatchObject({ output: "Paris is the capital of France." });
    expect(run.state.messages).toMatchObject([{}, { content: "Paris is the capital of France.", messageId: "m1" }]);
    expect(run.state.messages).toHaveLength(2);
    expect(contents(model, 1)).toEqual(["user: Paris?", "assistant: Paris is the "]);
    const last = (await eventsOf(log, run, "token_stream")).at(-1);
    expect(last?.data).toMatchObject({ messageId: "m1", attempt: 2 });
    checkLog(await stored(log, run.id));
  });

  it("continue, cut again, continue again", async () => {
    const second = pause();
    const { run, log } = await cut([["capital ", second], "of France."]);
    await run.resume(undefined, { partial: "continue" });
    await second.reached;
    expect(await run.interrupt("", { mode: "now" })).toMatchObject({ keptChars: "Paris is the capital ".length });
    await run.resume(undefined, { partial: "continue" });
    expect(await run.settled()).toMatchObject({ output: "Paris is the capital of France." });
    checkLog(await stored(log, run.id));
  });

  it("continue with an instruction keeps: what was said after a message ends it", async () => {
    const { run, log } = await cut(["Rome."]);
    await run.resume("Rome?", { partial: "continue" });
    await run.settled();
    expect(run.state.messages.map(({ content }) => content)).toEqual(["Paris?", "Paris is the ", "Rome?", "Rome."]);
    expect(await eventsOf(log, run, "resume")).toMatchObject([{ data: { partial: "keep" } }]);
  });

  it("discard: it is left out of what the model reads; the log keeps it", async () => {
    const { run, model, log } = await cut(["Rome."]);
    await run.resume("Rome?", { partial: "discard" });
    await run.settled();
    expect(contents(model, 1)).toEqual(["user: Paris?", "user: Rome?"]);
    expect(await eventsOf(log, run, "message")).toMatchObject([
      { data: { text: "Paris is the ", finish: "interrupted" } },
      {},
    ]);
    checkLog(await stored(log, run.id));
  });

  it("case 14: every delta that was shown is in the log, and case 16: calls are settled before the run rests", async () => {
    const { run, log } = await cut([]);
    const shown = (await eventsOf(log, run, "token_stream")).map(({ data }) => data.text).join("");
    expect(shown).toBe("Paris is the ");
    const events = await stored(log, run.id);
    expect(events.at(-1)?.type).toBe("interrupted");
    expect(events.at(-2)).toMatchObject({ type: "message", data: { text: shown, finish: "interrupted" } });
  });

  it("case 23: usage of a cut answer is unknown, not 0", async () => {
    const { run } = await cut([]);
    expect(await run.settled()).toMatchObject({ usage: { requests: 1, unknownRequests: 1 } });
  });
});

describe("resume", () => {
  it("after a complete answer records done and asks nothing", async () => {
    const gate = pause();
    const model = scriptedModel([["the answer", gate]]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("?");
    await gate.reached;
    const stopped = run.interrupt("at the boundary");
    gate.open();
    expect(await stopped).toMatchObject({ effective: true, where: "thinking.streaming" });
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: "the answer" });
    expect(model.requests).toHaveLength(1);
    checkLog(await stored(log, run.id));
  });

  it("after a complete answer with an instruction goes on with it", async () => {
    const gate = pause();
    const { agent } = testAgent({ model: scriptedModel([["one", gate], "two"]) });
    const run = agent.run("?");
    await gate.reached;
    const stopped = run.interrupt();
    gate.open();
    await stopped;
    await run.resume("and?");
    expect(await run.settled()).toMatchObject({ output: "two" });
  });

  it("recorded while the run is being stopped takes effect after `interrupted`", async () => {
    const gate = pause();
    const { agent, log } = testAgent({ model: scriptedModel([["one", gate], "two"]) });
    const run = agent.run("?");
    await gate.reached;
    const stopped = run.interrupt();
    expect(await run.resume("go on")).toMatchObject({ accepted: true });
    expect(await run.resume()).toEqual({ accepted: false, reason: "already_resuming" });
    gate.open();
    await stopped;
    expect(await run.settled()).toMatchObject({ status: "done", output: "two" });
    checkLog(await stored(log, run.id));
  });

  it("of a running, done or cancelled run answers no and records nothing", async () => {
    const gate = pause();
    const { agent } = testAgent({ model: scriptedModel([["one", gate]]) });
    const run = agent.run("?");
    await gate.reached;
    const seq = run.state.seq;
    expect(await run.resume()).toEqual({ accepted: false, reason: "running" });
    expect(run.state.seq).toBe(seq);
    gate.open();
    await run.settled();
    expect(await run.resume("x")).toEqual({ accepted: false, reason: "done" });
  });
});

describe("limits and failures", () => {
  const again = defineTool({ name: "again", description: "again", input: z.object({}), execute: () => "again" });

  it("maxSteps rests the run as a limit that says what to raise; resume grants it again", async () => {
    const model = scriptedModel((_request, index) => (index < 5 ? { calls: [{ name: "again" }] } : "done"));
    const { agent, log } = testAgent({ model, tools: [again], maxSteps: 3 });
    const run = agent.run("loop");
    const outcome = await run.settled();
    expect(outcome).toMatchObject({ status: "interrupted", steps: 3, error: { code: "limit" } });
    expect(outcome.error?.message).toMatch(/max_steps was reached \(3 of 3\)\. Resume to grant/);
    expect(run.state.toolCalls.get("3.0")?.outcome).toBe("ok");
    expect(await eventsOf(log, run, "interrupt")).toEqual([]);
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", steps: 6 });
    expect(await eventsOf(log, run, "limit")).toHaveLength(1);
    checkLog(await stored(log, run.id));
  });

  it("an input at the limit waits, and is heard first after resume", async () => {
    const gate = pause();
    const model = scriptedModel([["a", gate], "b"]);
    const { agent } = testAgent({ model, maxSteps: 1 });
    const run = agent.run("0");
    await gate.reached;
    await run.send("1");
    gate.open();
    expect(await run.settled()).toMatchObject({ status: "interrupted", error: { code: "limit" } });
    await run.resume();
    expect(await run.settled()).toMatchObject({ output: "b" });
  });

  it("a model error ends the turn as failed in one sentence, the text so far is kept, resume asks again", async () => {
    const model = scriptedModel([{ text: "half an ", error: "The endpoint went away." }, "answer"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("?");
    expect(await run.settled()).toMatchObject({
      status: "failed",
      error: { code: "model", message: "The endpoint went away." },
    });
    expect(run.state.messages).toMatchObject([{}, { content: "half an ", cut: true }]);
    await run.resume(undefined, { partial: "continue" });
    expect(await run.settled()).toMatchObject({ status: "done", output: "half an answer" });
    checkLog(await stored(log, run.id));
  });

  it("a stream that ends without finish is truncated, not complete", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([{ text: "half", end: "truncated" }]) });
    const run = agent.run("?");
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "truncated" } });
    expect(await eventsOf(log, run, "message")).toMatchObject([{ data: { finish: "truncated", text: "half" } }]);
  });

  it("case 10 P25: an error while an interrupt is requested is recorded, and the run is interrupted, not failed", async () => {
    const gate = pause();
    const { agent, log } = testAgent({ model: scriptedModel([["half", gate, { error: "boom" }]]) });
    const run = agent.run("?");
    await gate.reached;
    const stopped = run.interrupt();
    gate.open();
    expect(await stopped).toMatchObject({ effective: true });
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(await eventsOf(log, run, "error")).toHaveLength(1);
    expect(await eventsOf(log, run, "failed")).toHaveLength(0);
    checkLog(await stored(log, run.id));
  });

  it("a model that throws before its first piece, or asks for nothing at all", async () => {
    for (const model of [
      { name: "thrower", stream: () => raise("not configured") },
      { name: "empty", stream: () => nothing() },
    ]) {
      const { agent, log } = testAgent({ model });
      const run = agent.run("?");
      expect(await run.settled()).toMatchObject({ status: "failed" });
      checkLog(await stored(log, run.id));
    }
  });

  it("cases 17, 21: after any stop the next request is valid, however often it is stopped", async () => {
    const tool = defineTool({ name: "again", description: "a", input: z.object({}), execute: () => "x" });
    const model = scriptedModel((_request, index) =>
      index < 8 ? { text: "t", calls: [{ name: "again" }, { name: "again" }] } : "end",
    );
    const { agent, log } = testAgent({ model, tools: [tool] });
    const run = agent.run("?");
    for (let round = 0; round < 8; round++) {
      await run.interrupt("", { mode: round % 2 === 0 ? "now" : "step" });
      await run.resume();
    }
    await run.settled();
    checkLog(await stored(log, run.id));
  });
});

function raise(message: string): never {
  throw new Error(message);
}

async function* nothing(): AsyncGenerator<never> {
  // Ends at once, without a finish.
}
