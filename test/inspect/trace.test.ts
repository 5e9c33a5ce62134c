import * as semconv from "@opentelemetry/semantic-conventions/incubating";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, memoryLog, openaiModel, pause, scriptedModel, type Event } from "rubato";
import { exportSpans, traceAgent, traceOf, type SpanRecord, type TraceOptions } from "rubato/inspect";
import { isHot, spanIdOf, traceIdOf } from "rubato/machines";
import { deferred, testAgent, until } from "../support/agents.ts";
import { deltaFrame, listen } from "../support/fault-server.ts";
import { goldenAgent, leftBehind } from "../support/left-behind.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";
import { otelProvider } from "../support/otel.ts";
import { recordedLogs } from "../support/recorded-logs.ts";

function replayed(events: readonly Event[], options: TraceOptions = {}) {
  const { target, exported } = otelProvider();
  exportSpans(traceOf(events, options), target);
  return exported();
}

const say = defineTool({
  name: "say",
  description: "",
  input: z.object({ word: z.string() }),
  execute: ({ word }) => word,
});
const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

describe("the trace of a live run and of its replay are the same", () => {
  it("also where a turn was begun in the trace of the turn before it", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"], ["b"]]) });
    const live = otelProvider();
    const tracing = traceAgent(agent, live.target);
    const run = agent.run("say", { runId: "r" });
    await run.settled();
    const [first] = traceOf(await stored(log, "r"));
    await run.send("more", { traceparent: `00-${first?.traceId}-${first?.spanId}-01` });
    await run.settled();
    await tracing.close();
    const events = await stored(log, "r");
    const ids = (await replayed(events)).map(({ traceId }) => traceId);
    expect(ids).toEqual(ids.map(() => first?.traceId));
    expect(await live.exported()).toEqual(await replayed(events));
    await agent.close();
  });

  it("has a turn that a limit ends before anything else happens in it", async () => {
    const gate = deferred();
    const { agent, log, clock } = testAgent({
      model: {
        name: "m",
        async *stream() {
          yield { type: "text", text: "said" };
          await gate.promise;
          yield { type: "finish", finish: "stop" };
        },
      },
      budget: { wallMs: 1_000 },
    });
    const live = otelProvider();
    const tracing = traceAgent(agent, live.target);
    const run = agent.run("say", { runId: "r" });
    await until(run, "token_stream");
    const stopped = run.interrupt("wait", { mode: "step" });
    await run.resume("go on", { traceparent: TRACEPARENT });
    clock.advance(2_000);
    gate.resolve();
    await stopped;
    await run.settled();
    await tracing.close();
    const events = await stored(log, "r");
    const turns = traceOf(events).filter(({ name }) => name.startsWith("invoke_agent"));
    expect(turns.map(({ attributes }) => attributes["rubato.turn"])).toEqual([1, 2]);
    expect(turns[1]).toMatchObject({ events: [{ name: "rubato.limit" }, { name: "rubato.interrupted" }] });
    expect(turns[1]?.remoteParent?.traceId).toBe(TRACEPARENT.slice(3, 35));
    expect(await live.exported()).toEqual(await replayed(events));
    await agent.close();
  });

  it.for([false, true])("with tools, an interrupt, a retry and a failure, content %s", async (content) => {
    let asked = 0;
    const script = scriptedModel([
      { calls: [{ name: "say", args: { word: "hello" } }] },
      ["thinking about ", pause(), "it"],
      ["done now"],
    ]);
    const { agent, log, clock } = testAgent({
      model: {
        name: "m-1",
        async *stream(request, options) {
          asked++;
          if (asked === 2) throw Object.assign(new Error("busy"), { status: 503 });
          if (asked === 5) throw Object.assign(new Error("no"), { status: 400 });
          yield* script.stream(request, options);
        },
      },
      tools: [say],
      retry: { retries: 2 },
    });
    const live = otelProvider();
    const options = { content, provider: "scripted" };
    const tracing = traceAgent(agent, { ...live.target, ...options });
    const run = agent.run("say hello", { runId: "r", traceparent: TRACEPARENT });
    await until(run, "retry");
    clock.advance(60_000);
    await until(run, "token_stream", ({ data }) => data.attempt === 2);
    clock.advance(30);
    await run.interrupt("enough", { mode: "now" });
    await run.settled();
    clock.advance(1_000);
    await run.resume("go on");
    await run.settled();
    await run.send("once more");
    await run.settled();
    await tracing.close();
    const events = await stored(log, "r");
    expect(await live.exported()).toEqual(await replayed(events, options));
    const exported = await live.exported();
    const kinds = exported.map(({ name }) => name);
    expect(kinds.filter((name) => name === "invoke_agent test")).toHaveLength(3);
    expect(kinds.filter((name) => name === "chat m-1")).toHaveLength(5);
    expect(kinds.filter((name) => name === "execute_tool say")).toHaveLength(1);
    const text = JSON.stringify(exported);
    for (const said of ["say hello", "hello", "done now", "thinking about"]) expect(text.includes(said)).toBe(content);
    await agent.close();
  });

  it("for every recorded run: interrupted, redirected, followed up, cancelled, at several moments", async () => {
    const logs = await recordedLogs();
    expect(logs.length).toBe(18);
    for (const recorded of logs) {
      // The clock of these runs stood still.
      const events = recorded.map((event): Event => ({ ...event, timestamp: event.timestamp + event.seq }));
      // What an observer sees: control events, and of each answer the first delta.
      let waits = false;
      const seen = events.filter((event) => {
        if (event.type === "thinking") waits = true;
        if (!isHot(event)) return true;
        const first = waits;
        waits = false;
        return first;
      });
      const spans = traceOf(events);
      expect(traceOf(seen)).toEqual(spans);
      checkTree(spans, events);
    }
  });

  it("where a run is taken over in the middle of its work, and where tracing begins in the middle", async () => {
    const whole = memoryLog();
    const first = createAgent({ name: "golden", model: goldenModel(), log: whole, tools: tools() });
    await first.run("What is the average temperature?", { runId: "r" }).settled();
    await first.close();
    const all = await stored(whole, "r");
    for (const at of [5, 12, 20, 30, 41]) {
      const log = await leftBehind(all.slice(0, at));
      const [start] = all;
      const agent = goldenAgent(log, { started: [], finished: [], aborted: [] });
      const live = otelProvider();
      const tracing = traceAgent(agent, live.target);
      const answer = await agent.resume(start?.runId ?? "", undefined, { allowChanged: true });
      expect(answer.accepted).toBe(true);
      if (answer.accepted) await answer.run.settled();
      await tracing.flush();
      const events = await stored(log, "r");
      expect(events.some(({ type }) => type === "owner")).toBe(true);
      expect(await live.exported()).toEqual(await replayed(events));
      await tracing.close();
      await agent.close();
    }
  });
});

