import * as api from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  defineTool,
  diffRuns,
  memoryLog,
  openaiModel,
  pause,
  scriptedModel,
  type CallerOptions,
  type Event,
} from "rubato";
import { exportSpans, traceAgent, traceOf } from "rubato/inspect";
import { headersOut, initialState, readTraceparent, readTracestate, traceHeaders } from "rubato/machines";
import { createClient } from "rubato/client";
import { callerOf } from "../../machines/caller.ts";
import { testAgent, until } from "../support/agents.ts";
import { deltaFrame, listen } from "../support/fault-server.ts";
import { fold } from "../support/invariants.ts";
import { leftBehind } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";
import { otelProvider } from "../support/otel.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { post, served } from "../server/served.ts";
import { socketTo } from "../server/socket-client.ts";

/** The n-th caller, with a trace of its own. */
function caller(n: number): Required<{ traceparent: string; tracestate: string }> {
  const hex = n.toString(16);
  return { traceparent: `00-${hex.padStart(32, "a")}-${hex.padStart(16, "b")}-01`, tracestate: `vendor=${n}` };
}
const [A, B, C, D] = [caller(1), caller(2), caller(3), caller(4)];
const traceOfCaller = ({ traceparent = "" }: CallerOptions): string => traceparent.slice(3, 35);
const spanOfCaller = ({ traceparent = "" }: CallerOptions): string => traceparent.slice(36, 52);

function turnsOf(events: readonly Event[]) {
  return traceOf(events).filter(({ name }) => name.startsWith("invoke_agent"));
}

const pay = defineTool({
  name: "pay",
  description: "",
  input: z.object({}),
  approval: "always",
  execute: (_input, ctx) => `${ctx.traceparent ?? "none"} ${ctx.tracestate ?? "none"}`,
});

