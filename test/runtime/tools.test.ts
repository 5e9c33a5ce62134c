import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, toolCalls, verify, type Tool, type ToolContext } from "rubato";
import { checkLog } from "../support/invariants.ts";
import { deferred, eventsOf, quiet, testAgent, until } from "../support/agents.ts";
import { slowLog, stored } from "../support/logs.ts";

const nothing = z.object({});

function tool(
  name: string,
  execute: (ctx: ToolContext) => unknown,
  more: { exclusive?: boolean; timeoutMs?: number } = {},
): Tool {
  return defineTool({ name, description: name, input: nothing, execute: (_input, ctx) => execute(ctx), ...more });
}

/** Calls these tools in one message, then says "done". */
function calling(...calls: { name: string; args?: string | Record<string, unknown>; id?: string }[]) {
  return scriptedModel([{ calls }, "done"]);
}

describe("streamed tool calls", () => {
  it("stream in any interleaving and run in parallel, results in call order (P13, P15)", async () => {
    const gates = { a: deferred<string>(), b: deferred<string>(), c: deferred<string>() };
    const order: string[] = [];
    const wait = defineTool({
      name: "wait_for",
      description: "waits",
      input: z.object({ key: z.enum(["a", "b", "c"]), text: z.string() }),
      execute: async ({ key, text }) => {
        order.push(`start ${key}`);
        const answer = await gates[key].promise;
        order.push(`end ${key}`);
        return answer + text;
      },
    });
    const fragments = toolCalls(
      (["a", "b", "c"] as const).map((key) => ({ name: "wait_for", args: { key, text: `"${key}" \\ é 字` } })),
      { fragment: 3 },
    );
    const { agent, log } = testAgent({ model: scriptedModel([fragments, "done"]), tools: [wait] });
    const run = agent.run("go");
    await until(run, "tool_start", (event) => event.data.callId === "1.2");
    await quiet();
    expect(order).toEqual(["start a", "start b", "start c"]);
    for (const key of ["c", "a", "b"] as const) {
      gates[key].resolve(key.toUpperCase());
      await quiet();
    }
    expect(await run.settled()).toMatchObject({ status: "done", output: "done", steps: 2 });
    expect(order.slice(3)).toEqual(["end c", "end a", "end b"]);
    expect(run.state.messages.filter(({ role }) => role === "tool")).toMatchObject([
      { callId: "1.0", content: 'A"a" \\ é 字' },
      { callId: "1.1", content: 'B"b" \\ é 字' },
      { callId: "1.2", content: 'C"c" \\ é 字' },
    ]);
    expect((await eventsOf(log, run, "tool_call_delta")).length).toBeGreaterThan(20);
    checkLog(await stored(log, run.id));
  });

  it("at most toolConcurrency at once, in call order; an exclusive one runs alone", async () => {
    const running = new Set<string>();
    const seen: string[] = [];
    const work = (name: string, more = {}): Tool =>
      tool(
        name,
        async ({ callId }) => {
          running.add(callId);
          seen.push([...running].join("+"));
          await quiet();
          running.delete(callId);
        },
        more,
      );
    const names = ["free", "free", "free", "alone", "free", "free"];
    const { agent } = testAgent({
      model: calling(...names.map((name) => ({ name }))),
      tools: [work("free"), work("alone", { exclusive: true })],
      toolConcurrency: 2,
    });
    expect(await agent.run("go").settled()).toMatchObject({ status: "done" });
    expect(seen).toEqual(["1.0", "1.0+1.1", "1.1+1.2", "1.3", "1.4", "1.4+1.5"]);
  });

  it("case 1: the signal of a running tool aborts, and case 2: a queued one never starts", async () => {
    const started: string[] = [];
    const aborted: string[] = [];
    const slow = tool("slow", (ctx) => {
      started.push(ctx.callId);
      return new Promise((_resolve, reject) => {
        ctx.signal.addEventListener("abort", () => {
          aborted.push(ctx.callId);
          reject(new Error("stopped"));
        });
      });
    });
    const { agent, log } = testAgent({
      model: calling({ name: "slow" }, { name: "slow" }, { name: "slow" }),
      tools: [slow],
      toolConcurrency: 2,
    });
    const run = agent.run("go");
    await until(run, "tool_start", ({ data }) => data.callId === "1.1");
    await quiet();
    expect(await run.interrupt("stop", { mode: "now" })).toMatchObject({ accepted: true, effective: true });
    expect(started).toEqual(["1.0", "1.1"]);
    expect(aborted).toEqual(["1.0", "1.1"]);
    expect((await eventsOf(log, run, "tool_result")).map(({ data }) => [data.callId, data.outcome])).toEqual([
      ["1.2", "skipped"],
      ["1.0", "aborted"],
      ["1.1", "aborted"],
    ]);
    checkLog(await stored(log, run.id));
  });

  it("case 4: an abort is no tool error, and no model call follows the interrupt", async () => {
    const model = calling({ name: "slow" });
    const slow = tool("slow", async ({ signal }) => {
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
      signal.throwIfAborted();
    });
    const { agent, log } = testAgent({ model, tools: [slow] });
    const run = agent.run("go");
    await until(run, "tool_start");
    await run.interrupt("", { mode: "now" });
    await quiet();
    expect(model.requests).toHaveLength(1);
    expect(await eventsOf(log, run, "error")).toEqual([]);
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("aborted");
  });

  it("a tool that finishes within the grace keeps its true outcome", async () => {
    const gate = deferred();
    const { agent } = testAgent({
      model: calling({ name: "slow" }),
      tools: [tool("slow", () => gate.promise.then(() => 42))],
    });
    const run = agent.run("go");
    await until(run, "tool_start");
    const stopped = run.interrupt("", { mode: "now" });
    await quiet();
    expect(run.state.value).toBe("interrupted.draining");
    gate.resolve();
    expect(await stopped).toMatchObject({ effective: true, where: "acting.executing" });
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "ok", output: 42 });
  });

  it("case 8 P16: a tool that ignores its signal is abandoned as unknown, and its late result changes nothing (P15)", async () => {
    const gate = deferred<string>();
    const { agent, log, clock } = testAgent({
      model: scriptedModel([{ calls: [{ name: "deaf" }] }, "after"]),
      tools: [tool("deaf", () => gate.promise)],
      graceMs: 5_000,
    });
    const run = agent.run("go");
    await until(run, "tool_start");
    const stopped = run.interrupt("", { mode: "now" });
    await quiet();
    clock.advance(4_999);
    await quiet();
    expect(run.state.status).toBe("interrupted");
    expect(run.state.value).toBe("interrupted.draining");
    clock.advance(1);
    expect(await stopped).toMatchObject({ effective: true, latencyMs: 5_000 });
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("unknown");
    const before = run.state.messages;
    gate.resolve("too late");
    await until(run, "tool_result", ({ data }) => data.late === true);
    expect(run.state.messages).toEqual(before);
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("unknown");
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: "after" });
    expect(clock.pending).toBe(0);
    checkLog(await stored(log, run.id));
  });

  it("graceMs of one interrupt overrides the agent's", async () => {
    const { agent, clock } = testAgent({
      model: calling({ name: "deaf" }),
      tools: [tool("deaf", () => new Promise(() => {}))],
    });
    const run = agent.run("go");
    await until(run, "tool_start");
    const stopped = run.interrupt("", { mode: "now", graceMs: 10 });
    await quiet();
    clock.advance(10);
    expect(await stopped).toMatchObject({ effective: true, latencyMs: 10 });
  });

  it("a timeout aborts the call, and the model reads of it; one that ignores it becomes unknown", async () => {
    const polite = tool(
      "polite",
      ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reject(new Error("out of time"));
          });
        }),
      { timeoutMs: 100 },
    );
    const deaf = tool("deaf", () => new Promise(() => {}), { timeoutMs: 100 });
    const { agent, log, clock } = testAgent({
      model: calling({ name: "polite" }, { name: "deaf" }),
      tools: [polite, deaf],
      graceMs: 50,
    });
    const run = agent.run("go");
    await until(run, "tool_start", ({ data }) => data.callId === "1.1");
    await quiet();
    clock.advance(100);
    await quiet();
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("timeout");
    clock.advance(50);
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(run.state.toolCalls.get("1.1")?.outcome).toBe("unknown");
    expect(clock.pending).toBe(0);
    checkLog(await stored(log, run.id));
  });

  it("an interrupt that comes while the licence is being stored: the tool never begins", async () => {
    const started: string[] = [];
    let stop = (): void => {};
    const log = slowLog((events) => {
      if (events.some(({ type }) => type === "tool_start")) queueMicrotask(stop);
    });
    const { agent } = testAgent({
      model: calling({ name: "t" }),
      tools: [tool("t", ({ callId }) => started.push(callId))],
      log,
    });
    const run = agent.run("go");
    const stopped = deferred<unknown>();
    stop = () => {
      run.interrupt("", { mode: "now" }).then(stopped.resolve, stopped.reject);
    };
    expect(await stopped.promise).toMatchObject({ effective: true });
    expect(started).toEqual([]);
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("aborted");
    checkLog(await stored(log, run.id));
  });
});

