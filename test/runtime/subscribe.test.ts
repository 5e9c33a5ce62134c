import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createAgent,
  memoryLog,
  pause,
  scriptedModel,
  type ChatModel,
  type Event,
  type Listener,
  type Run,
} from "rubato";
import { EVENT_TYPES, isHot } from "rubato/machines";
import type { EventPattern } from "../../runtime/pattern.ts";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { checkLog } from "../support/invariants.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

const PREFIXES = ["run_*", "user_*", "token_*", "tool_*", "approval_*", "input_*", "retry_*"] as const;
const PATTERNS: readonly EventPattern[] = ["*", ...EVENT_TYPES, ...PREFIXES];

/** Written apart from the bus, on purpose. */
function matches(pattern: string, { type }: Event): boolean {
  return pattern === "*" || pattern === type || (pattern.endsWith("*") && type.startsWith(pattern.slice(0, -1)));
}

/** Every promise chain that can go on without the test has gone on. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await nextLoop();
}

function nextLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

/** Stores some microtasks after the append and answers some later: both differ from append to append. */
function unevenLog(delays: readonly number[]): EventLog {
  const log = memoryLog();
  let appends = 0;
  return {
    ...log,
    async append(runId, batch) {
      const delay = delays[appends++ % delays.length] ?? 0;
      await turns(delay);
      await log.append(runId, batch);
      await turns(delay % 3);
      return undefined;
    },
    async read(runId, range) {
      await turns((delays[appends % delays.length] ?? 0) % 4);
      return log.read(runId, range);
    },
  };
}

/** An append is durable when the test releases it. */
function heldLog(): { readonly log: EventLog; release(): Promise<void>; readonly held: number } {
  const log = memoryLog();
  const held: (() => void)[] = [];
  return {
    log: {
      ...log,
      append: async (runId, batch) => {
        await new Promise<void>((resolve) => {
          held.push(resolve);
        });
        await log.append(runId, batch);
        return undefined;
      },
    },
    async release() {
      held.shift()?.();
      await quiet();
    },
    get held() {
      return held.length;
    },
  };
}

function golden(log: EventLog) {
  const ledger = { started: [], finished: [], aborted: [] };
  return createAgent({ name: "golden", model: goldenModel(), tools: goldenTools(ledger), log, clock: manualClock() });
}

function seqs(events: readonly Event[]): number[] {
  return events.map((event) => event.seq);
}

const logs: readonly (readonly [string, () => EventLog])[] = [
  ["memory", () => memoryLog()],
  ["slow", () => slowLog()],
  ["uneven", () => unevenLog([0, 5, 1, 9, 2])],
];

