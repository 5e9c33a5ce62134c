import { expect, it } from "vitest";
import { memoryLog, type ChatModel, type Event } from "rubato";
import { systemClock, type Clock } from "../../runtime/clock.ts";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { deferred, quiet, testAgent } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

const WORDS = 6;

/** Says six words, then waits, then says six more. */
function twoParts(gate: Promise<void>): ChatModel {
  return {
    name: "two parts",
    async *stream() {
      for (let word = 0; word < WORDS; word++) yield { type: "text", text: `a${word} ` };
      await gate;
      for (let word = 0; word < WORDS; word++) yield { type: "text", text: `b${word} ` };
      yield { type: "finish", finish: "stop" };
    },
  };
}

function texts(events: readonly Event[]): string[] {
  return events.flatMap((event) => (event.type === "token_stream" ? [event.data.text] : []));
}

const FIRST = Array.from({ length: WORDS }, (_, word) => `a${word} `);
const SECOND = Array.from({ length: WORDS }, (_, word) => `b${word} `);

/** A log that counts its appends from the outside, and keeps the append that heads are given. */
function counted(base: EventLog): { readonly log: EventLog; readonly batches: number[] } {
  const batches: number[] = [];
  const log: EventLog = {
    ...base,
    append(runId, batch) {
      batches.push(batch.events.length);
      return base.append(runId, batch);
    },
    hold: (writer, owner) => writer === log && base.hold?.(base, owner) === true,
    keep(runId, epoch, tokens) {
      batches.push(tokens.count);
      base.keep?.(runId, epoch, tokens);
    },
  };
  return { log, batches };
}

it("H7 tokens that nobody looks at are one append, and the log is what it would be without", async () => {
  const { log, batches } = counted(memoryLog());
  const { agent } = testAgent({ log, model: twoParts(Promise.resolve()) });
  const run = agent.run("go");
  await run.settled();
  // The message asks for what waited before it.
  expect(batches).toContain(2 * WORDS);
  const events = await stored(log, run.id);
  expect(texts(events)).toEqual([...FIRST, ...SECOND]);
  checkLog(events);
});

it("H7 a token that waited has the time that the clock told, also where that has fractions", async () => {
  const log = memoryLog();
  const told = new Set<number>();
  let now = 0.1;
  const clock: Clock = {
    ...systemClock,
    now() {
      now += 1234.56789;
      told.add(now);
      return now;
    },
  };
  const { agent } = testAgent({ log, model: twoParts(Promise.resolve()), clock });
  const run = agent.run("go");
  await run.settled();
  const tokens = (await stored(log, run.id)).filter(({ type }) => type === "token_stream");
  expect(tokens).toHaveLength(2 * WORDS);
  expect(tokens.filter(({ timestamp }) => !told.has(timestamp))).toEqual([]);
});

it.each<[string, (log: EventLog, runId: string) => unknown]>([
  ["read", async (log, runId) => texts(await log.read(runId, { after: 0, limit: 100 })).length],
  ["head", async (log, runId) => (await log.head(runId)).seq - 4],
  ["list", async (log) => ((await log.list())[0]?.seq ?? 0) - 4],
  [
    "claim",
    async (log, runId) => {
      const claim = await log.claim(runId, { takeover: true });
      return claim.claimed ? claim.seq - 4 : claim.reason;
    },
  ],
])("H7 whoever looks at the log itself sees every token: %s", async (_what, look) => {
  const log = memoryLog();
  const gate = deferred();
  const { agent } = testAgent({ log, model: twoParts(gate.promise) });
  const run = agent.run("go");
  await quiet();
  expect(await look(log, run.id)).toBe(WORDS);
  gate.resolve();
  await run.settled();
});

it("H7 whoever looks at the run sees every token: its state, its seqs, its statistics", async () => {
  for (const look of ["state", "durableSeq", "stats"] as const) {
    const gate = deferred();
    const { agent } = testAgent({ model: twoParts(gate.promise) });
    const run = agent.run("go");
    await quiet();
    if (look === "state") expect(run.state.partial?.text).toBe(FIRST.join(""));
    if (look === "durableSeq") expect(run.durableSeq).toBe(4 + WORDS);
    if (look === "stats") expect(run.stats().published).toBe(4 + WORDS);
    gate.resolve();
    await run.settled();
  }
});

it("H7 who begins to listen or to read in the middle hears what comes then, each token when it comes", async () => {
  const gate = deferred();
  const { agent } = testAgent({ model: twoParts(gate.promise) });
  const run = agent.run("go");
  await quiet();
  const heard: Event[] = [];
  run.subscribe("token_stream", (event) => heard.push(event));
  const read: Event[] = [];
  const reading = (async () => {
    for await (const event of run) read.push(event);
  })();
  await quiet();
  expect(texts(heard)).toEqual([]);
  expect(texts(read)).toEqual(FIRST);
  gate.resolve();
  await run.settled();
  await reading;
  expect(texts(heard)).toEqual(SECOND);
  expect(texts(read)).toEqual([...FIRST, ...SECOND]);
});

it("H7 nothing waits where somebody watches the run in the log, or where the log is wrapped", async () => {
  const watched = memoryLog();
  watched.watch("run_w", () => {});
  const { log, batches } = counted(watched);
  await testAgent({ log, model: twoParts(Promise.resolve()) })
    .agent.run("go", { runId: "run_w" })
    .settled();
  expect(Math.max(...batches.slice(1))).toBeLessThan(3);

  const appended: number[] = [];
  const base = memoryLog();
  const wrapped: EventLog = {
    ...base,
    append(runId, batch) {
      appended.push(batch.events.length);
      return base.append(runId, batch);
    },
  };
  await testAgent({ log: wrapped, model: twoParts(Promise.resolve()) })
    .agent.run("go")
    .settled();
  expect(Math.max(...appended.slice(1))).toBeLessThan(3);
});

it("H7 an owner that lost the run keeps nothing, and nothing of the new one is hidden by it", async () => {
  const log = memoryLog();
  const [stale, gate] = [deferred(), deferred()];
  let pulled = 0;
  const losing: ChatModel = {
    name: "m",
    async *stream() {
      yield { type: "text", text: "lost " };
      await stale.promise;
      for (;;) {
        pulled++;
        yield { type: "text", text: "late " };
      }
    },
  };
  const first = testAgent({ log, model: losing }).agent.run("go");
  await quiet();
  const { agent } = testAgent({ log, model: twoParts(gate.promise) });
  const resumed = await agent.resume(first.id, undefined, { takeover: true });
  await quiet();
  gate.resolve();
  stale.resolve();
  await quiet();
  expect((await first.settled()).status).toBe("failed");
  expect(pulled).toBe(1);
  expect(texts(await stored(log, first.id)).slice(1)).toEqual([...FIRST, ...SECOND]);
  expect(resumed.accepted && (await resumed.run.settled()).status).toBe("done");
});

it("H7 a run that is deleted while its tokens wait is gone: it fails, and its id is free", async () => {
  const gate = deferred();
  const { agent, log } = testAgent({ log: memoryLog(), model: twoParts(gate.promise) });
  const run = agent.run("go");
  await quiet();
  expect(await log.delete(run.id)).toBe(true);
  gate.resolve();
  expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "log" } });
  expect(await agent.run("again", { runId: run.id }).settled()).toMatchObject({ status: "done" });
});