describe("a later command brings its caller's trace", () => {
  it("begins a turn in it, links one that is under way to it, and live and replay agree", async () => {
    const { agent, log } = testAgent({
      model: scriptedModel([
        { calls: [{ name: "pay", args: {} }] },
        ["paid"],
        ["thinking about ", pause(), "it"],
        ["went on"],
        ["and done"],
        ["after that"],
      ]),
      tools: [pay],
    });
    const live = otelProvider();
    const tracing = traceAgent(agent, live.target);
    const run = agent.run("pay", { runId: "r", ...A });
    await until(run, "approval_request");
    // Said before, by somebody else: heard in this turn, and no begin of one.
    await run.send("in euros", C);
    await run.approve("1.0", B);
    await run.settled();
    await run.send("and now?", C);
    await until(run, "token_stream", ({ data }) => data.text.startsWith("thinking"));
    await run.interrupt("wait", { mode: "now" });
    await run.resume("go on", D);
    await run.settled();
    // Nobody's: the trace of whoever began the run.
    await run.send("again");
    await run.settled();
    await tracing.close();
    const events = await stored(log, "r");
    const turns = turnsOf(events);
    expect(turns.map(({ traceId }) => traceId)).toEqual([A, C, D, A].map(traceOfCaller));
    expect(turns.map(({ parentSpanId }) => parentSpanId)).toEqual([A, C, D, A].map(spanOfCaller));
    expect(turns.map(({ remoteParent }) => remoteParent?.tracestate)).toEqual([A, C, D, A].map((of) => of.tracestate));
    expect(turns[0]?.links).toEqual([
      {
        traceId: traceOfCaller(B),
        spanId: spanOfCaller(B),
        sampled: true,
        attributes: { "rubato.command": "approval" },
      },
      {
        traceId: traceOfCaller(C),
        spanId: spanOfCaller(C),
        sampled: true,
        attributes: { "rubato.command": "input_delivered" },
      },
    ]);
    const previous = turns.slice(0, -1).map(({ traceId, spanId }) => [{ traceId, spanId }]);
    expect(turns.slice(1).map(({ links }) => links)).toEqual(previous);
    const again = otelProvider();
    exportSpans(traceOf(events), again.target);
    expect(await live.exported()).toEqual(await again.exported());
    const states = (await live.exported()).map(({ traceState }) => traceState);
    expect(new Set(states)).toEqual(new Set(["vendor=1", "vendor=3", "vendor=4"]));
    await agent.close();
  });

  it("from a run that nobody's trace contained, and goes out with what that turn asks alone", async () => {
    const sent: (string | undefined)[][] = [];
    const server = await listen((request, response) => {
      const { traceparent, tracestate } = request.headers;
      sent.push([traceparent, tracestate].map((value) => (Array.isArray(value) ? value[0] : value)));
      response.writeHead(200, { "content-type": "text/event-stream" });
      const frames = [deltaFrame({ content: "hi" }), deltaFrame({}, "stop")];
      response.end(`${frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join("")}data: [DONE]\n\n`);
    });
    const { agent, log } = testAgent({ model: openaiModel({ model: "m", baseURL: server.baseURL, apiKey: "key" }) });
    const run = agent.run("one", { runId: "r" });
    await run.settled();
    await run.send("two", A);
    await run.settled();
    await run.send("three");
    await run.settled();
    await agent.close();
    await server.close();
    const [, chat] = traceOf(await stored(log, "r")).filter(({ name }) => name.startsWith("chat"));
    expect(sent).toEqual([
      [undefined, undefined],
      [`00-${traceOfCaller(A)}-${chat?.spanId}-01`, "vendor=1"],
      [undefined, undefined],
    ]);
  });

  it("what goes out names the trace that its span is in, at every event of every recorded run", async () => {
    const logs = await recordedLogs();
    logs.push(await stopped(), await asked());
    let checked = 0;
    for (const recorded of logs) {
      let n = 0;
      const events = recorded.map((event): Event => {
        switch (event.type) {
          case "user_input":
            return { ...event, data: { ...event.data, ...caller(++n) } };
          case "resume":
            // What goes on by itself was said by nobody.
            return event.data.by === "input" ? event : { ...event, data: { ...event.data, ...caller(++n) } };
          case "approval":
            return { ...event, data: { ...event.data, ...caller(++n) } };
          default:
            return event;
        }
      });
      const spans = new Map(traceOf(events).map((span) => [span.spanId, span]));
      const [start] = events;
      const run = { agent: start?.type === "run_start" ? start.data.agent.name : "", runId: start?.runId ?? "" };
      let state = initialState();
      for (const event of events) {
        state = fold([event], state);
        if (event.type !== "thinking" && event.type !== "tool_start") continue;
        const out = readTraceparent(headersOut(run, event.seq, callerOf(state.core)).traceparent);
        expect(spans.get(out?.spanId ?? "")?.traceId, `seq ${event.seq}`).toBe(out?.traceId);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(100);
  });

  it("over HTTP, over a socket, and to the process that owns the run", async () => {
    const log = memoryLog();
    const it = await served({ log, model: scriptedModel([["1"], ["2"], ["3"], ["4"], ["5"], ["6"]]), tools: [] });
    await post(`${it.url}/runs`, { task: "one", runId: "r" }, A);
    const run = await it.agent.open("r");
    await run.settled();
    const said = async (command: unknown, headers: Record<string, string>): Promise<void> => {
      expect((await post(`${it.url}/runs/r/commands`, command, headers)).status).toBe(200);
      await run.settled();
    };
    await said({ verb: "send", text: "two" }, B);
    // Of what cannot be read nothing is kept, and the command counts all the same.
    await said({ verb: "send", text: "three" }, { traceparent: "00-0-0-01", tracestate: "vendor=9" });
    const socket = await socketTo(`${it.url}/runs/r/socket`);
    socket.say({ type: "command", id: "c", command: { verb: "send", text: "four", ...C } });
    await socket.answer("c");
    await run.settled();
    const client = createClient({ url: it.url });
    const begun = await client.start("other", { runId: "begun", ...D });
    await begun.settled();
    expect(turnsOf(await it.events("begun")).map(({ traceId }) => traceId)).toEqual([traceOfCaller(D)]);
    await client.attach("r").send("five", D);
    await run.settled();
    client.close();
    expect(turnsOf(await it.events("r")).map(({ traceId }) => traceId)).toEqual([A, B, A, C, D].map(traceOfCaller));

    const tools = [pay];
    const model = () => scriptedModel([{ calls: [{ name: "pay", args: {} }] }, ["x"], ["y"]]);
    const owner = testAgent({ log: memoryLog(), model: model(), tools });
    const mine = owner.agent.run("pay", { runId: "r" });
    await until(mine, "approval_request");
    const other = testAgent({ log: owner.log, model: model(), tools });
    const theirs = await other.agent.open("r");
    expect(await theirs.approve("1.0", A)).toMatchObject({ accepted: true });
    await mine.settled();
    expect(await theirs.send("more", B)).toMatchObject({ accepted: true });
    await mine.settled();
    const [first, second] = turnsOf(await stored(owner.log, "r"));
    expect(first?.links).toMatchObject([{ traceId: traceOfCaller(A) }]);
    expect(second?.traceId).toBe(traceOfCaller(B));
    await other.agent.close();
    await owner.agent.close();
  });

  it("with agent.resume of a run that nobody has, and a fork is its own caller's", async () => {
    const { agent, log, clock } = testAgent({ model: scriptedModel([["half", pause(), "way"], ["a"], ["b"]]) });
    const run = agent.run("say", { runId: "r", ...A });
    await until(run, "token_stream");
    await run.interrupt("enough", { mode: "now" });
    await agent.close();
    const second = testAgent({ log, model: scriptedModel([["a"], ["b"], ["c"]]) });
    const answer = await second.agent.resume("r", "go on", B);
    if (!answer.accepted) throw new Error(answer.reason);
    await answer.run.settled();
    await answer.run.send("more", D);
    await answer.run.settled();
    const fork = await second.agent.fork("r", { at: answer.run.durableSeq, instruction: "otherwise", ...C });
    await fork.settled();
    expect(turnsOf(await stored(log, "r")).map(({ traceId }) => traceId)).toEqual([A, B, D].map(traceOfCaller));
    const traces = turnsOf(await stored(log, fork.id)).map(({ traceId }) => traceId);
    expect(traces[3]).toBe(traceOfCaller(C));
    const copied = JSON.stringify(await stored(log, fork.id));
    for (const theirs of [A, B, D]) {
      expect(traces).not.toContain(traceOfCaller(theirs));
      expect(copied).not.toContain(spanOfCaller(theirs));
    }
    expect(clock.pending).toBe(0);
    await second.agent.close();
  });

  it("also where it redirects the run, follows up later, or says something to a run that was stopped", async () => {
    const { agent, log } = testAgent({
      model: scriptedModel([["a", pause(), "b"], ["c", pause(), "d"], ["e"], ["f"]]),
    });
    const run = agent.run("say", { runId: "r", ...A });
    await until(run, "token_stream");
    await run.send("otherwise", { when: "now", ...B });
    await until(run, "token_stream", ({ data }) => data.text === "c");
    await run.send("and then?", { when: "done", ...C });
    await run.interrupt("wait", { mode: "now" });
    await run.send("go on", D);
    await run.settled();
    await agent.close();
    const turns = turnsOf(await stored(log, "r"));
    expect(turns.map(({ traceId }) => traceId)).toEqual([A, B, D, C].map(traceOfCaller));
  });

  it("and changes nothing about what is compared: the same code records the same, a fork shares its past", async () => {
    const { agent, log } = testAgent({
      model: scriptedModel([
        { calls: [{ name: "pay", args: {} }] },
        { calls: [{ name: "pay", args: {} }] },
        ["half ", pause(), "way"],
        ["a"],
        ["b"],
      ]),
      tools: [pay],
    });
    const run = agent.run("pay", { runId: "r", ...A });
    await until(run, "approval_request");
    await run.send("in euros", B);
    await run.approve("1.0", C);
    await until(run, "approval_request", ({ data }) => data.callId === "2.0");
    await run.reject("2.0", "no", D);
    await until(run, "token_stream");
    await run.interrupt("wait", { mode: "now" });
    await run.resume("go on", { traceparent: A.traceparent });
    await run.settled();
    const fork = await agent.fork("r", { at: run.durableSeq, runId: "fork", instruction: "otherwise", ...B });
    await fork.settled();
    for (const runId of ["r", "fork"]) expect(await agent.checkReplay(runId)).toMatchObject({ ok: true });
    expect(await diffRuns(log, "r", "fork")).toMatchObject({ common: run.durableSeq, a: { first: undefined } });
    await agent.close();
  });

  it("of whoever recovers a run that goes on by itself: its turn is linked to it", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["half ", pause(), "way"]]) });
    const run = agent.run("say", { runId: "r", ...A });
    await until(run, "token_stream");
    const copy = await leftBehind(await stored(log, "r"));
    const second = testAgent({ log: copy, model: scriptedModel([["a"], ["b"]]) });
    const answer = await second.agent.resume("r", undefined, B);
    if (!answer.accepted) throw new Error(answer.reason);
    await answer.run.settled();
    // Of a run at rest the command itself says so, once.
    await second.agent.close();
    const third = testAgent({ log: copy, model: scriptedModel([["b"]]) });
    await (await third.agent.open("r")).send("more", C);
    await (await third.agent.open("r")).settled();
    const events = await stored(copy, "r");
    const turns = turnsOf(events);
    expect(turns.map(({ traceId }) => traceId)).toEqual([A, C].map(traceOfCaller));
    expect(turns[0]?.links).toMatchObject([{ traceId: traceOfCaller(B), attributes: { "rubato.command": "owner" } }]);
    expect(JSON.stringify(events).split(C.traceparent)).toHaveLength(2);
    await third.agent.close();
    await agent.close();
  });

  it("costs a log nothing where there is none", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["a"], ["b"]]) });
    const run = agent.run("say", { runId: "r" });
    await run.settled();
    await run.send("more", { traceparent: undefined, tracestate: undefined });
    await run.settled();
    expect(JSON.stringify(await stored(log, "r"))).not.toMatch(/traceparent|tracestate/);
    await agent.close();
  });
});