function tools() {
  return goldenTools({ started: [], finished: [], aborted: [] });
}

/** Every span lies in its turn, ends after it began, and has an id of its own. */
function checkTree(spans: readonly SpanRecord[], events: readonly Event[]): void {
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  const turns = new Map(spans.filter(({ name }) => name.startsWith("invoke_agent")).map((span) => [span.spanId, span]));
  const ends = events.filter(({ type }) => ["done", "interrupted", "failed", "cancelled"].includes(type));
  expect([...turns.values()].map(({ endTime }) => endTime)).toEqual(ends.map(({ timestamp }) => timestamp));
  expect(spans.filter(({ name }) => name.startsWith("chat")).length).toBe(
    events.filter(({ type }) => type === "thinking").length,
  );
  expect(spans.filter(({ name }) => name.startsWith("execute_tool")).length).toBe(
    events.filter(({ type }) => type === "tool_start").length,
  );
  for (const span of spans) {
    expect(span.endTime).toBeGreaterThanOrEqual(span.startTime);
    if (turns.has(span.spanId)) continue;
    const turn = turns.get(span.parentSpanId ?? "");
    expect(turn?.traceId).toBe(span.traceId);
    expect(span.startTime).toBeGreaterThanOrEqual(turn?.startTime ?? Infinity);
    expect(span.endTime).toBeLessThanOrEqual(turn?.endTime ?? 0);
  }
}

