import { describe, expect, it } from "vitest";
import {
  createAgent,
  memoryLog,
  type RubatoError,
  scriptedModel,
  type Event,
  type Level,
  type Overflow,
  type SubscribeOptions,
} from "rubato";
import { isHot } from "rubato/machines";
import { countedModel } from "../support/counted-model.ts";
import { quiet } from "../support/agents.ts";
import { handListener, type HandListener } from "../support/hand-listener.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

const POLICIES: readonly Overflow[] = ["catch-up", "coalesce", "drop-oldest", "drop-newest", "disconnect", "block"];

/** The first token is seq 5: before it there are run_start, user_input, input_delivered and thinking. After the last come message and done. */
const FIRST = 5;

interface Setting {
  readonly pattern?: "*" | "token_stream";
  readonly tokens: number;
  readonly options: SubscribeOptions;
}

/** A run of so many tokens that is over before its listener has handled its first event. */
async function stalled({ pattern = "token_stream", tokens, options }: Setting) {
  const log = memoryLog();
  const clock = manualClock();
  const agent = createAgent({ name: "a", model: countedModel(tokens), log, clock });
  const listener = handListener();
  const off = agent.subscribe(pattern, listener.hear, options);
  const run = agent.run("go");
  await quiet();
  clock.advance(5_000);
  await run.settled();
  await quiet();
  const all = await stored(log, run.id);
  const stats = () => run.stats().subscribers[0];
  return { run, off, listener, all, stats };
}

