import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, scriptedModel, type Message, type RubatoErrorCode } from "rubato";
import { checkLog } from "../support/invariants.ts";
import { eventsOf, testAgent } from "../support/agents.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { stored } from "../support/logs.ts";
import { thrownBy } from "../support/thrown.ts";

const model = scriptedModel(() => "answer");
const tool = defineTool({ name: "t", description: "t", input: z.object({}), execute: () => null });

describe("bad input is one clear sentence that says what to do", () => {
  const spec = (name: string) => ({ name, description: "", input: z.object({}), execute: () => null });
  const named = (name: string) => defineTool(spec(name));
  const wrong: readonly (readonly [string, () => unknown, RubatoErrorCode, RegExp])[] = [
    ["no name", () => createAgent({ name: " ", model }), "invalid_option", /"name" must be a name; received " "/],
    [
      "steps",
      () => createAgent({ name: "a", model, maxSteps: 0 }),
      "invalid_option",
      /"maxSteps" must be a whole number from 1; received 0/,
    ],
    [
      "concurrency",
      () => createAgent({ name: "a", model, toolConcurrency: 1.5 }),
      "invalid_option",
      /"toolConcurrency"/,
    ],
    ["timeout", () => createAgent({ name: "a", model, toolTimeoutMs: Infinity }), "invalid_option", /"toolTimeoutMs"/],
    [
      "a misspelt option",
      () => createAgent(Object.assign({ name: "a", model }, { maxStep: 3 })),
      "invalid_option",
      /no option "maxStep".*maxSteps/,
    ],
    [
      "two tools of a name",
      () => createAgent({ name: "a", model, tools: [tool, tool] }),
      "invalid_tool",
      /two tools named "t"\. Rename/,
    ],
    [
      "a tool name",
      () => createAgent({ name: "a", model, tools: [named("no spaces")] }),
      "invalid_tool",
      /1 to 64 characters/,
    ],
    [
      "a schema that is no object",
      () =>
        createAgent({
          name: "a",
          model,
          tools: [defineTool({ name: "s", description: "", input: z.string(), execute: () => null })],
        }),
      "invalid_tool",
      /must be a z\.object/,
    ],
    [
      "a schema that cannot be told",
      () =>
        createAgent({
          name: "a",
          model,
          tools: [defineTool({ name: "s", description: "", input: z.object({ f: z.bigint() }), execute: () => null })],
        }),
      "invalid_tool",
      /cannot be told to a model/,
    ],
    [
      "a misspelt option of a tool",
      () => createAgent({ name: "a", model, tools: [defineTool(Object.assign(spec("s"), { timeoutMS: 3 }))] }),
      "invalid_tool",
      /The tool "s" has no option "timeoutMS".*timeoutMs/,
    ],
    [
      "a tool that does nothing",
      () => createAgent({ name: "a", model, tools: [defineTool({ ...spec("s"), execute: JSON.parse("null") })] }),
      "invalid_tool",
      /needs a function execute/,
    ],
    [
      "a tool that says nothing of itself",
      () => createAgent({ name: "a", model, tools: [defineTool({ ...spec("s"), description: JSON.parse("null") })] }),
      "invalid_tool",
      /needs a description/,
    ],
    [
      "a tool without an input",
      () => createAgent({ name: "a", model, tools: [defineTool({ ...spec("s"), input: JSON.parse("null") })] }),
      "invalid_tool",
      /needs an input: z\.object/,
    ],
    [
      "an approval that is none",
      () => createAgent({ name: "a", model, ...JSON.parse('{"approval":"sometimes"}') }),
      "invalid_option",
      /"approval" must be "never", "always" or a function/,
    ],
    [
      "a budget that nothing counts",
      () => createAgent({ name: "a", model, budget: JSON.parse('{"tokens":1}') }),
      "invalid_option",
      /budget has no option "tokens"/,
    ],
    [
      "a budget below nothing",
      () => createAgent({ name: "a", model, budget: { outputTokens: -1 } }),
      "invalid_option",
      /"budget.outputTokens" must be/,
    ],
    [
      "a budget of cost without the price of a model",
      () => createAgent({ name: "a", model, budget: { cost: 1 }, prices: { other: { input: 1, output: 1 } } }),
      "invalid_option",
      /needs the price of every model, and there is none for/,
    ],
    [
      "a price that is none",
      () => createAgent({ name: "a", model, prices: { m: JSON.parse('{"input":1}') } }),
      "invalid_option",
      /prices\["m"\]/,
    ],
    ["no model at all", () => createAgent({ name: "a", model: [] }), "invalid_option", /empty list/],
    [
      "a class of errors that is none",
      () => createAgent({ name: "a", model, retry: { on: JSON.parse('{"bad":1}') } }),
      "invalid_option",
      /classes of errors: network, timeout/,
    ],
    [
      "more retries than make sense",
      () => createAgent({ name: "a", model, retry: { retries: 1_000 } }),
      "invalid_option",
      /"retry.retries" must be a whole number from 0 to 100/,
    ],
    [
      "a timeout that is none",
      () => createAgent({ name: "a", model, timeouts: { idleMs: 0 } }),
      "invalid_option",
      /"timeouts.idleMs" must be/,
    ],
    ["an empty task", () => createAgent({ name: "a", model }).run("  "), "invalid_input", /not empty/],
    [
      "a run id",
      () => createAgent({ name: "a", model }).run("x", { runId: "../etc" }),
      "invalid_option",
      /"runId" must be/,
    ],
    [
      "a run option",
      () => createAgent({ name: "a", model }).run("x", Object.assign({ runId: "r" }, { metaData: {} })),
      "invalid_option",
      /no option "metaData"/,
    ],
    [
      "imported messages with an orphan",
      () =>
        createAgent({ name: "a", model }).run("x", {
          messages: [{ role: "tool", callId: "1", name: "t", content: "", outcome: "ok" }],
        }),
      "invalid_input",
      /exactly one result/,
    ],
    [
      "metadata",
      () => createAgent({ name: "a", model }).run("x", { metadata: { ...loop() } }),
      "invalid_option",
      /"metadata" must be plain JSON/,
    ],
  ];

  it.each(wrong)("%s", (_name, act, code, message) => {
    const error = thrownBy(act);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
  });

  it("commands throw for programming errors only", async () => {
    const { agent, log } = testAgent({ model });
    const run = agent.run("x");
    await run.settled();
    const { seq } = run.state;
    await expect(run.send(" ")).rejects.toThrow(/not empty/);
    await expect(run.interrupt("", { graceMs: -1 })).rejects.toThrow(/graceMs/);
    // Misspelt, they would do something else, silently.
    const misspelt: Record<string, never> = JSON.parse('{"partail":"discard","wen":"now","mod":"now","form":5}');
    await expect(run.interrupt("", misspelt)).rejects.toThrow(/interrupt has no option "partail".*mode, graceMs, by/);
    await expect(run.resume("", misspelt)).rejects.toThrow(/resume has no option "partail".*partial/);
    await expect(run.send("x", misspelt)).rejects.toThrow(/send has no option "partail".*when/);
    await expect(run.cancel("", misspelt)).rejects.toThrow(/cancel has no option/);
    await expect(run.approve("1.0", misspelt)).rejects.toThrow(/approve has no option/);
    await expect(run.reject("1.0", "", misspelt)).rejects.toThrow(/reject has no option/);
    await expect(run.settleCall("1.0", JSON.parse('{"eror":"x"}'))).rejects.toThrow(/settleCall has no option "eror"/);
    await expect(run.settleCall("1.0", JSON.parse("{}"))).rejects.toThrow(/must be \{ output \} or \{ error \}/);
    expect(() => run.events(misspelt)).toThrow(/events has no option "partail".*from, types, follow/);
    expect(() => run.events({ from: -1 })).toThrow(/"from"/);
    expect(() => run.history("*", 0)).toThrow(/"limit"/);
    const none: "*" = JSON.parse('"tools_*"');
    for (const subscribe of [() => run.subscribe(none, () => {}), () => agent.subscribe(none, () => {})]) {
      expect(subscribe).toThrow(/"pattern" must be an event type, a prefix/);
    }
    expect(await run.approve("1.0")).toEqual({ accepted: false, reason: "not_waiting" });
    expect(run.state.seq).toBe(seq);
    checkLog(await stored(log, run.id));
  });

  it("an unknown run id", async () => {
    const { agent } = testAgent({ model });
    await expect(agent.open("nowhere")).rejects.toThrow(/There is no run "nowhere" in this log/);
  });

  it("case 31 in this process: open finds a run of this agent", async () => {
    const { agent } = testAgent({ model });
    const run = agent.run("x", { runId: "known" });
    expect(await agent.open("known")).toBe(run);
  });
});

