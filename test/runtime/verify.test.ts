import { expect, it } from "vitest";
import { createAgent, memoryLog, verify, type EventLog, type Verification } from "rubato";
import { initialState, type Event, type Message } from "rubato/machines";
import { listProblem } from "../../machines/log-check.ts";
import { AgentState } from "../../machines/state.ts";
import { timelineOf } from "../../machines/timeline.ts";
import { startCheck } from "../../machines/start-check.ts";
import { flips, structural } from "../support/mutations.ts";
import { choices, randomLog } from "../support/random-walk.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { recoveredLog } from "../support/recovered-log.ts";
import { rejectedBy } from "../support/thrown-later.ts";
import { scriptedModel } from "../../runtime/models/scripted.ts";
import { logOf, logReading, longRun } from "../support/written-log.ts";
import * as fc from "fast-check";

async function check(events: readonly Event[], seq?: number): Promise<Verification> {
  return verify(logReading(events, seq), "r");
}

/** The log with one event's data changed. */
function edited(events: readonly Event[], at: number, change: (event: Event) => Event): Event[] {
  return events.map((event) => (event.seq === at ? change(event) : event));
}

function find(events: readonly Event[], type: Event["type"]): Event {
  const found = events.find((event) => event.type === type);
  if (found === undefined) throw new Error(`no ${type} in this log`);
  return found;
}

it("finds nothing in what was recorded, whole or pruned, at any prefix", async () => {
  for (const events of await recordedLogs()) {
    expect(await check(events)).toEqual({ ok: true, events: events.length, seq: events.length });
    const log = await logOf(events);
    const dropped = await log.prune("r");
    const pruned = await verify(log, "r");
    expect(pruned).toMatchObject({ ok: true, seq: events.length });
    if (pruned.ok && dropped > 10) expect(pruned.events).toBeLessThan(events.length);
  }
  const [events = []] = await recordedLogs();
  for (let end = 1; end <= events.length; end++) expect((await check(events.slice(0, end))).ok).toBe(true);
});

it("P5 I1 I20 finds every event that is missing, doubled, moved or inserted, with the seq", async () => {
  const logs = await recordedLogs();
  for (const events of logs.filter((_, index) => index % 3 === 1)) {
    for (const { what, seq, events: mutated } of structural(events)) {
      const found = await check(mutated, events.length);
      expect(found, what).toMatchObject({ ok: false });
      // An event that nothing forbids where it was inserted is seen when the next one does not follow.
      if (!found.ok) expect([seq, what.startsWith("insert") ? seq + 1 : seq], what).toContain(found.seq);
    }
  }
});

/** What only informs: it decides nothing, so nothing in the events can tell what it was. The log's checksums can. */
const ONLY_INFORMS = [
  /\.(timestamp|cause)$/,
  /\.data\.reducer$/,
  / run_start\.data\.(agent\.|model$|chartHash$)/,
  / (custom|tool_progress)\.data\./,
  / (interrupt|cancelled|resume)\.data\.(by|reason)$/,
  / resume\.data\.inputId$/,
  / input_delivered\.data\.step$/,
  / interrupted\.data\.(messageId|latencyMs|by|reason)$/,
  / thinking\.data\.(model|messageId|attempt)$/,
];

it("I20 finds every changed field but those that only inform, never before its seq", async () => {
  const missed = new Set<string>();
  let tried = 0;
  const logs = await recordedLogs();
  const seen = new Set<string>();
  for (const events of logs.filter((_, index) => index % 3 === 1)) {
    for (const { what, seq, events: mutated } of flips(events)) {
      // Tokens are all alike: the first few of a kind say what the others would.
      const alike = `${what} ${seq % 4}`;
      if (seen.has(alike) || what.endsWith("run_start.data.schema")) continue;
      seen.add(alike);
      tried++;
      const found = await check(mutated, events.length);
      if (found.ok) missed.add(what);
      else expect(found.seq, what).toBeGreaterThanOrEqual(seq);
    }
  }
  expect(tried).toBeGreaterThan(900);
  expect([...missed].filter((what) => !ONLY_INFORMS.some((pattern) => pattern.test(what)))).toEqual([]);
});

