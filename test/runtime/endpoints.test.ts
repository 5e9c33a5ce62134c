import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, openaiModel, type Agent, type Run } from "rubato";
import { memoryLog } from "../../runtime/log/memory.ts";
import { startAimock } from "../support/aimock.ts";
import { deltaFrame, faultServer, type Fault } from "../support/fault-server.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { strictEndpoint, type WireBody } from "../support/strict-endpoint.ts";
import { toolCalls, type ScriptStep } from "../../runtime/models/scripted.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const weather = defineTool({
  name: "weather",
  description: "Degrees in a city",
  input: z.object({ city: z.string() }),
  execute: ({ city }) => `${city}: ${city.length * 3} degrees`,
});

function agentAt(baseURL: string): { agent: Agent; log: ReturnType<typeof memoryLog> } {
  const log = memoryLog();
  const model = openaiModel({ model: "mock", baseURL, apiKey: "sk-test" });
  const agent = createAgent({
    name: "http",
    instructions: "Be brief.",
    model,
    tools: [weather],
    log,
    retry: { retries: 0 },
  });
  closing.push(() => agent.close());
  return { agent, log };
}

describe("against aimock, through the real SDK", () => {
  async function start(set: (mock: Awaited<ReturnType<typeof startAimock>>["mock"]) => void) {
    const aimock = await startAimock();
    closing.push(() => aimock.close());
    set(aimock.mock);
    return { ...agentAt(aimock.baseURL), aimock };
  }

  it("text", async () => {
    const { agent, log } = await start((mock) =>
      mock.onMessage("hello", { content: "Good day to you." }, { chunkSize: 3 }),
    );
    const run = agent.run("hello");
    expect(await run.settled()).toMatchObject({ status: "done", output: "Good day to you." });
    checkLog(await stored(log, run.id));
  });

  it("one tool", async () => {
    const { agent, log } = await start((mock) =>
      mock
        .onToolResult("call_1_0", { content: "Rome has 12 degrees." })
        .onMessage("Rome?", { toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] }, { chunkSize: 4 }),
    );
    const run = agent.run("Rome?");
    expect(await run.settled()).toMatchObject({ status: "done", output: "Rome has 12 degrees.", steps: 2 });
    checkLog(await stored(log, run.id));
  });

  it("three parallel streamed tools, with latency", async () => {
    const cities = ["Paris", "Rome", "Oslo"];
    const { agent, log } = await start((mock) =>
      mock
        .onToolResult("call_1_2", { content: "Three cities." })
        .onMessage(
          "all?",
          { toolCalls: cities.map((city) => ({ name: "weather", arguments: { city } })) },
          { chunkSize: 5, latency: 1 },
        ),
    );
    const run = agent.run("all?");
    expect(await run.settled()).toMatchObject({ status: "done", output: "Three cities." });
    expect([...run.state.toolCalls.values()].map(({ output }) => output)).toEqual([
      "Paris: 15 degrees",
      "Rome: 12 degrees",
      "Oslo: 12 degrees",
    ]);
    checkLog(await stored(log, run.id));
  });

  it("truncation and disconnect end the turn as failed and keep the text; resume asks again", async () => {
    for (const fault of [{ truncateAfterChunks: 2 }, { disconnectAfterMs: 8 }]) {
      const { agent, log, aimock } = await start((mock) =>
        mock.onMessage("go", { content: "One two three four five six seven." }, { chunkSize: 4, latency: 3, ...fault }),
      );
      const run = agent.run("go");
      expect(await run.settled()).toMatchObject({ status: "failed", error: { message: expect.stringMatching(/\.$/) } });
      aimock.mock.clearFixtures();
      aimock.mock.onMessage("go", { content: "All of it." });
      await run.resume(undefined, { partial: "discard" });
      expect(await run.settled()).toMatchObject({ status: "done", output: "All of it." });
      checkLog(await stored(log, run.id));
    }
  });

  it("429 is one clear sentence", async () => {
    const { agent, log } = await start((mock) =>
      mock.onMessage("go", { error: { message: "slow down", type: "rate_limit" }, status: 429 }),
    );
    const run = agent.run("go");
    const outcome = await run.settled();
    expect(outcome).toMatchObject({ status: "failed", error: { code: "model" } });
    expect(outcome.error?.message).toMatch(/429|rate|many requests/i);
    expect(outcome.error?.message).not.toMatch(/\n|sk-test/);
    checkLog(await stored(log, run.id));
  });

  it("an interrupt mid-stream keeps the text, and the redirection is answered", async () => {
    const { agent, log } = await start((mock) =>
      mock
        .onMessage("instead", { content: "Rome then." })
        .onMessage(
          "go",
          { content: "A long answer about Paris that nobody wants to read to its end." },
          { chunkSize: 4, latency: 5 },
        ),
    );
    const run = agent.run("go");
    for await (const event of run) {
      if (event.type === "token_stream" && event.data.offset > 8) await run.interrupt("enough", { mode: "now" });
    }
    expect(run.state.status).toBe("interrupted");
    const kept = run.state.messages.at(-1);
    expect(kept).toMatchObject({ role: "assistant", cut: true });
    await run.send("instead");
    expect(await run.settled()).toMatchObject({ status: "done", output: "Rome then." });
    checkLog(await stored(log, run.id));
  });
});

