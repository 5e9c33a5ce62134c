import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, memoryLog, scriptedModel, type EventLog } from "rubato";
import { createHandler } from "rubato/server";
import { metricsSchema } from "../../runtime/cli/top-view.ts";
import { manualClock } from "../support/manual-clock.ts";
import { parsePrometheus } from "../support/prometheus-parser.ts";
import { eventually, finished, post, raw, served } from "./served.ts";

describe("GET /metrics", () => {
  it("passes a strict parser, empty, busy, and with names that want escaping; and says what GET /api/metrics says", async () => {
    const name = 'a "quoted\\name"\nof two lines';
    const first = createAgent({ name, model: scriptedModel([["hi"]]), log: memoryLog() });
    const second = createAgent({ name: "plain", model: scriptedModel([]), log: memoryLog() });
    const handler = createHandler({ agents: [first, second] });
    const ask = async (path: string): Promise<string> => (await handler(new Request(`http://localhost${path}`))).text();
    const empty = parsePrometheus(await ask("/metrics"));
    expect(empty.get("rubato_events_total")?.samples.map(({ value }) => value)).toEqual([0, 0]);
    const run = first.run("say");
    const off = run.subscribe("*", () => new Promise(() => {}), { overflow: "drop-newest" });
    await run.settled();
    const text = await ask("/metrics");
    const families = parsePrometheus(text);
    const events = families.get("rubato_events_total")?.samples ?? [];
    expect(events).toEqual([
      { name: "rubato_events_total", labels: { agent: name }, value: run.durableSeq },
      { name: "rubato_events_total", labels: { agent: "plain" }, value: 0 },
    ]);
    const metrics = metricsSchema.parse(JSON.parse(await ask("/api/metrics")));
    expect(metrics.agents.map(({ agent, events: { total } }) => [agent, total])).toEqual([
      [name, run.durableSeq],
      ["plain", 0],
    ]);
    expect(metrics.agents[0]?.turns["done"]).toEqual({ total: 1, recent: 1 });
    for (const latency of ["append", "step", "publish", "interrupt", "first_token"]) {
      const family = families.get(`rubato_${latency}_seconds`);
      expect([latency, family?.type]).toEqual([latency, "summary"]);
      expect(
        family?.samples.filter(({ labels }) => "quantile" in labels).map(({ labels }) => labels["quantile"]),
      ).toEqual(["0.5", "0.9", "0.99", "0.5", "0.9", "0.99"]);
    }
    for (const family of ["turns_total", "tokens_total", "subscribers", "queue_events", "failure_rate", "cost_total"])
      expect(families.get(`rubato_${family}`)?.samples).not.toEqual([]);
    for (const family of ["process_memory_bytes", "process_cpu_seconds_total", "event_loop_lag_seconds", "runs"])
      expect(families.get(`rubato_${family}`)?.samples).not.toEqual([]);
    off();
    await handler.close();
    await Promise.all([first.close(), second.close()]);
  });

  it("the parser is strict", () => {
    const head = "# HELP a b\n# TYPE a counter\n";
    for (const wrong of [
      "a 1\n",
      `${head}a 1`,
      `${head}a -1\n`,
      `${head}a{b="c\\d"} 1\n`,
      `${head}a{b="c"d} 1\n`,
      `${head}a 1\na 2\n`,
      `${head}b 1\n`,
      `${head}a one\n`,
      `${head}a 1\n# HELP c d\n# TYPE c gauge\nc 1\n# HELP a b\n`,
      "# TYPE a counts\n",
    ])
      expect(() => parsePrometheus(wrong)).toThrow();
    expect(parsePrometheus(`${head}a{b="\\"\\\\\\n",c="d"} 1e3\n`).get("a")?.samples[0]).toEqual({
      name: "a",
      labels: { b: '"\\\n', c: "d" },
      value: 1_000,
    });
  });

  it("counts what a server does, from its start", async () => {
    const it = await served();
    await finished(it, "r1");
    const text = (await raw(`${it.url}/metrics`)).body;
    const [events] = parsePrometheus(text).get("rubato_events_total")?.samples ?? [];
    expect(events?.value).toBe((await it.events("r1")).length);
    const json = metricsSchema.parse(JSON.parse((await raw(`${it.url}/api/metrics`)).body));
    expect(json.runs).toEqual({ done: 1 });
    expect(json.agents[0]?.windowMs).toBeGreaterThan(0);
    expect(json.server.connections).toMatchObject({
      sse: { open: 0, opened: 0 },
      ndjson: { open: 0, opened: 0 },
      socket: { open: 0, opened: 0 },
    });
  });
});