describe.each(logs)("on a %s log", (_name, makeLog) => {
  it("P26 B1 every pattern gets its events once, in order, whether its listener is slow or not", async () => {
    const log = makeLog();
    const agent = golden(log);
    const heard: { readonly pattern: EventPattern; readonly pace: number; readonly events: Event[] }[] = [];
    for (const pattern of PATTERNS) {
      for (const pace of [0, 1, 7]) {
        const events: Event[] = [];
        heard.push({ pattern, pace, events });
        agent.subscribe(pattern, (event) => {
          events.push(event);
          return pace === 0 ? undefined : turns(pace);
        });
      }
    }
    await agent.run("How is the weather?", { runId: "golden" }).settled();
    await quiet();
    const all = await stored(log, "golden");
    checkLog(all);
    for (const { pattern, pace, events } of heard) {
      const expected = all.filter((event) => matches(pattern, event));
      expect(events, `${pattern} at pace ${pace}`).toEqual(expected);
    }
  });

  it("R6 P28 hostile listeners change nothing for the run or for the others", async () => {
    const plain = makeLog();
    await golden(plain).run("How is the weather?", { runId: "golden" }).settled();

    const log = makeLog();
    const agent = golden(log);
    const before: number[] = [];
    const after: number[] = [];
    agent.subscribe("*", ({ seq }) => before.push(seq));
    const broken: readonly Listener[] = [
      () => {
        throw new Error("thrown");
      },
      () => Promise.reject(new Error("rejected")),
      () => new Promise(() => {}),
      () =>
        thenable(() => {
          throw new Error("then");
        }),
      () => Object.defineProperty({}, THEN, { get: () => expect.fail("the getter of then") }),
      () => thenable((resolve, reject) => [resolve(), resolve(), reject(new Error("both"))]),
    ];
    for (const listener of broken) agent.subscribe("*", listener);
    agent.subscribe("*", ({ seq }) => after.push(seq));
    const run = agent.run("How is the weather?", { runId: "golden" });
    expect((await run.settled()).status).toBe("done");
    await quiet();

    const all = await stored(log, "golden");
    expect(all).toEqual(await stored(plain, "golden"));
    expect(before).toEqual(seqs(all));
    expect(after).toEqual(seqs(all));
    const [, thrower, rejecter, hanger, badThen, badGetter, both] = run.stats().subscribers;
    const n = all.length;
    for (const failing of [thrower, rejecter, badThen, badGetter])
      expect(failing).toMatchObject({ delivered: n, failed: n });
    expect(hanger).toMatchObject({ produced: n, delivered: 1, queued: n - 1, failed: 0, behind: false });
    expect(both).toMatchObject({ delivered: n, failed: 0 });
  });

  it("a command from inside a listener queues behind the current event, for every listener", async () => {
    const { length } = await goldenEvents(makeLog());
    for (let k = 1; k <= length; k++) {
      const log = makeLog();
      const agent = golden(log);
      const heard: number[][] = [[], [], []];
      let run: Run | undefined;
      const answers: Promise<unknown>[] = [];
      agent.subscribe("*", ({ seq }) => heard[0]?.push(seq));
      const act = ({ seq }: Event): void => {
        if (seq !== k || run === undefined) return;
        answers.push(run.send("more", { when: "done", id: "more" }), run.interrupt("", { mode: "now" }));
      };
      for (const type of EVENT_TYPES) agent.subscribe(type, act);
      agent.subscribe("*", ({ seq }) => heard[1]?.push(seq));
      for (const type of EVENT_TYPES) agent.subscribe(type, ({ seq }) => heard[2]?.push(seq));
      run = agent.run("How is the weather?", { runId: "golden" });
      await run.settled();
      await Promise.all(answers);
      await quiet();
      const all = seqs(await stored(log, "golden"));
      for (const list of heard) expect(list, `commands at event ${k}`).toEqual(all);
    }
  });
});

const THEN = ["th", "en"].join("");
type Then = (resolve: () => void, reject: (error: unknown) => void) => unknown;

/** Something of somebody else's that can be awaited. */
function thenable(then: Then): unknown {
  return Object.fromEntries([[THEN, then]]);
}

async function goldenEvents(log: EventLog): Promise<readonly Event[]> {
  await golden(log).run("How is the weather?", { runId: "golden" }).settled();
  return stored(log, "golden");
}

