import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, pause, scriptedModel, type AgentOptions, type Run, type ScriptStep } from "rubato";
import { deferred, eventsOf, testAgent } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { leftBehind } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

const ran: string[] = [];
const count = defineTool({
  name: "count",
  description: "",
  input: z.object({ n: z.number() }),
  idempotent: true,
  execute({ n }, ctx) {
    ran.push(ctx.callId);
    return n;
  },
});

function call(n: number) {
  return { name: "count", args: { n } };
}

function usage(inputTokens: number, outputTokens: number) {
  return { inputTokens, outputTokens };
}

async function atLimit(run: Run, kind: string): Promise<void> {
  expect(await run.settled()).toMatchObject({ status: "interrupted", error: { code: "limit" } });
  expect(run.state.limit).toMatchObject({ kind });
}

describe("a limit rests the run, says what to raise, and is raised by resume", () => {
  it("tool calls: those over it are skipped, from the first one over", async () => {
    ran.length = 0;
    const model = scriptedModel([{ calls: [call(1), call(2), call(3)] }, "Done."]);
    const { agent, log } = testAgent({ model, tools: [count], budget: { toolCalls: 2 } });
    const run = agent.run("go");
    await atLimit(run, "tool_calls");
    expect(ran).toEqual(["1.0", "1.1"]);
    expect(run.state.limit).toEqual({
      kind: "tool_calls",
      used: 2,
      max: 2,
      raise: "Resume with a higher budget: { toolCalls: ... }.",
    });
    expect(run.state.messages.at(-1)).toMatchObject({ outcome: "skipped", content: expect.stringContaining("limit") });
    expect(await run.resume()).toEqual({ accepted: false, reason: "limit" });
    expect(await run.resume("go on", { budget: { toolCalls: 2 } })).toEqual({ accepted: false, reason: "limit" });
    expect(await run.resume("go on", { budget: { outputTokens: 9_999 } })).toEqual({
      accepted: false,
      reason: "limit",
    });
    expect(await run.resume("go on", { budget: { toolCalls: 3 } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "Done." });
    expect(await agent.checkReplay(run.id)).toMatchObject({ ok: true });
    checkLog(await stored(log, run.id));
  });

  it("tool calls: a run whose last call was allowed may still answer", async () => {
    const model = scriptedModel([{ calls: [call(1), call(2)] }, "Done."]);
    const { agent } = testAgent({ model, tools: [count], budget: { toolCalls: 2 } });
    expect(await agent.run("go").settled()).toMatchObject({ status: "done" });
  });

  it.each([
    ["output_tokens", { outputTokens: 50 }, { outputTokens: 51 }],
    ["input_tokens", { inputTokens: 100 }, { inputTokens: 101 }],
    ["cost", { cost: 0.6 }, { cost: 0.61 }],
  ] as const)("%s: used up by the last answer, its calls are skipped", async (kind, budget, more) => {
    ran.length = 0;
    const model = scriptedModel([{ calls: [call(1)], usage: usage(100, 50) }, "Done."]);
    // 100 in at 1 and 50 out at 10, per million.
    const prices = { scripted: { input: 1_000, output: 10_000 } };
    const { agent, log } = testAgent({ model, tools: [count], budget, prices });
    const run = agent.run("go");
    await atLimit(run, kind);
    expect(ran).toEqual([]);
    expect(run.state.usage.cost).toBe(0.6);
    expect(await run.resume(undefined, { budget: more })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    checkLog(await stored(log, run.id));
  });

  it("a complete answer is an answer, whatever it cost", async () => {
    const model = scriptedModel([{ text: "All of it.", usage: usage(1, 1_000) }, "More."]);
    const { agent, log } = testAgent({ model, budget: { outputTokens: 10 } });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done", output: "All of it." });
    await run.send("and more?");
    await atLimit(run, "output_tokens");
    // What was said waits; it is heard once the budget is raised.
    expect(run.state.inputs).toHaveLength(1);
    expect(await run.send("please", { id: "please" })).toMatchObject({ accepted: true });
    expect(run.state.status).toBe("interrupted");
    expect(await run.resume(undefined, { budget: { outputTokens: 5_000 } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "More." });
    expect(run.state.messages.filter(({ role }) => role === "user")).toHaveLength(3);
    checkLog(await stored(log, run.id));
  });

  it("case 23: usage that nobody told is unknown, not 0; what is estimated says so, and counts", async () => {
    const gate = pause();
    const model = scriptedModel([["x".repeat(400), gate, "y"], "Done."]);
    const prices = { scripted: { input: 0, output: 1_000_000 } };
    const { agent, log } = testAgent({ model, budget: { outputTokens: 100 }, prices });
    const run = agent.run("go");
    await gate.reached;
    await run.interrupt("stop", { mode: "now" });
    expect(run.state.usage).toEqual({
      inputTokens: 0,
      outputTokens: 0,
      requests: 1,
      unknownRequests: 1,
      estimated: { inputTokens: 1, outputTokens: 100 },
      cost: 100,
    });
    expect(await eventsOf(log, run, "message")).toMatchObject([
      { data: { usage: "unknown", estimate: { outputTokens: 100 }, cost: 100 } },
    ]);
    await run.resume();
    await atLimit(run, "output_tokens");
    expect(model.requests, "no request beyond the budget").toHaveLength(1);
    checkLog(await stored(log, run.id));
  });

  it("time: what the run works, its rests left out; looked at between steps", async () => {
    const clock = manualClock();
    const slow = defineTool({
      name: "slow",
      description: "",
      input: z.object({ ms: z.number() }),
      execute({ ms }) {
        clock.advance(ms);
        return ms;
      },
    });
    const wait = (ms: number): ScriptStep => ({ calls: [{ name: "slow", args: { ms } }] });
    const model = scriptedModel([wait(400), "One.", wait(700), "Two.", "Three."]);
    const { agent, log } = testAgent({ model, tools: [slow], clock, budget: { wallMs: 1_000 } });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done", output: "One." });
    clock.advance(1_000_000);
    await run.send("again");
    await atLimit(run, "wall_time");
    expect(run.state.limit).toMatchObject({ used: 1_100, max: 1_000 });
    expect(await run.resume(undefined, { budget: { wallMs: 1_100 } })).toEqual({ accepted: false, reason: "limit" });
    expect(await run.resume(undefined, { budget: { wallMs: 2_000 } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "Two." });
    await agent.close();
    expect(clock.pending, "no timer is left").toBe(0);
    checkLog(await stored(log, run.id));
  });

  it("time that is up while a retry waits ends the wait", async () => {
    const clock = manualClock();
    const model = scriptedModel([{ error: Object.assign(new Error("busy"), { status: 503 }) }, "Done."]);
    const { agent, log } = testAgent({
      model,
      clock,
      budget: { wallMs: 1_000 },
      retry: { retries: 1, baseMs: 60_000, maxMs: 60_000 },
      random: () => 0.5,
    });
    const run = agent.run("go");
    while (run.state.retry === undefined) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1_000);
    await atLimit(run, "wall_time");
    expect(clock.pending, "the wait is over").toBe(0);
    expect(await run.resume(undefined, { budget: { wallMs: 5_000 } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    checkLog(await stored(log, run.id));
  });

  it("a maximum of steps is granted again by resume, and may be raised with it", async () => {
    const model = scriptedModel([{ calls: [call(1)] }, { calls: [call(2)] }, { calls: [call(3)] }, "Done."]);
    const { agent } = testAgent({ model, tools: [count], maxSteps: 1 });
    const run = agent.run("go");
    await atLimit(run, "max_steps");
    expect(await run.resume()).toMatchObject({ accepted: true });
    await atLimit(run, "max_steps");
    expect(await run.resume(undefined, { budget: { maxSteps: 10 } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "Done." });
  });

  it("survives its process: another one raises it", async () => {
    ran.length = 0;
    const options = { name: "test", tools: [count], budget: { toolCalls: 1 } };
    const { agent, log } = testAgent({ ...options, model: scriptedModel([{ calls: [call(1), call(2)] }]) });
    const run = agent.run("go", { runId: "r" });
    await atLimit(run, "tool_calls");
    const events = await stored(log, "r");
    await agent.close();
    for (let k = events.findIndex(({ type }) => type === "message") + 1; k <= events.length; k++) {
      const left = await leftBehind(events.slice(0, k));
      const other = createAgent({ ...options, model: scriptedModel(["Done."]), log: left, clock: manualClock() });
      const first = await other.resume("r", undefined, { budget: { toolCalls: 5 } });
      const found = await other.open("r");
      let outcome = await found.settled();
      if (outcome.status === "interrupted") {
        expect(await found.resume(undefined, { budget: { toolCalls: 5 } }), `at ${k}`).toMatchObject({
          accepted: true,
        });
        outcome = await found.settled();
      }
      expect(outcome, `at ${k}, ${JSON.stringify(first)}`).toMatchObject({ status: "done" });
      checkLog(await stored(left, "r"));
      await other.close();
    }
  });

  it("P8 counts also for calls that a process announced in part, or not at all, before it died", async () => {
    const options = { name: "test", tools: [count], budget: { toolCalls: 2 } };
    const { agent, log } = testAgent({
      ...options,
      model: scriptedModel([{ calls: [call(1), call(2), call(3)] }, "Done."]),
    });
    const run = agent.run("go", { runId: "r" });
    await atLimit(run, "tool_calls");
    const events = await stored(log, "r");
    await agent.close();
    for (let k = events.findIndex(({ type }) => type === "message") + 1; k <= events.length; k++) {
      const left = await leftBehind(events.slice(0, k));
      const other = createAgent({ ...options, model: scriptedModel(["Done."]), log: left, clock: manualClock() });
      await other.resume("r");
      await (await other.open("r")).settled();
      const after = await stored(left, "r");
      const first = after.filter((event) => event.type === "tool_start" && event.data.attempt === 1);
      expect(first, `at ${k}`).toHaveLength(2);
      checkLog(after);
      await other.close();
    }
  });

  /** A run that is told to stop and to go on with a higher budget while its tool runs: it goes on without a rest. */
  async function raisedWhileDraining(
    script: readonly ScriptStep[],
    options: Pick<AgentOptions, "clock" | "budget" | "maxSteps">,
    budget: Readonly<Record<string, number>>,
  ): Promise<Run> {
    const begun = deferred();
    const end = deferred();
    const slow = defineTool({
      name: "slow",
      description: "",
      input: z.object({}),
      async execute() {
        begun.resolve();
        await end.promise;
        return 1;
      },
    });
    const { agent } = testAgent({
      ...options,
      model: scriptedModel([{ calls: [{ name: "slow" }] }, ...script]),
      tools: [slow, count],
    });
    const run = agent.run("go");
    await begun.promise;
    const stopped = run.interrupt("wait", { mode: "step" });
    expect(await run.resume(undefined, { budget })).toMatchObject({ accepted: true });
    end.resolve();
    await stopped;
    return run;
  }

  it("a maximum of steps that is raised before the run rests is raised", async () => {
    const script = [{ calls: [call(1)] }, { calls: [call(2)] }, { calls: [call(3)] }, "Done."];
    const run = await raisedWhileDraining(script, { maxSteps: 2 }, { maxSteps: 20 });
    expect(await run.settled()).toMatchObject({ status: "done" });
  });

  it("time that is raised before the run rests is raised: what rings for the old limit ends nothing", async () => {
    const clock = manualClock();
    const gate = pause();
    const script: ScriptStep[] = [["Let me see.", gate, { calls: [call(1)] }], "Done."];
    const run = await raisedWhileDraining(script, { clock, budget: { wallMs: 1_000 } }, { wallMs: 9_000 });
    await gate.reached;
    clock.advance(8_999);
    expect(run.state.core.control.timeUp).toBe(false);
    clock.advance(1);
    gate.open();
    await atLimit(run, "wall_time");
    expect(run.state.limit).toMatchObject({ max: 9_000 });
  });

  it("a limit that no timer holds as long as is not reached when the longest timer rings", async () => {
    const clock = manualClock();
    const day = 86_400_000;
    const slow = defineTool({
      name: "slow",
      description: "",
      input: z.object({ days: z.number() }),
      execute({ days }) {
        clock.advance(days * day);
        return days;
      },
    });
    const calls = (days: number): ScriptStep => ({ calls: [{ name: "slow", args: { days } }] });
    const model = scriptedModel([calls(20), calls(9), calls(1), "Done."]);
    const { agent } = testAgent({ model, tools: [slow], clock, budget: { wallMs: 30 * day } });
    const run = agent.run("go");
    await atLimit(run, "wall_time");
    expect(run.state.limit).toMatchObject({ used: 30 * day });
    expect(model.requests).toHaveLength(3);
  });

  it.each([
    [{ outputTokens: Number.NaN }],
    [{ outputTokens: Number.POSITIVE_INFINITY }],
    [{ wallMs: -1 }],
    [{ maxSteps: 0.5 }],
    [{ nonsense: 3 }],
  ])("refuses to raise what is no budget: %o", async (budget) => {
    const model = scriptedModel([{ calls: [call(1)], usage: usage(1, 50) }, "Done."]);
    const { agent, log } = testAgent({ model, tools: [count], budget: { outputTokens: 10 } });
    const run = agent.run("go");
    await atLimit(run, "output_tokens");
    const before = await stored(log, run.id);
    await expect(run.resume(undefined, { budget })).rejects.toMatchObject({ code: "invalid_option" });
    expect(await stored(log, run.id)).toEqual(before);
  });

  it("an interrupt comes before a limit: the limit is told when the run goes on", async () => {
    const gate = pause();
    const model = scriptedModel([["Let me see.", gate, { calls: [call(1)], usage: usage(1, 99) }], "Done."]);
    const { agent, log } = testAgent({ model, tools: [count], budget: { outputTokens: 50 } });
    const run = agent.run("go");
    await gate.reached;
    const stopped = run.interrupt("wait");
    gate.open();
    expect(await stopped).toMatchObject({ effective: true });
    expect(run.state.limit).toBe(undefined);
    await run.resume();
    await atLimit(run, "output_tokens");
    checkLog(await stored(log, run.id));
  });
});

describe("a run that goes round in a circle (OpenRouterTeam/typescript-agent#73, anomalyco/opencode#28596)", () => {
  const repeating = (steps: readonly (readonly number[])[], times: number): ScriptStep[] =>
    Array.from({ length: times }, () => steps.map((calls): ScriptStep => ({ calls: calls.map(call) }))).flat();

  it("the same calls with the same results, five times in a row", async () => {
    const model = scriptedModel([...repeating([[1, 2]], 9), "Done."]);
    const { agent, log } = testAgent({ model, tools: [count], maxSteps: 20 });
    const run = agent.run("go");
    await atLimit(run, "repeats");
    expect(run.state.step).toBe(5);
    expect(run.state.limit?.raise).toContain("repeats the same step");
    // Whoever resumes has seen it: it is granted again.
    expect(await run.resume("try something else")).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    checkLog(await stored(log, run.id));
  });

  it.each([2, 3, 4])("a cycle of %i steps", async (period) => {
    const cycle = Array.from({ length: period }, (_, n) => [n]);
    const model = scriptedModel([...repeating(cycle, 9), "Done."]);
    const { agent } = testAgent({ model, tools: [count], maxSteps: 100 });
    const run = agent.run("go");
    await atLimit(run, "repeats");
    expect(run.state.step).toBe(period * 3);
  });

  it("does not mistake other arguments, other results, or what a person asks again", async () => {
    let polled = 0;
    const poll = defineTool({ name: "poll", description: "", input: z.object({}), execute: () => ++polled });
    const differing = Array.from({ length: 12 }, (_, n): ScriptStep => ({ calls: [call(n)] }));
    const polling = Array.from({ length: 12 }, (): ScriptStep => ({ calls: [{ name: "poll" }] }));
    const { agent } = testAgent({
      model: scriptedModel([...differing, ...polling, "Done."]),
      tools: [count, poll],
      maxSteps: 100,
    });
    expect(await agent.run("go").settled()).toMatchObject({ status: "done", steps: 25 });
    const again = testAgent({
      model: scriptedModel(
        Array.from({ length: 20 }, (_, n): ScriptStep => (n % 2 === 0 ? { calls: [call(1)] } : "Ok.")),
      ),
      tools: [count],
    });
    const run = again.agent.run("go");
    for (let turn = 0; turn < 8; turn++) {
      expect(await run.settled()).toMatchObject({ status: "done" });
      await run.send("again");
    }
  });

  it("is off where the program says so", async () => {
    const model = scriptedModel([...repeating([[1]], 9), "Done."]);
    const { agent } = testAgent({ model, tools: [count], maxSteps: 20, maxRepeats: 0 });
    expect(await agent.run("go").settled()).toMatchObject({ status: "done" });
  });
});