/** Resumed while it was still being stopped. */
async function stopped(): Promise<readonly Event[]> {
  let stop = (): void => {};
  const slow = defineTool({
    name: "slow",
    description: "",
    input: z.object({}),
    execute: () =>
      new Promise<string>((resolve) => {
        stop = () => {
          resolve("stopped");
        };
      }),
  });
  const { agent, log } = testAgent({
    model: scriptedModel([{ calls: [{ name: "slow", args: {} }] }, ["a"]]),
    tools: [slow],
  });
  const run = agent.run("say", { runId: "r" });
  await until(run, "tool_start");
  const interrupted = run.interrupt("wait");
  await until(run, "interrupt");
  await run.resume("go on");
  stop();
  await interrupted;
  await run.settled();
  await agent.close();
  const events = await stored(log, "r");
  const types = events.map(({ type }) => type);
  expect(types.indexOf("resume")).toBeLessThan(types.indexOf("interrupted"));
  return events;
}

/** Approved by a person. */
async function asked(): Promise<readonly Event[]> {
  const { agent, log } = testAgent({
    model: scriptedModel([{ calls: [{ name: "pay", args: {} }] }, ["a"]]),
    tools: [pay],
  });
  const run = agent.run("say", { runId: "r" });
  await until(run, "approval_request");
  await run.approve("1.0");
  await run.settled();
  await agent.close();
  return stored(log, "r");
}