describe("against an endpoint that answers 400 to an orphan call", () => {
  function answer(body: WireBody): ScriptStep {
    const results = body.messages.filter(
      (message) => message["role"] === "tool" && /degrees/.test(String(message["content"])),
    );
    if (results.length >= 3) return "Paris, Rome and Oslo have their weather.";
    return [
      "Looking.",
      ...toolCalls(
        ["Paris", "Rome", "Oslo"].map((city) => ({ name: "weather", args: { city } })),
        { fragment: 7 },
      ),
      { type: "finish", finish: "tool_calls" },
    ];
  }

  async function play(
    act: (run: Run, seq: number) => Promise<void>,
  ): Promise<{ seqs: number; problems: readonly string[] }> {
    const endpoint = await strictEndpoint(answer);
    const { agent, log } = agentAt(endpoint.baseURL);
    const run = agent.run("go");
    let seqs = 0;
    for await (const event of run) {
      seqs = event.seq;
      await act(run, event.seq);
    }
    for (let rounds = 0; run.state.status === "interrupted" && rounds < 3; rounds++) {
      await run.resume();
      await run.settled();
    }
    expect(await run.settled()).toMatchObject({ status: "done", output: "Paris, Rome and Oslo have their weather." });
    checkLog(await stored(log, run.id));
    await agent.close();
    await endpoint.close();
    return { seqs, problems: endpoint.problems };
  }

  it.each(["step", "now", "redirect"] as const)("%s at every event: it never sees one", async (mode) => {
    const { seqs } = await play(async () => {});
    expect(seqs).toBeGreaterThan(30);
    for (let k = 1; k <= seqs; k++) {
      const { problems } = await play(async (run, seq) => {
        if (seq !== k) return;
        if (mode === "redirect") await run.send("and quickly", { when: "now" });
        else await run.interrupt("", { mode });
      });
      expect(problems, `${mode} at event ${k}`).toEqual([]);
    }
  });
});

describe("what a strict endpoint would refuse is never sent", () => {
  it("imported calls with the ids of this run's, and names that the model invented", async () => {
    const endpoint = await strictEndpoint([
      { calls: [{ name: "weather", args: { city: "Rome" } }, { name: "no such tool!" }, { name: "" }] },
      "first",
      { calls: [{ name: "weather", args: { city: "Oslo" } }] },
      "second",
    ]);
    closing.push(() => endpoint.close());
    const { agent } = agentAt(endpoint.baseURL);
    const first = agent.run("go");
    expect(await first.settled()).toMatchObject({ status: "done", output: "first" });
    const second = agent.run("more", { messages: first.state.messages });
    expect(await second.settled()).toMatchObject({ status: "done", output: "second" });
    expect(endpoint.problems).toEqual([]);
  });
});

describe("against a faulty endpoint", () => {
  const half = deltaFrame({ content: "Half an answer" });
  const faults: readonly (readonly [string, Fault, string, RegExp])[] = [
    ["a clean end without finish_reason", { frames: [half], end: "close" }, "truncated", /without/],
    ["a cut connection", { frames: [half], end: "cut" }, "model", /./],
    ["a bad frame", { frames: [half, "{not json"], end: "close" }, "model", /./],
    ["400", { status: 400, body: { error: { message: "no such option" } } }, "model", /400|no such option/],
    ["401", { status: 401, body: { error: { message: "bad key sk-test" } } }, "model", /key/],
    ["404", { status: 404, body: { error: { message: "no model" } } }, "model", /offers|mock/],
    ["500", { status: 500 }, "model", /500/],
  ];

  it.each(faults)(
    "%s ends in a known state, in one sentence, and can be resumed",
    async (_name, fault, code, message) => {
      const server = await faultServer([fault, { frames: [deltaFrame({ content: "whole" }, "stop")], end: "done" }], {
        models: ["mock", "mock-mini"],
      });
      closing.push(() => server.close());
      const { agent, log } = agentAt(server.baseURL);
      const run = agent.run("go");
      const outcome = await run.settled();
      expect(outcome).toMatchObject({ status: "failed", error: { code } });
      expect(outcome.error?.message).toMatch(message);
      expect(outcome.error?.message).not.toMatch(/\n|sk-test|at .*\.ts/);
      await run.resume();
      expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
      checkLog(await stored(log, run.id));
    },
  );

  it("a stall can be interrupted: the socket is closed and the text kept", async () => {
    const server = await faultServer([{ frames: [half], end: "stall" }]);
    closing.push(() => server.close());
    const { agent, log } = agentAt(server.baseURL);
    const run = agent.run("go");
    for await (const event of run) {
      if (event.type === "token_stream")
        expect(await run.interrupt("", { mode: "now" })).toMatchObject({ effective: true });
    }
    expect(run.state.messages.at(-1)).toMatchObject({ content: "Half an answer", cut: true });
    const [request] = server.requests;
    expect(await request?.over).toBe("closed");
    checkLog(await stored(log, run.id));
  });

  it("an endpoint that is not there", async () => {
    const { agent, log } = agentAt("http://127.0.0.1:9/v1");
    const run = agent.run("go");
    const outcome = await run.settled();
    expect(outcome).toMatchObject({ status: "failed", error: { code: "model" } });
    expect(outcome.error?.message).toContain("127.0.0.1:9");
    checkLog(await stored(log, run.id));
  });
});
