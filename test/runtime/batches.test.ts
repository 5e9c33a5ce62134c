import { describe, expect, it } from "vitest";
import {
  createAgent,
  memoryLog,
  pause,
  scriptedModel,
  type BatchOptions,
  type Event,
  type Level,
  type Overflow,
  type Run,
} from "rubato";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { countedModel } from "../support/counted-model.ts";
import { quiet } from "../support/agents.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

function golden(log: EventLog): Run {
  const ledger = { started: [], finished: [], aborted: [] };
  const agent = createAgent({
    name: "golden",
    model: goldenModel(),
    tools: goldenTools(ledger),
    log,
    clock: manualClock(),
  });
  return agent.run("How is the weather?", { runId: "golden" });
}

async function collect(batches: AsyncIterable<readonly Event[]>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const batch of batches) {
    expect(batch.length).toBeGreaterThan(0);
    all.push(...batch);
  }
  return all;
}

function seqs(events: readonly Event[]): number[] {
  return events.map(({ seq }) => seq);
}

const logs: readonly (readonly [string, () => EventLog])[] = [
  ["memory", () => memoryLog()],
  ["slow", () => slowLog()],
];

describe.each(logs)("on a %s log", (_name, makeLog) => {
  it("P26 I17 from every cursor: exactly what comes after it, live and at rest, durable or not, filtered by type", async () => {
    const log = makeLog();
    const run = golden(log);
    const cursors = Array.from({ length: 80 }, (_, from) => from);
    const live = cursors.flatMap((from) => [
      collect(run.batches({ from })),
      collect(run.batches({ from, durable: true })),
    ]);
    await run.settled();
    const all = await stored(log, "golden");
    for (const from of cursors) {
      const expected = all.slice(from);
      expect(await live[2 * from], `live from ${from}`).toEqual(expected);
      expect(await live[2 * from + 1], `durable from ${from}`).toEqual(expected);
      expect(await collect(run.batches({ from })), `at rest from ${from}`).toEqual(expected);
    }
    const types = ["tool_call", "token_stream"] as const;
    expect(await collect(run.batches({ from: 9, types }))).toEqual(
      all.slice(9).filter(({ type }) => types.some((wanted) => wanted === type)),
    );
  });
});

it("P2 a durable reader is told a token when it is stored, and not before", async () => {
  const log = memoryLog();
  const held: (() => void)[] = [];
  const append: EventLog["append"] = async (runId, batch) => {
    await new Promise<void>((resolve) => {
      held.push(resolve);
    });
    await log.append(runId, batch);
    return undefined;
  };
  const gate = pause();
  const model = scriptedModel([["one", " two", gate]]);
  const run = createAgent({ name: "a", model, log: { ...log, append } }).run("go");
  const told: number[] = [];
  const durable: number[] = [];
  const reading = [told, durable].map(async (heard) => {
    for await (const batch of run.batches({ durable: heard === durable })) {
      for (const { seq } of batch) {
        if (heard === durable) expect(seq).toBeLessThanOrEqual(run.durableSeq);
        heard.push(seq);
      }
    }
  });
  await quiet();
  held.shift()?.();
  await gate.reached;
  await quiet();
  expect([told, durable]).toEqual([
    [1, 2, 3, 4, 5, 6],
    [1, 2, 3, 4],
  ]);
  held.shift()?.();
  await quiet();
  expect(durable).toEqual([1, 2, 3, 4, 5]);
  held.shift()?.();
  await quiet();
  expect(durable, "with no further event to wake it").toEqual(told);
  gate.open();
  while (run.state.status !== "done" || run.durableSeq < run.state.seq) {
    held.shift()?.();
    await quiet();
  }
  await Promise.all(reading);
  expect(durable).toEqual(told);
});

it("P26 durable batches of a run that another process owns: everything, as it is stored", async () => {
  const log = memoryLog();
  const gate = pause();
  const owner = createAgent({ name: "a", model: countedModel(700, { gate }), log }).run("go", { runId: "r" });
  await gate.reached;
  const run = await createAgent({ name: "a", model: scriptedModel([]), log }).open("r");
  const reading = [true, false].map((durable) =>
    collect(run.batches({ durable, follow: false, queue: { events: 50 } })),
  );
  await quiet();
  gate.open();
  await owner.settled();
  for (const heard of reading) expect(await heard).toEqual(await stored(log, "r"));
  expect(run.stats().subscribers).toEqual([]);
});

