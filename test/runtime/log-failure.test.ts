import { describe, expect, it } from "vitest";
import { createAgent, defineTool, memoryLog, pause, RubatoError, scriptedModel, type Event } from "rubato";
import { isHot } from "rubato/machines";
import { z } from "zod";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { goldenModel, goldenTools, type Ledger } from "../support/golden-run.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

/** How an append fails. */
const WAYS = {
  "throws at once": () => {
    throw new Error("disk full");
  },
  "rejects later": async (): Promise<undefined> => {
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    throw new Error("disk full");
  },
  "rejects with what is no error": () => Promise.reject<undefined>(undefined),
  "answers what is no promise": (): undefined => JSON.parse("null"),
} as const satisfies Record<string, () => undefined | Promise<undefined>>;

interface FailingLog extends EventLog {
  readonly appends: number;
  readonly afterFailure: number;
}

/** Fails the k-th append, and counts whoever still tries afterwards. */
function failingLog(base: EventLog, k: number, fail: () => undefined | Promise<undefined>): FailingLog {
  let appends = 0;
  return {
    ...base,
    append(runId, batch) {
      appends++;
      return appends === k ? fail() : base.append(runId, batch);
    },
    get appends() {
      return appends;
    },
    get afterFailure() {
      return Math.max(0, appends - k);
    },
  };
}

async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** In this process deltas are told before they are stored; nothing else is. */
function expectStoredThenDeltas(heard: readonly Event[], all: readonly Event[], what: string): void {
  expect(heard.slice(0, all.length), what).toEqual(all);
  expect(
    heard.slice(all.length).every((event) => isHot(event)),
    `${what}: the rest are deltas`,
  ).toBe(true);
}

/** Plays the golden run on a log whose k-th append fails, and checks everything that must hold then. Answers whether it failed. */
async function play(base: EventLog, k: number, fail: () => undefined | Promise<undefined>): Promise<boolean> {
  const clock = manualClock();
  const ledger: Ledger = { started: [], finished: [], aborted: [] };
  const log = failingLog(base, k, fail);
  const controller = new AbortController();
  const model = goldenModel();
  const heard: Event[] = [];
  const slow: Event[] = [];
  const agent = createAgent({ name: "golden", model, tools: goldenTools(ledger), log, clock, graceMs: 100 });
  agent.subscribe("*", (event) => heard.push(event));
  agent.subscribe("*", async (event) => {
    await Promise.resolve();
    slow.push(event);
  });
  const run = agent.run("How is the weather?", { runId: "golden", signal: controller.signal });
  const reading = collect(run);
  const following = collect(run.events({ follow: true, from: 2 }));
  const stop = run.send("more", { when: "done" });
  const outcome = await Promise.race([run.settled(), following.then(() => run.settled())]);
  if (log.appends < k) {
    await agent.close();
    return false;
  }
  const at = `append ${k}`;
  const started = ledger.started.length;
  const requests = model.requests.length;
  const all = await stored(base, "golden");
  expect(outcome, at).toMatchObject({ status: "failed", error: { code: "log" }, seq: all.length });
  expect(run.durableSeq, at).toBe(all.length);
  expectStoredThenDeltas(await reading, all, `${at}: iteration ends with what is stored`);
  expectStoredThenDeltas(await following, all.slice(2), `${at}: so does one that follows`);
  await stop;
  const no = { accepted: false, reason: "log" };
  expect(await run.interrupt()).toMatchObject(no);
  expect(await run.send("more")).toMatchObject(no);
  expect(await run.resume()).toMatchObject(no);
  expect(await run.cancel()).toMatchObject(no);
  expect(await run.approve("1.0")).toMatchObject(no);
  controller.abort();
  await quiet();
  clock.advance(100);
  await quiet();
  expect(clock.pending, `${at}: no timer is left`).toBe(0);
  expect(ledger.started.length, `${at}: no tool starts`).toBe(started);
  expect(model.requests.length, `${at}: no request`).toBe(requests);
  expect(ledger.started.length, `${at}: what ran was told to stop, or had ended`).toBe(
    ledger.finished.length + ledger.aborted.length,
  );
  expect(log.afterFailure, `${at}: nothing more is appended`).toBe(0);
  expect(run.stats().tasks, `${at}: nothing runs on`).toBe(0);
  expectStoredThenDeltas(heard, all, `${at}: a subscriber`);
  expect(slow, `${at}: a slow listener is a prefix`).toEqual(heard.slice(0, slow.length));
  expect(slow.length, `${at}: that has all that is stored`).toBeGreaterThanOrEqual(all.length);
  await agent.close();
  return true;
}

describe.each(Object.entries(WAYS))("an append that %s", (_way, fail) => {
  it.each(["memory", "slow"] as const)("at every commit of a %s log ends the run honestly (P4, H6)", async (kind) => {
    let k = 1;
    while (await play(kind === "memory" ? memoryLog() : slowLog(), k, fail)) k++;
    expect(k).toBeGreaterThan(kind === "memory" ? 50 : 15);
  });
});

