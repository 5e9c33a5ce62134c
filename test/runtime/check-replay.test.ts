import { expect, it } from "vitest";
import { z } from "zod";
import {
  createAgent,
  defineTool,
  memoryLog,
  scriptedModel,
  toolCalls,
  type Agent,
  type EventLog,
  type Tool,
} from "rubato";
import type { Event } from "rubato/machines";
import { goldenModel, goldenTools, type Ledger } from "../support/golden-run.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import { leftBehind } from "../support/left-behind.ts";
import { rejectedBy } from "../support/thrown-later.ts";
import { forkLog } from "../../runtime/fork.ts";
import { logOf, longRun } from "../support/written-log.ts";

const ledger = (): Ledger => ({ started: [], finished: [], aborted: [] });

function golden(log: EventLog, tools: readonly Tool[] = goldenTools(ledger()), toolConcurrency = 5): Agent {
  return createAgent({ name: "golden", model: goldenModel(), tools, log, clock: manualClock(), toolConcurrency });
}

const DEEDS = ["nothing", "step", "now", "redirect", "also", "follow", "cancel", "discard", "continue"] as const;

async function record(log: EventLog, deed: (typeof DEEDS)[number], at: number, concurrency: number): Promise<void> {
  const agent = golden(log, goldenTools(ledger()), concurrency);
  const run = agent.run("How is the weather?", { runId: "r" });
  for await (const event of run) {
    if (event.seq !== at) continue;
    if (deed === "step") await run.interrupt("recorded", { mode: "step" });
    if (deed === "now" || deed === "discard" || deed === "continue") await run.interrupt("recorded", { mode: "now" });
    if (deed === "redirect") await run.send("in Celsius", { when: "now" });
    if (deed === "also") await run.send("in Celsius", { when: "step" });
    if (deed === "follow") await run.send("and tomorrow?", { when: "done" });
    if (deed === "cancel") await run.cancel("recorded");
  }
  if (run.state.status === "interrupted") {
    if (deed === "discard" || deed === "continue") await run.resume(undefined, { partial: deed });
    else await run.resume("go on");
  }
  await run.settled();
  await agent.close();
}

it("P6 P7 finds nothing where nothing changed, whatever was asked of the run and when", async () => {
  let checked = 0;
  for (const [index, deed] of DEEDS.entries()) {
    for (let at = 2 + (index % 4); at < 66; at += 4) {
      const log = at % 3 === 0 ? slowLog() : memoryLog();
      const concurrency = [1, 2, 5][at % 3] ?? 5;
      await record(log, deed, at, concurrency);
      const events = await stored(log, "r");
      const found = await golden(log, goldenTools(ledger()), concurrency).checkReplay("r");
      expect(found, `${deed} at ${at}`).toEqual({ ok: true, events: events.length });
      checked++;
    }
  }
  expect(checked).toBeGreaterThan(100);
});

it("P7 I13 asks no model, runs no tool, sets no timer, records nothing", async () => {
  const log = memoryLog();
  await record(log, "now", 40, 5);
  const before = await stored(log, "r");
  const model = goldenModel();
  const own = ledger();
  const clock = manualClock();
  const agent = createAgent({ name: "golden", model, tools: goldenTools(own), log, clock });
  expect((await agent.checkReplay("r")).ok).toBe(true);
  expect([model.requests.length, own, clock.pending]).toEqual([0, ledger(), 0]);
  expect(await stored(log, "r")).toEqual(before);
  expect(await log.list()).toHaveLength(1);
});

it("a tool that is gone: the call is refused where it ran", async () => {
  const log = memoryLog();
  await record(log, "nothing", 0, 5);
  const events = await stored(log, "r");
  const recorded = events.find((event) => event.type === "tool_call" && event.data.name === "average");
  const [weather] = goldenTools(ledger());
  if (weather === undefined || recorded === undefined) throw new Error("unreachable");
  const found = await golden(log, [weather]).checkReplay("r");
  expect(found).toMatchObject({ ok: false, seq: recorded.seq, expected: recorded });
  if (found.ok) return;
  expect(found.got).toMatchObject({ seq: recorded.seq, runId: "r", type: "tool_result", data: { outcome: "error" } });
  expect(found.problem).toBe(`Seq ${recorded.seq} is "tool_call", and today's code records "tool_result" here.`);
});

