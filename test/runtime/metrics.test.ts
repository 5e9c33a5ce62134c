import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, type ChatModel } from "rubato";
import { Collector } from "../../runtime/metrics/collector.ts";
import { PrometheusText, writeAgents } from "../../runtime/metrics/prometheus.ts";
import { SlidingCount, SlidingLatency } from "../../runtime/metrics/window.ts";
import { deferred, quiet, testAgent, until } from "../support/agents.ts";
import { countedModel } from "../support/counted-model.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";
import { parsePrometheus } from "../support/prometheus-parser.ts";
import { manualClock } from "../support/manual-clock.ts";

describe("figures of the last minute", () => {
  it("forget what is older, and keep totals", () => {
    const count = new SlidingCount();
    for (let second = 0; second < 300; second++) count.add(second * 1_000, 2);
    expect(count.total).toBe(600);
    // The newest slot is not over: at least 55 s, at most 60.
    expect(count.recent(299_000)).toBe(2 * 60);
    expect(count.recent(302_000)).toBe(2 * 55);
    expect(count.recent(400_000)).toBe(0);
    expect(count.total).toBe(600);
  });

  it("have quantiles within 5 % of the exact ones, over six orders of magnitude", () => {
    const latency = new SlidingLatency();
    const durations = Array.from({ length: 10_000 }, (_, index) => 1.0015 ** index / 1_000);
    for (const [index, ms] of durations.entries()) latency.record(1_000 + index, ms);
    const read = latency.read(11_000);
    const exact = (share: number): number => durations[Math.ceil(durations.length * share) - 1] ?? 0;
    for (const [share, said] of [
      [0.5, read.p50],
      [0.9, read.p90],
      [0.99, read.p99],
    ] as const)
      expect(Math.abs(said / exact(share) - 1)).toBeLessThan(0.05);
    expect(read).toMatchObject({ count: 10_000, recent: 10_000 });
    expect(latency.read(100_000)).toMatchObject({ count: 10_000, recent: 0, p50: 0, max: 0 });
  });
});