describe("arguments (P14)", () => {
  const typed = defineTool({
    name: "typed",
    description: "typed",
    input: z.object({ n: z.number(), deep: z.unknown().optional() }),
    execute: ({ n }) => n + 1,
  });
  const bad = [
    ["half", '{"n": 1', /not valid JSON/],
    ["no object", "[1]", /must be a JSON object/],
    ["wrong type", { n: "one" }, /n: /],
    ["missing", {}, /n: /],
    ["too deep", `{"n":1,"deep":${"[".repeat(80)}${"]".repeat(80)}}`, /nested deeper than 64/],
  ] as const;

  it.each(bad)("%s: the tool does not run, the model gets a clear error", async (_name, args, message) => {
    const model = scriptedModel([{ calls: [{ name: "typed", args }] }, "I see."]);
    const { agent, log } = testAgent({ model, tools: [typed] });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done", output: "I see." });
    expect(await eventsOf(log, run, "tool_start")).toEqual([]);
    const result = model.requests[1]?.messages.at(-1);
    expect(result).toMatchObject({ role: "tool", outcome: "error" });
    expect(result?.content).toMatch(message);
    for (const call of model.requests[1]?.messages.flatMap((m) =>
      m.role === "assistant" ? (m.toolCalls ?? []) : [],
    ) ?? []) {
      expect(() => {
        JSON.parse(call.args);
      }).not.toThrow();
    }
    checkLog(await stored(log, run.id));
  });

  it("an unknown tool is named together with those that exist", async () => {
    const model = scriptedModel([{ calls: [{ name: "constructor" }, { name: "__proto__" }] }, "ok"]);
    const { agent } = testAgent({ model, tools: [typed] });
    expect(await agent.run("go").settled()).toMatchObject({ status: "done" });
    expect(model.requests[1]?.messages.at(-1)?.content).toBe('Error: There is no tool "__proto__". There are: typed.');
  });

  it("hostile argument keys are data", async () => {
    const seen: unknown[] = [];
    const any = defineTool({
      name: "any",
      description: "any",
      input: z.looseObject({}),
      execute: (input) => {
        seen.push(Object.keys(input));
        return input;
      },
    });
    const args = '{"__proto__":{"polluted":1},"constructor":2,"toString":3}';
    const { agent, log } = testAgent({
      model: scriptedModel([{ calls: [{ name: "any", args }] }, "ok"]),
      tools: [any],
    });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect("polluted" in {}).toBe(false);
    const [call] = await eventsOf(log, run, "tool_call");
    expect(JSON.stringify(call?.data.args)).toContain("toString");
  });

  it("case 20: no call of a message that stopped with length runs, and the model is told", async () => {
    const model = scriptedModel([{ calls: [{ name: "typed", args: { n: 1 } }], finish: "length" }, "shorter"]);
    const { agent, log } = testAgent({ model, tools: [typed] });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done", output: "shorter" });
    expect(await eventsOf(log, run, "tool_start")).toEqual([]);
    expect(model.requests[1]?.messages.at(-1)?.content).toMatch(/cut by the token limit/);
  });

  it("case 19: a stream that is cut in the middle of arguments leaves no call behind", async () => {
    const gate = pause();
    const model = scriptedModel([
      ["Let me see.", { type: "tool_call", index: 0, id: "x", name: "typed", args: '{"n": 1, "deep": "hal' }, gate],
      "Go on.",
    ]);
    const { agent, log } = testAgent({ model, tools: [typed] });
    const run = agent.run("go");
    await gate.reached;
    expect(await run.interrupt("", { mode: "now" })).toMatchObject({ effective: true, keptChars: 11 });
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(model.requests[1]?.messages).toMatchObject([
      { role: "user" },
      { role: "assistant", content: "Let me see.", cut: true },
    ]);
    expect(run.state.toolCalls.size).toBe(0);
    checkLog(await stored(log, run.id));
  });

  it("provider ids may repeat or be empty: calls are ours", async () => {
    const model = scriptedModel([
      {
        calls: [
          { name: "typed", args: { n: 1 }, id: "" },
          { name: "typed", args: { n: 2 }, id: "" },
        ],
      },
      "ok",
    ]);
    const { agent } = testAgent({ model, tools: [typed] });
    const run = agent.run("go");
    await run.settled();
    expect([...run.state.toolCalls].map(([id, call]) => [id, call.output])).toEqual([
      ["1.0", 2],
      ["1.1", 3],
    ]);
  });

  it("more than 64 calls or 1 MiB of arguments end the turn as failed, in one sentence", async () => {
    for (const chunk of [
      { type: "tool_call", index: 64, name: "typed", args: "{}" } as const,
      { type: "tool_call", index: 0, name: "typed", args: "x".repeat(1_048_577) } as const,
    ]) {
      const { agent, log } = testAgent({ model: scriptedModel([[chunk]]), tools: [typed] });
      const run = agent.run("go");
      expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "model" } });
      checkLog(await stored(log, run.id));
    }
  });

  it("asynchronous schema checks work, and an interrupt during them settles the calls once", async () => {
    const gate = deferred<boolean>();
    const slow = defineTool({
      name: "checked",
      description: "checked",
      input: z.object({ n: z.number() }).refine(() => gate.promise, "not allowed"),
      execute: () => "ran",
    });
    const script = scriptedModel([{ calls: [{ name: "checked", args: { n: 1 } }] }, "ok"]);
    const { agent, log } = testAgent({ model: script, tools: [slow] });
    const run = agent.run("go");
    await until(run, "message");
    expect(await run.interrupt("", { mode: "step" })).toMatchObject({ effective: true });
    expect(run.state.toolCalls.get("1.0")?.outcome).toBe("skipped");
    gate.resolve(true);
    await quiet();
    expect(await eventsOf(log, run, "tool_start")).toEqual([]);
    checkLog(await stored(log, run.id));

    const { agent: other } = testAgent({
      model: scriptedModel([{ calls: [{ name: "checked", args: { n: 1 } }] }, "ok"]),
      tools: [slow],
    });
    const second = other.run("go");
    expect(await second.settled()).toMatchObject({ status: "done" });
    expect(second.state.toolCalls.get("1.0")?.output).toBe("ran");
  });
});