it("a schema that became stricter, also one with asynchronous checks", async () => {
  const log = memoryLog();
  await record(log, "nothing", 0, 5);
  const [, average] = goldenTools(ledger());
  if (average === undefined) throw new Error("unreachable");
  const weather = (city: z.ZodType<string>): Tool =>
    defineTool({ name: "weather", description: "", input: z.object({ city }), execute: () => null });
  const [call] = (await stored(log, "r")).filter((event) => event.type === "tool_call");
  for (const strict of [z.string().min(6), z.string().refine((city) => Promise.resolve(city.length > 5))]) {
    expect(await golden(log, [weather(strict), average]).checkReplay("r")).toMatchObject({ ok: false, seq: call?.seq });
  }
  const lenient = z.string().refine(() => Promise.resolve(true));
  expect((await golden(log, [weather(lenient), average]).checkReplay("r")).ok).toBe(true);
});

it("another number of calls at once starts them otherwise", async () => {
  const log = memoryLog();
  await record(log, "nothing", 0, 5);
  const starts = (await stored(log, "r")).filter((event) => event.type === "tool_start");
  const found = await golden(log, goldenTools(ledger()), 2).checkReplay("r");
  expect(found).toMatchObject({ ok: false, seq: starts[2]?.seq });
});

/** The recorded run with some events changed, as another version of the code would have recorded it. */
async function checkChanged(change: (event: Event) => Event): Promise<Awaited<ReturnType<Agent["checkReplay"]>>> {
  const log = memoryLog();
  await record(log, "redirect", 30, 5);
  const events = await stored(log, "r");
  return golden(await logOf(events.map(change))).checkReplay("r");
}

it("finds each event that follows otherwise than it was recorded", async () => {
  const types = ["thinking", "input_delivered", "tool_start", "interrupted", "resume", "interrupt", "done"] as const;
  for (const type of types) {
    let changed = 0;
    const found = await checkChanged((event) => {
      if (event.type !== type || changed > 0) return event;
      changed = event.seq;
      switch (event.type) {
        case "thinking":
          return { ...event, data: { ...event.data, messageId: "other" } };
        case "input_delivered":
          return { ...event, data: { ...event.data, step: 99 } };
        case "tool_start":
          return { ...event, data: { ...event.data, name: "other" } };
        case "interrupted":
          return { ...event, data: { ...event.data, where: "elsewhere" } };
        case "resume":
          return { ...event, data: { ...event.data, partial: "discard" } };
        case "interrupt":
          return { ...event, data: { ...event.data, mode: "step" } };
        case "done":
          return { ...event, data: { ...event.data, stateHash: "0" } };
        default:
          return event;
      }
    });
    expect(found, type).toMatchObject({ ok: false, seq: changed });
  }
});

it("does not mind what may differ: times, latencies, the model's name, another reducer's hashes", async () => {
  const found = await checkChanged((event) => {
    const later = { ...event, timestamp: event.timestamp + 5 };
    switch (later.type) {
      case "thinking":
        return { ...later, data: { ...later.data, model: "other" } };
      case "interrupted":
        return { ...later, data: { ...later.data, latencyMs: 7, stateHash: "x", reducer: 9 } };
      case "done":
        return { ...later, data: { ...later.data, stateHash: "x", reducer: 9 } };
      default:
        return later;
    }
  });
  expect(found.ok).toBe(true);
});

it("a command that is answered otherwise today", async () => {
  const log = memoryLog();
  await record(log, "nothing", 0, 5);
  const events = await stored(log, "r");
  const resume: Event = {
    seq: events.length + 1,
    timestamp: 1,
    runId: "r",
    type: "resume",
    data: { by: "user", partial: "keep" },
  };
  const found = await golden(await logOf([...events, resume])).checkReplay("r");
  expect(found).toMatchObject({ ok: false, seq: resume.seq, expected: resume, got: undefined });
  expect(JSON.stringify(found)).toContain("refused (done)");
});

