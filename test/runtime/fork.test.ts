import { expect, it } from "vitest";
import { replay, verify, type EventLog } from "rubato";
import { encodeState, isTerminal, type Event } from "rubato/machines";
import { forkLog } from "../../runtime/fork.ts";
import { fold } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { rejectedBy } from "../support/thrown-later.ts";
import { logOf, longRun } from "../support/written-log.ts";

async function golden(): Promise<readonly Event[]> {
  const [events = []] = await recordedLogs();
  return events;
}

function seqOf(events: readonly Event[], matches: (event: Event) => boolean): number {
  const found = events.find(matches);
  if (found === undefined) throw new Error("no such event");
  return found.seq;
}

/** What of an event is the same in a copy. */
function body({ seq, timestamp, type, data, cause }: Event): unknown {
  return { seq, timestamp, type, data: type === "run_start" ? undefined : data, cause };
}

it("P8 copies every prefix of a run, byte for byte but for its id and origin", async () => {
  const events = await golden();
  const log = await logOf(events);
  for (let at = 1; at <= events.length; at++) {
    const runId = `fork-${at}`;
    expect(await forkLog(log, "r", runId, { at })).toEqual({ runId, epoch: 2, seq: at });
    const copy = await stored(log, runId);
    expect(copy.map(body)).toEqual(events.slice(0, at).map(body));
    expect(copy.every((event) => event.runId === runId)).toBe(true);
    const [start] = copy;
    if (start?.type !== "run_start") throw new Error("no run_start");
    expect(start.data).toEqual({ ...events[0]?.data, fork: { runId: "r", seq: at } });
    expect(await verify(log, runId)).toMatchObject({ ok: true, seq: at });
    expect(await log.head(runId)).toEqual({ seq: at, epoch: 2, owned: true });
  }
  expect(await stored(log, "r")).toEqual(events);
});

it("a fork of a fork, of a long run, and within an answer", async () => {
  const events = longRun(10, 400);
  const log = await logOf(events);
  await forkLog(log, "r", "one", { at: 3_500 });
  const { epoch } = await forkLog(log, "one", "two", { at: 2_222 });
  expect(epoch).toBe(2);
  const copy = await stored(log, "two");
  expect(copy).toHaveLength(2_222);
  expect(copy[0]?.data).toMatchObject({ fork: { runId: "one", seq: 2_222 } });
  expect(fold(copy).partial?.text).toBe(fold(events.slice(0, 2_222)).partial?.text);
});

it("I2 its epoch is higher than every epoch that the prefix names, and the next append goes on with it", async () => {
  const events = await golden();
  const owner = (seq: number, epoch: number): Event => ({
    seq,
    timestamp: 1,
    runId: "r",
    type: "owner",
    data: { epoch, who: "test", why: "resume", recoveries: 0 },
  });
  const end = events.length;
  const log = await logOf([...events, owner(end + 1, 4), owner(end + 2, 9)]);
  const fork = await forkLog(log, "r", "f", { at: end + 1 });
  expect(fork.epoch).toBe(5);
  await log.append("f", { epoch: 5, events: [{ ...owner(end + 2, 5), runId: "f" }] });
  expect(await verify(log, "f")).toMatchObject({ ok: true, seq: end + 2 });
});

it("an edited result replaces the recorded one, says so, and the copy folds with it", async () => {
  const events = await golden();
  const log = await logOf(events);
  const [first, second] = events.filter((event) => event.type === "tool_result");
  if (first?.type !== "tool_result" || second?.type !== "tool_result") throw new Error("no results");
  const [one, two] = [first.data.callId, second.data.callId];
  const at = second.seq;
  await forkLog(log, "r", "f", {
    at,
    results: { [one]: { output: { degrees: -40 } }, [two]: { error: { code: "down", message: "no answer" } } },
  });
  const copy = await stored(log, "f");
  expect(copy[0]?.data).toMatchObject({ fork: { runId: "r", seq: at, edited: [one, two] } });
  const calls = fold(copy).toolCalls;
  expect(calls.get(one)).toMatchObject({ outcome: "ok", output: { degrees: -40 }, phase: "ok" });
  expect(calls.get(two)).toMatchObject({ outcome: "error", error: { message: "no answer" }, output: undefined });
  expect(fold(copy).messages.find((message) => message.role === "tool" && message.callId === one)).toMatchObject({
    content: '{"degrees":-40}',
  });
  expect(await verify(log, "f")).toMatchObject({ ok: true });
  const others = (all: readonly Event[]): unknown[] =>
    all.filter((event) => event.type !== "tool_result" && event.type !== "run_start").map(body);
  expect(others(copy)).toEqual(others(events.slice(0, at)));
});

