import { describe, expect, it } from "vitest";
import type { ModelChunk } from "../../runtime/models/chat-model.ts";
import { chatDecoder } from "../../runtime/models/openai-decoder.ts";
import { deltaFrame, usageFrame } from "../support/fault-server.ts";

function decode(frames: readonly unknown[]): ModelChunk[] {
  const decoder = chatDecoder();
  const chunks: ModelChunk[] = [];
  for (const frame of frames) decoder.push(frame, chunks);
  const end = decoder.end();
  return end === undefined ? chunks : [...chunks, end];
}

/** The calls that the chunks add up to, as a run would put them together. */
function calls(chunks: readonly ModelChunk[]) {
  const byIndex = new Map<number, { id: string; name: string; args: string }>();
  for (const chunk of chunks) {
    if (chunk.type !== "tool_call") continue;
    const call = byIndex.get(chunk.index) ?? { id: "", name: "", args: "" };
    byIndex.set(chunk.index, {
      id: call.id + (chunk.id ?? ""),
      name: call.name + (chunk.name ?? ""),
      args: call.args + (chunk.args ?? ""),
    });
  }
  return [...byIndex.entries()].sort(([a], [b]) => a - b).map(([, call]) => call);
}

const call = (part: Readonly<Record<string, unknown>>) => deltaFrame({ tool_calls: [part] });
const finishOf = (reason: string, before: readonly unknown[] = []) =>
  decode([...before, deltaFrame({}, reason)]).at(-1);

describe("an answer", () => {
  it("gives text, reasoning in both spellings, refusals and the usage that comes last", () => {
    expect(
      decode([
        deltaFrame({ role: "assistant", content: "" }),
        deltaFrame({ reasoning_content: "hm" }),
        deltaFrame({ reasoning: "so", reasoning_content: "so" }),
        deltaFrame({ content: "Hi" }),
        deltaFrame({ refusal: "no", content: null }),
        deltaFrame({}, "stop"),
        usageFrame(3, 4),
      ]),
    ).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "reasoning", text: "so" },
      { type: "text", text: "Hi" },
      { type: "text", text: "no" },
      { type: "finish", finish: "stop", usage: { inputTokens: 3, outputTokens: 4 } },
    ]);
  });

  it("takes frames without choices, without a delta, and other choices, for nothing", () => {
    const frames = [
      { choices: [] },
      { choices: null },
      {},
      null,
      "x",
      { choices: [{ index: 0 }, null, { index: 1, delta: { content: "other" }, finish_reason: "stop" }] },
      { choices: [{ delta: { content: ["not", "text"], tool_calls: [null, 3] } }], usage: { prompt_tokens: null } },
    ];
    expect(decode(frames)).toEqual([]);
  });

  it("has no finish unless the endpoint gave a reason", () => {
    expect(decode([deltaFrame({ content: "half" })])).toEqual([{ type: "text", text: "half" }]);
    expect(decode([deltaFrame({ content: "half" }, "")]).at(-1)).toEqual({ type: "text", text: "half" });
  });

  it("has no finish when the endpoint says that it broke off", () => {
    for (const reason of ["error", "abort", "network_error", "insufficient_system_resource"]) {
      expect(finishOf(reason), reason).toBeUndefined();
    }
  });

  it("passes length on, and takes a content filter for a cut as well, with and without calls", () => {
    const half = [call({ index: 0, id: "a", function: { name: "f", arguments: '{"x":1}' } })];
    for (const reason of ["length", "content_filter", "max_tokens"]) {
      expect(finishOf(reason), reason).toEqual({ type: "finish", finish: "length" });
      expect(finishOf(reason, half), reason).toEqual({ type: "finish", finish: "length" });
    }
  });

  it("says tool_calls exactly when there were calls, whatever the endpoint says", () => {
    const one = [call({ index: 0, id: "a", function: { name: "f", arguments: "{}" } })];
    for (const reason of ["stop", "tool_calls", "function_call", "end_turn"]) {
      expect(finishOf(reason, one), reason).toEqual({ type: "finish", finish: "tool_calls" });
      expect(finishOf(reason), reason).toEqual({ type: "finish", finish: "stop" });
    }
  });
});

