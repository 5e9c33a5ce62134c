import { describe, expect, it } from "vitest";
import { createAgent, memoryLog, pause, scriptedModel, type Event, type Run } from "rubato";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

/** Every promise chain that can go on without the test has gone on. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

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