/** `7`, or `gap 7-9`. */
function brief(events: readonly Event[]): (number | string)[] {
  return events.map((event) => (event.type === "gap" ? `gap ${event.data.from}-${event.data.to}` : event.seq));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function textOf(events: readonly Event[]): string {
  return events.map((event) => (event.type === "token_stream" ? event.data.text : "")).join("");
}

describe("P27 a full queue", () => {
  it("catch-up: what has no place is read from the log, at the listener's pace", async () => {
    const { listener, all, stats } = await stalled({ tokens: 30, options: { queue: { events: 10 } } });
    expect(brief(listener.heard)).toEqual([5]);
    expect(stats()).toMatchObject({ produced: 30, queued: 10, highWater: 10, behind: true, level: "degraded" });
    await listener.next(11);
    expect(brief(listener.heard), "a page of the log is no larger than the queue").toEqual(range(5, 16));
    expect(stats()).toMatchObject({ queued: 9, highWater: 10, behind: true });
    await listener.open();
    expect(listener.heard).toEqual(all.filter((event) => event.type === "token_stream"));
    expect(stats()).toMatchObject({ delivered: 30, merged: 0, dropped: 0, dropRate: 0, behind: false, level: "green" });
  });

  it("coalesce: tokens of one text become one event, with the last one's seq and the first one's offset", async () => {
    const { listener, all, stats } = await stalled({
      tokens: 30,
      options: { queue: { events: 10 }, overflow: "coalesce" },
    });
    expect(stats()).toMatchObject({ produced: 30, behind: false, queued: 2, highWater: 10, merged: 27 });
    await listener.open();
    const [first, ...others] = listener.heard;
    expect(first).toEqual(all[FIRST - 1]);
    const tokens = all.filter((event) => event.type === "token_stream");
    const last = tokens[28];
    expect(others).toEqual([
      { ...last, data: { ...tokens[1]?.data, text: textOf(tokens.slice(1, 29)), offset: 6 } },
      tokens[29],
    ]);
    expect(stats()).toMatchObject({ produced: 30, delivered: 3, merged: 27, dropped: 0 });
  });

  it("coalesce merges neither over a control event nor over what it does not know", async () => {
    const parts = [{ reasoning: "hm hm" }, "one two", { calls: [{ name: "none", args: { text: "some words" } }] }];
    const log = memoryLog();
    const agent = createAgent({ name: "a", model: scriptedModel([parts, "end"]), log });
    const listener = handListener();
    agent.subscribe("*", listener.hear, { queue: { events: 3 }, overflow: "coalesce" });
    const run = agent.run("go");
    await run.settled();
    await listener.open();
    const all = await stored(log, run.id);
    expect(listener.heard.filter((event) => !isHot(event))).toEqual(all.filter((event) => !isHot(event)));
    const kinds = listener.heard.map(({ type }) => type);
    const seen = kinds.filter((type, index) => type !== kinds[index - 1]);
    const original = all.map(({ type }) => type);
    expect(seen).toEqual(original.filter((type, index) => type !== original[index - 1]));
    expect(textOf(listener.heard)).toBe(textOf(all));
  });

  it("drop-oldest: the oldest tokens go, and a notice says which", async () => {
    const overflow = "drop-oldest";
    const some = await stalled({ tokens: 30, options: { queue: { events: 10 }, overflow } });
    expect(some.stats()).toMatchObject({ produced: 30, queued: 10, highWater: 10, dropped: 19, dropRate: 19 / 30 });
    await some.listener.open();
    expect(brief(some.listener.heard)).toEqual([5, "gap 6-24", ...range(25, 34)]);
    expect(some.stats()).toMatchObject({ delivered: 11, dropped: 19, merged: 0, behind: false });

    const every = await stalled({ pattern: "*", tokens: 30, options: { queue: { events: 10 }, overflow } });
    await every.listener.open();
    expect(brief(every.listener.heard)).toEqual([1, 2, 3, 4, "gap 5-29", ...range(30, 36)]);
  });

  it("drop-newest: the newest tokens go, and a notice says which; what comes when there is room again is heard", async () => {
    const overflow = "drop-newest";
    const some = await stalled({ tokens: 30, options: { queue: { events: 10 }, overflow } });
    expect(some.stats()).toMatchObject({ produced: 30, queued: 10, highWater: 10, dropped: 19 });
    await some.listener.next(4);
    await some.run.send("more");
    await some.run.settled();
    await some.listener.open();
    // The second answer begins at seq 40: message, done, user_input, input_delivered, thinking lie between. Four of it found room.
    expect(brief(some.listener.heard)).toEqual([...range(5, 15), "gap 16-34", ...range(40, 43), "gap 44-69"]);

    const every = await stalled({ pattern: "*", tokens: 30, options: { queue: { events: 10 }, overflow } });
    await every.listener.open();
    expect(brief(every.listener.heard)).toEqual([...range(1, 11), "gap 12-34", 35, 36]);
  });

  it("disconnect: the subscription ends, and says where to read on", async () => {
    const errors: RubatoError[] = [];
    const { run, listener, stats, off } = await stalled({
      tokens: 30,
      options: { queue: { events: 10 }, overflow: "disconnect", onDisconnect: (error) => errors.push(error) },
    });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ name: "RubatoError", code: "overflow" });
    expect(errors[0]?.message).toContain("Read on from seq 5,");
    expect(stats(), "it is gone").toBeUndefined();
    await listener.open();
    expect(brief(listener.heard)).toEqual([5]);
    off();
    expect(run.state.status).toBe("done");
  });

  it("disconnect also ends a subscription to all runs", async () => {
    let ended = 0;
    const agent = createAgent({ name: "a", model: countedModel(30) });
    const listener = handListener();
    const options = { queue: { events: 10 }, overflow: "disconnect", onDisconnect: () => ended++ } as const;
    agent.subscribe("token_stream", listener.hear, options);
    const runs = [agent.run("go"), agent.run("go")];
    for (const run of runs) expect((await run.settled()).status).toBe("done");
    await listener.open();
    expect([ended, listener.heard.length]).toEqual([1, 1]);
    for (const run of [...runs, agent.run("another")]) expect(run.stats().subscribers).toEqual([]);
  });

  it.each(POLICIES)("is bounded in bytes: %s", async (overflow) => {
    // A token of 6 characters counts 112 bytes: 8 of them fit.
    const { stats, listener } = await stalled({ tokens: 30, options: { queue: { bytes: 900 }, overflow } });
    if (overflow === "disconnect") return expect(stats()).toBeUndefined();
    expect(stats()?.highWaterBytes).toBeLessThanOrEqual(900);
    expect(stats()?.highWater).toBe(8);
    await listener.open();
    const { produced, delivered, merged, dropped } = stats() ?? {};
    expect(produced).toBe(30);
    expect((delivered ?? 0) + (merged ?? 0) + (dropped ?? 0)).toBe(30);
    expect(dropped).toBe(overflow.startsWith("drop") ? 21 : 0);
  });

  it.each(POLICIES)(
    "an event larger than the whole queue is delivered where nothing else waits: %s",
    async (overflow) => {
      const { listener, all } = await stalled({ tokens: 2, options: { queue: { events: 5, bytes: 10 }, overflow } });
      await listener.open();
      expect(listener.heard).toEqual(all.slice(4, 6));
    },
  );

  it("control events that fill twice the queue are read from the log; hot ones among them stay dropped", async () => {
    for (const overflow of ["drop-oldest", "drop-newest"] as const) {
      const log = memoryLog();
      const agent = createAgent({ name: "a", model: scriptedModel((_request, index) => `answer ${index}`), log });
      const listener = handListener();
      agent.subscribe("*", listener.hear, { queue: { events: 4 }, overflow });
      const run = agent.run("go");
      for (let turn = 0; turn < 10; turn++) {
        await run.settled();
        await run.send("more");
      }
      await run.settled();
      expect(run.stats().subscribers).toMatchObject([{ behind: true, highWater: 8 }]);
      await listener.open();
      const all = await stored(log, run.id);
      expect(listener.heard.filter((event) => !isHot(event) && event.type !== "gap")).toEqual(
        all.filter((event) => !isHot(event)),
      );
      const missing = listener.heard.flatMap((event) =>
        event.type === "gap" ? range(event.data.from, event.data.to) : [],
      );
      const heard = listener.heard.flatMap(({ seq, type }) => (type === "gap" ? [] : [seq]));
      expect([...missing, ...heard].sort((a, b) => a - b)).toEqual(all.map(({ seq }) => seq));
      expect(missing.length).toBeGreaterThan(10);
    }
  });
});