describe("the grammar of trace context", () => {
  it("of traceparent: what is no such thing is none, and a later version is read as far as this one knows it", () => {
    const good = A.traceparent;
    for (const wrong of [
      "",
      good.toUpperCase(),
      ` ${good}`,
      `${good}-more`,
      good.replace("00-", "ff-"),
      good.replace(/-01$/, "-1"),
      `00-${"0".repeat(32)}-${"b".repeat(16)}-01`,
      `00-${"a".repeat(32)}-${"0".repeat(16)}-01`,
      `cc${good.slice(2)}-${"x".repeat(1_000)}`,
    ])
      expect(traceHeaders(wrong, undefined), wrong.slice(0, 60)).toBeUndefined();
    expect(traceHeaders(`cc${good.slice(2, -2)}03-what-comes`, undefined)).toEqual({ traceparent: good });
  });

  it("of tracestate: one wrong member and all of it is dropped, one that is too long is shortened by whole members", () => {
    expect(readTracestate(" a=1 ,\tb@c=2,, 0x@y=z")).toBe("a=1,b@c=2,0x@y=z");
    const many = Array.from({ length: 33 }, (_, n) => `k${n}=1`);
    for (const wrong of ["", ",", "a", "a=", "A=1", "a=1,a=2", "a=b=c", "a=\u0000", "a=ü", "a=1\nb: c", many.join()])
      expect(readTracestate(wrong), wrong).toBeUndefined();
    expect(readTracestate(many.slice(1).join())).toBe(many.slice(1).join());
    const long = `long=${"x".repeat(200)}`;
    const short = Array.from({ length: 5 }, (_, n) => `s${n}=${"y".repeat(90)}`);
    expect(readTracestate([long, ...short].join())).toBe(short.join());
    const rest = Array.from({ length: 8 }, (_, n) => `s${n}=${"y".repeat(90)}`);
    expect(readTracestate(rest.join())).toBe(rest.slice(0, 5).join());
    expect(readTracestate(`a=${"x".repeat(20_000)}`)).toBeUndefined();
    // What is not dropped by us is what the official reader keeps.
    expect(api.createTraceState("a=1,b@c=2").serialize()).toBe(readTracestate("a=1,b@c=2"));
  });

  it("is refused where a program gives a wrong one, and says nothing alone", async () => {
    const { agent } = testAgent({ model: scriptedModel([["a"]]) });
    expect(() => agent.run("say", { traceparent: A.traceparent, tracestate: "A B" })).toThrow(/"tracestate" must be/);
    expect(() => agent.run("say", { tracestate: "a=1" })).toThrow(/"traceparent" must be/);
    const run = agent.run("say");
    await run.settled();
    await expect(run.send("more", { traceparent: "00-0-0-00" })).rejects.toThrow(/"traceparent" must be/);
    await expect(run.resume("more", { traceparent: "00-0-0-00" })).rejects.toThrow(/"traceparent" must be/);
    await expect(run.approve("1.0", { traceparent: "00-0-0-00" })).rejects.toThrow(/"traceparent" must be/);
    await agent.close();
  });
});