it("P24 a signal ends the reading while it waits, and stops nothing", async () => {
  const gate = pause();
  const run = createAgent({ name: "a", model: scriptedModel([["one", gate]]) }).run("go");
  const aborter = new AbortController();
  const reading = collect(run.batches({ signal: aborter.signal }));
  await gate.reached;
  await quiet();
  aborter.abort();
  expect((await reading).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  expect(await collect(run.batches({ signal: aborter.signal }))).toEqual([]);
  gate.open();
  expect((await run.settled()).status).toBe("done");
});

describe("P27 a reader that does not keep up", () => {
  /** A run of so many tokens that is over before its reader has asked for more than its first four events. */
  async function stalled(tokens: number, options: BatchOptions) {
    const log = memoryLog();
    const clock = manualClock();
    const gate = pause();
    const model = countedModel(tokens, { gate });
    const run = createAgent({ name: "a", log, clock, model }).run("go");
    const batches = run.batches(options);
    await gate.reached;
    expect(seqs((await batches.next()).value)).toEqual([1, 2, 3, 4]);
    gate.open();
    await quiet();
    const { pulls } = model;
    clock.advance(5_000);
    await run.settled();
    return { run, batches, pulls, all: await stored(log, run.id), stats: () => run.stats().subscribers[0] };
  }

  it.each([true, false])("gets groups that grow with what waits (durable: %s)", async (durable) => {
    /** The sizes of the first groups of so many waiting events, a message and a done included. */
    const sizes = async (waiting: number): Promise<number[]> => {
      const { batches } = await stalled(waiting - 2, { durable });
      const groups: number[] = [];
      for await (const batch of batches) if (groups.push(batch.length) === 3) break;
      return groups;
    };
    expect(await sizes(299)).toEqual([1, 1, 1]);
    expect(await sizes(300)).toEqual([5, 1, 1]);
    expect(await sizes(700)).toEqual([5, 5, 5]);
    expect(await sizes(701)).toEqual([100, 5, 5]);
    expect(await sizes(901)).toEqual([256, 5, 5]);
  });

  it.each([true, false])("each policy does what it says (durable: %s)", async (durable) => {
    const read = async (overflow: Overflow) => {
      const { batches, pulls, all, stats } = await stalled(30, { durable, queue: { events: 10 }, overflow });
      const held = stats();
      return { pulls, all, held, heard: await collect(batches) };
    };
    const plain = await read("catch-up");
    expect(plain.held).toMatchObject({ pattern: "*", queued: 10, behind: true, level: "degraded" });
    expect(plain.heard).toEqual(plain.all.slice(4));

    const merged = await read("coalesce");
    expect(merged.held).toMatchObject({ behind: false, dropped: 0 });
    expect(merged.heard.length).toBeLessThan(13);
    expect(merged.heard.map((event) => (event.type === "token_stream" ? event.data.text : "")).join("")).toBe(
      merged.all.map((event) => (event.type === "token_stream" ? event.data.text : "")).join(""),
    );

    // Message and done are seq 35 and 36: they push out the oldest, and come beside the newest.
    const newest = await read("drop-oldest");
    expect(seqs(newest.heard)).toEqual([26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36]);
    expect(newest.heard[0]).toMatchObject({ type: "gap", data: { from: 5, to: 26, digest: "" } });
    const oldest = await read("drop-newest");
    expect(seqs(oldest.heard)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 34, 35, 36]);
    expect(oldest.heard[10]).toMatchObject({ type: "gap", data: { from: 15, to: 34, digest: "" } });

    const patient = await read("block");
    expect(patient.pulls, "the model was read up to 80 %").toBe(8);
    expect(patient.heard).toEqual(patient.all.slice(4));
  });

  it.each([true, false])(
    "disconnect ends the iteration with its reason, then it is over (durable: %s)",
    async (durable) => {
      const { batches, all, run } = await stalled(30, { durable, queue: { events: 10 }, overflow: "disconnect" });
      await expect(batches.next()).rejects.toMatchObject({
        name: "RubatoError",
        code: "overflow",
        message: expect.stringContaining("Read on from seq 4,"),
      });
      expect(await batches.next()).toEqual({ done: true, value: undefined });
      expect(run.stats().subscribers).toEqual([]);
      expect(await collect(run.batches({ from: 4, durable }))).toEqual(all.slice(4));
    },
  );

  it("history is read in pages, and is no reason to raise an alarm, to hold up the run, or to disconnect", async () => {
    for (const overflow of ["catch-up", "drop-oldest", "drop-newest", "disconnect", "block"] as const) {
      const gate = pause();
      const model = scriptedModel([
        Array.from({ length: 600 }, (_, index) => `w${index} `).join(""),
        ["one two", gate],
      ]);
      const log = memoryLog();
      const run = createAgent({ name: "a", model, log, clock: manualClock() }).run("go");
      await run.settled();
      await run.send("more");
      await gate.reached;
      const alarms: (Level | number)[] = [];
      const sizes: number[] = [];
      const heard: Event[] = [];
      const options = {
        queue: { events: 100 },
        overflow,
        onLevel: (level: Level) => alarms.push(level),
        onFill: (percent: number) => alarms.push(percent),
      };
      for await (const batch of run.batches(options)) {
        sizes.push(batch.length);
        heard.push(...batch);
        if (heard.length === run.state.seq) gate.open();
      }
      expect(heard, overflow).toEqual(await stored(log, run.id));
      expect(sizes.slice(0, 6), overflow).toEqual([100, 100, 100, 100, 100, 100]);
      expect(alarms, overflow).toEqual([]);
    }
  });

  it("more that is stored at once than the queue holds overflows nothing where nobody is slow", async () => {
    for (const overflow of ["drop-oldest", "disconnect", "coalesce"] as const) {
      const log = memoryLog();
      // Stores what one turn of the event loop brings in one batch.
      const append: EventLog["append"] = async (runId, batch) => {
        await quiet();
        await log.append(runId, batch);
        return undefined;
      };
      const run = createAgent({ name: "a", model: countedModel(5_000), log: { ...log, append } }).run("go");
      const heard = await collect(run.batches({ durable: true, queue: { events: 100 }, overflow }));
      if (overflow !== "coalesce") expect(heard).toEqual(await stored(log, run.id));
      expect(heard.some(({ type }) => type === "gap")).toBe(false);
    }
  });
});

