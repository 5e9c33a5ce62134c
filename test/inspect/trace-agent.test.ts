import { describe, expect, it } from "vitest";
import { pause, scriptedModel, type AgentObserver, type Event, type EventLog } from "rubato";
import { exportSpans, traceAgent, traceOf, type SpanRecord } from "rubato/inspect";
import { deferred, quiet, testAgent, until } from "../support/agents.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import { otelProvider } from "../support/otel.ts";

async function replayedTurns(events: readonly Event[]): Promise<readonly string[][]> {
  const turns: SpanRecord[][] = [];
  for (const record of traceOf(events)) {
    if (record.name.startsWith("invoke_agent")) turns.push([]);
    turns.at(-1)?.push(record);
  }
  return Promise.all(
    turns.map(async (turn) => {
      const { target, exported } = otelProvider();
      exportSpans(turn, target);
      return (await exported()).map((span) => JSON.stringify(span));
    }),
  );
}

/** A log whose reads the test answers. */
function slowReads(log: EventLog, read: EventLog["read"]): EventLog {
  return Object.assign(Object.create(log), { read });
}

describe("tracing that begins in the middle of a run", () => {
  it("T3 P31: close does not wait for a log that hangs, and says what it left out", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"], ["b"]]) });
    const run = agent.run("one", { runId: "r" });
    await run.settled();
    const gate = deferred();
    let reads = 0;
    const slow = slowReads(log, async (runId, options) => {
      reads++;
      await gate.promise;
      return log.read(runId, { ...options, limit: 1 });
    });
    const clock = manualClock();
    const errors: unknown[] = [];
    const live = otelProvider();
    const tracing = traceAgent(
      { observe: (observer) => agent.observe(observer), log: slow },
      { ...live.target, clock, graceMs: 3_000, onError: (error) => errors.push(error) },
    );
    await run.send("two");
    await run.settled();
    const flushed = tracing.flush();
    clock.advance(3_000);
    expect(await flushed).toEqual({ unread: ["r"] });
    const closed = tracing.close();
    clock.advance(3_000);
    expect(await closed).toEqual({ unread: ["r"] });
    expect(String(errors)).toMatch(/"r" did not answer within 3000 ms/);
    expect(clock.pending).toBe(0);
    // Too late: it is over, and the rest is not read.
    gate.resolve();
    await quiet();
    expect(reads).toBe(1);
    expect(await live.exported()).toEqual([]);
    await agent.close();
  });

  it("T1: where a log cannot be read that turn is left out, and the next one is whole", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"], ["b", pause(), "c"], ["d"], ["e"]]) });
    const run = agent.run("one", { runId: "r" });
    await run.settled();
    let broken = 1;
    const flaky = slowReads(log, async (...asked) => {
      if (broken-- > 0) throw new Error("the disk is away");
      return log.read(...asked);
    });
    const errors: unknown[] = [];
    const live = otelProvider();
    const tracing = traceAgent(
      { observe: (observer) => agent.observe(observer), log: flaky },
      { ...live.target, onError: (error) => errors.push(error) },
    );
    for (const text of ["two", "three", "four"]) {
      await run.send(text);
      if (text === "two") {
        await until(run, "token_stream", ({ data }) => data.text === "b");
        await run.interrupt("on", { mode: "now" });
        await run.resume();
      }
      await run.settled();
    }
    expect(await tracing.close()).toEqual({ unread: [] });
    expect(String(errors)).toBe("Error: the disk is away");
    const turns = await replayedTurns(await stored(log, "r"));
    expect(turns).toHaveLength(5);
    expect((await live.exported()).map((span) => JSON.stringify(span))).toEqual(turns.slice(2).flat());
    expect(turns.flat().every((span) => !span.includes('"invoke_agent "'))).toBe(true);
    await agent.close();
  });

  it("T3 I19: what waits for a log is bounded", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"]]) });
    const run = agent.run("one", { runId: "r" });
    await run.settled();
    let reads = 0;
    const hung = slowReads(log, () => {
      reads++;
      return new Promise(() => {});
    });
    const errors: unknown[] = [];
    let seen: AgentObserver | undefined;
    const tracing = traceAgent(
      {
        log: hung,
        observe(observer) {
          seen = observer;
          return () => {};
        },
      },
      { ...otelProvider().target, graceMs: 0, onError: (error) => errors.push(error) },
    );
    const note = (seq: number, type: "user_input" | "retry_due"): Event =>
      type === "user_input"
        ? { seq, timestamp: seq, runId: "r", type, data: { id: `i${seq}`, text: "more", when: "step" } }
        : { seq, timestamp: seq, runId: "r", type, data: { step: 1, attempt: 1 } };
    for (let seq = 10; seq < 25_000; seq++) seen?.event(note(seq, seq % 2 === 0 ? "user_input" : "retry_due"), run);
    expect(reads).toBe(1);
    expect(String(errors)).toMatch(/while 10000 events came/);
    expect(errors).toHaveLength(1);
    expect(await tracing.close()).toEqual({ unread: ["r"] });
    await agent.close();
  });
});