it("takes failures of the model, late results and an app's own events as they came", async () => {
  const log = memoryLog();
  const agent = createAgent({
    name: "a",
    retry: { retries: 0 },
    model: scriptedModel([
      [...toolCalls([{ name: "note" }, { name: "missing" }, { name: "note", args: "{" }])],
      { text: "half", error: "broken" },
      { text: "cut", end: "truncated" },
      "done",
    ]),
    tools: [
      defineTool({
        name: "note",
        description: "",
        input: z.object({}),
        execute(_input, ctx) {
          ctx.progress(1);
          ctx.emit("noted", { deep: [1] });
          return "ok";
        },
      }),
    ],
    log,
  });
  const run = agent.run("go", { runId: "r" });
  await run.settled();
  await run.resume();
  await run.settled();
  await run.send("again");
  expect((await run.settled()).status).toBe("done");
  expect(await agent.checkReplay("r")).toEqual({ ok: true, events: run.state.seq });
});

it("a limit, and a run that was recorded under another one", async () => {
  const log = memoryLog();
  const make = (maxSteps: number): Agent =>
    createAgent({ name: "a", model: goldenModel(), tools: goldenTools(ledger()), log, maxSteps });
  const run = make(1).run("go", { runId: "r" });
  await run.settled();
  await run.resume();
  await run.settled();
  expect((await make(9).checkReplay("r")).ok).toBe(true);
});

it("a fork, an edited one included, replays like any run", async () => {
  const log = memoryLog();
  await record(log, "nothing", 0, 5);
  const [result] = (await stored(log, "r")).filter((event) => event.type === "tool_result");
  if (result?.type !== "tool_result") throw new Error("unreachable");
  await forkLog(log, "r", "f", { at: result.seq, results: { [result.data.callId]: { output: "warm" } } });
  expect(await golden(log).checkReplay("f")).toEqual({ ok: true, events: result.seq });
});

it("every prefix, pruned logs, and what cannot be checked", async () => {
  const log = memoryLog();
  await record(log, "now", 20, 5);
  const events = await stored(log, "r");
  for (let end = 1; end <= events.length; end += 3) {
    expect((await golden(await logOf(events.slice(0, end))).checkReplay("r")).ok, `prefix ${end}`).toBe(true);
  }
  const pruned = await logOf(events);
  await pruned.prune("r");
  expect((await golden(pruned).checkReplay("r")).ok).toBe(true);
  expect((await rejectedBy(() => golden(log).checkReplay("nobody"))).code).toBe("unknown_run");
  const [start, ...rest] = longRun(1, 1);
  if (start?.type !== "run_start") throw new Error("unreachable");
  const newer = await logOf([{ ...start, data: { ...start.data, schema: 2 } }, ...rest]);
  expect((await rejectedBy(() => golden(newer).checkReplay("r"))).code).toBe("newer_schema");
});

it("P8 takes a change of owner as it came, and holds what follows from it to today's charts", async () => {
  const log = memoryLog();
  await record(log, "now", 40, 5);
  const events = await stored(log, "r");
  const recover = async (prefix: readonly Event[]): Promise<readonly Event[]> => {
    const left = await leftBehind(prefix);
    const agent = golden(left);
    const answer = await agent.resume("r");
    if (answer.accepted) await answer.run.settled();
    await agent.close();
    return stored(left, "r");
  };
  for (let end = 2; end <= events.length; end += 4) {
    const once = await recover(events.slice(0, end));
    const twice = await recover(once.slice(0, end + ((once.length - end) >> 1)));
    for (const recovered of [once, twice]) {
      const found = await golden(await logOf(recovered)).checkReplay("r");
      expect(found, `prefix ${end}`).toEqual({ ok: true, events: recovered.length });
    }
  }
  const asked = await recover(events.slice(0, 10));
  const again = asked.find((event) => event.type === "thinking" && event.data.attempt === 2);
  if (again?.type !== "thinking") throw new Error("the request was not made again");
  const other: Event = { ...again, data: { ...again.data, messageId: "m7" } };
  const found = await golden(await logOf([...asked.slice(0, again.seq - 1), other])).checkReplay("r");
  expect(found).toMatchObject({ ok: false, seq: again.seq, got: { data: { attempt: 2, messageId: "m1" } } });
});