describe("tool calls", () => {
  it("keeps interleaved fragments apart by their number", () => {
    const chunks = decode([
      call({ index: 0, id: "a", type: "function", function: { name: "f", arguments: "" } }),
      call({ index: 1, id: "b", type: "function", function: { name: "g", arguments: "" } }),
      call({ index: 1, function: { arguments: '{"y"' } }),
      call({ index: 0, function: { arguments: '{"x"' } }),
      call({ index: 1, function: { arguments: ":2}" } }),
      call({ index: 0, function: { arguments: ":1}" } }),
    ]);
    expect(calls(chunks)).toEqual([
      { id: "a", name: "f", args: '{"x":1}' },
      { id: "b", name: "g", args: '{"y":2}' },
    ]);
  });

  it("tells id and name once, although every fragment repeats them", () => {
    const part = (args: string) => call({ index: 0, id: "a", function: { name: "f", arguments: args } });
    expect(decode([part('{"x"'), part(":1}"), part("")])).toEqual([
      { type: "tool_call", index: 0, id: "a", name: "f", args: '{"x"' },
      { type: "tool_call", index: 0, args: ":1}" },
    ]);
  });

  it("counts from 0 when the endpoint counts from 1", () => {
    const chunks = decode([call({ index: 1, id: "a", function: { name: "f", arguments: "{}" } })]);
    expect(chunks[0]).toMatchObject({ index: 0 });
  });

  it("tells calls that all have the number 0 apart by id", () => {
    const chunks = decode([
      call({ index: 0, id: "a", function: { name: "f", arguments: '{"x":1}' } }),
      call({ index: 0, id: "b", function: { name: "f", arguments: '{"x":2}' } }),
    ]);
    expect(calls(chunks)).toEqual([
      { id: "a", name: "f", args: '{"x":1}' },
      { id: "b", name: "f", args: '{"x":2}' },
    ]);
  });

  it("does not begin a call for an endpoint that makes up an id per fragment", () => {
    for (const index of [0, undefined]) {
      const chunks = decode([
        call({ index, id: "a", function: { name: "f", arguments: '{"x"' } }),
        call({ index, id: "b", function: { arguments: ":1}" } }),
      ]);
      expect(calls(chunks)).toEqual([{ id: "a", name: "f", args: '{"x":1}' }]);
    }
  });

  it("reads calls without a number: a new id begins, a known or missing one goes on", () => {
    const chunks = decode([
      call({ id: "a", function: { name: "f", arguments: '{"x"' } }),
      call({ function: { arguments: ":1" } }),
      call({ id: "b", function: { name: "g", arguments: '{"y"' } }),
      call({ id: "a", function: { arguments: "}" } }),
      call({ id: "b", function: { name: "g", arguments: ":2}" } }),
      call({ id: "a", function: {} }),
      call({ function: { arguments: " " } }),
    ]);
    expect(calls(chunks)).toEqual([
      { id: "a", name: "f", args: '{"x":1} ' },
      { id: "b", name: "g", args: '{"y":2}' },
    ]);
  });

  it("reads calls whose number is only told at their beginning", () => {
    const chunks = decode([
      call({ index: 0, id: "a", function: { name: "f", arguments: '{"x"' } }),
      call({ index: 1, id: "b", function: { name: "g", arguments: "{}" } }),
      call({ id: "a", function: { arguments: ":1}" } }),
    ]);
    expect(calls(chunks)).toEqual([
      { id: "a", name: "f", args: '{"x":1}' },
      { id: "b", name: "g", args: "{}" },
    ]);
  });

  it("reads calls without number and id: a name begins a call, unless the one before is not complete", () => {
    const chunks = decode([
      call({ function: { name: "f", arguments: '{"x"' } }),
      call({ function: { name: "f", arguments: ":1}" } }),
      call({ function: { name: "f", arguments: '{"x":2}' } }),
      call({ id: "", function: { name: "g", arguments: "{}" } }),
    ]);
    expect(calls(chunks)).toEqual([
      { id: "", name: "f", args: '{"x":1}' },
      { id: "", name: "f", args: '{"x":2}' },
      { id: "", name: "g", args: "{}" },
    ]);
  });

  it("keeps calls with the same id apart when they are numbered", () => {
    const chunks = decode([
      call({ index: 0, id: "same", function: { name: "f", arguments: "{}" } }),
      call({ index: 1, id: "same", function: { name: "g", arguments: "{}" } }),
    ]);
    expect(calls(chunks)).toEqual([
      { id: "same", name: "f", args: "{}" },
      { id: "same", name: "g", args: "{}" },
    ]);
  });

  it("takes arguments that come parsed, and the old function_call", () => {
    expect(calls(decode([call({ index: 0, function: { name: "f", arguments: { x: 1 } } })]))).toEqual([
      { id: "", name: "f", args: '{"x":1}' },
    ]);
    const old = decode([
      deltaFrame({ function_call: { name: "f", arguments: '{"x"' } }),
      deltaFrame({ function_call: { arguments: ":1}" } }),
      deltaFrame({}, "function_call"),
    ]);
    expect(calls(old)).toEqual([{ id: "", name: "f", args: '{"x":1}' }]);
    expect(old.at(-1)).toEqual({ type: "finish", finish: "tool_calls" });
  });
});
