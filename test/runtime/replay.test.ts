import { expect, it } from "vitest";
import { createAgent, memoryLog, replay, type EventLog, type Replayed } from "rubato";
import { encodeState, initialState, isHot, type Event } from "rubato/machines";
import { fold } from "../support/invariants.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { rejectedBy } from "../support/thrown-later.ts";
import { logOf, logReading, longRun } from "../support/written-log.ts";

async function all(log: EventLog, runId = "r", until?: number): Promise<Replayed[]> {
  const replayed: Replayed[] = [];
  for await (const one of replay(log, runId, until === undefined ? {} : { until })) replayed.push(one);
  return replayed;
}

it("P6 I12 yields every event with the state after it, the last one the live state", async () => {
  const log = memoryLog();
  const ledger = { started: [], finished: [], aborted: [] };
  const agent = createAgent({ name: "a", model: goldenModel(), tools: goldenTools(ledger), log, clock: manualClock() });
  const run = agent.run("How is the weather?", { runId: "r" });
  await run.settled();
  const replayed = await all(log);
  expect(replayed.map(({ event }) => event)).toEqual(await stored(log, "r"));
  expect(encodeState(replayed.at(-1)?.state ?? initialState())).toBe(encodeState(run.state));
  for (const { event, state } of replayed) expect(state.seq).toBe(event.seq);
});

it("P7 I13 runs nothing: model and tools are asked no more than they were", async () => {
  const log = memoryLog();
  const ledger = { started: [], finished: [], aborted: [] };
  const model = goldenModel();
  const clock = manualClock();
  const agent = createAgent({ name: "a", model, tools: goldenTools(ledger), log, clock });
  await agent.run("How is the weather?", { runId: "r" }).settled();
  const before = JSON.stringify([ledger, model.requests.length, clock.pending, await stored(log, "r")]);
  await all(log);
  expect(JSON.stringify([ledger, model.requests.length, clock.pending, await stored(log, "r")])).toBe(before);
});

it("P6 every recorded run folds to the same bytes as its events in one go, at every event", async () => {
  for (const events of await recordedLogs()) {
    let state = initialState();
    for (const one of await all(await logOf(events))) {
      state = fold([one.event], state);
      expect(encodeState(one.state)).toBe(encodeState(state));
    }
    expect(state.seq).toBe(events.length);
  }
});

it("stops after `until`, and before a gap that reaches beyond it", async () => {
  const log = await logOf(longRun(3, 10));
  expect((await all(log, "r", 7)).map(({ event }) => event.seq)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(await all(log, "r", 0)).toEqual([]);
  await log.prune("r");
  expect((await all(log, "r", 7)).map(({ event }) => event.seq)).toEqual([1, 2, 3, 4]);
  expect((await rejectedBy(() => all(log, "r", -1))).code).toBe("invalid_option");
});

it("P10 a pruned log folds to the same states at every control event", async () => {
  const [events = []] = await recordedLogs();
  const log = await logOf(events);
  const whole = new Map((await all(log)).map(({ event, state }) => [event.seq, encodeState(state)]));
  expect(await log.prune("r")).toBeGreaterThan(0);
  const pruned = await all(log);
  expect(pruned.some(({ event }) => event.type === "gap")).toBe(true);
  for (const { event, state } of pruned) {
    // Within an answer whose deltas are gone there is no partial answer to compare.
    if (event.type === "gap" || isHot(event) || state.partial !== undefined) continue;
    expect(encodeState(state)).toBe(whole.get(event.seq));
  }
});

it("reads page by page, each page once", async () => {
  const events = longRun(50, 80);
  const inner = await logOf(events);
  const reads: { after: number; limit: number }[] = [];
  const log: EventLog = {
    ...inner,
    read(runId, range) {
      reads.push(range);
      return inner.read(runId, range);
    },
  };
  expect(await all(log)).toHaveLength(events.length);
  expect(reads.map(({ after }) => after)).toEqual([0, 1_000, 2_000, 3_000, 4_000]);
});

it("ends at the head of the moment when it began, also while the run is written on", async () => {
  const events = longRun(3, 10);
  const log = memoryLog();
  await log.append("r", { epoch: 1, events: events.slice(0, 20) });
  let count = 0;
  for await (const { event } of replay(log, "r")) {
    count++;
    if (event.seq === 20) await log.append("r", { epoch: 1, events: events.slice(20) });
  }
  expect(count).toBe(20);
});

it("a logged event that step refuses is a divergence, with run, seq, type and reason", async () => {
  const events = longRun(2, 3).filter(({ type }) => type !== "thinking");
  const renumbered = events.map((event, index): Event => ({ ...event, seq: index + 1 }));
  const error = await rejectedBy(async () => all(await logOf(renumbered)));
  expect(error.code).toBe("log");
  expect(error.message).toBe(
    'Run "r" diverges at seq 4: the event "token_stream" does not fit the state before it (stale).',
  );
});

it("P9 a log of a newer schema cannot be folded, and can be read", async () => {
  const [start, ...rest] = longRun(1, 1);
  if (start?.type !== "run_start") throw new Error("unreachable");
  const log = await logOf([{ ...start, data: { ...start.data, schema: 2 } }, ...rest]);
  const error = await rejectedBy(() => all(log));
  expect(error.code).toBe("newer_schema");
  expect(error.message).toContain("schema 2");
  expect(await stored(log, "r")).toHaveLength(7);
});

it("an unknown run, and a log that answers less than it holds, are refused by name", async () => {
  expect((await rejectedBy(() => all(memoryLog(), "nobody"))).code).toBe("unknown_run");
  const error = await rejectedBy(() => all(logReading(longRun(1, 1).slice(0, 4), 7)));
  expect(error.code).toBe("log");
  expect(error.message).toContain("after seq 4");
});