describe("T2: what is thrown where spans are made and given away", () => {
  it.for(["setSpan", "setSpanContext", "startSpan", "addEvent", "end", "provider", "onError"])(
    "by %s is told, or is nobody's, and later turns are told",
    async (where) => {
      const { agent } = testAgent({ model: scriptedModel([["a"], ["b"]]) });
      const errors: unknown[] = [];
      const live = otelProvider();
      let broken = true;
      const fail = (at: string): void => {
        if (broken && at === where) throw new Error(`broken ${where}`);
      };
      const { api, tracer, ids } = live.target;
      const tracing = traceAgent(agent, {
        ids,
        provider() {
          fail("provider");
          if (where === "onError" && broken) throw new Error("for onError");
          return "some";
        },
        onError(error) {
          errors.push(error);
          fail("onError");
        },
        api: {
          ROOT_CONTEXT: api.ROOT_CONTEXT,
          createTraceState: api.createTraceState,
          trace: {
            setSpan(context: typeof api.ROOT_CONTEXT, span: ReturnType<typeof tracer.startSpan>) {
              fail("setSpan");
              return api.trace.setSpan(context, span);
            },
            setSpanContext(...given: Parameters<typeof api.trace.setSpanContext>) {
              fail("setSpanContext");
              return api.trace.setSpanContext(...given);
            },
          },
        },
        tracer: {
          startSpan(...given: Parameters<typeof tracer.startSpan>) {
            fail("startSpan");
            const span = tracer.startSpan(...given);
            return new Proxy(span, {
              get(of, key) {
                if (key === "addEvent" || key === "end") fail(key);
                const value: unknown = Reflect.get(of, key);
                return typeof value === "function" ? value.bind(of) : value;
              },
            });
          },
        },
      });
      const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
      const run = agent.run("one", { traceparent });
      expect((await run.settled()).status).toBe("done");
      expect(errors.length).toBeGreaterThan(0);
      broken = false;
      const before = (await live.exported()).length;
      await run.send("two");
      expect((await run.settled()).status).toBe("done");
      await tracing.close();
      const names = (await live.exported()).slice(before).map(({ name }) => name);
      expect(names).toEqual(["chat scripted", "invoke_agent test"]);
      await agent.close();
    },
  );
});

it("two agents of one process whose runs have the same ids have traces and spans of their own", async () => {
  const live = otelProvider();
  const agents = ["clerk", "baker"].map((name) => testAgent({ name, model: scriptedModel([["a"], ["b"]]) }).agent);
  const tracings = agents.map((agent) => traceAgent(agent, live.target));
  await Promise.all(agents.map(async (agent) => agent.run("one", { runId: "r" }).settled()));
  // And in one caller's trace their spans are not each other's.
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await Promise.all(agents.map(async (agent) => agent.run("one", { runId: "s", traceparent }).settled()));
  for (const tracing of tracings) await tracing.close();
  const spans = await live.exported();
  expect(spans).toHaveLength(8);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(8);
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(3);
  for (const agent of agents) await agent.close();
});

describe("B1: a turn without end", () => {
  function endless(steps: number): readonly Event[] {
    const events: Event[] = [];
    const add = (event: Pick<Event, "type" | "data">): void => {
      const seq = events.length + 1;
      // As a log would have them.
      events.push(JSON.parse(JSON.stringify({ seq, timestamp: seq, runId: "r", ...event })));
    };
    add({ type: "run_start", data: JSON.parse('{ "agent": { "name": "a" }, "model": "m" }') });
    add({ type: "user_input", data: { id: "i0", text: "begin", when: "start" } });
    for (let step = 1; step <= steps; step++) {
      const id = `i${step}`;
      const traceparent = `00-${step.toString(16).padStart(32, "a")}-${step.toString(16).padStart(16, "b")}-01`;
      add({ type: "user_input", data: { id, text: "x".repeat(20_000), when: "step", traceparent } });
      add({ type: "input_delivered", data: { id, delivered: true, queue: "step", step } });
      add({ type: "thinking", data: { step, attempt: 1, messageId: `m${step}`, model: "m" } });
      const usage = { inputTokens: 2, outputTokens: 3 };
      const text = "y".repeat(20_000);
      add({
        type: "message",
        data: { messageId: `m${step}`, step, attempt: 1, finish: "stop", text, calls: [], usage },
      });
    }
    const usage = { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 };
    add({ type: "done", data: { output: "z".repeat(20_000), steps, usage, stateHash: "", reducer: 1 } });
    return events;
  }

  it("is kept in part, and its span says what was left out, with sums of all of it", () => {
    const spans = traceOf(endless(1_500));
    expect(spans).toHaveLength(1_000);
    const [turn] = spans;
    expect(turn?.events).toHaveLength(128);
    expect(turn?.links).toHaveLength(128);
    expect(turn?.attributes).toMatchObject({
      "gen_ai.usage.input_tokens": 3_000,
      "gen_ai.usage.output_tokens": 4_500,
      "rubato.dropped.spans": 1_500 - 999,
      "rubato.dropped.events": 1_501 - 128,
      "rubato.dropped.links": 1_500 - 128,
    });
    // The newest events are those that say why it ended.
    expect(turn?.events.at(-1)?.attributes["id"]).toBe("i1500");
  });

  it("also of what is quoted", () => {
    const [turn, chat] = traceOf(endless(200), { content: true });
    expect(turn?.attributes["rubato.dropped.inputs"]).toBe(201 - 128 - 1);
    for (const text of [turn?.attributes["gen_ai.output.messages"], chat?.attributes["gen_ai.output.messages"]])
      expect(String(text)).toMatch(/\.\.\. \(3616 more\)/);
    expect(String(turn?.attributes["gen_ai.input.messages"]).length).toBeLessThan(128 * 16_600);
  });

  it("says nothing of it where all of it is there", () => {
    expect(JSON.stringify(traceOf(endless(20)))).not.toContain("dropped");
  });
});
