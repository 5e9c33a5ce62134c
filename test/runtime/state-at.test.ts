import { expect, it } from "vitest";
import { memoryLog, stateAt, type EventLog } from "rubato";
import { encodeState, initialState, SNAPSHOT_KEY, type Event, type Json } from "rubato/machines";
import { fold } from "../support/invariants.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { rejectedBy } from "../support/thrown-later.ts";
import { logOf, longRun } from "../support/written-log.ts";

interface Counted {
  readonly log: EventLog;
  /** Events read since the last call. */
  readonly read: () => number;
}

function counting(inner: EventLog): Counted {
  let count = 0;
  return {
    log: {
      ...inner,
      async read(runId, range) {
        const events = await inner.read(runId, range);
        count += events.length;
        return events;
      },
    },
    read() {
      const last = count;
      count = 0;
      return last;
    },
  };
}

/** The same store seen by another process: nothing in memory. */
function elsewhere(log: EventLog): EventLog {
  return { ...log };
}

it("P6 is the fold of the prefix, at every seq, forwards and backwards", async () => {
  const [, , , , events = []] = await recordedLogs();
  const log = await logOf(events);
  const seqs = [...events.keys(), events.length];
  for (const seq of [...seqs, ...seqs.reverse()]) {
    expect(encodeState(await stateAt(log, "r", seq)), `seq ${seq}`).toBe(encodeState(fold(events.slice(0, seq))));
  }
});

it("folds a long run once: what is near is read again, not all of it", async () => {
  const events = longRun(100, 300);
  const { log, read } = counting(await logOf(events));
  await stateAt(log, "r", 30_000);
  expect(read()).toBeGreaterThan(29_000);
  for (const seq of [29_000, 12_345, 500, 30_100]) {
    expect(encodeState(await stateAt(log, "r", seq))).toBe(encodeState(fold(events.slice(0, seq))));
    expect(read(), `seq ${seq}`).toBeLessThan(2_500);
  }
});

it("another process folds on from what the log keeps for it", async () => {
  const events = longRun(100, 300);
  const inner = await logOf(events);
  await stateAt(inner, "r", 20_000);
  const { log, read } = counting(elsewhere(inner));
  expect(encodeState(await stateAt(log, "r", 20_500))).toBe(encodeState(fold(events.slice(0, 20_500))));
  expect(read()).toBeLessThan(1_000);
});

it("S2 never believes a snapshot that is damaged, foreign, or of another run", async () => {
  const events = longRun(100, 300);
  const inner = await logOf(events);
  await stateAt(inner, "r", 20_000);
  const saved = await inner.snapshots?.newest("r", 20_000, SNAPSHOT_KEY);
  if (saved === undefined) throw new Error("nothing was saved");
  const text = JSON.stringify(saved.snapshot);
  const damaged: Json = JSON.parse(text.replace("token", "tokem"));
  const other = longRun(100, 299);
  const foreign = await logOf(other);
  await stateAt(foreign, "r", 20_000);
  const ofOther = (await foreign.snapshots?.newest("r", 20_000, SNAPSHOT_KEY))?.snapshot ?? null;
  const wrong: readonly (readonly [number, Json])[] = [
    [20_000, damaged],
    [20_000, ofOther],
    [19_999, saved.snapshot],
    [20_000, null],
    [20_000, { proof: "x", state: 1 }],
  ];
  const truth = encodeState(fold(events.slice(0, 20_001)));
  for (const [seq, snapshot] of wrong) {
    const log: EventLog = { ...inner, snapshots: { save: () => {}, newest: () => ({ seq, snapshot }) } };
    expect(encodeState(await stateAt(log, "r", 20_001))).toBe(truth);
  }
});

it("C1 a run that was deleted and begun anew is another run", async () => {
  const log = await logOf(longRun(20, 100));
  await stateAt(log, "r", 2_000);
  await log.delete("r");
  const anew = longRun(20, 100).map((event): Event => {
    const later = { ...event, timestamp: event.timestamp + 1 };
    return later.type === "user_input" ? { ...later, data: { ...later.data, text: "another life" } } : later;
  });
  await log.append("r", { epoch: 1, events: anew.slice(0, 2_050) });
  expect(encodeState(await stateAt(log, "r", 2_001))).toBe(encodeState(fold(anew.slice(0, 2_001))));
});

it("a seq within a pruned range has no state any more, and the nearest that have one are named", async () => {
  const events = longRun(2, 10);
  const log = await logOf(events);
  await stateAt(log, "r", 8);
  await log.prune("r");
  const error = await rejectedBy(() => stateAt(log, "r", 8));
  expect(error.code).toBe("invalid_option");
  expect(error.message).toContain("4 and 14");
  expect((await stateAt(log, "r", 4)).value).toBe("thinking.requesting");
  expect((await stateAt(log, "r", 14)).value).toBe("thinking.streaming");
  expect((await stateAt(log, "r", events.length)).value).toBe("done");
});

it("the state before the first event, and what does not exist", async () => {
  const log = await logOf(longRun(1, 1));
  expect(encodeState(await stateAt(log, "r", 0))).toBe(encodeState(initialState()));
  expect((await rejectedBy(() => stateAt(log, "r", 8))).code).toBe("invalid_option");
  expect((await rejectedBy(() => stateAt(log, "r", -1))).code).toBe("invalid_option");
  expect((await rejectedBy(() => stateAt(memoryLog(), "r", 1))).code).toBe("unknown_run");
});