it("P6 finds a state that is not what the rest event says, for this version's reducer alone", async () => {
  const [events = []] = await recordedLogs();
  const done = find(events, "done");
  if (done.type !== "done") throw new Error("unreachable");
  const wrong = (reducer: number): Event => ({ ...done, data: { ...done.data, stateHash: "0", reducer } });
  expect(await check(edited(events, done.seq, () => wrong(1)))).toMatchObject({ ok: false, seq: done.seq });
  expect(await check(edited(events, done.seq, () => wrong(2)))).toMatchObject({ ok: true });
});

it("P15 finds a changed tool result where the turn ends", async () => {
  const [events = []] = await recordedLogs();
  const result = find(events, "tool_result");
  const changed = edited(events, result.seq, (event) =>
    event.type === "tool_result" ? { ...event, data: { ...event.data, output: { degrees: 99 } } } : event,
  );
  const found = await check(changed);
  expect(found).toMatchObject({ ok: false, seq: events.length });
  expect(JSON.stringify(found)).toContain("P6");
});

it("I2 finds an owner whose epoch does not rise", async () => {
  const [events = []] = await recordedLogs();
  const owner = (seq: number, epoch: number): Event => ({
    seq,
    timestamp: 1,
    runId: "r",
    type: "owner",
    data: { epoch, who: "test", why: "resume", recoveries: 0 },
  });
  const end = events.length;
  expect(await check([...events, owner(end + 1, 2), owner(end + 2, 5)])).toMatchObject({ ok: true });
  expect(await check([...events, owner(end + 1, 1)])).toMatchObject({ ok: false, seq: end + 1 });
  expect(await check([...events, owner(end + 1, 3), owner(end + 2, 3)])).toMatchObject({ ok: false, seq: end + 2 });
});

it("P11 lets a call start again only after an owner lost it, with the same key", async () => {
  const [events = []] = await recordedLogs();
  const start = find(events, "tool_start");
  if (start.type !== "tool_start") throw new Error("unreachable");
  const prefix = events.slice(0, start.seq);
  const owner: Event = {
    ...start,
    seq: start.seq + 1,
    type: "owner",
    data: { epoch: 2, who: "test", why: "resume", recoveries: 1 },
  };
  const again = (seq: number, key = start.data.idempotencyKey): Event => ({
    ...start,
    seq,
    data: { ...start.data, attempt: 2, idempotencyKey: key },
  });
  expect(await check([...prefix, owner, again(start.seq + 2)])).toMatchObject({ ok: true });
  expect(await check([...prefix, again(start.seq + 1)])).toMatchObject({ ok: false, seq: start.seq + 1 });
  const otherKey = await check([...prefix, owner, again(start.seq + 2, `other:${start.data.callId}`)]);
  expect(otherKey).toMatchObject({ ok: false, seq: start.seq + 2 });
  expect(JSON.stringify(otherKey)).toContain("P11");
});

it("says when a fork was not copied to its end", async () => {
  const [start, ...rest] = longRun(1, 2);
  if (start?.type !== "run_start") throw new Error("unreachable");
  const fork: Event = { ...start, data: { ...start.data, fork: { runId: "origin", seq: 8 } } };
  expect(await check([fork, ...rest])).toMatchObject({ ok: true });
  expect(await check([fork, ...rest].slice(0, 6))).toMatchObject({ ok: false, seq: 6 });
});

it("whatever step() accepts, the second look accepts as well, but for what random events say of each other", async () => {
  // Random logs carry random texts, hashes and keys: only the rules about order are held to them here.
  await fc.assert(
    fc.asyncProperty(choices, async (walk) => {
      const found = await check(randomLog(walk));
      if (!found.ok) expect(found.problem).not.toMatch(/\(I1\)|\(I9\)|does not fit/);
    }),
    { numRuns: 50, seed: 1 },
  );
});

it("P10 asks the log about its own damage, and answers what comes first", async () => {
  const [events = []] = await recordedLogs();
  const damagedAt = (seq: number): EventLog => ({
    ...logReading(edited(events, 40, (event) => ({ ...event, runId: "other" }))),
    check: (runId) => Promise.resolve({ seq, problem: `${runId}: a checksum` }),
  });
  expect(await verify(damagedAt(20), "r")).toEqual({ ok: false, seq: 20, problem: "r: a checksum" });
  expect(await verify(damagedAt(60), "r")).toMatchObject({ ok: false, seq: 40 });
  const unreadable: EventLog = {
    ...damagedAt(events.length + 9),
    read: () => Promise.reject(new Error("the disk is gone")),
  };
  await expect(verify(unreadable, "r")).rejects.toThrow("the disk is gone");
});