describe("agent.metrics", () => {
  it("counts what the log says, tokens included", async () => {
    const { agent, log } = testAgent({
      model: goldenModel(),
      tools: goldenTools({ started: [], finished: [], aborted: [] }),
      metrics: true,
    });
    await Promise.all(["a", "b", "c"].map((runId) => agent.run("How warm is it?", { runId }).settled()));
    const events = (await Promise.all(["a", "b", "c"].map((runId) => stored(log, runId)))).flat();
    const of = (type: string): number => events.filter((event) => event.type === type).length;
    const metrics = agent.metrics();
    expect(metrics.events.total).toBe(events.length);
    expect(metrics).toMatchObject({
      agent: "test",
      requests: { total: of("thinking") },
      runsStarted: { total: 3 },
      runs: { done: 3 },
      turns: { done: { total: 3 }, failed: { total: 0 }, interrupted: { total: 0 } },
      toolCalls: { ok: { total: of("tool_result") } },
      failureRate: 0,
      recoveryRate: 1,
      errors: [],
    });
    const usages = events.flatMap((event) => (event.type === "message" ? [event.data.usage] : []));
    const told = usages.flatMap((usage) => (usage === "unknown" ? [] : [usage]));
    expect(metrics.tokens.input.total).toBe(told.reduce((sum, { inputTokens }) => sum + inputTokens, 0));
    expect(metrics.tokens.unknownRequests.total).toBe(usages.length - told.length);
    expect(metrics.latency.step.count).toBeGreaterThan(0);
    expect(metrics.latency.append.count).toBeGreaterThan(0);
    expect(metrics.latency.publish.count).toBeGreaterThan(0);
    expect(metrics.process.memory.rss).toBeGreaterThan(1e6);
    expect(JSON.parse(JSON.stringify(metrics))).toEqual(metrics);
    await agent.close();
  });

  it("P25: an interrupted turn is no failure; an interrupt and a first token have their latencies", async () => {
    const { agent, clock } = testAgent({
      model: scriptedModel([["one ", pause(), "two"], ["three"]]),
      metrics: true,
    });
    const run = agent.run("say");
    await until(run, "thinking");
    clock.advance(40);
    await until(run, "token_stream");
    await run.interrupt("enough", { mode: "now" });
    await run.settled();
    const metrics = agent.metrics();
    expect(metrics).toMatchObject({
      turns: { interrupted: { total: 1 }, failed: { total: 0 } },
      failureRate: 0,
      runs: { interrupted: 1 },
      tokens: { unknownRequests: { total: 1 }, output: { total: 0 } },
    });
    expect(metrics.latency.interrupt.count).toBe(1);
    expect(metrics.latency.firstToken.count).toBe(1);
    await agent.close();
  });

  it("tells failures from what a later attempt mended, by class and severity", async () => {
    let asked = 0;
    const flaky: ChatModel = {
      name: "flaky",
      async *stream() {
        asked++;
        if (asked === 1) throw Object.assign(new Error("busy"), { status: 429 });
        if (asked === 3) throw Object.assign(new Error("no"), { status: 400 });
        yield { type: "text", text: "hello" };
        yield { type: "finish", finish: "stop", usage: { inputTokens: 10, outputTokens: 2 } };
      },
    };
    const { agent, clock } = testAgent({
      model: flaky,
      retry: { retries: 2 },
      prices: { flaky: { input: 100_000, output: 1_000_000 } },
      metrics: true,
    });
    const run = agent.run("say");
    await until(run, "retry");
    clock.advance(60_000);
    expect((await run.settled()).status).toBe("done");
    await run.send("again");
    expect((await run.settled()).status).toBe("failed");
    const metrics = agent.metrics();
    expect(metrics).toMatchObject({
      retries: { total: 1 },
      recovered: { total: 1 },
      turns: { done: { total: 1 }, failed: { total: 1 } },
      tokens: { input: { total: 10 }, output: { total: 2 } },
      cost: { total: 3 },
    });
    expect(metrics.errors.map(({ source, severity, total }) => ({ source, severity, total }))).toEqual([
      { source: "model", severity: "medium", total: 1 },
      { source: "model", severity: "high", total: 1 },
    ]);
    await agent.close();
  });

  it("I19: what errors call themselves is bounded, in length and in number, and the text stays one that a parser takes", async () => {
    const { agent, clock } = testAgent({ model: scriptedModel([["a"]]) });
    const run = agent.run("say", { runId: "r" });
    await run.settled();
    const collector = new Collector({ agent: "a", clock, held: () => [] });
    const bus = {
      published: 0,
      onLeaving: undefined,
      tap: () => () => {},
      stats: () => ({ published: 0, listeners: 0, subscribers: [] }),
    };
    const observed = { run, bus, owns: () => true, failure: () => undefined };
    collector.attached(observed);
    const says = (code: string, index: number): void => {
      const data = { source: "model", code, severity: "high", retryable: false, message: "" } as const;
      collector.event({ seq: index + 1, timestamp: 0, runId: "r", type: "error", data }, observed);
    };
    const hostile = [
      '"\\\n# TYPE x\r\u0000\u009b',
      "\ud83d".repeat(500),
      "x".repeat(1_000_000),
      `${"y".repeat(60)}\ud83d\ude00zzz`,
    ];
    hostile.forEach(says);
    for (let index = 0; index < 5_000; index++) says(`code ${index}`, index + 10);
    const { errors } = collector.read();
    expect(errors.length).toBeLessThanOrEqual(201);
    for (const { class: kind } of errors) expect(kind.length).toBeLessThanOrEqual(64);
    expect(errors.reduce((sum, { total }) => sum + total, 0)).toBe(5_004);
    const text = new PrometheusText();
    writeAgents(text, [collector.read()]);
    const samples = parsePrometheus(text.text()).get("rubato_run_errors_total")?.samples ?? [];
    expect(samples.map(({ labels }) => labels["class"])).toEqual(errors.map(({ class: kind }) => kind));
    expect(samples[0]?.labels["class"]).toBe('"\\?# TYPE x???');
    collector.close();
    await agent.close();
  });

  it("counts tokens while a long answer streams, by one quiet timer that ends with the run", async () => {
    const { agent, clock } = testAgent({
      model: scriptedModel([[...Array.from({ length: 50 }, (_, index) => `${index} `), pause(), "end"]]),
      metrics: true,
    });
    const run = agent.run("count");
    await until(run, "token_stream", ({ data }) => data.text.startsWith("49"));
    const streaming = agent.metrics();
    expect(streaming.events.total).toBe(run.state.seq);
    await run.interrupt("enough", { mode: "now" });
    await run.settled();
    clock.advance(5_000);
    expect(clock.pending).toBe(0);
    await agent.close();
  });

  it("shows each subscriber's queue, and keeps what those merged and dropped that ended", async () => {
    const { agent } = testAgent({ model: countedModel(500, { every: 50 }), metrics: true });
    const run = agent.run("count", { runId: "r" });
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const off = run.subscribe("*", () => gate, { queue: { events: 20 }, overflow: "drop-newest" });
    await run.settled();
    const [queue] = agent.metrics().subscribers;
    expect(queue).toMatchObject({ runId: "r", overflow: "drop-newest", pattern: "*" });
    expect(queue?.queued).toBeGreaterThan(0);
    expect(queue?.dropped).toBeGreaterThan(300);
    expect(queue).not.toHaveProperty("lastError");
    off();
    open();
    expect(agent.metrics().subscribers).toEqual([]);
    expect(agent.metrics().delivery.dropped).toBe(queue?.dropped);
    await agent.close();
  });

  it("begins to count when somebody asks, where nobody wanted it from the start", async () => {
    const { agent } = testAgent({ model: scriptedModel([["a"], ["b"]]) });
    await agent.run("one").settled();
    expect(agent.metrics().events.total).toBe(0);
    const run = agent.run("two");
    await run.settled();
    expect(agent.metrics().events.total).toBe(run.durableSeq);
    await agent.close();
    expect(agent.metrics().turns.done.total).toBe(1);
  });

  it("P33 a late result of a run at rest begins no work: no timer is left, and nothing holds the run", async () => {
    const clock = manualClock();
    const gate = deferred();
    const slow = defineTool({
      name: "slow",
      description: "",
      input: z.object({}),
      async execute() {
        await gate.promise;
        return "late";
      },
    });
    const { agent } = testAgent({
      model: scriptedModel([{ calls: [{ name: "slow", args: {} }] }]),
      tools: [slow],
      clock,
      metrics: true,
    });
    const run = agent.run("one");
    await until(run, "tool_start");
    const stopped = run.interrupt("enough", { mode: "now", graceMs: 10 });
    await quiet();
    clock.advance(10);
    await stopped;
    clock.advance(5_000);
    expect(clock.pending).toBe(0);
    gate.resolve();
    await until(run, "tool_result", ({ data }) => data.late === true);
    await quiet();
    expect(clock.pending).toBe(0);
    await agent.close();
  });

  it("leaves no timer and no watch behind", async () => {
    const clock = manualClock();
    const { agent } = testAgent({ model: scriptedModel([["a"]]), clock, metrics: true });
    await agent.run("one").settled();
    await agent.close();
    expect(clock.pending).toBe(0);
  });
});
