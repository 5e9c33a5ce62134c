import * as fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { messageListProblem, type Message } from "../../machines/messages.ts";
import type { ModelChunk, ModelRequest } from "../../runtime/models/chat-model.ts";
import { toWireMessages } from "../../runtime/models/openai-messages.ts";
import { openaiModelWith } from "../../runtime/models/openai.ts";
import { pause, toolCalls } from "../../runtime/models/scripted.ts";
import { strictEndpoint, wireProblem, type StrictEndpoint } from "../support/strict-endpoint.ts";

const running: StrictEndpoint[] = [];
afterEach(() => Promise.all(running.splice(0).map((endpoint) => endpoint.close())));

const user: Message = { role: "user", content: "hi" };
const call = (callId: string) => ({ callId, providerCallId: "", name: "f", args: "{}" });
const result = (callId: string): Message => ({ role: "tool", callId, name: "f", content: "1", outcome: "ok" });
const ask = (messages: readonly Message[]): ModelRequest => ({ instructions: "", messages, tools: [] });

async function start(script: Parameters<typeof strictEndpoint>[0]) {
  const endpoint = await strictEndpoint(script);
  running.push(endpoint);
  const model = openaiModelWith({ model: "m", baseURL: endpoint.baseURL }, { environment: {} });
  const send = async (messages: readonly Message[]): Promise<ModelChunk[]> => {
    const chunks: ModelChunk[] = [];
    for await (const chunk of model.stream(ask(messages), { signal: new AbortController().signal })) chunks.push(chunk);
    return chunks;
  };
  return { endpoint, send };
}

describe("the strict endpoint", () => {
  it("serves the script, interleaved calls and usage included, and records the requests", async () => {
    const usage = { inputTokens: 1, outputTokens: 2 };
    const calls = toolCalls([{ name: "f", args: { x: 1 } }, { name: "g" }], { fragment: 2 });
    const { endpoint, send } = await start(["Hello there", [{ reasoning: "hm" }, ...calls, { usage }]]);
    expect(await send([user])).toEqual([
      { type: "text", text: "Hello" },
      { type: "text", text: " there" },
      { type: "finish", finish: "stop" },
    ]);
    expect(await send([user])).toEqual([
      { type: "reasoning", text: "hm" },
      ...calls,
      { type: "finish", finish: "tool_calls", usage },
    ]);
    expect(endpoint.requests).toHaveLength(2);
    expect(endpoint.problems).toEqual([]);
  });

  it.each<[string, readonly Message[]]>([
    ["a call without a result", [user, { role: "assistant", content: "", toolCalls: [call("1.0")] }]],
    ["a call without a result in the middle", [{ role: "assistant", content: "", toolCalls: [call("1.0")] }, user]],
    ["a result without a call", [user, result("1.0")]],
    ["a result too many", [{ role: "assistant", content: "", toolCalls: [call("1.0")] }, result("1.0"), result("1.0")]],
    [
      "results in the wrong order",
      [{ role: "assistant", content: "", toolCalls: [call("1.0"), call("1.1")] }, result("1.1"), result("1.0")],
    ],
    ["no message", []],
  ])("answers 400 to %s, and keeps the step", async (_what, messages) => {
    const { endpoint, send } = await start(["fine"]);
    await expect(send(messages)).rejects.toMatchObject({ code: "model", message: expect.stringContaining("(400)") });
    expect(endpoint.problems).toHaveLength(1);
    expect((await send([user])).at(-1)).toEqual({ type: "finish", finish: "stop" });
  });

  it("refuses arguments that are no JSON of an object, and empty messages", () => {
    const body = (message: unknown) => ({
      model: "m",
      stream: true,
      messages: [message, { role: "tool", tool_call_id: "a", content: "" }],
    });
    const calling = (args: string) => ({
      role: "assistant",
      content: null,
      tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: args } }],
    });
    expect(wireProblem(body(calling("{}")))).toBeUndefined();
    expect(wireProblem(body(calling('{"x":')))).toContain("arguments");
    expect(wireProblem(body(calling("[]")))).toContain("arguments");
    expect(wireProblem(body({ role: "assistant", content: "" }))).toContain("neither content nor calls");
    expect(wireProblem(body({ role: "user" }))).toContain("no content");
  });

  it("holds at a pause, truncates and breaks where the script says so", async () => {
    const gate = pause();
    const { endpoint, send } = await start([
      ["a", gate, "b"],
      { text: "a", end: "truncated" },
      { text: "a", error: "x" },
    ]);
    const sent = send([user]);
    await gate.reached;
    gate.open();
    expect(await sent).toHaveLength(3);
    expect(await send([user])).toEqual([{ type: "text", text: "a" }]);
    await expect(send([user])).rejects.toMatchObject({ message: expect.stringContaining("broke in the middle") });
    expect(endpoint.problems).toEqual([]);
  });
});

describe("what the adapter sends", () => {
  /** Any list of messages that is valid by the rules of the core, whatever the texts and ids in it. */
  const anyText = fc.string({ unit: "binary", maxLength: 12 });
  const turn = fc.oneof(
    anyText.map((content): Message[] => [{ role: "user", content }]),
    fc
      .record({ content: anyText, cut: fc.boolean() })
      .map(({ content, cut }): Message[] => [
        cut ? { role: "assistant", content, cut } : { role: "assistant", content },
      ]),
    fc
      .record({
        content: anyText,
        ids: fc.uniqueArray(
          fc.oneof(
            fc.nat(9).map((at) => `1.${at}`),
            anyText,
          ),
          { minLength: 1, maxLength: 4 },
        ),
        args: anyText,
      })
      .map(({ content, ids, args }): Message[] => [
        { role: "assistant", content, toolCalls: ids.map((callId) => ({ ...call(callId), args })) },
        ...ids.map(result),
      ]),
  );

  it("is valid for a strict endpoint whenever the list is valid for the core", () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 6 }), (turns) => {
        const messages = turns.flat();
        expect(messageListProblem(messages)).toBeUndefined();
        const wire = toWireMessages({ ...ask(messages), instructions: "x" });
        const body: unknown = JSON.parse(JSON.stringify({ model: "m", stream: true, messages: wire }));
        expect(wireProblem(body)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });
});
