import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAgent, memoryLog, pause, RubatoError, scriptedModel, type Event, type EventType } from "rubato";
import { EVENT_TYPES } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { readEvents, type ReadableHead } from "../../runtime/reader.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

function golden(log: EventLog) {
  const ledger = { started: [], finished: [], aborted: [] };
  return createAgent({ name: "golden", model: goldenModel(), tools: goldenTools(ledger), log, clock: manualClock() });
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

/** Every promise chain that can go on without the test has gone on. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Appends and reads that answer at once or much later, differently each time. */
function unevenLog(delays: readonly number[]): EventLog {
  const log = memoryLog();
  let calls = 0;
  const wait = (): Promise<void> => turns(delays[calls++ % delays.length] ?? 0);
  return {
    ...log,
    async append(runId, batch) {
      await wait();
      await log.append(runId, batch);
      await wait();
      return undefined;
    },
    async read(runId, range) {
      await wait();
      const page = await log.read(runId, range);
      await wait();
      return page;
    },
  };
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

function seqs(events: readonly Event[]): number[] {
  return events.map((event) => event.seq);
}

/** The head of a run that has not begun. */
function emptyHead(callbacks = new Set<() => void>()): ReadableHead {
  const onChange = (callback: () => void): (() => void) => {
    callbacks.add(callback);
    return () => {
      callbacks.delete(callback);
    };
  };
  return {
    runId: "r",
    durableSeq: 0,
    publishedSeq: 0,
    atRest: false,
    failure: undefined,
    volatileAfter: () => [],
    onProgress: onChange,
    onStored: onChange,
  };
}

const logs: readonly (readonly [string, () => EventLog])[] = [
  ["memory", () => memoryLog()],
  ["slow", () => slowLog()],
  ["uneven", () => unevenLog([0, 7, 1, 3])],
];

describe.each(logs)("on a %s log", (_name, makeLog) => {
  it("P5 iterating gives every event from seq 1 and ends at rest; once more, it gives the same", async () => {
    const log = makeLog();
    const run = golden(log).run("How is the weather?", { runId: "golden" });
    const live = await collect(run);
    expect(run.state.status).toBe("done");
    const all = await stored(log, "golden");
    expect(live).toEqual(all);
    expect(live.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1));
    expect(await collect(run)).toEqual(all);
  });

  it("P26 I17 at every cursor: exactly what comes after it, live and at rest, filtered by type", async () => {
    const log = makeLog();
    const run = golden(log).run("How is the weather?", { runId: "golden" });
    const live = Array.from({ length: 80 }, (_, from) => collect(run.events({ from })));
    await run.settled();
    const all = await stored(log, "golden");
    for (const [from, reading] of live.entries()) {
      expect(await reading, `live from ${from}`).toEqual(all.slice(from));
      expect(await collect(run.events({ from })), `at rest from ${from}`).toEqual(all.slice(from));
    }
    for (const types of [["token_stream"], ["tool_call", "tool_result"], ["owner"], [], EVENT_TYPES] as const) {
      const wanted = new Set<EventType>(types);
      expect(await collect(run.events({ types, from: 9 }))).toEqual(
        all.slice(9).filter(({ type }) => wanted.has(type)),
      );
    }
  });

  it("a command inside the loop continues it", async () => {
    const gate = pause();
    const model = scriptedModel([["one ", gate, "two"], "second", "third"]);
    const run = createAgent({ name: "a", model, log: makeLog() }).run("go");
    const types: EventType[] = [];
    const answers: unknown[] = [];
    for await (const { type } of run) {
      types.push(type);
      if (type === "token_stream" && answers.length === 0) answers.push(await run.interrupt("", { mode: "now" }));
      if (type === "interrupted") answers.push(await run.resume("go on"));
      if (type === "done" && answers.length === 2) answers.push(await run.send("more"));
    }
    expect(answers).toMatchObject([{ effective: true }, { accepted: true }, { accepted: true }]);
    expect(types.filter((type) => type === "done")).toHaveLength(2);
    expect(run.state.output).toBe("third");
    expect(types).toHaveLength(run.state.seq);
  });

  it("P24 leaving the loop stops nothing", async () => {
    const run = golden(makeLog()).run("How is the weather?", { runId: "golden" });
    for await (const { type } of run) if (type === "tool_start") break;
    expect(run.state.status).not.toBe("done");
    expect((await run.settled()).status).toBe("done");
  });

  it("follow goes on over rests and turns, and ends with the loop", async () => {
    const log = makeLog();
    const run = createAgent({ name: "a", model: scriptedModel((_request, index) => `answer ${index}`), log }).run("go");
    const followed: Event[] = [];
    const following = (async () => {
      for await (const event of run.events({ follow: true })) {
        followed.push(event);
        if (event.type === "done" && event.data.output === "answer 3") break;
      }
    })();
    for (let turn = 0; turn < 4; turn++) {
      await run.settled();
      await quiet();
      expect(seqs(followed), "caught up, and waits").toEqual(seqs(await stored(log, run.id)));
      if (turn < 3) await run.send("next");
    }
    await following;
  });

  it("a reader that begins in the middle of a stream, before anything of it is stored", async () => {
    const gate = pause();
    const log = makeLog();
    const run = createAgent({ name: "a", model: scriptedModel([["a b c", gate, " d"]]), log }).run("go");
    await gate.reached;
    const early = run.events({ from: 4 });
    const { value } = await early.next();
    expect(value).toMatchObject({ seq: 5, type: "token_stream" });
    const whole = collect(run);
    gate.open();
    const all = [value, ...(await collect(early))];
    expect(all).toEqual((await stored(log, run.id)).slice(4));
    expect(await whole).toEqual(await stored(log, run.id));
  });
});

it("P26 any number of readers, at any pace, from any cursor, over any timing of the log", async () => {
  const delays = fc.array(fc.nat(12), { minLength: 1, maxLength: 6 });
  const reader = fc.record({
    from: fc.nat(70),
    begin: fc.nat(60),
    paces: fc.array(fc.nat(12), { minLength: 1, maxLength: 5 }),
    follow: fc.boolean(),
    types: fc.option(fc.subarray([...EVENT_TYPES], { minLength: 1 })),
  });
  await fc.assert(
    fc.asyncProperty(delays, fc.array(reader, { minLength: 1, maxLength: 6 }), async (delays, readers) => {
      const log = unevenLog(delays);
      const run = golden(log).run("How is the weather?", { runId: "golden" });
      const read = readers.map(async ({ from, begin, paces, follow, types }) => {
        await turns(begin * 3);
        const heard: Event[] = [];
        const wanted = types === null ? {} : { types };
        for await (const event of run.events({ from, follow, ...wanted })) {
          heard.push(event);
          if (follow && event.type === "done") break;
          await turns(paces[heard.length % paces.length] ?? 0);
        }
        return heard;
      });
      await run.settled();
      const all = await stored(log, "golden");
      const ending = readers.map(({ from, types }) =>
        all.filter(({ seq, type }) => seq > from && (types?.includes(type) ?? true)),
      );
      for (const [index, reading] of read.entries()) {
        // One that follows and never gets its `done` waits for ever, as it should.
        if (readers[index]?.follow === true && ending[index]?.at(-1)?.type !== "done") continue;
        expect(await reading).toEqual(ending[index]);
      }
    }),
    { numRuns: 80 },
  );
});

describe("the iterator", () => {
  it("answers pulls that are asked for at the same time one after the other, as a generator does", async () => {
    for (const delays of [[0], [9, 0, 0, 4, 1], [1, 8, 3]]) {
      const log = unevenLog(delays);
      const run = golden(log).run("How is the weather?", { runId: "golden" });
      const events = run.events();
      const pulls = Array.from({ length: 200 }, () => events.next());
      const answers = await Promise.all(pulls);
      const all = await stored(log, "golden");
      expect(answers.flatMap((answer) => (answer.done === true ? [] : [answer.value.seq]))).toEqual(seqs(all));
      expect(answers.slice(all.length).every(({ done }) => done === true)).toBe(true);
    }
  });

  it("P2 does not see what is stored before its append was answered: it may yet be refused", async () => {
    const log = memoryLog();
    const answers: (() => void)[] = [];
    const append: EventLog["append"] = async (runId, batch) => {
      await log.append(runId, batch);
      await new Promise<void>((resolve) => {
        answers.push(resolve);
      });
      return undefined;
    };
    const gate = pause();
    const run = createAgent({ name: "a", model: scriptedModel([["a", gate]]), log: { ...log, append } }).run("go");
    await quiet();
    answers.shift()?.();
    await gate.reached;
    const said = run.send("more");
    await quiet();
    answers.shift()?.();
    await quiet();
    expect([run.durableSeq, (await log.head(run.id)).seq]).toEqual([5, 6]);
    const heard: Event[] = [];
    const reading = (async () => {
      for await (const event of run) heard.push(event);
    })();
    await quiet();
    expect(seqs(heard)).toEqual([1, 2, 3, 4, 5]);
    gate.open();
    while (answers.length > 0) {
      answers.shift()?.();
      await quiet();
    }
    await said;
    await reading;
    expect(seqs(heard)).toEqual(seqs(await stored(log, run.id)));
  });

  it("misses nothing that happens between an empty read and its answer", async () => {
    const run = createAgent({ name: "a", model: scriptedModel(["a"]) }).run("go");
    const event = (await run.events().next()).value;
    const log = memoryLog();
    await log.append("r", { epoch: 1, events: [event] });
    let reads = 0;
    const head = { ...emptyHead(), durableSeq: 0, publishedSeq: 0 };
    const told = readEvents(
      { ...head, publishedSeq: 1, volatileAfter: () => (reads++ === 0 ? [] : [event]) },
      memoryLog(),
    );
    expect(await told.next(), "told while it read").toMatchObject({ value: { seq: 1 } });

    const failing: { -readonly [Key in keyof ReadableHead]: ReadableHead[Key] } = {
      ...head,
      volatileAfter() {
        failing.durableSeq = 1;
        failing.failure = new RubatoError("log", "full");
        return [];
      },
    };
    const last = readEvents(failing, log);
    expect(await last.next(), "stored while it read, then the log failed").toMatchObject({ value: { seq: 1 } });
    expect(await last.next()).toMatchObject({ done: true });
  });

  it("return() ends every pull that waits, and leaves nothing in the head", async () => {
    const callbacks = new Set<() => void>();
    const head = emptyHead(callbacks);
    for (const follow of [true, false]) {
      const readers = Array.from({ length: 100 }, () => readEvents(head, memoryLog(), { follow }));
      const pulls = readers.flatMap((reader) => [reader.next(), reader.next()]);
      await quiet();
      expect(callbacks.size).toBe(100);
      for (const reader of readers) expect(await reader.return?.()).toMatchObject({ done: true });
      expect(callbacks.size).toBe(0);
      expect((await Promise.all(pulls)).every(({ done }) => done === true)).toBe(true);
      expect(await readers[0]?.next()).toMatchObject({ done: true });
    }
  });

  it("rejects while the log cannot be read, and goes on without a double when it can", async () => {
    const log = memoryLog();
    let broken = false;
    const read: EventLog["read"] = async (runId, range) => {
      if (broken) throw new Error("no disk");
      return log.read(runId, { ...range, limit: Math.min(3, range.limit) });
    };
    const run = createAgent({ name: "a", model: scriptedModel(["a b c d e"]), log: { ...log, read } }).run("go");
    await run.settled();
    const events = run.events();
    const heard: number[] = [];
    for (let pull = 0; pull < 5; pull++) {
      const { value } = await events.next();
      heard.push(value?.seq);
    }
    broken = true;
    heard.push((await events.next()).value?.seq);
    await expect(events.next()).rejects.toThrow("no disk");
    await expect(events.next()).rejects.toThrow("no disk");
    broken = false;
    heard.push(...seqs(await collect(events)));
    expect(heard).toEqual(seqs(await stored(log, run.id)));
  });

  it("rejects when the run was deleted, where a gap would be silent and asking again would spin", async () => {
    const log = memoryLog();
    const run = createAgent({ name: "a", model: scriptedModel(["a"]), log }).run("go");
    await run.settled();
    await log.delete(run.id);
    await expect(run.events().next()).rejects.toMatchObject({ code: "log" });
    expect((await run.events({ from: run.durableSeq }).next()).done).toBe(true);
  });
});

describe("history", () => {
  const text = Array.from({ length: 900 }, (_, index) => `w${index}`).join(" ");

  it("is the last events of a pattern, oldest first, over as many pages as it takes", async () => {
    const log = memoryLog();
    const ranges: { readonly after: number; readonly limit: number }[] = [];
    const read: EventLog["read"] = (runId, range) => {
      ranges.push(range);
      return log.read(runId, range);
    };
    const model = scriptedModel([text, "short"]);
    const run = createAgent({ name: "a", model, log: { ...log, read } }).run("go");
    await run.settled();
    await run.send("more");
    await run.settled();
    const all = await stored(log, run.id);
    expect(all.length).toBeGreaterThan(900);
    for (const limit of [1, 2, 50, 63, 64, 65, 128, 900, 5_000]) {
      expect(await run.history("*", limit), `* ${limit}`).toEqual(all.slice(-limit));
      const tokens = all.filter(({ type }) => type === "token_stream");
      expect(await run.history("token_*", limit), `token_* ${limit}`).toEqual(tokens.slice(-limit));
      const inputs = all.filter(({ type }) => type === "user_input");
      expect(await run.history("user_input", limit), `user_input ${limit}`).toEqual(inputs.slice(-limit));
    }
    expect(await run.history()).toEqual(all.slice(-50));
    expect(await run.history("approval_*")).toEqual([]);
    ranges.length = 0;
    await run.history("*", 10);
    expect(ranges, "no more is read than is asked for").toEqual([{ after: all.length - 64, limit: 64 }]);
  });

  it("has durable events only, and refuses a limit that is none", async () => {
    const gate = pause();
    const run = createAgent({ name: "a", model: scriptedModel([["a b", gate]]), log: slowLog() }).run("go");
    expect(await run.history()).toEqual([]);
    await gate.reached;
    expect((await run.history()).every(({ seq }) => seq <= run.durableSeq)).toBe(true);
    expect(() => run.history("*", 0)).toThrow("limit");
    expect(() => run.events({ from: -1 })).toThrow("from");
    gate.open();
    await run.settled();
  });
});