describe("P27 the fill of a queue", () => {
  /** The sizes of the first deliveries of so many waiting tokens, in a queue of 100. */
  async function sizes(tokens: number): Promise<number[]> {
    const options = { queue: { events: 100 }, overflow: "coalesce" } as const;
    const { listener } = await stalled({ tokens: tokens + 1, options });
    await listener.next(3);
    return listener.heard.slice(1).map((event) => textOf([event]).length / 6);
  }

  it("coalesce: one by one below 30 %, by five up to 70 %, in large groups above", async () => {
    expect(await sizes(29)).toEqual([1, 1, 1]);
    expect(await sizes(30)).toEqual([5, 1, 1]);
    expect(await sizes(70)).toEqual([5, 5, 5]);
    expect(await sizes(71)).toEqual([71]);
    expect(await sizes(100)).toEqual([100]);
  });

  it("without coalesce every event stays one", async () => {
    const { listener } = await stalled({ tokens: 101, options: { queue: { events: 100 } } });
    await listener.next(100);
    expect(brief(listener.heard)).toEqual(range(5, 105));
  });

  it("the level and the marks are told once, when they are reached, and the level again when it falls 10 points below", async () => {
    const told: (readonly [Level | 50 | 90, number])[] = [];
    const { listener } = await stalled({
      tokens: 96,
      options: {
        queue: { events: 100 },
        onLevel: (level, { queued, level: now }) => {
          expect(now).toBe(level);
          told.push([level, queued]);
        },
        onFill: (percent, { queued }) => told.push([percent, queued]),
      },
    });
    const up = [
      ["yellow", 30],
      [50, 50],
      ["red", 71],
      [90, 90],
      ["degraded", 91],
    ];
    expect(told).toEqual(up);
    await listener.open();
    expect(told.slice(5)).toEqual([
      ["red", 79],
      ["yellow", 59],
      ["green", 19],
    ]);
  });

  it("a callback that throws is counted, one that unsubscribes is obeyed, one that sends a command does not wait for itself", async () => {
    const agent = createAgent({ name: "a", model: countedModel(100), clock: manualClock() });
    const run = agent.run("go");
    const thrower = handListener();
    run.subscribe("token_stream", thrower.hear, {
      queue: { events: 10 },
      onLevel() {
        throw new Error("level");
      },
    });
    const leaver = handListener();
    const off = run.subscribe("token_stream", leaver.hear, { queue: { events: 10 }, onFill: () => off() });
    const answers: Promise<unknown>[] = [];
    run.subscribe("token_stream", handListener().hear, {
      queue: { events: 10 },
      onLevel: (level) => {
        if (level === "red") answers.push(run.interrupt("too slow", { mode: "now" }));
      },
    });
    expect((await run.settled()).status).toBe("interrupted");
    await quiet();
    expect(await Promise.all(answers)).toMatchObject([{ accepted: true }]);
    await leaver.open();
    expect(leaver.heard).toHaveLength(1);
    expect(run.stats().subscribers).toMatchObject([
      { failed: 2, lastError: { message: "level" } },
      { overflow: "catch-up", failed: 0 },
    ]);
  });
});