describe("options of a run", () => {
  it("metadata is kept with the run and listed; context is not logged", async () => {
    const { agent, log } = testAgent({ model });
    const run = agent.run("The task\nsecond line", { metadata: { user: 7 }, context: { secret: "s3cret" } });
    await run.settled();
    expect(await agent.runs()).toMatchObject([
      { runId: run.id, status: "done", title: "The task", metadata: { user: 7 } },
    ]);
    expect(await agent.runs({ status: "failed" })).toEqual([]);
    expect(JSON.stringify(await stored(log, run.id))).not.toContain("s3cret");
  });

  it("imported messages come first, and their calls are never run again", async () => {
    const model = scriptedModel(["answer"]);
    const { agent, log } = testAgent({ model, tools: [tool] });
    const messages: Message[] = [
      { role: "user", content: "before" },
      { role: "assistant", content: "", toolCalls: [{ callId: "old", providerCallId: "", name: "t", args: "{}" }] },
      { role: "tool", callId: "old", name: "t", content: "7", outcome: "ok" },
    ];
    const run = agent.run("now", { messages });
    await run.settled();
    expect(model.requests[0]?.messages.map(({ content }) => content)).toEqual(["before", "", "7", "now"]);
    expect(await eventsOf(log, run, "tool_start")).toEqual([]);
    checkLog(await stored(log, run.id));
  });

  it("the id of an existing run settles as failed, code run_exists, that log untouched", async () => {
    const log = memoryLog();
    const { agent } = testAgent({ model, log });
    const first = agent.run("one", { runId: "same" });
    await first.settled();
    const before = JSON.stringify(await stored(log, "same"));
    const second = agent.run("two", { runId: "same" });
    expect(await second.settled()).toMatchObject({ status: "failed", error: { code: "run_exists" } });
    expect(await second.send("x")).toEqual({ accepted: false, reason: "run_exists" });
    const seen = [];
    for await (const event of second) seen.push(event);
    expect(JSON.stringify(await stored(log, "same"))).toBe(before);
    expect(await agent.open("same")).toBe(first);
  });

  it("the model sees the tools as JSON schema without dialect, and the instructions", async () => {
    const model = scriptedModel(["answer"]);
    const described = defineTool({
      name: "d",
      description: "described",
      input: z.object({ city: z.string().describe("where"), days: z.number().int().default(1) }),
      execute: () => null,
    });
    const { agent } = testAgent({ model, tools: [described], instructions: "Be brief." });
    await agent.run("x").settled();
    expect(model.requests[0]).toMatchObject({
      instructions: "Be brief.",
      tools: [{ name: "d", description: "described", parameters: { type: "object", required: ["city"] } }],
    });
    expect(JSON.stringify(model.requests[0]?.tools)).not.toContain("$schema");
  });
});

function loop(): Record<string, never> {
  const value: Record<string, unknown> = {};
  value["self"] = { value };
  return Object.assign(Object.create(null), value);
}
