import { afterEach, describe, expect, it } from "vitest";
import type { Message } from "../../machines/messages.ts";
import { RubatoError } from "../../runtime/errors.ts";
import type { ModelChunk } from "../../runtime/models/chat-model.ts";
import { modelFailureOf } from "../../runtime/models/openai-errors.ts";
import { openaiModel } from "../../runtime/models/openai.ts";
import { startAimock, type Aimock } from "../support/aimock.ts";

// An endpoint that others wrote, through the real SDK: it shares none of this repository's ideas about the protocol.

const running: Aimock[] = [];
afterEach(() => Promise.all(running.splice(0).map((aimock) => aimock.close())));

async function start(
  set: (mock: Aimock["mock"]) => void,
  messages: readonly Message[] = [{ role: "user", content: "go" }],
) {
  const aimock = await startAimock();
  running.push(aimock);
  set(aimock.mock);
  const model = openaiModel({ model: "mock", baseURL: aimock.baseURL, apiKey: "sk-mock" });
  const tools = [{ name: "add", description: "adds", parameters: { type: "object", properties: {} } }];
  const controller = new AbortController();
  const chunks: ModelChunk[] = [];
  const read = async (onChunk?: () => void): Promise<void> => {
    for await (const chunk of model.stream(
      { instructions: "Be brief.", messages, tools },
      { signal: controller.signal },
    )) {
      chunks.push(chunk);
      onChunk?.();
    }
  };
  return { aimock, chunks, read, controller };
}

const textIn = (chunks: readonly ModelChunk[]) =>
  chunks.flatMap((chunk) => (chunk.type === "text" ? [chunk.text] : [])).join("");
const finishIn = (chunks: readonly ModelChunk[]) => chunks.filter((chunk) => chunk.type === "finish");

function callsIn(chunks: readonly ModelChunk[]) {
  const calls: { name: string; args: string }[] = [];
  for (const chunk of chunks) {
    if (chunk.type !== "tool_call") continue;
    const call = (calls[chunk.index] ??= { name: "", args: "" });
    call.name += chunk.name ?? "";
    call.args += chunk.args ?? "";
  }
  return calls;
}

async function failure(promise: Promise<unknown>): Promise<RubatoError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RubatoError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("aimock", () => {
  it("streams text and usage, also slowly", async () => {
    const { read, chunks } = await start((mock) =>
      mock.onMessage(
        "go",
        { content: "It rains in Rome.", usage: { prompt_tokens: 9, completion_tokens: 5 } },
        { chunkSize: 3, latency: 2 },
      ),
    );
    await read();
    expect(textIn(chunks)).toBe("It rains in Rome.");
    expect(finishIn(chunks)).toEqual([{ type: "finish", finish: "stop", usage: { inputTokens: 9, outputTokens: 5 } }]);
    expect(chunks.at(-1)?.type).toBe("finish");
  });

  it("streams reasoning", async () => {
    const { read, chunks } = await start((mock) =>
      mock.onMessage("go", { content: "42", reasoning: "six times seven" }),
    );
    await read();
    expect(chunks.find((chunk) => chunk.type === "reasoning")).toEqual({ type: "reasoning", text: "six times seven" });
    expect(textIn(chunks)).toBe("42");
  });

  it("calls one tool, then gets its result under the id that it reads", async () => {
    const messages: Message[] = [
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: "",
        toolCalls: [{ callId: "1.0", providerCallId: "x", name: "add", args: '{"a":1}' }],
      },
      { role: "tool", callId: "1.0", name: "add", content: "2", outcome: "ok" },
    ];
    const set = (mock: Aimock["mock"]) =>
      mock
        .onToolResult("call_1_0", { content: "It is 2." })
        .onMessage("go", { toolCalls: [{ name: "add", arguments: { a: 1 } }] }, { chunkSize: 2 });
    const first = await start(set);
    await first.read();
    expect(callsIn(first.chunks)).toEqual([{ name: "add", args: '{"a":1}' }]);
    expect(finishIn(first.chunks)).toMatchObject([{ finish: "tool_calls" }]);
    const second = await start(set, messages);
    await second.read();
    expect(textIn(second.chunks)).toBe("It is 2.");
  });

  it("streams three parallel tools", async () => {
    const toolCalls = ["one", "two", "three"].map((value) => ({
      name: `say_${value}`,
      arguments: { value, long: "x".repeat(20) },
    }));
    const { read, chunks } = await start((mock) =>
      mock.onMessage("go", { content: "Three at once.", toolCalls }, { chunkSize: 4 }),
    );
    await read();
    expect(callsIn(chunks).map(({ name, args }) => ({ name, arguments: JSON.parse(args) }))).toEqual(toolCalls);
    expect(textIn(chunks)).toBe("Three at once.");
    expect(finishIn(chunks)).toMatchObject([{ finish: "tool_calls" }]);
  });

  it("stops with length", async () => {
    const { read, chunks } = await start((mock) => mock.onMessage("go", { content: "cut", finishReason: "length" }));
    await read();
    expect(finishIn(chunks)).toMatchObject([{ finish: "length" }]);
  });

  it("truncates and disconnects: an error, the text before it kept, no finish", async () => {
    for (const how of [{ truncateAfterChunks: 3 }, { disconnectAfterMs: 40 }]) {
      const { read, chunks } = await start((mock) =>
        mock.onMessage(
          "go",
          { content: "an answer that is cut somewhere".repeat(20) },
          { chunkSize: 4, latency: 5, ...how },
        ),
      );
      expect(modelFailureOf(await failure(read()))).toMatchObject({ kind: "network" });
      expect("an answer that is cut somewhere".repeat(20).startsWith(textIn(chunks))).toBe(true);
      expect(finishIn(chunks)).toEqual([]);
    }
  });

  it("limits the rate: asked once, and Retry-After can be read", async () => {
    const limited = { error: { message: "slow down", type: "rate_limit_error" }, status: 429, retryAfter: 3 };
    const { aimock, read } = await start((mock) => mock.onMessage("go", limited));
    const found = modelFailureOf(await failure(read()));
    expect(found).toMatchObject({ kind: "status", status: 429 });
    expect(found.kind === "status" && found.header("Retry-After")).toBe("3");
    expect(aimock.mock.getRequests()).toHaveLength(1);
  });

  it("is aborted in the middle", async () => {
    const { read, chunks, controller } = await start((mock) =>
      mock.onMessage("go", () => ({ content: "words ".repeat(500) }), { chunkSize: 6, latency: 5 }),
    );
    await read(() => controller.abort());
    expect(chunks).toHaveLength(1);
    expect(finishIn(chunks)).toEqual([]);
  });

  it("got what the adapter promises to send", async () => {
    const { aimock, read } = await start((mock) => mock.onMessage("go", { content: "ok" }));
    await read();
    expect(aimock.mock.getLastRequest()?.body).toMatchObject({
      model: "mock",
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "go" },
      ],
      tools: [{ type: "function", function: { name: "add" } }],
    });
  });
});