describe("results", () => {
  const results = [
    ["undefined is null", () => undefined, { outcome: "ok", output: null }],
    ["a string stays", () => "text \u2028 \u0000", { outcome: "ok", output: "text \u2028 \u0000" }],
    ["an object is copied", () => ({ a: [1, { b: null }] }), { outcome: "ok", output: { a: [1, { b: null }] } }],
    ["a date is its text", () => new Date(0), { outcome: "ok", output: "1970-01-01T00:00:00.000Z" }],
    ["BigInt is no JSON", () => 1n, { outcome: "error" }],
    ["a cycle is no JSON", () => cycle(), { outcome: "error" }],
    ["a function is no JSON", () => () => 1, { outcome: "error" }],
    ["a throw is an error", () => fail("no such city"), { outcome: "error", error: { message: "no such city" } }],
    ["a throw of nothing", () => failWith(undefined), { outcome: "error" }],
    ["a rejection", () => Promise.reject(new Error("later")), { outcome: "error", error: { message: "later" } }],
  ] as const;

  it.each(results)("%s", async (_name, execute, expected) => {
    const { agent, log } = testAgent({ model: calling({ name: "t" }), tools: [tool("t", execute)] });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(run.state.toolCalls.get("1.0")).toMatchObject(expected);
    checkLog(await stored(log, run.id));
  });

  it("what a tool changes after it answered does not change the log", async () => {
    const answer = { list: [1] };
    const { agent } = testAgent({ model: calling({ name: "t" }), tools: [tool("t", () => answer)] });
    const run = agent.run("go");
    await run.settled();
    answer.list.push(2);
    expect(run.state.toolCalls.get("1.0")?.output).toEqual({ list: [1] });
  });

  it("an output schema holds the tool to its word", async () => {
    const wrong = defineTool({
      name: "t",
      description: "t",
      input: nothing,
      output: z.object({ n: z.number() }),
      execute: () => ({ n: "1" }),
    });
    const { agent } = testAgent({ model: calling({ name: "t" }), tools: [wrong] });
    const run = agent.run("go");
    await run.settled();
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "error", error: { code: "output" } });
  });
});