describe("the spans of a run", () => {
  it("have names and attributes of the semantic conventions", async () => {
    const { agent, log } = testAgent({
      model: scriptedModel([{ calls: [{ name: "say", args: { word: "x" } }] }, ["the answer"]]),
      tools: [say],
    });
    await agent.run("say x", { runId: "r" }).settled();
    await agent.close();
    const spans = traceOf(await stored(log, "r"), { content: true });
    const known: ReadonlySet<unknown> = new Set(Object.values(semconv));
    for (const { attributes, name } of spans) {
      const names = Object.keys(attributes);
      expect(names.filter((key) => !key.startsWith("rubato.") && !known.has(key))).toEqual([]);
      const operation = attributes[semconv.ATTR_GEN_AI_OPERATION_NAME];
      const subject =
        operation === semconv.GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL
          ? attributes[semconv.ATTR_GEN_AI_TOOL_NAME]
          : operation === semconv.GEN_AI_OPERATION_NAME_VALUE_CHAT
            ? attributes[semconv.ATTR_GEN_AI_REQUEST_MODEL]
            : attributes[semconv.ATTR_GEN_AI_AGENT_NAME];
      expect(name).toBe(`${String(operation)} ${String(subject)}`);
      expect(attributes[semconv.ATTR_GEN_AI_CONVERSATION_ID]).toBe("r");
    }
    expect(spans.map(({ name, kind }) => [name, kind])).toEqual([
      ["invoke_agent test", "internal"],
      ["chat scripted", "client"],
      ["execute_tool say", "internal"],
      ["chat scripted", "client"],
    ]);
    expect(spans[2]?.attributes).toMatchObject({
      "gen_ai.tool.call.id": "1.0",
      "gen_ai.tool.call.arguments": '{"word":"x"}',
      "gen_ai.tool.call.result": '"x"',
      "rubato.outcome": "ok",
    });
    expect(spans[0]?.attributes["gen_ai.input.messages"]).toBe(
      '[{"role":"user","parts":[{"type":"text","content":"say x"}]}]',
    );
  });

  it("P25: an interrupt is an event and no error; what failed is one, with its class", async () => {
    let asked = 0;
    const { agent, log, clock } = testAgent({
      model: {
        name: "m",
        async *stream(_request, { signal }) {
          asked++;
          if (asked === 1) throw Object.assign(new Error("busy"), { status: 503 });
          if (asked === 3) throw Object.assign(new Error("no"), { status: 401 });
          yield { type: "text", text: "half" };
          await new Promise<void>((resolve) => {
            signal.addEventListener("abort", () => {
              resolve();
            });
          });
        },
      },
      retry: { retries: 1 },
    });
    const run = agent.run("say", { runId: "r" });
    await until(run, "retry");
    clock.advance(60_000);
    await until(run, "token_stream");
    await run.interrupt("enough", { mode: "now" });
    await run.resume();
    await run.settled();
    await agent.close();
    const spans = traceOf(await stored(log, "r"));
    expect(spans.map(({ name, error, attributes }) => [name, error === undefined, attributes["error.type"]])).toEqual([
      ["invoke_agent test", true, undefined],
      ["chat m", false, "server"],
      ["chat m", true, undefined],
      ["invoke_agent test", false, expect.any(String)],
      ["chat m", false, "auth"],
    ]);
    const names = spans[0]?.events.map(({ name }) => name);
    expect(names).toEqual(["rubato.user_input", "rubato.retry", "rubato.interrupt", "rubato.interrupted"]);
    expect(spans[2]?.attributes["gen_ai.response.finish_reasons"]).toEqual(["interrupted"]);
    expect(spans[3]?.links).toEqual([{ traceId: spans[0]?.traceId, spanId: spans[0]?.spanId }]);
  });

  it("keep their times where the log is older than the process that reads it", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"]]) });
    await agent.run("say", { runId: "r" }).settled();
    await agent.close();
    const spans = await replayed(await stored(log, "r"));
    // The manual clock begins in November 2023.
    expect(spans.map(({ startTime: [seconds] }) => seconds)).toEqual([1_700_000_000, 1_700_000_000]);
  });

  it("a tracer that throws is told, and the run goes on", async () => {
    const { agent } = testAgent({ model: scriptedModel([["a"]]) });
    const errors: unknown[] = [];
    const { target } = otelProvider();
    const tracer = {
      startSpan(): never {
        throw new Error("no tracer");
      },
    };
    const tracing = traceAgent(agent, { ...target, tracer, onError: (error) => errors.push(error) });
    expect((await agent.run("say").settled()).status).toBe("done");
    await tracing.close();
    expect(errors).toHaveLength(1);
    await agent.close();
  });
});