it("the model's signal aborts, and what the model still says counts for nothing", async () => {
  const gate = pause();
  const log = failingLog(memoryLog(), 3, WAYS["rejects later"]);
  const signals: AbortSignal[] = [];
  const agent = createAgent({
    name: "a",
    log,
    model: {
      name: "deaf",
      async *stream(_request, { signal }) {
        signals.push(signal);
        yield { type: "text", text: "one" };
        yield { type: "text", text: " two" };
        await gate.pass(new AbortController().signal);
        yield { type: "text", text: " three" };
        yield { type: "finish", finish: "stop" };
      },
    },
  });
  const run = agent.run("go");
  expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "log" } });
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  const { seq } = run.state;
  gate.open();
  await quiet();
  expect(run.state.seq).toBe(seq);
  expect(log.afterFailure).toBe(0);
  expect(run.stats().tasks).toBe(0);
});

it("a tool that ignores its signal is given up after the grace; its timers end, what it reports goes nowhere", async () => {
  const clock = manualClock();
  const base = memoryLog();
  let broken = false;
  const append: EventLog["append"] = (runId, batch) => {
    if (broken) throw new RubatoError("log", "gone");
    return base.append(runId, batch);
  };
  const gate = pause();
  let signal: AbortSignal | undefined;
  const stubborn = defineTool({
    name: "stubborn",
    description: "",
    input: z.object({}),
    async execute(_input, ctx) {
      ({ signal } = ctx);
      await gate.pass(new AbortController().signal);
      ctx.progress("still here");
      ctx.emit("note");
      return [await ctx.interrupt("help")].length;
    },
  });
  const model = scriptedModel([{ calls: [{ name: "stubborn" }] }]);
  const agent = createAgent({ name: "a", model, tools: [stubborn], log: { ...base, append }, clock, graceMs: 50 });
  const run = agent.run("go");
  while (signal === undefined) await quiet();
  expect(clock.pending, "its timeout, and the watch over requests").toBe(2);
  broken = true;
  expect(await run.send("more")).toEqual({ accepted: false, reason: "log" });
  expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "log", message: "gone" } });
  expect(signal.aborted).toBe(true);
  const length = (await stored(base, run.id)).length;
  const { state } = run;
  clock.advance(50);
  expect(clock.pending).toBe(0);
  gate.open();
  await quiet();
  expect(run.stats().tasks).toBe(0);
  expect(await stored(base, run.id)).toHaveLength(length);
  expect(run.state, "the state stays where it was").toBe(state);
  expect(clock.pending).toBe(0);
});

it("an interrupt that waits to become effective is answered when the log fails", async () => {
  const base = memoryLog();
  let broken = false;
  const append: EventLog["append"] = async (runId, batch) => {
    if (broken) throw new Error("gone");
    return base.append(runId, batch);
  };
  const gate = pause();
  const model = scriptedModel([["one", gate]]);
  const run = createAgent({ name: "a", model, log: { ...base, append } }).run("go");
  await gate.reached;
  const stop = run.interrupt("after this step");
  await quiet();
  broken = true;
  expect(await run.send("more")).toEqual({ accepted: false, reason: "log" });
  expect(await stop).toMatchObject({ accepted: true, effective: false });
  expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "log" } });
});

describe("run_exists", () => {
  it.each([
    ["memory", () => memoryLog()],
    ["slow", () => slowLog()],
  ])("on a %s log: settles as failed, leaves that run and its log as they were", async (_name, makeLog) => {
    const log = makeLog();
    const gate = pause();
    const model = scriptedModel([["one ", gate, "two"], "again"]);
    const agent = createAgent({ name: "a", model, log });
    const told: string[] = [];
    const first = agent.run("first", { runId: "same" });
    await gate.reached;
    agent.subscribe("*", ({ seq, type }) => told.push(`${seq} ${type}`));
    const second = agent.run("second", { runId: "same" });
    expect(await second.settled()).toMatchObject({ status: "failed", error: { code: "run_exists" }, seq: 0 });
    expect(await collect(second)).toEqual([]);
    expect(await second.history()).toEqual([]);
    expect(await second.send("more")).toEqual({ accepted: false, reason: "run_exists" });
    expect(model.requests, "it asks nothing").toHaveLength(1);
    expect(told.filter((line) => line.startsWith("1 "))).toEqual([]);

    expect(await agent.open("same")).toBe(first);
    gate.open();
    expect(await first.settled()).toMatchObject({ status: "done", output: "one two" });
    const all = await stored(log, "same");
    expect(all).toHaveLength(first.state.seq);
    expect(await collect(first)).toEqual(all);
    await agent.close();
  });

  it("also for a run of another process, at rest or not", async () => {
    const log = memoryLog();
    const other = createAgent({ name: "a", model: scriptedModel(["hello"]), log });
    await other.run("first", { runId: "same" }).settled();
    const before = await stored(log, "same");
    const agent = createAgent({ name: "a", model: scriptedModel([]), log });
    const run = agent.run("second", { runId: "same" });
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "run_exists" } });
    expect(await stored(log, "same")).toEqual(before);
  });
});
