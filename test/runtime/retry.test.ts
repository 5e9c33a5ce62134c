import { afterEach, describe, expect, it } from "vitest";
import { createAgent, openaiModel, retryBucket, type RetryOptions } from "rubato";
import { OpenAI } from "openai";
import { retryPolicy } from "../../runtime/retry.ts";
import { classify } from "../../runtime/error-class.ts";
import { eventsOf } from "../support/agents.ts";
import { deltaFrame, faultServer, type Fault } from "../support/fault-server.ts";
import { httpAgent, inBackoff, withoutWaits } from "../support/http-run.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// P30 over real sockets: what a failed request leads to.

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const whole: Fault = { frames: [deltaFrame({ content: "whole" }, "stop")], end: "done" };
const refusing = (status: number, headers: Readonly<Record<string, string>> = {}, error: object = {}): Fault => ({
  status,
  headers,
  body: { error: { message: "no", ...error } },
});

async function start(faults: readonly Fault[], retry: RetryOptions = {}) {
  const server = await faultServer(faults);
  const { agent, log, clock } = httpAgent([server], { retry });
  closing.push(
    () => server.close(),
    () => agent.close(),
  );
  const run = agent.run("go");
  return { server, agent, log, clock, run };
}

describe("waits", () => {
  it("full jitter: each may be twice as long as the one before, and the random number says how much of it", async () => {
    const faults = [500, 503, 529].map((status) => refusing(status));
    const { run, clock, log, server } = await start([...faults, whole]);
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect((await eventsOf(log, run, "retry")).map(({ data }) => data)).toMatchObject([
      { step: 1, attempt: 2, delayMs: 250, class: "server" },
      { step: 1, attempt: 3, delayMs: 500, class: "server" },
      { step: 1, attempt: 4, delayMs: 1_000, class: "server" },
    ]);
    expect((await eventsOf(log, run, "error")).map(({ data }) => data)).toMatchObject(
      faults.map(() => ({ source: "model", severity: "medium", retryable: true, class: "server" })),
    );
    expect(server.requests).toHaveLength(4);
    checkLog(await stored(log, run.id));
  });

  it.each([
    [0, 0],
    [0.25, 125],
    [0.999, 500],
  ])("a random number of %d waits %d ms of 500", (random, expected) => {
    const error = classify({ status: 500 }, "", 0);
    const context = { runId: "r", step: 1, attempt: 1, retries: 0, model: "m" };
    expect(retryPolicy({ bucket: retryBucket() }, () => random).decide(error, context, 0)).toEqual({
      do: "retry",
      delayMs: expected,
    });
  });

  it("grow to their bound and not beyond it", () => {
    const error = classify({ status: 500 }, "", 0);
    const policy = retryPolicy({ retries: 100, baseMs: 100, maxMs: 1_000, bucket: retryBucket() }, () => 1);
    const waits = [0, 1, 2, 3, 4, 50, 99].map((retries) => {
      const verdict = policy.decide(error, { runId: "r", step: 1, attempt: 1, retries, model: "m" }, 0);
      return verdict.do === "retry" ? verdict.delayMs : undefined;
    });
    expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000]);
  });

  it("nothing is sent before they are over", async () => {
    const { run, clock, server } = await start([refusing(500), whole]);
    await inBackoff(run);
    clock.advance(249);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(server.requests).toHaveLength(1);
    expect(run.state).toMatchObject({ status: "thinking", retry: { attempt: 2 } });
    clock.advance(1);
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(server.requests).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it.each([
    ["seconds", { "retry-after": "7" }, 7_000],
    ["a fraction", { "retry-after": "0.25" }, 250],
    ["milliseconds", { "retry-after-ms": "40", "retry-after": "7" }, 40],
    ["an HTTP date", { "retry-after": new Date(1_700_000_009_000).toUTCString() }, 9_000],
    ["negative", { "retry-after": "-5" }, 250],
    ["huge", { "retry-after": "999999" }, 250],
    ["nonsense", { "retry-after": "soon 1" }, 250],
  ])("what the endpoint asks for is kept where it makes sense: %s", async (_what, headers, expected) => {
    const { run, clock, log, server } = await start([refusing(429, headers), whole]);
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect((await eventsOf(log, run, "retry")).map(({ data }) => data)).toMatchObject([
      { delayMs: expected, class: "rate_limit" },
    ]);
    expect(server.requests).toHaveLength(2);
  });
});

