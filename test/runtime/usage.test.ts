import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, type AgentOptions } from "rubato";
import { eventsOf } from "../support/agents.ts";
import { deltaFrame, faultServer, usageFrame, type Fault } from "../support/fault-server.ts";
import { httpAgent, withoutWaits } from "../support/http-run.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// What requests use and cost, as endpoints tell it and where they do not (P25, P32), over real sockets.

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Per million: so 100 tokens in and 10 out cost 0.0003 + 0.0002. */
const prices = { m1: { input: 3, output: 20 }, m2: { input: 1, output: 2 } };
const text = (content: string, ...more: Readonly<Record<string, unknown>>[]): Fault => ({
  frames: [deltaFrame({ content }, "stop"), ...more],
  end: "done",
});
const refused: Fault = { status: 429, body: { error: { message: "slow down" } } };

async function start(faults: readonly Fault[], options: Partial<Omit<AgentOptions, "clock">> = {}) {
  const server = await faultServer(faults);
  const { agent, log, clock } = httpAgent([server], options);
  closing.push(
    () => server.close(),
    () => agent.close(),
  );
  const run = agent.run("0123456789abcdef"); // About 4 tokens.
  return { server, log, clock, run };
}

describe("usage that is told", () => {
  it("has its cost, per message and for the run", async () => {
    const { run, log } = await start([text("hi", usageFrame(100, 10)), text("ho", usageFrame(200, 20))], { prices });
    const first = await run.settled();
    expect(first.usage).toEqual({ inputTokens: 100, outputTokens: 10, requests: 1, unknownRequests: 0, cost: 0.0005 });
    await run.send("again");
    const second = await run.settled();
    expect(second.usage).toMatchObject({ inputTokens: 300, outputTokens: 30, requests: 2, unknownRequests: 0 });
    expect(second.usage.cost).toBeCloseTo(0.0015, 12);
    expect(second.usage).not.toHaveProperty("estimated");
    expect((await eventsOf(log, run, "message")).map(({ data }) => [data.usage, data.cost, data.estimate])).toEqual([
      [{ inputTokens: 100, outputTokens: 10 }, 0.0005, undefined],
      [{ inputTokens: 200, outputTokens: 20 }, 0.001, undefined],
    ]);
    checkLog(await stored(log, run.id));
  });

  it("of a model without a price has no cost", async () => {
    const { run } = await start([text("hi", usageFrame(100, 10))], { prices: { other: prices.m1 } });
    expect((await run.settled()).usage).toEqual({
      inputTokens: 100,
      outputTokens: 10,
      requests: 1,
      unknownRequests: 0,
    });
  });
});

describe("case 23 usage that nobody tells", () => {
  it("is unknown and not 0; what it may have been is marked as an estimate, its cost with it", async () => {
    const { run, log } = await start([text("twelve chars")], { prices });
    const { usage } = await run.settled();
    expect(usage).toMatchObject({
      inputTokens: 0,
      outputTokens: 0,
      requests: 1,
      unknownRequests: 1,
      estimated: { inputTokens: 4, outputTokens: 3 },
    });
    expect(usage.cost).toBeCloseTo((4 * 3 + 3 * 20) / 1_000_000, 12);
    expect((await eventsOf(log, run, "message")).map(({ data }) => data)).toMatchObject([
      { usage: "unknown", estimate: { inputTokens: 4, outputTokens: 3 }, cost: usage.cost },
    ]);
    checkLog(await stored(log, run.id));
  });

  it("of an answer that was interrupted", async () => {
    const { run, log } = await start([{ frames: [deltaFrame({ content: "eight ch" })], end: "stall" }], { prices });
    for await (const event of run) if (event.type === "token_stream") await run.interrupt("", { mode: "now" });
    expect((await run.settled()).usage).toMatchObject({
      inputTokens: 0,
      outputTokens: 0,
      unknownRequests: 1,
      estimated: { inputTokens: 4, outputTokens: 2 },
      cost: expect.any(Number),
    });
    expect((await eventsOf(log, run, "message")).map(({ data }) => [data.finish, data.usage])).toEqual([
      ["interrupted", "unknown"],
    ]);
    checkLog(await stored(log, run.id));
  });

  it("of an attempt that broke is estimated beside what the next one tells", async () => {
    const torn: Fault = { frames: [deltaFrame({ content: "eight ch" })], end: "cut" };
    const { run, log, clock } = await start([torn, text("whole", usageFrame(100, 10))], { prices });
    const { usage } = await withoutWaits(run, clock);
    expect(usage).toMatchObject({
      inputTokens: 100,
      outputTokens: 10,
      requests: 2,
      unknownRequests: 1,
      estimated: { inputTokens: 4, outputTokens: 2 },
    });
    expect(usage.cost).toBeCloseTo(0.0005 + (4 * 3 + 2 * 20) / 1_000_000, 12);
    expect((await eventsOf(log, run, "retry")).map(({ data }) => data.estimate)).toEqual([
      { inputTokens: 4, outputTokens: 2 },
    ]);
    checkLog(await stored(log, run.id));
  });

  it("of a request that was refused is nothing: a busy endpoint uses up no budget", async () => {
    const { run, log, clock } = await start([refused, refused, refused, text("whole", usageFrame(100, 10))], {
      prices,
      budget: { cost: 0.0006, inputTokens: 101 },
    });
    const { status, usage } = await withoutWaits(run, clock);
    expect(status).toBe("done");
    expect(usage).toMatchObject({ inputTokens: 100, outputTokens: 10, requests: 4, cost: 0.0005 });
    expect(usage).not.toHaveProperty("estimated");
    for (const { data } of await eventsOf(log, run, "retry")) expect(data).not.toHaveProperty("estimate");
    checkLog(await stored(log, run.id));
  });

  it("costs nothing to leave alone: without a price or a limit nobody estimates", async () => {
    const { run, log } = await start([text("twelve chars")]);
    expect((await run.settled()).usage).toEqual({ inputTokens: 0, outputTokens: 0, requests: 1, unknownRequests: 1 });
    expect((await eventsOf(log, run, "message"))[0]?.data).not.toHaveProperty("estimate");
  });
});

