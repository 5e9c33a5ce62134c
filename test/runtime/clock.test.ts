import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createAgent, defineTool, memoryLog, pause, scriptedModel, systemClock, type Clock } from "rubato";
import { z } from "zod";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

async function loop(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("the system's clock", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("calls back once, after the time; cancelled never, and cancelling twice or too late is fine", () => {
    const fired: string[] = [];
    systemClock.timer(20, () => fired.push("b"));
    const cancelA = systemClock.timer(10, () => fired.push("a"));
    const cancelC = systemClock.timer(15, () => fired.push("c"));
    cancelC();
    cancelC();
    vi.advanceTimersByTime(9);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(100);
    cancelA();
    expect(fired).toEqual(["a", "b"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("measures durations with a clock that setting the time does not touch", () => {
    const before = systemClock.monotonic();
    vi.setSystemTime(0);
    expect(systemClock.now()).toBe(0);
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(before);
  });
});

describe("the clock of the tests", () => {
  it("fires what is due in order of time, timers that timers set included, and shows each its own moment", () => {
    const clock = manualClock(1_000);
    const fired: [string, number][] = [];
    const note = (name: string): void => {
      fired.push([name, clock.now()]);
    };
    clock.timer(30, () => {
      note("late");
    });
    clock.timer(10, () => {
      note("early");
      clock.timer(5, () => {
        note("child");
      });
      clock.timer(500, () => {
        note("far");
      });
    });
    clock.timer(20, () => {
      note("never");
    })();
    clock.advance(100);
    expect(fired).toEqual([
      ["early", 1_010],
      ["child", 1_015],
      ["late", 1_030],
    ]);
    expect([clock.now(), clock.monotonic(), clock.pending]).toEqual([1_100, 100, 1]);
  });
});

describe("a run", () => {
  it("reads no clock and sets no timer but those of the injected one", async () => {
    const used: string[] = [];
    const spies = [
      vi.spyOn(Date, "now").mockImplementation(() => used.push("Date.now")),
      vi.spyOn(performance, "now").mockImplementation(() => used.push("performance.now")),
    ];
    vi.stubGlobal("setTimeout", () => used.push("setTimeout"));
    vi.stubGlobal("setInterval", () => used.push("setInterval"));
    const clock = manualClock(1_234);
    const log = memoryLog();
    const ledger = { started: [], finished: [], aborted: [] };
    try {
      const agent = createAgent({ name: "a", model: goldenModel(), tools: goldenTools(ledger), log, clock });
      const run = agent.run("go", { runId: "r" });
      await run.send("more", { when: "now" });
      await run.settled();
      await agent.close();
    } finally {
      for (const spy of spies) spy.mockRestore();
      vi.unstubAllGlobals();
    }
    expect(used).toEqual([]);
    const events = await stored(log, "r");
    expect(new Set(events.map(({ timestamp }) => timestamp))).toEqual(new Set([1_234]));
    expect(clock.pending).toBe(0);
  });

  it("measures an interrupt on the monotonic clock and keeps its order when the wall clock jumps back", async () => {
    const hand = manualClock(1_000_000);
    let jump = 0;
    const clock: Clock = { ...hand, now: () => hand.now() + jump };
    const gate = pause();
    const log = memoryLog();
    const hold = defineTool({
      name: "hold",
      description: "",
      input: z.object({}),
      execute: () => gate.pass(new AbortController().signal),
    });
    const model = scriptedModel([{ calls: [{ name: "hold" }] }]);
    const run = createAgent({ name: "a", model, tools: [hold], log, clock }).run("go");
    await gate.reached;
    const stop = run.interrupt("", { mode: "step" });
    await loop();
    jump = -500_000;
    hand.advance(250);
    gate.open();
    expect(await stop).toMatchObject({ effective: true, latencyMs: 250 });
    const events = await stored(log, run.id);
    checkLog(events);
    expect(events.at(-1)?.timestamp).toBeLessThan(events[0]?.timestamp ?? 0);
    expect(await run.history("*", events.length)).toEqual(events);
  });

  it("P31 a tool's timeout is its own, else the agent's; its signal aborts first, then the grace runs", async () => {
    const clock = manualClock();
    const signals: AbortSignal[] = [];
    const deaf = (name: string, timeoutMs?: number) =>
      defineTool({
        name,
        description: "",
        input: z.object({}),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        execute(_input, { signal }) {
          signals.push(signal);
          return new Promise(() => {});
        },
      });
    const model = scriptedModel([{ calls: [{ name: "own" }, { name: "default" }] }, "given up"]);
    const agent = createAgent({
      name: "a",
      model,
      tools: [deaf("own", 100), deaf("default")],
      clock,
      toolTimeoutMs: 1_000,
      graceMs: 50,
    });
    const run = agent.run("go");
    while (signals.length < 2) await loop();
    const outcomes = (): (string | undefined)[] => [...run.state.toolCalls.values()].map(({ outcome }) => outcome);
    const after = (ms: number): unknown[] => {
      clock.advance(ms);
      return [...signals.map(({ aborted }) => aborted), ...outcomes()];
    };
    expect(after(99)).toEqual([false, false, undefined, undefined]);
    expect(after(1)).toEqual([true, false, undefined, undefined]);
    expect(after(50)).toEqual([true, false, "unknown", undefined]);
    expect(after(849)).toEqual([true, false, "unknown", undefined]);
    expect(after(1)).toEqual([true, true, "unknown", undefined]);
    expect(after(50)).toEqual([true, true, "unknown", "unknown"]);
    expect(await run.settled()).toMatchObject({ status: "done", output: "given up" });
    expect(clock.pending).toBe(0);
  });
});
