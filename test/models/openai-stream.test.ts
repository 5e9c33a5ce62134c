import { getEventListeners } from "node:events";
import { OpenAI } from "openai";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RubatoError } from "../../runtime/errors.ts";
import type { ModelChunk, ModelRequest } from "../../runtime/models/chat-model.ts";
import type { ChatClient } from "../../runtime/models/openai-client.ts";
import { modelFailureOf } from "../../runtime/models/openai-errors.ts";
import { openaiModelWith } from "../../runtime/models/openai.ts";
import { pause } from "../../runtime/models/scripted.ts";
import { deltaFrame, faultServer, usageFrame, type Fault, type TestServer } from "../support/fault-server.ts";
import { handTimers } from "../support/hand-timers.ts";

// The traps of the SDK's streaming, each through the real SDK and a real socket. Time runs out only where a test says so.

const request: ModelRequest = { instructions: "", messages: [{ role: "user", content: "hi" }], tools: [] };
const a = deltaFrame({ content: "a" });
const b = deltaFrame({ content: "b" });
const stop = deltaFrame({}, "stop");
const text = (value: string): ModelChunk => ({ type: "text", text: value });

const servers: TestServer[] = [];
const printed: unknown[][] = [];

beforeEach(() => {
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => printed.push(args));
  }
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  vi.restoreAllMocks();
  expect(printed.splice(0)).toEqual([]); // The SDK prints bad frames unless it is told not to.
});

async function start(fault: Fault, more: Parameters<typeof faultServer>[1] = {}) {
  const server = await faultServer([fault], more);
  servers.push(server);
  const timers = handTimers();
  const controller = new AbortController();
  const model = openaiModelWith(
    { model: "m", baseURL: server.baseURL, idleTimeoutMs: 1_000, headerTimeoutMs: 2_000 },
    { environment: {}, setTimer: timers.setTimer },
  );
  const stream = model.stream(request, { signal: controller.signal })[Symbol.asyncIterator]();
  const read = async (): Promise<ModelChunk | "end"> => {
    const { done, value } = await stream.next();
    return done === true ? "end" : value;
  };
  const rest = async (): Promise<ModelChunk[]> => {
    const chunks: ModelChunk[] = [];
    for (let chunk = await read(); chunk !== "end"; chunk = await read()) chunks.push(chunk);
    return chunks;
  };
  /** What every exit must leave behind. */
  const isClean = () => {
    expect(timers.active()).toEqual([]);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  };
  return { server, timers, controller, stream, read, rest, isClean };
}

async function failure(promise: Promise<unknown>): Promise<RubatoError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RubatoError)) throw new Error(`expected a RubatoError, got ${String(error)}`);
  return error;
}

describe("a stream that goes well", () => {
  it("gives everything and one finish, and leaves nothing behind", async () => {
    const { server, rest, isClean } = await start({ frames: [a, b, stop, usageFrame(3, 2)], end: "done" });
    expect(await rest()).toEqual([
      text("a"),
      text("b"),
      { type: "finish", finish: "stop", usage: { inputTokens: 3, outputTokens: 2 } },
    ]);
    isClean();
    const seen = await server.request(0);
    expect(seen.path).toBe("/v1/chat/completions");
    expect(seen.headers["x-stainless-retry-count"]).toBe("0");
    expect(await seen.over).toBe("complete");
  });

  it("starts nothing before the first next()", async () => {
    const { server, timers, stream } = await start({ frames: [stop], end: "done" });
    await new Promise((resolve) => setImmediate(resolve));
    expect(server.requests).toEqual([]);
    expect(timers.active()).toEqual([]);
    await stream.return?.();
  });
});

describe("trap 1: an abort ends the stream quietly", () => {
  it("while it streams, without a finish, and closes the connection", async () => {
    const { server, controller, read, isClean } = await start({ frames: [a], end: "stall" });
    expect(await read()).toEqual(text("a"));
    const next = read();
    controller.abort();
    expect(await next).toBe("end");
    isClean();
    expect(await (await server.request(0)).over).toBe("closed");
  });

  it("between two chunks, although more has arrived", async () => {
    const { controller, rest, read, isClean } = await start({ frames: [a, b, stop], end: "done" });
    expect(await read()).toEqual(text("a"));
    controller.abort(new Error("a reason of the caller's"));
    expect(await rest()).toEqual([]);
    isClean();
  });

  it("before the headers have come", async () => {
    const { server, controller, read, isClean } = await start({ silent: true });
    const next = read();
    const seen = await server.request(0);
    controller.abort();
    expect(await next).toBe("end");
    isClean();
    expect(await seen.over).toBe("closed");
  });

  it("while the endpoint's error is being looked into", async () => {
    const gate = pause();
    const { controller, read, timers, isClean } = await start({ status: 404 }, { models: ["x"], modelsGate: gate });
    const next = read();
    await timers.started(3_000);
    await gate.reached;
    controller.abort();
    expect(await next).toBe("end");
    isClean();
  });
});