describe("P32 budgets", () => {
  it.each([
    ["cost, told", { cost: 0.0005 }, [usageFrame(100, 10)], "cost"],
    ["cost, estimated", { cost: 0.00005 }, [], "cost"],
    ["input tokens, told", { inputTokens: 100 }, [usageFrame(100, 10)], "input_tokens"],
    ["input tokens, estimated", { inputTokens: 4 }, [], "input_tokens"],
    ["output tokens, told", { outputTokens: 10 }, [usageFrame(100, 10)], "output_tokens"],
    ["output tokens, estimated", { outputTokens: 3 }, [], "output_tokens"],
  ] as const)("%s: no further request, until it is raised", async (_what, budget, usage, kind) => {
    const { run, server, log } = await start([text("twelve chars", ...usage), text("more", ...usage)], {
      prices,
      budget,
    });
    expect(await run.settled()).toMatchObject({ status: "done" });
    await run.send("again");
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(run.state.limit).toMatchObject({ kind });
    expect(server.requests).toHaveLength(1);
    expect(await run.resume()).toMatchObject({ accepted: false, reason: "limit" });
    await run.resume(undefined, { budget: { cost: 1, inputTokens: 1_000, outputTokens: 1_000 } });
    expect(await run.settled()).toMatchObject({ status: "done", output: "more" });
    checkLog(await stored(log, run.id));
  });

  it("retries count: a budget that the attempts before have used up ends the waiting", async () => {
    const torn: Fault = { frames: [deltaFrame({ content: "x".repeat(400) })], end: "cut" };
    const { run, clock, server } = await start([torn, torn, torn], { budget: { outputTokens: 200 } });
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "interrupted" });
    expect(run.state.limit).toMatchObject({ kind: "output_tokens", used: 200 });
    expect(server.requests).toHaveLength(2);
  });

  it("each model has its own price", async () => {
    const servers = [await faultServer([{ status: 400 }]), await faultServer([text("hi", usageFrame(100, 10))])];
    const { agent } = httpAgent(servers, { prices });
    closing.push(() => agent.close(), ...servers.map((server) => () => server.close()));
    expect((await agent.run("go").settled()).usage.cost).toBeCloseTo((100 * 1 + 10 * 2) / 1_000_000, 12);
  });
});

describe("case 20", () => {
  it("calls of an answer that was cut by its length do not run, and the model is told why", async () => {
    const ran: unknown[] = [];
    const pay = defineTool({
      name: "pay",
      description: "",
      input: z.object({ amount: z.number() }),
      execute: (input) => {
        ran.push(input);
        return "paid";
      },
    });
    const calls = [0, 1].map((index) => ({
      index,
      id: `c${index}`,
      function: { name: "pay", arguments: '{"amount":1}' },
    }));
    const { run, server, log } = await start(
      [{ frames: [deltaFrame({ tool_calls: calls }), deltaFrame({}, "length")], end: "done" }, text("sorry")],
      { tools: [pay] },
    );
    expect(await run.settled()).toMatchObject({ status: "done", output: "sorry" });
    expect(ran).toEqual([]);
    expect(server.requests).toHaveLength(2);
    expect(server.requests[1]?.body).toMatchObject({
      messages: [
        { role: "user" },
        { role: "assistant", tool_calls: [{}, {}] },
        { role: "tool", content: expect.stringContaining("cut by the token limit") },
        { role: "tool", content: expect.stringContaining("cut by the token limit") },
      ],
    });
    checkLog(await stored(log, run.id));
  });
});