describe("trace context", () => {
  it("comes in with a run, goes out with its requests and to its tools, and names their spans", async () => {
    const headers: (string | undefined)[] = [];
    const server = await listen((request, response) => {
      const traceparent = request.headers["traceparent"];
      headers.push(Array.isArray(traceparent) ? traceparent[0] : traceparent);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const call = { index: 0, id: "c1", type: "function", function: { name: "note", arguments: "{}" } };
      const calls = headers.length % 2 === 1;
      const frames = [
        deltaFrame(calls ? { tool_calls: [call] } : { content: "hi" }),
        deltaFrame({}, calls ? "tool_calls" : "stop"),
      ];
      response.end(`${frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join("")}data: [DONE]\n\n`);
    });
    const given: (string | undefined)[] = [];
    const note = defineTool({
      name: "note",
      description: "",
      input: z.object({}),
      execute: (_input, ctx) => {
        given.push(ctx.traceparent);
        return null;
      },
    });
    const { agent, log } = testAgent({
      model: openaiModel({ model: "m", baseURL: server.baseURL, apiKey: "key" }),
      tools: [note],
    });
    const outcome = await agent.run("say", { runId: "in", traceparent: TRACEPARENT }).settled();
    expect(outcome.status).toBe("done");
    const spans = traceOf(await stored(log, "in"));
    const out = ([name]: readonly string[]) =>
      spans
        .filter((span) => span.name.startsWith(name ?? ""))
        .map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`);
    expect(headers).toEqual(out(["chat"]));
    expect(given).toEqual(out(["execute_tool"]));
    expect(spans[0]).toMatchObject({ traceId: TRACEPARENT.slice(3, 35), parentSpanId: TRACEPARENT.slice(36, 52) });

    await agent.run("say", { runId: "out" }).settled();
    expect([headers.slice(2), given.slice(1)]).toEqual([[undefined, undefined], [undefined]]);
    await agent.close();
    const always = testAgent({
      model: openaiModel({ model: "m", baseURL: server.baseURL, apiKey: "key" }),
      tools: [note],
      propagate: true,
    });
    await always.agent.run("say", { runId: "own" }).settled();
    const [thinking] = (await stored(always.log, "own")).filter(({ type }) => type === "thinking");
    expect(headers[4]).toBe(
      `00-${traceIdOf({ agent: "test", runId: "own" })}-${spanIdOf({ agent: "test", runId: "own" }, thinking?.seq ?? 0)}-01`,
    );
    await always.agent.close();
    await server.close();
  });

  it("that is none is refused, and a fork does not belong to the request that began the other run", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"], ["b"]]) });
    for (const wrong of [
      "",
      "00-0-0-00",
      TRACEPARENT.replace("00-", "ff-"),
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    ])
      expect(() => agent.run("say", { traceparent: wrong })).toThrow(/traceparent/);
    const run = agent.run("say", { runId: "r", traceparent: TRACEPARENT });
    await run.settled();
    const fork = await agent.fork("r", { at: 2 });
    const [start] = await stored(log, fork.id);
    expect(start?.data).not.toHaveProperty("traceparent");
    expect(
      traceOf(await stored(log, fork.id)).every(
        ({ traceId }) => traceId === traceIdOf({ agent: "test", runId: fork.id }),
      ),
    ).toBe(true);
    await agent.close();
  });
});