describe("what a tool says", () => {
  it("is checked before it is recorded: what is no text is the tool's error, and the log stays valid", async () => {
    const five: string = JSON.parse("5");
    const { agent, log } = testAgent({
      model: scriptedModel([{ calls: [{ name: "emits" }, { name: "interrupts" }, { name: "unnamed" }] }, "end"]),
      tools: [
        tool("emits", (ctx) => {
          ctx.emit(five);
        }),
        tool("interrupts", (ctx) => ctx.interrupt(five)),
        tool("unnamed", (ctx) => {
          ctx.emit("");
        }),
      ],
    });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect([...run.state.toolCalls.values()].map(({ outcome, error }) => [outcome, error?.message])).toEqual([
      ["error", expect.stringMatching(/"name" must be a text that is not empty; received 5/)],
      ["error", expect.stringMatching(/"reason" must be a text; received 5/)],
      ["error", expect.stringMatching(/"name" must be a text that is not empty; received ""/)],
    ]);
    expect(await verify(log, run.id)).toMatchObject({ ok: true });
  });
});

describe("the tool's context", () => {
  it("carries ids, key, the program's context, progress and own events; after the outcome they are ignored", async () => {
    const kept: ToolContext[] = [];
    const { agent, log } = testAgent({
      model: calling({ name: "t" }),
      tools: [
        tool("t", async (ctx) => {
          kept.push(ctx);
          ctx.progress({ half: true });
          await quiet();
          ctx.emit("plan", { steps: 2 });
        }),
      ],
    });
    const run = agent.run("go", { context: { user: "Lovelace" } });
    await run.settled();
    const [ctx] = kept;
    expect(ctx).toMatchObject({
      runId: run.id,
      callId: "1.0",
      attempt: 1,
      idempotencyKey: `${run.id}:1.0`,
      context: { user: "Lovelace" },
    });
    const seq = run.state.seq;
    ctx?.progress("late");
    ctx?.emit("late");
    expect(run.state.seq).toBe(seq);
    expect(await eventsOf(log, run, "tool_progress")).toMatchObject([{ data: { value: { half: true } } }]);
    expect(await eventsOf(log, run, "custom")).toMatchObject([
      { data: { name: "plan", data: { steps: 2 }, callId: "1.0" } },
    ]);
    expect(JSON.stringify(await stored(log, run.id))).not.toContain("Lovelace");
  });

  it("is dead once its call has an outcome, also while the run goes on", async () => {
    const kept: ToolContext[] = [];
    const gate = deferred();
    const { agent, log } = testAgent({
      model: calling({ name: "short" }, { name: "long" }),
      tools: [tool("short", (ctx) => kept.push(ctx)), tool("long", () => gate.promise)],
    });
    const run = agent.run("go");
    await until(run, "tool_result", ({ data }) => data.callId === "1.0");
    await quiet();
    const { seq } = run.state;
    const [ctx] = kept;
    ctx?.emit("late");
    ctx?.progress("late");
    expect(await ctx?.interrupt("late")).toEqual({ accepted: false, reason: "settled" });
    expect(run.state.value).toBe("acting.executing");
    expect(run.state.seq).toBe(seq);
    gate.resolve();
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(JSON.stringify(await stored(log, run.id))).not.toContain("late");
    checkLog(await stored(log, run.id));
  });

  it("interrupts at the step boundary: the other calls of the step are not told to stop, and end well", async () => {
    const aborted: string[] = [];
    const gate = deferred<string>();
    const polite = tool("polite", ({ callId, signal }) => {
      signal.addEventListener("abort", () => aborted.push(callId));
      return Promise.race([
        gate.promise,
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reject(new Error("stopped"));
          });
        }),
      ]);
    });
    const model = scriptedModel([{ calls: [{ name: "polite" }, { name: "stopper" }] }, "after"]);
    const { agent, log } = testAgent({ model, tools: [polite, tool("stopper", (ctx) => ctx.interrupt("enough"))] });
    const run = agent.run("go");
    await until(run, "tool_result", ({ data }) => data.callId === "1.1");
    await quiet();
    expect(run.state.interruptRequested).toBe(true);
    expect(run.state.value).toBe("acting.executing");
    gate.resolve("finished");
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(aborted).toEqual([]);
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "ok", output: "finished" });
    expect(run.state.toolCalls.get("1.1")).toMatchObject({ outcome: "ok" });
    expect(model.requests).toHaveLength(1);
    expect(await eventsOf(log, run, "interrupt")).toMatchObject([
      { data: { by: "tool", reason: "enough", mode: "step" } },
    ]);
    checkLog(await stored(log, run.id));
  });

  it("commands from inside a tool resolve when recorded, also deep in its awaits; the tool does not wait for itself", async () => {
    const answers: unknown[] = [];
    const { agent } = testAgent({
      model: scriptedModel([{ calls: [{ name: "t" }] }, "never"]),
      tools: [
        tool("t", async (ctx) => {
          await quiet();
          answers.push(await ctx.interrupt("enough"));
          answers.push(await run.interrupt("again"));
          return "finished";
        }),
      ],
    });
    const run = agent.run("go");
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(answers).toMatchObject([{ accepted: true }, { accepted: true, effective: false }]);
    expect(run.state.toolCalls.get("1.0")).toMatchObject({ outcome: "ok", output: "finished" });
  });
});

function cycle(): unknown {
  const loop: { self?: unknown } = {};
  loop.self = loop;
  return loop;
}

function fail(message: string): never {
  throw new Error(message);
}

function failWith(value: unknown): never {
  throw value;
}