describe("block", () => {
  /** A listener of a queue of ten, and how many tokens the model was asked for. */
  function blocked(tokens: number, options: SubscribeOptions = {}) {
    const clock = manualClock();
    const model = countedModel(tokens);
    const log = memoryLog();
    const agent = createAgent({ name: "a", model, log, clock });
    const listener = handListener();
    const run = agent.run("go");
    const off = run.subscribe("token_stream", listener.hear, { queue: { events: 10 }, overflow: "block", ...options });
    return { clock, model, log, agent, listener, run, off };
  }

  it("P27 the model is not read from 80 % on, and is again at 30 %", async () => {
    const { clock, model, listener, run, log } = blocked(100);
    await quiet();
    // One is being handled and eight wait.
    expect(model.pulls).toBe(9);
    expect(run.stats().subscribers).toMatchObject([{ overflow: "block", queued: 8, behind: false }]);
    await listener.next(4);
    expect([model.pulls, run.stats().subscribers[0]?.queued]).toEqual([9, 4]);
    await listener.next();
    expect([model.pulls, run.stats().subscribers[0]?.queued], "three were left, then five came").toEqual([14, 8]);
    expect(clock.pending, "it is held up again, and the request is watched").toBe(2);
    await listener.open();
    expect((await run.settled()).status).toBe("done");
    expect(clock.pending).toBe(0);
    expect(listener.heard).toEqual((await stored(log, run.id)).filter((event) => event.type === "token_stream"));
    expect(run.stats().subscribers).toMatchObject([{ overflow: "block", highWater: 8, delivered: 100 }]);
  });

  it("P27 delays hot events only: commands are recorded and heard in their order", async () => {
    const { listener, run, log } = blocked(20);
    const controls = handListener();
    run.subscribe("user_input", controls.hear);
    await quiet();
    expect(await run.send("more", { when: "done" })).toMatchObject({ accepted: true });
    await controls.open();
    expect(controls.heard).toHaveLength(1);
    await listener.open();
    await run.settled();
    expect(run.stats().subscribers[0]).toMatchObject({ delivered: 40, overflow: "block" });
    expect((await stored(log, run.id)).filter(({ type }) => type === "done")).toHaveLength(2);
  });

  it.each([undefined, 80])(
    "P28 after its time it becomes catch-up for good (blockTimeoutMs %s)",
    async (blockTimeoutMs) => {
      const { clock, model, listener, run, log } = blocked(100, blockTimeoutMs === undefined ? {} : { blockTimeoutMs });
      await quiet();
      clock.advance((blockTimeoutMs ?? 5_000) - 1);
      await quiet();
      expect(model.pulls).toBe(9);
      clock.advance(1);
      await quiet();
      expect((await run.settled()).status).toBe("done");
      expect(model.pulls).toBe(101);
      expect(clock.pending).toBe(0);
      expect(run.stats().subscribers).toMatchObject([{ overflow: "catch-up", queued: 10, behind: true }]);
      await listener.open();
      expect(listener.heard).toEqual((await stored(log, run.id)).filter((event) => event.type === "token_stream"));
    },
  );

  it("its time counts anew each time the run is held up", async () => {
    const { clock, listener, run } = blocked(100);
    await quiet();
    for (let round = 0; round < 5; round++) {
      clock.advance(4_999);
      await listener.next(5);
    }
    expect(run.stats().subscribers).toMatchObject([{ overflow: "block", queued: 8 }]);
    clock.advance(5_000);
    await run.settled();
    expect(run.stats().subscribers).toMatchObject([{ overflow: "catch-up" }]);
  });

  it("of two that block the run waits for both", async () => {
    const { clock, model, listener, run } = blocked(100);
    const other = handListener();
    run.subscribe("token_stream", other.hear, { queue: { events: 20 }, overflow: "block", blockTimeoutMs: 10_000 });
    await quiet();
    await other.next(9);
    await listener.next(5);
    await quiet();
    expect(model.pulls, "the second has 5 waiting and does not block yet").toBe(14);
    await listener.open();
    expect(model.pulls).toBe(26);
    clock.advance(9_999);
    await quiet();
    expect(model.pulls).toBe(26);
    clock.advance(1);
    await run.settled();
    expect(clock.pending).toBe(0);
  });

  it("unsubscribing while it blocks lets the run go on", async () => {
    const { clock, model, run, off } = blocked(100);
    await quiet();
    expect(model.pulls).toBe(9);
    off();
    expect((await run.settled()).status).toBe("done");
    expect([model.pulls, clock.pending]).toEqual([101, 0]);
  });

  it("P18 an interrupt while it blocks is effective at once, closes the stream, and leaves no timer", async () => {
    const { clock, model, run, agent } = blocked(100);
    await quiet();
    expect(await run.interrupt("", { mode: "now" })).toMatchObject({ effective: true, keptChars: 54 });
    expect([model.closed, clock.pending]).toEqual([1, 0]);
    await agent.close();
    expect(run.stats().tasks).toBe(0);
  });

  it("P31 a model that is not read is not idle; the time for the whole answer goes on, and ends it", async () => {
    const clock = manualClock();
    const model = countedModel(100);
    const agent = createAgent({
      name: "a",
      model,
      clock,
      retry: { retries: 0 },
      timeouts: { idleMs: 1_000, totalMs: 60_000 },
    });
    const run = agent.run("go");
    const options = { queue: { events: 10 }, overflow: "block", blockTimeoutMs: 600_000 } as const;
    run.subscribe("token_stream", handListener().hear, options);
    await quiet();
    for (let second = 0; second < 59; second++) clock.advance(1_000);
    await quiet();
    expect([run.state.value, model.pulls]).toEqual(["thinking.streaming", 9]);
    clock.advance(1_000);
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "total_timeout" } });
    expect([model.closed, clock.pending]).toEqual([1, 0]);
    await agent.close();
    expect(run.stats().tasks).toBe(0);
  });

  it("closing the agent does not wait for who blocks", async () => {
    const { clock, model, agent, run } = blocked(100);
    await quiet();
    await agent.close();
    expect([run.state.status, model.closed, clock.pending]).toEqual(["interrupted", 1, 0]);
  });

  it("a subscription to all runs holds up those that tell it something, and lets all go on together", async () => {
    const clock = manualClock();
    const agent = createAgent({ name: "a", model: countedModel(50), clock });
    const listener = handListener();
    const off = agent.subscribe("token_stream", listener.hear, { queue: { events: 10 }, overflow: "block" });
    const runs = ["a", "b", "c"].map((runId) => agent.run("go", { runId }));
    await quiet();
    const told = runs.map(({ state }) => state.partial?.text.length ?? 0);
    expect(
      told.reduce((sum, length) => sum + length / 6, 0),
      "each is held up when it told one more",
    ).toBeLessThan(14);
    await quiet();
    expect(runs.map(({ state }) => state.partial?.text.length ?? 0)).toEqual(told);
    off();
    for (const run of runs) expect((await run.settled()).status).toBe("done");
    expect(clock.pending).toBe(0);
  });
});

