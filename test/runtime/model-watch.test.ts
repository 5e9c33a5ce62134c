import { afterEach, describe, expect, it } from "vitest";
import { createAgent, memoryLog, type ChatModel, type EventLog, type ModelChunk } from "rubato";
import { openaiModelWith } from "../../runtime/models/openai.ts";
import { deferred, eventsOf, quiet, until } from "../support/agents.ts";
import { deltaFrame, faultServer, type Fault } from "../support/fault-server.ts";
import { handTimers } from "../support/hand-timers.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

// P31: the agent's own limits, for whatever model it has.

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Yields what it is given, at the moment of the test's choice, and otherwise says nothing, also when told to stop. */
function heldModel() {
  const waiting: ((piece: IteratorResult<ModelChunk, undefined>) => void)[] = [];
  let reads = 0;
  const signals: AbortSignal[] = [];
  const model: ChatModel = {
    name: "held",
    stream(_request, { signal }) {
      signals.push(signal);
      return {
        [Symbol.asyncIterator]: () => ({
          next() {
            reads++;
            return new Promise<IteratorResult<ModelChunk, undefined>>((resolve) => waiting.push(resolve));
          },
        }),
      };
    },
  };
  return {
    model,
    signals,
    reads: () => reads,
    say: async (text: string): Promise<void> => {
      waiting.shift()?.({ done: false, value: { type: "text", text } });
      await quiet();
    },
  };
}

const timeouts = { firstByteMs: 10_000, idleMs: 4_000, totalMs: 60_000 };

function held() {
  const { model, signals, say, reads } = heldModel();
  const clock = manualClock();
  const log = memoryLog();
  const agent = createAgent({ name: "a", model, timeouts, retry: { retries: 0 }, clock, log, graceMs: 0 });
  const run = agent.run("go");
  return { run, clock, log, say, signals, reads };
}

describe("P31 each limit, on the monotonic clock", () => {
  it("first_byte_timeout", async () => {
    const { run, clock, signals, log } = held();
    clock.advance(9_999);
    expect(run.state.value).toBe("thinking.requesting");
    clock.advance(1);
    expect(await run.settled()).toMatchObject({
      status: "failed",
      error: {
        code: "first_byte_timeout",
        message:
          "The model did not begin to answer within 10000 ms. Check that it works, or raise timeouts.firstByteMs.",
      },
    });
    expect(signals[0]?.aborted).toBe(true);
    expect(clock.pending).toBe(0);
    expect((await eventsOf(log, run, "error")).map(({ data }) => data)).toMatchObject([
      { class: "timeout", code: "first_byte_timeout", retryable: true },
    ]);
  });

  it("idle_timeout: not before its time, and at the latest half as long again after the last piece", async () => {
    const { run, clock, say, log } = held();
    await say("one ");
    clock.advance(3_999);
    await say("two ");
    clock.advance(3_999);
    expect(run.state.value).toBe("thinking.streaming");
    clock.advance(2_001);
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "idle_timeout" } });
    expect(run.state.messages.at(-1)).toMatchObject({ content: "one two ", cut: true });
    expect(clock.pending).toBe(0);
    checkLog(await stored(log, run.id));
  });

  it("total_timeout: also of an answer that never stalls", async () => {
    const { run, clock, say } = held();
    for (let passed = 0; passed < 58_000; passed += 2_000) {
      await say("x");
      clock.advance(2_000);
    }
    expect(run.state.value).toBe("thinking.streaming");
    await say("x");
    clock.advance(2_000);
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "total_timeout" } });
    expect(clock.pending).toBe(0);
  });

  it("what a model says after its time counts for nothing", async () => {
    const { run, clock, say, log } = held();
    clock.advance(10_000);
    await run.settled();
    const before = (await stored(log, run.id)).length;
    await say("late");
    expect((await stored(log, run.id)).length).toBe(before);
    expect(run.state.messages).toHaveLength(1);
  });
});

