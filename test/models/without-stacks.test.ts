import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { openaiModel, type ModelChunk } from "rubato";
import { LazySignal } from "../../runtime/lazy-signal.ts";
import { withoutStacks } from "../../runtime/models/without-stacks.ts";

describe("withoutStacks", () => {
  it("no error that is made meanwhile has a stack, and every one after it does, also where the closing throws", () => {
    const limit = Error.stackTraceLimit;
    const made: Error[] = [];
    withoutStacks(() => made.push(new Error("inside")));
    expect(made[0]?.stack).toBe("Error: inside");
    expect(() => {
      withoutStacks(() => {
        throw new Error("closing failed");
      });
    }).toThrow("closing failed");
    expect(Error.stackTraceLimit).toBe(limit);
    expect(new Error("after").stack).toContain("without-stacks.test");
  });

  it("where the limit cannot be set it closes all the same", () => {
    const limit = Error.stackTraceLimit;
    const closed: string[] = [];
    Object.defineProperty(Error, "stackTraceLimit", { value: limit, writable: false, configurable: true });
    try {
      withoutStacks(() => closed.push("yes"));
    } finally {
      Object.defineProperty(Error, "stackTraceLimit", { value: limit, writable: true, enumerable: true });
    }
    expect(closed).toEqual(["yes"]);
    expect(Error.stackTraceLimit).toBe(limit);
  });

  it("a stop closes the body of an answer without them", async () => {
    const stacks: (string | undefined)[] = [];
    const frame = JSON.stringify({ choices: [{ index: 0, delta: { content: "hello" } }] });
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(`data: ${frame}\n\n`));
      },
      cancel() {
        stacks.push(new Error("closed").stack);
      },
    });
    const response = new Response(body, { headers: { "content-type": "text/event-stream" } });
    const client = new OpenAI({ apiKey: "k", fetch: () => Promise.resolve(response) });
    const model = openaiModel({ model: "m", client });
    const call = new LazySignal();
    const read: ModelChunk[] = [];
    for await (const chunk of model.stream({ instructions: "", messages: [], tools: [] }, call)) {
      read.push(chunk);
      LazySignal.abort(call);
    }
    expect(read).toEqual([{ type: "text", text: "hello" }]);
    expect(stacks).toEqual(["Error: closed"]);
  });
});