const health = z.object({ status: z.string(), live: z.boolean(), ready: z.boolean(), log: z.string() });

describe("GET /health", () => {
  it("is live and ready, under both names", async () => {
    const it = await served();
    for (const path of ["/health", "/api/health", "/health?probe=live"]) {
      const answer = await raw(`${it.url}${path}`);
      expect(answer.status).toBe(200);
      expect(health.parse(JSON.parse(answer.body))).toEqual({ status: "ok", live: true, ready: true, log: "ok" });
    }
  });

  it("lives and is not ready while its log fails", async () => {
    const inner = memoryLog();
    let broken = false;
    const log: EventLog = Object.assign(Object.create(inner), {
      head(runId: string) {
        if (broken) throw new Error("the disk is gone");
        return inner.head(runId);
      },
    });
    const it = await served({ log });
    broken = true;
    const answer = await raw(`${it.url}/api/health`);
    expect(answer.status).toBe(503);
    expect(health.parse(JSON.parse(answer.body))).toEqual({
      status: "unavailable",
      live: true,
      ready: false,
      log: "failed",
    });
    expect((await raw(`${it.url}/health?probe=live`)).status).toBe(200);
    expect(answer.body).not.toContain("disk");
    expect(it.errors).not.toEqual([]);
  });

  it.for(["fails", "hangs"])("tells its figures while a log %s, but for those that stand there alone", async (how) => {
    const inner = memoryLog();
    let broken = false;
    const clock = manualClock();
    const log: EventLog = Object.assign(Object.create(inner), {
      list(filter: Parameters<EventLog["list"]>[0]) {
        if (!broken) return inner.list(filter);
        return how === "fails" ? Promise.reject(new Error("the disk is gone")) : new Promise(() => {});
      },
    });
    const it = await served({ log }, { clock });
    await finished(it, "r1");
    broken = true;
    for (const path of ["/metrics", "/api/metrics"]) {
      let answered = false;
      const asked = raw(`${it.url}${path}`).finally(() => {
        answered = true;
      });
      await eventually(() => {
        clock.advance(2_000);
        return answered;
      });
      const answer = await asked;
      expect(answer.status).toBe(200);
      if (path === "/metrics") {
        const families = parsePrometheus(answer.body);
        expect(families.get("rubato_turns_total")?.samples).toContainEqual(expect.objectContaining({ value: 1 }));
        expect(families.get("rubato_runs")?.samples).toEqual([]);
      } else expect(JSON.parse(answer.body)).toMatchObject({ runs: {}, agents: [{ turns: { done: { total: 1 } } }] });
    }
    expect(it.errors.length > 0).toBe(how === "fails");
  });

  it("lives and is not ready while it shuts down", async () => {
    const agent = createAgent({ name: "a", model: scriptedModel([["x"]]) });
    const handler = createHandler({ agents: agent });
    const closing = handler.close();
    const answer = await handler(new Request("http://localhost/health"));
    expect(answer.status).toBe(503);
    expect(health.parse(await answer.json())).toMatchObject({ status: "closing", live: true, ready: false });
    expect((await handler(new Request("http://localhost/runs"))).status).toBe(503);
    await closing;
    await agent.close();
  });
});

describe("the header traceparent", () => {
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

  it("is kept with the run that the request begins; one that cannot be read is none", async () => {
    const it = await served();
    await post(`${it.url}/runs`, { task: "How warm?", runId: "r1" }, { traceparent: trace });
    await post(`${it.url}/runs`, { task: "How warm?", runId: "r2" }, { traceparent: "00-0-0-01" });
    await post(`${it.url}/runs`, { task: "How warm?", runId: "r3" });
    const kept = await Promise.all(
      ["r1", "r2", "r3"].map(async (runId) => {
        const [first] = await it.log.read(runId, { after: 0, limit: 1 });
        return first?.type === "run_start" ? first.data.traceparent : "no run";
      }),
    );
    expect(kept).toEqual([trace, undefined, undefined]);
  });
});