it("P26 whenever it subscribes and however slow it is: everything after that moment, once, in order", async () => {
  const subscriber = fc.record({
    pattern: fc.constantFrom(...PATTERNS),
    from: fc.integer({ min: 1, max: 70 }),
    until: fc.option(fc.integer({ min: 1, max: 70 })),
    paces: fc.array(fc.nat(9), { minLength: 1, maxLength: 5 }),
    // Events are told by type first: a listener for all that is added there must not hear the event that is being told.
    byType: fc.boolean(),
    // One that holds nearly nothing reads nearly everything from the log.
    events: fc.constantFrom(1, 2, 7, 1_000),
  });
  const delays = fc.array(fc.nat(12), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(delays, fc.array(subscriber, { minLength: 1, maxLength: 6 }), async (delays, subscribers) => {
      const log = unevenLog(delays);
      const agent = golden(log);
      const heard: Event[][] = subscribers.map(() => []);
      for (const [index, { pattern, from, until, paces, byType, events }] of subscribers.entries()) {
        let off = (): void => {};
        const listen = (): void => {
          const hear = (event: Event): unknown => {
            const count = heard[index]?.push(event) ?? 0;
            const pace = paces[count % paces.length] ?? 0;
            return pace === 0 ? undefined : turns(pace);
          };
          off = agent.subscribe(pattern, hear, { queue: { events } });
        };
        for (const watched of byType ? EVENT_TYPES : (["*"] as const)) {
          agent.subscribe(watched, ({ seq }) => {
            if (seq === from) listen();
            if (seq === until) off();
          });
        }
      }
      await agent.run("How is the weather?", { runId: "golden" }).settled();
      await quiet();
      const all = await stored(log, "golden");
      for (const [index, { pattern, from, until }] of subscribers.entries()) {
        const expected = seqs(all.filter((event) => event.seq > from && matches(pattern, event)));
        const got = seqs(heard[index] ?? []);
        expect(got).toEqual(until === null || until < from ? expected : expected.slice(0, got.length));
        if (until !== null && until >= from) expect(got.every((seq) => seq <= until)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});

it("B3 a listener's next event waits for its promise, also where a thenable calls back twice", async () => {
  const agent = createAgent({ name: "a", model: scriptedModel(["one two three four five"]) });
  const calls: number[] = [];
  let again = (): void => {};
  let finish = (): void => {};
  agent.subscribe("*", ({ seq }) => {
    calls.push(seq);
    if (calls.length === 1) {
      return thenable((resolve) => {
        again = resolve;
        resolve();
      });
    }
    if (calls.length > 2) return undefined;
    queueMicrotask(again);
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  const run = agent.run("go");
  await run.settled();
  await quiet();
  expect(calls).toEqual([1, 2]);
  finish();
  await quiet();
  expect(calls).toEqual(Array.from({ length: run.state.seq }, (_, index) => index + 1));
});

it("P27 P28 for a listener that stops reading no more is held than its queue takes: it reads on in pages", async () => {
  const log = memoryLog();
  const limits: number[] = [];
  const counting: EventLog = {
    ...log,
    read(runId, range) {
      limits.push(range.limit);
      return log.read(runId, range);
    },
  };
  const text = Array.from({ length: 2_000 }, (_, index) => `w${index}`).join(" ");
  const agent = createAgent({ name: "a", model: scriptedModel([text]), log: counting });
  const heard: number[] = [];
  const gate = pause();
  agent.subscribe("token_stream", async ({ seq }) => {
    heard.push(seq);
    await gate.pass(new AbortController().signal);
  });
  const run = agent.run("go");
  await run.settled();
  expect(heard).toHaveLength(1);
  expect(run.stats().subscribers).toMatchObject([
    { pattern: "token_stream", produced: 2_000, delivered: 1, queued: 1_000, behind: true, level: "degraded" },
  ]);
  expect(limits, "nothing is read in advance").toHaveLength(0);
  gate.open();
  await quiet();
  const tokens = (await stored(log, run.id)).filter((event) => event.type === "token_stream");
  expect(heard).toEqual(seqs(tokens));
  expect(Math.max(...limits)).toBeLessThanOrEqual(256);
  expect(run.stats().subscribers).toMatchObject([
    { delivered: 2_000, queued: 0, highWater: 1_000, failed: 0, behind: false, level: "green" },
  ]);
});

it("catches up later when the log cannot be read now", async () => {
  const log = memoryLog();
  let broken = false;
  const read: EventLog["read"] = (runId, range) => {
    if (broken) throw new Error("no disk");
    return log.read(runId, range);
  };
  const gate = pause();
  const model = scriptedModel([["one two three", gate, " four five"]]);
  const agent = createAgent({ name: "a", model, log: { ...log, read } });
  const heard: number[] = [];
  agent.subscribe(
    "*",
    async ({ seq }) => {
      heard.push(seq);
    },
    { queue: { events: 1 } },
  );
  const run = agent.run("go");
  broken = true;
  await gate.reached;
  await quiet();
  expect(run.stats().subscribers).toMatchObject([{ behind: true, lastError: { message: "no disk" } }]);
  broken = false;
  gate.open();
  await run.settled();
  await quiet();
  expect(heard).toEqual(seqs(await stored(log, run.id)));
  expect(run.stats().subscribers).toMatchObject([{ behind: false }]);
});

it("P2 control events are told when they are durable, deltas before, everything in order of seq", async () => {
  const hand = heldLog();
  const first = pause();
  const second = pause();
  const third = pause();
  const model = scriptedModel([["one", first, " two", second, " three", third]]);
  const agent = createAgent({ name: "a", model, log: hand.log });
  const heard: Event[] = [];
  const slow: number[] = [];
  const read: number[] = [];
  agent.subscribe("*", (event) => heard.push(event));
  agent.subscribe("*", async ({ seq }) => {
    await turns(3);
    slow.push(seq);
  });
  const run = agent.run("go");
  const reading = (async () => {
    for await (const { seq } of run) read.push(seq);
  })();
  const told = async (): Promise<string[]> => {
    await quiet();
    expect(slow, "slow listeners see the same").toEqual(seqs(heard));
    expect(read, "and readers too").toEqual(seqs(heard));
    return heard.map((event) => event.type);
  };

  expect(await told()).toEqual([]);
  expect(model.requests, "P1 nothing is asked before it is durable").toHaveLength(0);
  await hand.release();
  await first.reached;
  const begin = ["run_start", "user_input", "input_delivered", "thinking"];
  expect(await told(), "a delta does not wait").toEqual([...begin, "token_stream"]);
  expect(run.durableSeq).toBe(4);

  const said = run.send("more", { id: "more" });
  first.open();
  await second.reached;
  expect(run.state.partial?.text).toBe("one two");
  expect(await told(), "a delta behind an undurable control event waits").toEqual([...begin, "token_stream"]);
  await hand.release();
  expect(run.durableSeq, "only the first delta was in that commit").toBe(5);
  expect(await told()).toEqual([...begin, "token_stream"]);
  await hand.release();
  expect(await told()).toEqual([...begin, "token_stream", "user_input", "token_stream"]);
  expect(await said).toMatchObject({ accepted: true, seq: 6 });
  second.open();
  await third.reached;
  expect((await told()).slice(-2)).toEqual(["token_stream", "token_stream"]);
  expect(run.durableSeq).toBe(7);

  const stop = run.interrupt("enough", { mode: "now" });
  while (hand.held > 0) {
    const durable = run.durableSeq;
    expect(heard.every((event) => event.seq <= durable || isHot(event))).toBe(true);
    await hand.release();
    await told();
  }
  expect(await stop).toMatchObject({ effective: true, keptChars: 13 });
  await reading;
  expect(seqs(heard)).toEqual(seqs(await stored(hand.log, run.id)));
});

describe("inside a listener", () => {
  it("undoing itself or another takes effect at once; a new listener begins with the next event", async () => {
    const agent = createAgent({ name: "a", model: scriptedModel(["one two three"]) });
    const self: number[] = [];
    const other: number[] = [];
    const added: number[] = [];
    const witness: number[] = [];
    const offSelf = agent.subscribe("*", ({ seq }) => {
      self.push(seq);
      if (seq !== 5) return;
      offSelf();
      offOther();
      for (const pattern of ["*", "token_stream"] as const) agent.subscribe(pattern, ({ seq }) => added.push(seq));
    });
    const offOther = agent.subscribe("token_stream", ({ seq }) => other.push(seq));
    agent.subscribe("*", ({ seq }) => witness.push(seq));
    const run = agent.run("go");
    await run.settled();
    // Told by type first, then to "*": the other listener has heard event 5 when it is undone.
    expect(self).toEqual([1, 2, 3, 4, 5]);
    expect(other).toEqual([5]);
    expect(witness).toHaveLength(run.state.seq);
    expect(added.filter((seq) => seq === 5)).toEqual([]);
    expect([...added].sort((a, b) => a - b)).toEqual([6, 6, 7, 7, 8, 9]);
    expect(run.stats().subscribers.map(({ pattern }) => pattern)).toEqual(["*", "*", "token_stream"]);
  });

  it("an undo while its promise is pending is the last it hears", async () => {
    const agent = createAgent({ name: "a", model: scriptedModel(["one two three"]) });
    const heard: number[] = [];
    let finish = (): void => {};
    const off = agent.subscribe("*", ({ seq }) => {
      heard.push(seq);
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    const run = agent.run("go");
    await run.settled();
    off();
    off();
    finish();
    await quiet();
    expect(heard).toEqual([1]);
    expect(run.stats().subscribers).toEqual([]);
  });
});

it("P33 commands leave no listener behind", async () => {
  const gates = Array.from({ length: 50 }, () => pause());
  const agent = createAgent({ name: "a", model: scriptedModel((_request, index) => ["hm", gates[index] ?? "end"]) });
  const run = agent.run("go");
  for (const gate of gates) {
    await gate.reached;
    const off = run.subscribe("*", () => {});
    expect(await run.interrupt("", { mode: "now" })).toMatchObject({ effective: true });
    expect(await run.interrupt()).toMatchObject({ accepted: false });
    expect(await run.resume()).toMatchObject({ accepted: true });
    off();
  }
  expect((await run.settled()).status).toBe("done");
  expect(await run.cancel()).toMatchObject({ accepted: false });
  expect(run.stats()).toMatchObject({ subscribers: [], tasks: 0 });
});

describe("agent.subscribe", () => {
  it("hears the runs that live and those to come, one call at a time, each in its order", async () => {
    const log = slowLog();
    const agent = golden(log);
    const early = agent.run("early", { runId: "early" });
    const heard = new Map<string, number[]>();
    let active = 0;
    const off = agent.subscribe("*", async ({ runId, seq }) => {
      expect(++active, "one call at a time").toBe(1);
      await turns(seq % 5);
      active--;
      heard.set(runId, [...(heard.get(runId) ?? []), seq]);
    });
    const late = ["b", "c", "d"].map((runId) => agent.run("late", { runId }));
    const runs = [early, ...late];
    await Promise.all(runs.map((run) => run.settled()));
    await quiet();
    for (const run of runs) expect(heard.get(run.id), run.id).toEqual(seqs(await stored(log, run.id)));
    off();
    const after = agent.run("after", { runId: "after" });
    await Promise.all([after.settled(), early.send("again"), early.settled()]);
    await quiet();
    expect(heard.has("after")).toBe(false);
    expect(heard.get("early")).toHaveLength(late[0]?.state.seq ?? 0);
    for (const run of [...runs, after]) expect(run.stats().subscribers).toEqual([]);
  });

  it("B4 a run that never stops talking does not silence the others", async () => {
    const endless: ChatModel = {
      name: "endless",
      async *stream({ messages }, { signal }) {
        const text = messages.at(-1)?.content;
        while (text === "for ever" && !signal.aborted) {
          yield { type: "text", text: "a" };
          yield { type: "text", text: "b" };
          await nextLoop();
        }
        yield { type: "finish", finish: "stop" };
      },
    };
    const agent = createAgent({ name: "a", model: endless });
    let short: Run | undefined;
    await new Promise<void>((resolve) => {
      agent.subscribe("*", async ({ runId, type }) => {
        await nextLoop();
        if (type === "token_stream") short ??= agent.run("briefly");
        if (type === "done" && runId === short?.id) resolve();
      });
      agent.run("for ever");
    });
    expect((await short?.settled())?.status).toBe("done");
    await agent.close();
  });
});