describe("trap 2: a cut answer has no finish", () => {
  it("when the connection ends cleanly without a reason", async () => {
    for (const end of ["close", "done"] as const) {
      const { rest, isClean } = await start({ frames: [a], end });
      expect(await rest(), end).toEqual([text("a")]);
      isClean();
    }
  });

  it("when nothing at all came in a stream", async () => {
    const { rest } = await start({ frames: [], end: "close" });
    expect(await rest()).toEqual([]);
  });
});

describe("trap 3: what breaks becomes one clear error", () => {
  it("a connection that is cut in the middle", async () => {
    const { server, rest, isClean } = await start({ frames: [a], end: "cut" });
    const error = await failure(rest());
    expect(error.code).toBe("model");
    expect(error.message).toBe(
      `The connection to ${server.baseURL} broke in the middle of the answer (UND_ERR_SOCKET).`,
    );
    expect(modelFailureOf(error)).toEqual({ kind: "network", code: "UND_ERR_SOCKET" });
    isClean();
  });

  it("a connection that is reset", async () => {
    const gate = pause();
    const { read, isClean } = await start({ frames: [a, gate], end: "reset" });
    expect(await read()).toEqual(text("a"));
    const error = failure(read());
    gate.open();
    expect(modelFailureOf(await error).kind).toBe("network");
    isClean();
  });

  it("a frame that is not JSON", async () => {
    const { server, read, isClean } = await start({ frames: [a, "{broken"], end: "done" });
    expect(await read()).toEqual(text("a"));
    const error = await failure(read());
    expect(error.message).toBe(`${server.baseURL} sent something that is not JSON in the middle of its answer.`);
    expect(modelFailureOf(error)).toEqual({ kind: "frame" });
    expect(error.cause).toBeInstanceOf(SyntaxError);
    isClean();
  });

  it("an error inside the stream", async () => {
    const reported = { error: { message: "over\u001b[31mloaded\n", code: "overloaded" } };
    const { read } = await start({ frames: [a, reported], end: "done" });
    expect(await read()).toEqual(text("a"));
    const error = await failure(read());
    expect(error.message).toMatch(/ reported an error in the middle of its answer: over \[31mloaded$/);
    expect(modelFailureOf(error)).toEqual({ kind: "reported", code: "overloaded" });
  });

  it("is no error any more once the endpoint has said that the answer is complete", async () => {
    const gate = pause();
    const { read, timers } = await start({ frames: [a, stop, gate], end: "reset" });
    expect(await read()).toEqual(text("a"));
    const next = read();
    await timers.started(5_000);
    gate.open();
    expect(await next).toEqual({ type: "finish", finish: "stop" });
    expect(await read()).toBe("end");
  });
});

describe("trap 4: no wait is without a limit", () => {
  it("a stall in the middle ends the request", async () => {
    const { server, timers, read, isClean } = await start({ frames: [a], end: "stall" });
    expect(await read()).toEqual(text("a"));
    const error = failure(read());
    timers.runOut(1_000);
    const { message, code } = await error;
    expect(code).toBe("idle_timeout");
    expect(message).toBe(
      `${server.baseURL} sent nothing for 1000 ms in the middle of its answer: if the model "m" needs longer, raise idleTimeoutMs.`,
    );
    expect(modelFailureOf(await error)).toEqual({ kind: "timeout" });
    expect(await (await server.request(0)).over).toBe("closed");
    isClean();
  });

  it("an answer that never begins ends the request", async () => {
    const { server, timers, read, isClean } = await start({ silent: true });
    const error = failure(read());
    const seen = await server.request(0);
    timers.runOut(2_000);
    expect(await error).toMatchObject({ code: "first_byte_timeout" });
    expect((await error).message).toContain("did not begin to answer within 2000 ms");
    expect(modelFailureOf(await error)).toEqual({ kind: "timeout" });
    expect(await seen.over).toBe("closed");
    isClean();
  });

  it("whatever arrives starts the time again, and a slow reader does not use it up", async () => {
    const first = pause();
    const second = pause();
    const { timers, read, rest } = await start({ frames: [a, first, b, second, stop], end: "done" });
    expect(await read()).toEqual(text("a"));
    const before = timers.refreshed(1_000);
    timers.runOut(1_000); // The reader has "a" in hand and asks for nothing.
    const next = read();
    first.open();
    expect(await next).toEqual(text("b"));
    expect(timers.refreshed(1_000)).toBeGreaterThan(before);
    const remaining = rest();
    second.open();
    expect(await remaining).toEqual([{ type: "finish", finish: "stop" }]);
  });

  it("an endpoint that does not close after a complete answer does not hold it up", async () => {
    const { server, timers, read, isClean } = await start({ frames: [a, stop], end: "stall" });
    expect(await read()).toEqual(text("a"));
    const next = read();
    await timers.started(5_000);
    timers.runOut(5_000);
    expect(await next).toEqual({ type: "finish", finish: "stop" });
    isClean();
    expect(await (await server.request(0)).over).toBe("closed");
  });
});

describe("trap 6: leaving the loop closes the connection", () => {
  it("for break", async () => {
    const { server, stream, read, isClean } = await start({ frames: [a], end: "stall" });
    expect(await read()).toEqual(text("a"));
    await stream.return?.();
    isClean();
    expect(await (await server.request(0)).over).toBe("closed");
  });
});

describe("trap 7: a length stop is told", () => {
  it("with calls whose arguments look whole", async () => {
    const calls = [{ index: 0, id: "x", function: { name: "f", arguments: '{"amount":1}' } }];
    const { rest } = await start({
      frames: [deltaFrame({ tool_calls: calls }), deltaFrame({}, "length")],
      end: "done",
    });
    expect((await rest()).at(-1)).toEqual({ type: "finish", finish: "length" });
  });
});

describe("a client of the program's own", () => {
  const frames = [a, b, stop, usageFrame(3, 2)];
  const answer = [text("a"), text("b"), { type: "finish", finish: "stop", usage: { inputTokens: 3, outputTokens: 2 } }];
  const all = async (client: ChatClient): Promise<ModelChunk[]> => {
    const chunks: ModelChunk[] = [];
    const { signal } = new AbortController();
    for await (const chunk of openaiModelWith({ model: "m", client }, {}).stream(request, { signal })) {
      chunks.push(chunk);
    }
    return chunks;
  };

  it("may wrap the SDK's stream: then that stream is read", async () => {
    const server = await faultServer([{ frames, end: "done" }]);
    servers.push(server);
    const sdk = new OpenAI({ baseURL: server.baseURL, apiKey: "sk-theirs" });
    const seen: unknown[] = [];
    const create: ChatClient["chat"]["completions"]["create"] = async (body, options) => {
      const client: ChatClient = sdk;
      const stream = await client.chat.completions.create(body, options);
      return (async function* () {
        for await (const frame of stream) {
          seen.push(frame);
          yield frame;
        }
      })();
    };
    expect(await all({ baseURL: server.baseURL, chat: { completions: { create } } })).toEqual(answer);
    expect(seen).toEqual(frames);
  });

  it("may have a fetch whose answers are streams of another kind", async () => {
    const server = await faultServer([{ frames, end: "done" }]);
    servers.push(server);
    const client = new OpenAI({
      baseURL: server.baseURL,
      apiKey: "sk-theirs",
      async fetch(url, init) {
        const response = await fetch(url, init);
        const body = response.body;
        if (body === null) return response;
        // As the fetch packages of older days answer: an iterable without readers.
        return new Proxy(response, {
          get: (target, key) =>
            key === "body" ? { [Symbol.asyncIterator]: () => body.values() } : Reflect.get(target, key, target),
        });
      },
    });
    expect(await all(client)).toEqual(answer);
  });

  it("is asked once per request, whatever its own retries are", async () => {
    const server = await faultServer([{ status: 500 }, { frames: [stop], end: "done" }]);
    servers.push(server);
    const client = new OpenAI({ baseURL: server.baseURL, apiKey: "sk-theirs", maxRetries: 5 });
    const stream = openaiModelWith({ model: "m", client }, {}).stream(request, {
      signal: new AbortController().signal,
    });
    const error = await failure(stream[Symbol.asyncIterator]().next());
    expect(modelFailureOf(error)).toMatchObject({ kind: "status", status: 500 });
    expect(server.requests).toHaveLength(1);
  });
});