describe("P31 the agent's limits and those of the OpenAI adapter", () => {
  async function both(fault: Fault) {
    const server = await faultServer([fault]);
    closing.push(() => server.close());
    const timers = handTimers();
    const model = openaiModelWith(
      { model: "m", baseURL: server.baseURL, idleTimeoutMs: 1_000, headerTimeoutMs: 2_000 },
      { environment: {}, setTimer: timers.setTimer },
    );
    const clock = manualClock();
    const log = memoryLog();
    const agent = createAgent({ name: "a", model, timeouts, retry: { retries: 0 }, clock, log });
    closing.push(() => agent.close());
    const run = agent.run("go");
    await server.request(0);
    const errors = async () => (await eventsOf(log, run, "error")).map(({ data }) => data);
    return { server, timers, clock, run, errors };
  }
  const half: Fault = { frames: [deltaFrame({ content: "half" })], end: "stall" };

  it("the agent's first: one error, the socket closed, no timer left", async () => {
    const { server, timers, clock, run, errors } = await both({ silent: true });
    clock.advance(10_000);
    timers.runOut(2_000);
    expect(await run.settled()).toMatchObject({ status: "failed" });
    expect(await errors()).toMatchObject([
      { code: "first_byte_timeout", message: expect.stringContaining("timeouts.firstByteMs") },
    ]);
    expect(await (await server.request(0)).over).toBe("closed");
    while (timers.active().length > 0) await quiet();
    expect(clock.pending).toBe(0);
  });

  it("the adapter's first: one error", async () => {
    const { timers, clock, run, errors } = await both({ silent: true });
    timers.runOut(2_000);
    expect(await run.settled()).toMatchObject({ status: "failed" });
    clock.advance(10_000);
    await quiet();
    expect(await errors()).toMatchObject([
      { code: "first_byte_timeout", message: expect.stringContaining("headerTimeoutMs") },
    ]);
    expect(clock.pending).toBe(0);
  });

  it.each(["agent", "adapter"] as const)(
    "in the middle of an answer, the %s's first: one error, the text kept",
    async (first) => {
      const { timers, clock, run, errors } = await both(half);
      await until(run, "token_stream");
      while (timers.refreshed(1_000) === 0) await quiet();
      if (first === "agent") clock.advance(6_000);
      timers.runOut(1_000);
      expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "idle_timeout" } });
      if (first === "adapter") clock.advance(6_000);
      await quiet();
      const told = await errors();
      expect(told).toHaveLength(1);
      expect(told[0]?.message).toContain(first === "agent" ? "timeouts.idleMs" : "idleTimeoutMs");
      expect(run.state.messages.at(-1)).toMatchObject({ content: "half", cut: true });
    },
  );
});

describe("P31 a log that is slow", () => {
  it("is not the model's idleness: its time begins when it is read again", async () => {
    const base = memoryLog();
    const opened = deferred();
    let streaming = false;
    const log: EventLog = {
      ...base,
      append(runId, batch) {
        streaming ||= batch.events.some(({ type }) => type === "token_stream");
        if (!streaming) return base.append(runId, batch);
        return opened.promise.then(async () => {
          await base.append(runId, batch);
          return undefined;
        });
      },
    };
    let asked = 0;
    let silent = false;
    const model: ChatModel = {
      name: "fast",
      stream: () => ({
        [Symbol.asyncIterator]: () => ({
          next() {
            asked++;
            if (silent) return new Promise<IteratorResult<ModelChunk, undefined>>(() => {});
            return Promise.resolve({ done: false as const, value: { type: "text" as const, text: "x" } });
          },
        }),
      }),
    };
    const clock = manualClock();
    const agent = createAgent({
      name: "a",
      model,
      log,
      clock,
      timeouts,
      retry: { retries: 0 },
      logTimeoutMs: 2_000_000_000,
      graceMs: 0,
    });
    const run = agent.run("go");
    await quiet();
    const before = asked;
    clock.advance(40_000);
    await quiet();
    expect(asked).toBe(before);
    expect(run.state.value).toBe("thinking.streaming");
    // Just before the watch looks again, and from then on it says nothing.
    clock.advance(999);
    silent = true;
    opened.resolve();
    while (asked === before) await quiet();
    clock.advance(3_999);
    expect(run.state.value).toBe("thinking.streaming");
    clock.advance(2_001);
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "idle_timeout" } });
    expect(run.state.messages.at(-1)?.content).toHaveLength(before);
    expect(clock.pending).toBe(0);
  });
});