it("refuses what cannot be edited, in one sentence, and leaves nothing", async () => {
  const events = await golden();
  const log = await logOf(events);
  const result = events.find((event) => event.type === "tool_result");
  if (result?.type !== "tool_result") throw new Error("no result");
  const { callId } = result.data;
  const refused = async (source: EventLog, options: Parameters<typeof forkLog>[3]): Promise<string> => {
    const error = await rejectedBy(() => forkLog(source, "r", "f", options));
    expect(error.code).toBe("invalid_option");
    expect((await source.head("f")).seq).toBe(0);
    return error.message;
  };
  const results = { [callId]: { output: 1 } };
  expect(await refused(log, { at: result.seq - 1, results })).toContain(`no result up to seq ${result.seq - 1}`);
  expect(await refused(log, { at: events.length, results })).toContain("fork before the turn ended");
  expect(await refused(log, { at: 9, results: { __nobody: { output: 1 } } })).toContain('"__nobody"');
  const late: Event = { ...result, data: { ...result.data, late: true }, seq: result.seq + 1 };
  const withLate = await logOf([...events.slice(0, result.seq), late]);
  expect(await refused(withLate, { at: result.seq + 1, results })).toContain("came late");
  const skipped = (await recordedLogs()).find((all) =>
    all.some((event) => event.type === "tool_result" && event.data.outcome === "skipped"),
  );
  const never = skipped?.find((event) => event.type === "tool_result" && event.data.outcome === "skipped");
  if (skipped === undefined || never?.type !== "tool_result") throw new Error("no skipped call");
  const edit = { at: never.seq, results: { [never.data.callId]: { output: 1 } } };
  expect(await refused(await logOf(skipped), edit)).toContain("never ran");
});

it("refuses an `at` outside of the run, an unknown run, a name that is taken", async () => {
  const events = await golden();
  const log = await logOf(events);
  for (const at of [0, -1, 1.5, events.length + 1]) {
    expect((await rejectedBy(() => forkLog(log, "r", "f", { at }))).code).toBe("invalid_option");
  }
  expect((await rejectedBy(() => forkLog(log, "nobody", "f", { at: 1 }))).code).toBe("unknown_run");
  expect((await rejectedBy(() => forkLog(log, "r", "../f", { at: 1 }))).code).toBe("invalid_option");
  expect((await rejectedBy(() => forkLog(log, "r", "r", { at: 1 }))).code).toBe("run_exists");
  expect(await stored(log, "r")).toEqual(events);
});

it("P10 copies what was pruned as the gap that it is, and cuts in none", async () => {
  const events = longRun(3, 10);
  const log = await logOf(events);
  await log.prune("r");
  const error = await rejectedBy(() => forkLog(log, "r", "f", { at: 9 }));
  expect(error.message).toContain("4 and 14");
  expect((await log.head("f")).seq).toBe(0);
  await forkLog(log, "r", "f", { at: 31 });
  expect((await stored(log, "f")).map(({ seq, type }) => [seq, type])).toContainEqual([14, "gap"]);
  expect(await verify(log, "f")).toMatchObject({ ok: true, seq: 31 });
  expect((await rejectedBy(() => forkLog(log, "r", "g", { at: 22 }))).message).toContain("19 and 29");
});

it("F3 a fork that fails midway deletes what it made", async () => {
  const events = longRun(10, 400);
  const inner = await logOf(events);
  let appends = 0;
  const failing: EventLog = {
    ...inner,
    append(runId, batch) {
      if (++appends === 3) throw new Error("disk full");
      return inner.append(runId, batch);
    },
  };
  await expect(forkLog(failing, "r", "f", { at: 3_500 })).rejects.toThrow("disk full");
  expect(appends).toBe(3);
  expect(await inner.head("f")).toMatchObject({ seq: 0 });
  const stuck: EventLog = { ...failing, delete: () => Promise.reject(new Error("read-only")) };
  appends = 0;
  const error = await rejectedBy(() => forkLog(stuck, "r", "f", { at: 3_500 }));
  expect(error.message).toContain("disk full");
  expect(error.message).toContain("read-only");
});

it("a name that somebody takes meanwhile is left alone", async () => {
  const events = await golden();
  const inner = await logOf(events);
  const raced: EventLog = {
    ...inner,
    append(runId, batch) {
      const [start] = longRun(1, 1);
      if (start !== undefined && batch.epoch === 2) {
        return Promise.resolve(inner.append(runId, { epoch: 7, events: [{ ...start, runId }] })).then(() =>
          inner.append(runId, batch),
        );
      }
      return inner.append(runId, batch);
    },
  };
  expect((await rejectedBy(() => forkLog(raced, "r", "f", { at: 5 }))).code).toBe("run_exists");
  expect(await inner.head("f")).toMatchObject({ seq: 1, epoch: 7 });
});

it("P7 the copy replays to the state that the original had there", async () => {
  for (const events of (await recordedLogs()).filter((_, index) => index % 4 === 0)) {
    const log = await logOf(events);
    const at = seqOf(events, isTerminal);
    await forkLog(log, "r", "f", { at });
    let bytes = "";
    for await (const { state } of replay(log, "f")) bytes = encodeState(state);
    const withoutOrigin = (text: string): string => text.replace(/"fork":\{[^}]*\},/, "");
    expect(withoutOrigin(bytes)).toBe(encodeState(fold(events.slice(0, at))));
  }
});