it("a command from its callbacks does not come between the events that are being stored", async () => {
  for (const durable of [true, false]) {
    const log = memoryLog();
    const gate = pause();
    const agent = createAgent({ name: "a", log, model: countedModel(30, { gate }) });
    const told: number[] = [];
    agent.subscribe("*", ({ seq }) => told.push(seq));
    const run = agent.run("go");
    const sent: Promise<unknown>[] = [];
    const onFill = (): void => {
      sent.push(run.send("more", { when: "done", id: `at ${run.state.seq}` }));
    };
    const batches = run.batches({ durable, queue: { events: 10 }, onFill });
    await batches.next();
    gate.open();
    await run.settled();
    expect(await Promise.all(sent)).toMatchObject([{ accepted: true }, { accepted: true }]);
    const all = await stored(log, run.id);
    expect(told).toEqual(seqs(all));
    expect(seqs(await collect(batches))).toEqual(seqs(all.slice(4)));
  }
});

it("P26 X1 a pull from inside a listener reads what is being told, and is not told it again", async () => {
  const log = memoryLog();
  const [first, second] = [pause(), pause()];
  const run = createAgent({ name: "a", log, model: scriptedModel([["a b c", first, " d", second, " e"]]) }).run("go");
  const batches = run.batches({ from: 4, queue: { events: 2 } });
  const heard: Event[] = [];
  const pulls: Promise<void>[] = [];
  const pull = async (): Promise<void> => {
    heard.push(...((await batches.next()).value ?? []));
  };
  await first.reached;
  while (heard.length < 3) await pull();
  expect(seqs(heard)).toEqual([5, 6, 7]);
  for (let count = 0; count < 5; count++) await run.send("more", { when: "done" });
  expect(run.stats().subscribers).toMatchObject([{ queued: 4, behind: true }]);
  await pull();
  expect(run.stats().subscribers).toMatchObject([{ queued: 0, behind: true }]);
  // Told by type first: this listener hears the token before the reader is told.
  run.subscribe("token_stream", () => {
    pulls.push(pull());
  });
  first.open();
  await second.reached;
  await Promise.all(pulls);
  expect(seqs(heard)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13]);
  expect(run.stats().subscribers).toMatchObject([{ queued: 0, behind: false }, {}]);
  await batches.return?.();
  await run.cancel();
});

it("ends, leaves nothing behind, and answers pulls that are asked for at the same time one after the other", async () => {
  const log = memoryLog();
  const run = golden(log);
  const batches = run.batches({ queue: { events: 3 } });
  const pulls = await Promise.all(Array.from({ length: 200 }, () => batches.next()));
  const all = await stored(log, "golden");
  expect(pulls.flatMap(({ value }) => seqs(value ?? []))).toEqual(seqs(all));
  expect(pulls.at(-1)).toEqual({ done: true, value: undefined });
  expect(run.stats().subscribers).toEqual([]);
  const left = run.batches({ follow: true });
  await left.next();
  expect(run.stats().subscribers).toHaveLength(1);
  const waiting = left.next();
  await left.return?.();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(run.stats().subscribers).toEqual([]);
});

it("rejects while the log cannot be read, and goes on without a double when it can", async () => {
  const log = memoryLog();
  let broken = false;
  const read: EventLog["read"] = async (runId, range) => {
    if (broken) throw new Error("no disk");
    return log.read(runId, range);
  };
  const run = createAgent({ name: "a", model: countedModel(20), log: { ...log, read } }).run("go");
  await run.settled();
  const batches = run.batches({ queue: { events: 5 } });
  const heard = seqs((await batches.next()).value);
  broken = true;
  await expect(batches.next()).rejects.toThrow("no disk");
  broken = false;
  heard.push(...seqs(await collect(batches)));
  expect(heard).toEqual(seqs(await stored(log, run.id)));
});

it("wrong options are told at once", () => {
  const run = createAgent({ name: "a", model: scriptedModel([]) }).run("go");
  expect(() => run.batches({ from: -1 })).toThrow('"from"');
  expect(() => run.batches({ queue: { events: 1.5 } })).toThrow('"queue.events"');
  // @ts-expect-error A misspelt option.
  expect(() => run.batches({ form: 3 })).toThrow('no option "form"');
});