describe("how often", () => {
  it("three times again, then the turn fails with the last error; the next turn has three of its own", async () => {
    const faults = [1, 2, 3, 4, 5, 6, 7].map(() => refusing(503));
    const { run, clock, log, server } = await start([...faults, whole]);
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "failed", error: { code: "model" } });
    expect(server.requests).toHaveLength(4);
    expect((await eventsOf(log, run, "error")).map(({ data }) => data.severity)).toEqual([
      "medium",
      "medium",
      "medium",
      "high",
    ]);
    await run.resume();
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect(server.requests).toHaveLength(8);
    checkLog(await stored(log, run.id));
  });

  it("one layer: the SDK of a client that would retry sends each request once", async () => {
    const server = await faultServer([1, 2, 3, 4].map(() => refusing(500, { "retry-after": "0" })));
    const client = new OpenAI({ baseURL: server.baseURL, apiKey: "sk-theirs", maxRetries: 5 });
    const { clock } = httpAgent([server]);
    const agent = createAgent({ name: "a", model: openaiModel({ model: "m", client }), clock, random: () => 0 });
    closing.push(
      () => server.close(),
      () => agent.close(),
    );
    expect(await withoutWaits(agent.run("go"), clock)).toMatchObject({ status: "failed" });
    expect(server.requests).toHaveLength(4);
    expect(server.requests.map(({ headers }) => headers["x-stainless-retry-count"])).toEqual(["0", "0", "0", "0"]);
    expect(new Set(server.requests.map(({ headers }) => headers["x-client-request-id"])).size).toBe(4);
  });

  it.each([
    ["context length", refusing(400, {}, { code: "context_length_exceeded" }), "context_length"],
    ["context length in words", refusing(400, {}, { message: "maximum context length is 10" }), "context_length"],
    ["quota", refusing(429, { "retry-after": "1" }, { code: "insufficient_quota" }), "quota"],
    ["a key", refusing(401), "auth"],
    ["a model that is not there", refusing(404), "not_found"],
    ["x-should-retry: false", refusing(500, { "x-should-retry": "false" }), "server"],
  ])("not at all: %s", async (_what, fault, expected) => {
    const { run, log, server, clock } = await start([fault, whole]);
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "model" } });
    expect(server.requests).toHaveLength(1);
    expect(await eventsOf(log, run, "retry")).toEqual([]);
    expect((await eventsOf(log, run, "error")).map(({ data }) => data)).toMatchObject([
      { class: expected, severity: "high", retryable: false },
    ]);
    expect(clock.pending).toBe(0);
  });
});

describe("handlers", () => {
  it("decide about their class, and see what failed", async () => {
    const seen: unknown[] = [];
    const { run, clock, server } = await start([refusing(400), refusing(400), whole], {
      on: {
        request(error, context) {
          seen.push([error.class, error.code, error.retryable, context]);
          return "retry";
        },
      },
    });
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect(server.requests).toHaveLength(3);
    expect(seen).toEqual(
      [0, 1].map((retries) => [
        "request",
        "model",
        false,
        { runId: run.id, step: 1, attempt: retries + 1, retries, model: "m1" },
      ]),
    );
  });

  it("cannot go beyond the number of retries", async () => {
    const { run, clock, server } = await start(
      Array.from({ length: 9 }, () => refusing(400)),
      { retries: 2, on: { request: () => "retry" } },
    );
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "failed" });
    expect(server.requests).toHaveLength(3);
  });

  it.each([
    ["fail", () => "fail" as const],
    [
      "throw",
      () => {
        throw new Error("a fault of the handler's");
      },
    ],
  ])("that %s mean fail", async (_how, handler) => {
    const { run, server, clock } = await start([refusing(500), whole], { on: { server: handler } });
    expect(await run.settled()).toMatchObject({ status: "failed", error: { message: expect.stringContaining("500") } });
    expect(server.requests).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it("of another class are not asked", async () => {
    const { run, clock } = await start([refusing(500), whole], { on: { network: () => "fail" } });
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done" });
  });

  it("of a class that there is not, and whatever is no handler, are refused at once", () => {
    const make = (retry: object) => () => httpAgent([{ baseURL: "http://127.0.0.1:9/v1" }], { retry });
    expect(make({ on: { overloaded: () => "retry" } })).toThrow(/retry\.on.*overloaded|classes of errors/);
    expect(make({ on: { constructor: () => "retry" } })).toThrow("classes of errors");
    expect(make({ on: { server: "retry" } })).toThrow("retry.on.server");
    expect(make({ retries: 101 })).toThrow("retry.retries");
    expect(make({ maxRetries: 1 })).toThrow("maxRetries");
  });
});

describe("cases", () => {
  it("zirkelc/ai-retry#51 langchain-ai/deepagents#5905 a retry in the middle of an answer does not double it", async () => {
    const { run, clock, log } = await start([
      { frames: [deltaFrame({ content: "who" })], end: "cut" },
      { frames: [deltaFrame({ content: "wh" }), deltaFrame({ content: "ol" })], end: "close" },
      whole,
    ]);
    const shown = new Map<number, string>();
    run.subscribe("token_stream", ({ data: { attempt, offset, text } }) => {
      expect(offset).toBe(shown.get(attempt)?.length ?? 0);
      shown.set(attempt, (shown.get(attempt) ?? "") + text);
    });
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect([...shown]).toEqual([
      [1, "who"],
      [2, "whol"],
      [3, "whole"],
    ]);
    expect(run.state.messages).toMatchObject([{ role: "user" }, { role: "assistant", content: "whole" }]);
    expect((await eventsOf(log, run, "retry")).map(({ data }) => [data.attempt, data.superseded, data.class])).toEqual([
      [2, 3, "network"],
      [3, 4, "truncated"],
    ]);
    expect((await eventsOf(log, run, "message")).map(({ data }) => data.text)).toEqual(["whole"]);
    checkLog(await stored(log, run.id));
  });
});