describe("P28 R6", () => {
  it.each(POLICIES)("one that stands still and ten that do not: %s", async (overflow) => {
    const log = memoryLog();
    const clock = manualClock();
    const agent = createAgent({ name: "a", model: countedModel(3_000), log, clock });
    const still = handListener();
    const healthy = Array.from({ length: 10 }, (_, index): HandListener => {
      const listener = handListener();
      const options = { queue: { events: 50 }, overflow: POLICIES[index % POLICIES.length] ?? "catch-up" };
      if (index % 2 === 0) agent.subscribe("*", (event) => listener.heard.push(event), options);
      else agent.subscribe("*", async (event) => listener.heard.push(event), { ...options, overflow: "catch-up" });
      return listener;
    });
    agent.subscribe("*", still.hear, { queue: { events: 100 }, overflow });
    const run = agent.run("go");
    await quiet();
    if (overflow === "block") clock.advance(5_000);
    expect((await run.settled()).status).toBe("done");
    await quiet();
    const all = await stored(log, run.id);
    for (const { heard } of healthy) expect(heard).toEqual(all);
    expect(still.heard).toHaveLength(1);
    const held = run.stats().subscribers[10];
    if (overflow === "disconnect") expect(held).toBeUndefined();
    else expect(held?.highWater).toBeLessThanOrEqual(102);
  });
});

it("wrong options are told at once", () => {
  const agent = createAgent({ name: "a", model: scriptedModel([]) });
  const wrong: readonly (readonly [SubscribeOptions, string])[] = [
    [{ queue: { events: 0 } }, "queue.events"],
    [{ queue: { bytes: 0.5 } }, "queue.bytes"],
    [{ blockTimeoutMs: -1 }, "blockTimeoutMs"],
  ];
  for (const [options, name] of wrong) {
    expect(() => agent.subscribe("*", () => {}, options)).toThrow(name);
  }
  // @ts-expect-error There is no such policy.
  expect(() => agent.subscribe("*", () => {}, { overflow: "drop" })).toThrow('"overflow" must be one of catch-up');
  // @ts-expect-error A misspelt option.
  expect(() => agent.subscribe("*", () => {}, { overflo: "block" })).toThrow('no option "overflo"');
});
