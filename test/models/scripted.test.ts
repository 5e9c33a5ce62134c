import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { RubatoError } from "../../runtime/errors.ts";
import type { ChatModel, ModelChunk, ModelRequest } from "../../runtime/models/chat-model.ts";
import { pause, scriptedModel, toolCalls, type Script } from "../../runtime/models/scripted.ts";

const request: ModelRequest = { instructions: "", messages: [], tools: [] };
const live = () => new AbortController().signal;
const text = (value: string): ModelChunk => ({ type: "text", text: value });

async function ask(model: ChatModel, signal = live(), asked = request): Promise<ModelChunk[]> {
  const chunks: ModelChunk[] = [];
  for await (const chunk of model.stream(asked, { signal })) chunks.push(chunk);
  return chunks;
}

function iterate(model: ChatModel, options: { signal: AbortSignal }): AsyncIterator<ModelChunk> {
  const stream = model.stream(request, options);
  return stream[Symbol.asyncIterator]();
}

const play = (script: Script) => ask(scriptedModel(script));

describe("the forms of a step", () => {
  it("streams a string word by word and stops", async () => {
    expect(await play(["Hello wide  world \n"])).toEqual([
      text("Hello"),
      text(" wide"),
      text("  world"),
      text(" \n"),
      { type: "finish", finish: "stop" },
    ]);
    expect(await play([""])).toEqual([{ type: "finish", finish: "stop" }]);
  });

  it("streams reasoning, text and calls of a short form, with the finish that fits", async () => {
    const usage = { inputTokens: 1, outputTokens: 2 };
    const calls = [{ name: "f", args: { x: 1 } }, { name: "g", args: "{broken", id: "" }, { name: "h" }];
    expect(await play([{ reasoning: "hm so", text: "ok", calls, usage }])).toEqual([
      { type: "reasoning", text: "hm so" },
      text("ok"),
      { type: "tool_call", index: 0, id: "call_0", name: "f" },
      { type: "tool_call", index: 1, id: "", name: "g" },
      { type: "tool_call", index: 2, id: "call_2", name: "h" },
      { type: "tool_call", index: 0, args: '{"x":1}' },
      { type: "tool_call", index: 1, args: "{broken" },
      { type: "tool_call", index: 2, args: "{}" },
      { type: "finish", finish: "tool_calls", usage },
    ]);
    expect((await play([{ calls, finish: "length" }])).at(-1)).toEqual({ type: "finish", finish: "length" });
  });

  it("plays chunks as they are, and adds a finish only when there is none", async () => {
    const call: ModelChunk = { type: "tool_call", index: 0, id: "a", name: "f", args: "{}" };
    expect(await play([[text("a b"), call]])).toEqual([text("a b"), call, { type: "finish", finish: "tool_calls" }]);
    const finish: ModelChunk = { type: "finish", finish: "stop" };
    expect(await play([[call, finish]])).toEqual([call, finish]);
  });

  it("numbers the calls of several parts through", async () => {
    const chunks = await play([["first", { calls: [{ name: "f" }] }, { calls: [{ name: "g" }] }]]);
    expect(chunks.flatMap((chunk) => (chunk.type === "tool_call" ? [chunk.index] : []))).toEqual([0, 0, 1, 1]);
  });

  it("ends without a finish when it is truncated", async () => {
    expect(await play([{ end: "truncated" }])).toEqual([]);
    expect(await play([["a", { text: "b", end: "truncated" }, "never"]])).toEqual([text("a"), text("b")]);
  });

  it("throws after what stands before the error, and then is over", async () => {
    const broken = new TypeError("terminated");
    const iterator = iterate(scriptedModel([["a", { error: broken }]]), { signal: live() });
    expect(await iterator.next()).toEqual({ done: false, value: text("a") });
    await expect(iterator.next()).rejects.toBe(broken);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    const told = ask(scriptedModel([{ error: "overloaded" }]));
    await expect(told).rejects.toMatchObject({ code: "model", message: "overloaded" });
    await expect(told).rejects.toBeInstanceOf(RubatoError);
  });

  it("is made by a function of the request and its number", async () => {
    const model = scriptedModel((asked, index) => `${asked.instructions}${index}`);
    const asked = { ...request, instructions: "n" };
    expect(await ask(model, live(), asked)).toContainEqual(text("n0"));
    expect(await ask(model, live(), asked)).toContainEqual(text("n1"));
  });
});

describe("requests", () => {
  it("are recorded when they are made, which is at the first next()", async () => {
    const model = scriptedModel(["a", "b"], { name: "mine" });
    expect(model.name).toBe("mine");
    const stream = model.stream(request, { signal: live() });
    expect(model.requests).toEqual([]);
    await stream[Symbol.asyncIterator]().next();
    expect(model.requests[0]).toBe(request);
    await ask(model);
    expect(model.requests).toHaveLength(2);
  });

  it("past the end say so", async () => {
    const model = scriptedModel(["only"]);
    await ask(model);
    await expect(ask(model)).rejects.toMatchObject({
      code: "invalid_input",
      message: expect.stringContaining("has 1 step and got request 2"),
    });
    expect(model.requests).toHaveLength(2);
  });
});

describe("a pause", () => {
  it("holds the stream until the test opens it, and tells the test when it is reached", async () => {
    const gate = pause("before b");
    const stream = iterate(scriptedModel([["a", gate, "b"]]), { signal: live() });
    let reached = false;
    const noted = gate.reached.then(() => {
      reached = true;
    });
    expect((await stream.next()).value).toEqual(text("a"));
    expect(reached).toBe(false);
    let wentOn = false;
    const next = stream.next().finally(() => {
      wentOn = true;
    });
    await noted;
    await new Promise((resolve) => setImmediate(resolve));
    expect(wentOn).toBe(false);
    gate.open();
    expect((await next).value).toEqual(text("b"));
  });

  it("ends the stream quietly when the signal aborts, and leaves no listener behind", async () => {
    const gate = pause();
    const controller = new AbortController();
    const { signal } = controller;
    const stream = iterate(scriptedModel([[gate, "never"]]), { signal });
    const next = stream.next();
    await gate.reached;
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    controller.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("that is open already holds nothing", async () => {
    const gate = pause();
    gate.open();
    expect(await play([[gate, "a"]])).toEqual([text("a"), { type: "finish", finish: "stop" }]);
  });
});

describe("an end from outside", () => {
  it("comes after an abort between two chunks, without a finish", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const seen: ModelChunk[] = [];
    for await (const chunk of scriptedModel(["a b c"]).stream(request, { signal })) {
      seen.push(chunk);
      controller.abort();
    }
    expect(seen).toEqual([text("a")]);
  });

  it("comes before any request when the signal has aborted already", async () => {
    const model = scriptedModel(["a"]);
    expect(await ask(model, AbortSignal.abort())).toEqual([]);
    expect(model.requests).toEqual([]);
  });
});

describe("toolCalls", () => {
  it("interleaves the fragments of parallel calls", () => {
    const calls = [
      { name: "f", args: "12345" },
      { name: "g", args: "678", id: "mine" },
    ];
    expect(toolCalls(calls, { fragment: 3 })).toEqual([
      { type: "tool_call", index: 0, id: "call_0", name: "f" },
      { type: "tool_call", index: 1, id: "mine", name: "g" },
      { type: "tool_call", index: 0, args: "123" },
      { type: "tool_call", index: 1, args: "678" },
      { type: "tool_call", index: 0, args: "45" },
    ]);
    expect(() => toolCalls(calls, { fragment: 0 })).toThrow("got 0");
  });
});