it("answers where a log can be read no further, and throws for what it cannot judge", async () => {
  const [events = []] = await recordedLogs();
  expect(await check(events.slice(0, 30), events.length)).toMatchObject({ ok: false, seq: 31 });
  expect((await rejectedBy(() => verify(memoryLog(), "nobody"))).code).toBe("unknown_run");
  const [start, ...rest] = longRun(1, 1);
  if (start?.type !== "run_start") throw new Error("unreachable");
  const newer: Event = { ...start, data: { ...start.data, schema: 2 } };
  expect((await rejectedBy(() => check([newer, ...rest]))).code).toBe("newer_schema");
});

it("is quiet about a run that works while it is read", async () => {
  const log = memoryLog();
  const agent = createAgent({ name: "a", model: scriptedModel(["one two three"]), log });
  const run = agent.run("go", { runId: "r" });
  expect((await verify(log, "r")).ok).toBe(true);
  await run.settled();
  expect(await verify(log, "r")).toMatchObject({ ok: true });
});

it("R5 I10 the check of starts stands on its own: it needs no step() that refuses", () => {
  const place = { seq: 1, timestamp: 1, runId: "r" };
  const interrupt: Event = { ...place, type: "interrupt", data: { by: "user", reason: "", mode: "step" } };
  const thinking: Event = {
    ...place,
    type: "thinking",
    data: { step: 1, attempt: 1, messageId: "m1", model: "m" },
  };
  const resume: Event = { ...place, type: "resume", data: { by: "user", partial: "keep" } };
  const check = startCheck();
  const state = initialState();
  expect(check.take(state, thinking)).toBeUndefined();
  expect(check.take(state, interrupt)).toBeUndefined();
  expect(check.take(state, thinking)).toContain("I10");
  expect(check.take(state, resume)).toBeUndefined();
  expect(check.take(state, thinking)).toContain("I10");
});

it("R8 I9 the check of message lists stands on its own: it looks at what an event changed, from the last complete message on", () => {
  const user: Message = { role: "user", content: "go" };
  const asks: Message = {
    role: "assistant",
    content: "",
    toolCalls: [{ callId: "1.0", providerCallId: "", name: "t", args: "{}" }],
  };
  const result: Message = { role: "tool", callId: "1.0", name: "t", content: "", outcome: "ok" };
  const { core } = initialState();
  const list = (history: Message[], tail: Message[] = []): AgentState =>
    new AgentState({ ...core, history: timelineOf(history), tail }, 1, undefined);
  expect(listProblem(list([]), list([user], [asks, result]))).toBeUndefined();
  expect(listProblem(list([user], [asks, result]), list([user, asks, result]))).toBeUndefined();
  expect(listProblem(list([user, asks, result]), list([user, asks, result, user]))).toBeUndefined();
  expect(listProblem(list([user]), list([user], [asks]))).toContain("I9");
  expect(listProblem(list([user]), list([user, asks, user]))).toContain("I9");
  expect(listProblem(list([user]), list([user, result]))).toContain("I9");
  // A result that was taken away again leaves its call without one.
  expect(listProblem(list([user, asks, result]), list([user, asks]))).toContain("I9");
});

it("P8 P12 P20 finds nothing in any prefix that another process took over, or two did", async () => {
  const logs = await recordedLogs();
  const types = new Set<string>();
  for (const events of logs.filter((_, index) => index % 3 === 1)) {
    for (let end = 1; end <= events.length; end += 5) {
      const once = recoveredLog(events.slice(0, end), 2);
      const twice = recoveredLog(once, 5);
      for (const event of twice) types.add(`${event.type} ${event.type === "tool_result" ? event.data.outcome : ""}`);
      expect(await check(once), `${end} of ${events.length}`).toMatchObject({ ok: true, seq: once.length });
      expect(await check(twice), `${end} of ${events.length}`).toMatchObject({ ok: true, seq: twice.length });
    }
  }
  expect([...types]).toContain("tool_result unknown");
});
