import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, type Run } from "rubato";
import { checkLog } from "../support/invariants.ts";
import { deferred, eventsOf, quiet, testAgent, until } from "../support/agents.ts";
import { stored } from "../support/logs.ts";

/** What the model heard from people at each request. */
function heard(model: { requests: readonly { messages: readonly { role: string; content: string }[] }[] }): string[][] {
  return model.requests.map(({ messages }) =>
    messages.filter(({ role }) => role === "user").map(({ content }) => content),
  );
}

function working() {
  const gate = deferred<string>();
  const tool = defineTool({ name: "work", description: "works", input: z.object({}), execute: () => gate.promise });
  return { gate, tool };
}

async function delivered(run: Run, log: Parameters<typeof eventsOf>[0]): Promise<[string, number | undefined][]> {
  return (await eventsOf(log, run, "input_delivered")).map(({ data }) => [data.id, data.step]);
}

describe("send while the run works", () => {
  it("case 24: step waits for the boundary and stops nothing: the running tool finishes", async () => {
    const { gate, tool } = working();
    const model = scriptedModel([{ calls: [{ name: "work" }] }, "both"]);
    const { agent, log } = testAgent({ model, tools: [tool] });
    const run = agent.run("first");
    await until(run, "tool_start");
    expect(await run.send("also Rome", { id: "rome" })).toMatchObject({ accepted: true, id: "rome" });
    expect(model.requests).toHaveLength(1);
    gate.resolve("ok");
    expect(await run.settled()).toMatchObject({ status: "done", output: "both" });
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("ok");
    expect(heard(model)[1]).toEqual(["first", "also Rome"]);
    expect(await delivered(run, log)).toEqual([
      ["start", 1],
      ["rome", 2],
    ]);
    checkLog(await stored(log, run.id));
  });

  it("step during the answer: the answer ends, then the model hears it, in the same turn", async () => {
    const gate = pause();
    const model = scriptedModel([["one ", gate, "answer"], "two"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("first");
    await gate.reached;
    await run.send("more");
    gate.open();
    expect(await run.settled()).toMatchObject({ status: "done", output: "two", steps: 2 });
    expect(run.state.turn).toBe(1);
    expect(await eventsOf(log, run, "done")).toHaveLength(1);
  });

  it("case 25: first in, first out", async () => {
    const gate = pause();
    const model = scriptedModel([["a", gate], "b"]);
    const { agent } = testAgent({ model });
    const run = agent.run("0");
    await gate.reached;
    for (const text of ["1", "2", "3"]) await run.send(text);
    gate.open();
    await run.settled();
    expect(heard(model)[1]).toEqual(["0", "1", "2", "3"]);
  });

  it("case 26: done follows after the answer, one turn each, without a rest between", async () => {
    const gate = pause();
    const model = scriptedModel([["a", gate], "b", "c"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("0");
    await gate.reached;
    await run.send("1", { when: "done" });
    await run.send("2", { when: "done" });
    gate.open();
    expect(await run.settled()).toMatchObject({ output: "c", steps: 3 });
    expect(heard(model)).toEqual([["0"], ["0", "1"], ["0", "1", "2"]]);
    expect(await eventsOf(log, run, "done")).toHaveLength(3);
    expect(run.state.turn).toBe(3);
    checkLog(await stored(log, run.id));
  });

  it("a follow-up does not overtake a steer", async () => {
    const gate = pause();
    const model = scriptedModel([["a", gate], "b", "c"]);
    const { agent } = testAgent({ model });
    const run = agent.run("0");
    await gate.reached;
    await run.send("later", { when: "done" });
    await run.send("soon", { when: "step" });
    gate.open();
    await run.settled();
    expect(heard(model)).toEqual([["0"], ["0", "soon"], ["0", "soon", "later"]]);
  });

  it("now redirects as one command: the text so far is kept, the rest never comes, no rest between (P17)", async () => {
    const gate = pause();
    const model = scriptedModel([["Paris is the ", gate, "capital"], "Rome is."]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("Paris?");
    await gate.reached;
    expect(await run.send("no, Rome", { when: "now" })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "Rome is." });
    expect(run.state.messages).toMatchObject([
      { content: "Paris?" },
      { content: "Paris is the ", cut: true },
      { content: "no, Rome" },
      { content: "Rome is." },
    ]);
    const types = (await stored(log, run.id)).map(({ type }) => type);
    const at = types.indexOf("interrupt");
    expect(types.slice(at - 1, at + 6)).toEqual([
      "user_input",
      "interrupt",
      "message",
      "interrupted",
      "resume",
      "input_delivered",
      "thinking",
    ]);
    checkLog(await stored(log, run.id));
  });

  it("now aborts running tools", async () => {
    const { tool } = working();
    const aborting = defineTool({
      name: "abortable",
      description: "a",
      input: z.object({}),
      execute: (_input, { signal }) =>
        new Promise((_r, reject) => {
          signal.addEventListener("abort", () => {
            reject(new Error("stopped"));
          });
        }),
    });
    const model = scriptedModel([{ calls: [{ name: "abortable" }] }, "ok"]);
    const { agent } = testAgent({ model, tools: [tool, aborting] });
    const run = agent.run("go");
    await until(run, "tool_start");
    await run.send("rather this", { when: "now" });
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("aborted");
    expect(heard(model)[1]).toEqual(["go", "rather this"]);
  });

  it("the same id twice is one input (case 22: nothing is said twice, nothing is lost)", async () => {
    const gate = pause();
    const model = scriptedModel([["a", gate], "b"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("0");
    await gate.reached;
    const first = await run.send("1", { id: "x" });
    expect(await run.send("1", { id: "x" })).toEqual(first);
    gate.open();
    await run.settled();
    expect(await run.send("1", { id: "x" })).toEqual(first);
    expect(heard(model)[1]).toEqual(["0", "1"]);
    expect(await eventsOf(log, run, "user_input")).toHaveLength(2);
  });

  it("case 22: an interrupt right after the input keeps it: recorded on acceptance, zero effects (P18, P23)", async () => {
    const model = scriptedModel(["answer"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("remember me", { signal: AbortSignal.abort() });
    expect(await run.settled()).toMatchObject({ status: "interrupted", steps: 0 });
    expect(model.requests).toHaveLength(0);
    expect(await eventsOf(log, run, "user_input")).toMatchObject([{ data: { text: "remember me" } }]);
    expect(run.state.inputs).toMatchObject([{ id: "start" }]);
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: "answer" });
    expect(heard(model)).toEqual([["remember me"]]);
  });
});

describe("send at rest", () => {
  it("after done it starts the next turn in the same log", async () => {
    const model = scriptedModel(["a", "b"]);
    const { agent } = testAgent({ model });
    const run = agent.run("0");
    await run.settled();
    for (const when of ["done"] as const) await run.send("1", { when });
    expect(await run.settled()).toMatchObject({ output: "b" });
    expect(run.state.turn).toBe(2);
  });

  it.each(["now", "step", "done"] as const)("on a paused run %s resumes with the text", async (when) => {
    const gate = pause();
    const model = scriptedModel([["a ", gate], "b"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("0");
    await gate.reached;
    await run.interrupt("", { mode: "now" });
    expect(await run.send("1", { when })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "b" });
    expect(heard(model)[1]).toEqual(["0", "1"]);
    checkLog(await stored(log, run.id));
  });

  it("after a failure it starts again", async () => {
    const model = scriptedModel([{ error: "the endpoint is down" }, "b"]);
    const { agent, log } = testAgent({ model });
    const run = agent.run("0");
    expect(await run.settled()).toMatchObject({ status: "failed", error: { message: "the endpoint is down" } });
    await run.send("again");
    expect(await run.settled()).toMatchObject({ status: "done", output: "b" });
    expect(run.state.error).toBeUndefined();
    checkLog(await stored(log, run.id));
  });
});

describe("send while the run is being stopped", () => {
  it("is recorded, and takes effect only after `interrupted`; earlier waiting input comes first", async () => {
    const { gate, tool } = working();
    const model = scriptedModel([{ calls: [{ name: "work" }] }, "ok"]);
    const { agent, log } = testAgent({ model, tools: [tool] });
    const run = agent.run("0");
    await until(run, "tool_start");
    await run.send("1");
    const stopped = run.interrupt("wait");
    await run.send("2");
    expect(run.state.interruptRequested).toBe(true);
    gate.resolve("fine");
    expect(await stopped).toMatchObject({ effective: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(heard(model)[1]).toEqual(["0", "1", "2"]);
    expect(await eventsOf(log, run, "resume")).toMatchObject([{ data: { by: "input" } }]);
    checkLog(await stored(log, run.id));
  });

  it("what was said before the interrupt does not undo it: the run rests with the input waiting", async () => {
    const { gate, tool } = working();
    const model = scriptedModel([{ calls: [{ name: "work" }] }, "ok"]);
    const { agent } = testAgent({ model, tools: [tool] });
    const run = agent.run("0");
    await until(run, "tool_start");
    await run.send("1");
    const stopped = run.interrupt("wait");
    gate.resolve("fine");
    await stopped;
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(run.state.inputs).toMatchObject([{ text: "1" }]);
    await run.resume("2");
    await run.settled();
    expect(heard(model)[1]).toEqual(["0", "1", "2"]);
  });

  it("an interrupt after a redirect stops it after all", async () => {
    const { gate, tool } = working();
    const model = scriptedModel([{ calls: [{ name: "work" }] }, "ok"]);
    const { agent, log } = testAgent({ model, tools: [tool] });
    const run = agent.run("0");
    await until(run, "tool_start");
    await run.send("elsewhere", { when: "now" });
    const stopped = run.interrupt("no, stop", { mode: "now" });
    await quiet();
    gate.resolve("fine");
    expect(await stopped).toMatchObject({ accepted: true, effective: true });
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(await eventsOf(log, run, "interrupted")).toHaveLength(1);
    expect(model.requests).toHaveLength(1);
    checkLog(await stored(log, run.id));
  });
});

it("half a character that a person says reaches no model: it is replaced before it is recorded, in every way to say it", async () => {
  const half = "caf\ud83d";
  const model = scriptedModel(() => "heard");
  const { agent } = testAgent({ model });
  const run = agent.run(`${half} start`);
  await run.settled();
  await run.send(`${half} send`);
  await run.settled();
  const fork = await agent.fork(run.id, { at: run.state.seq, instruction: `${half} fork` });
  await fork.settled();
  const stopped = agent.run("stop", { signal: AbortSignal.abort() });
  await stopped.settled();
  await stopped.resume(`${half} resume`);
  await stopped.settled();
  const other = agent.run("stop", { signal: AbortSignal.abort() });
  await other.settled();
  await agent.resume(other.id, `${half} resume too`);
  await other.settled();
  const texts = new Set(heard(model).flat());
  for (const way of ["start", "send", "fork", "resume", "resume too"]) expect(texts).toContain(`caf\ufffd ${way}`);
  for (const text of texts) expect(text.isWellFormed(), JSON.stringify(text)).toBe(true);
});
