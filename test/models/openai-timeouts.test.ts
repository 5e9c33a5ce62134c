import { channel } from "node:diagnostics_channel";
import { createServer, type Socket } from "node:net";
import { OpenAI } from "openai";
import { afterEach, describe, expect, it } from "vitest";
import { RubatoError } from "../../runtime/errors.ts";
import type { ModelChunk, ModelRequest } from "../../runtime/models/chat-model.ts";
import type { ChatClient } from "../../runtime/models/openai-client.ts";
import { modelFailureOf } from "../../runtime/models/openai-errors.ts";
import { openaiModel, openaiModelWith, type OpenAIModelOptions } from "../../runtime/models/openai.ts";
import { pause } from "../../runtime/models/scripted.ts";
import { deltaFrame, faultServer, type Fault } from "../support/fault-server.ts";
import { handTimers } from "../support/hand-timers.ts";

// P31, each limit with a code of its own, over real sockets. Time runs out only where a test says so.

const request: ModelRequest = { instructions: "", messages: [{ role: "user", content: "hi" }], tools: [] };
const a = deltaFrame({ content: "a" });
const CONNECT = 700;
const HEADERS = 2_000;
const IDLE = 1_000;
const TOTAL = 9_000;
const CHANNELS = ["undici:request:create", "undici:client:sendHeaders", "undici:request:bodySent"] as const;
const listening = (): string[] => CHANNELS.filter((name) => channel(name).hasSubscribers);

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  expect(listening()).toEqual([]);
});

function ask(options: Partial<OpenAIModelOptions>) {
  const timers = handTimers();
  const controller = new AbortController();
  const model = openaiModelWith(
    {
      model: "m",
      connectTimeoutMs: CONNECT,
      headerTimeoutMs: HEADERS,
      idleTimeoutMs: IDLE,
      totalTimeoutMs: TOTAL,
      ...options,
    },
    { environment: {}, setTimer: timers.setTimer },
  );
  const stream = model.stream(request, { signal: controller.signal })[Symbol.asyncIterator]();
  const read = async (): Promise<ModelChunk | "end"> => {
    const { done, value } = await stream.next();
    return done === true ? "end" : value;
  };
  return { timers, controller, read };
}

async function start(fault: Fault) {
  const server = await faultServer([fault]);
  closing.push(() => server.close());
  return { server, ...ask({ baseURL: server.baseURL }) };
}

/** Takes connections and never says a word: a TLS handshake with it has no end. */
async function mute(): Promise<{ readonly baseURL: string; readonly reached: Promise<void> }> {
  const sockets = new Set<Socket>();
  let reach = (): void => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    reach();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return { baseURL: `https://127.0.0.1:${address.port}/v1`, reached };
}

async function failure(promise: Promise<unknown>): Promise<RubatoError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RubatoError)) throw new Error(`expected a RubatoError, got ${String(error)}`);
  return error;
}

describe("P31 connect_timeout", () => {
  it("ends a request that gets no connection, and says what to do", async () => {
    const { baseURL, reached } = await mute();
    const { timers, read } = ask({ baseURL });
    const error = failure(read());
    await Promise.all([reached, timers.started(CONNECT)]);
    expect(listening()).toEqual([...CHANNELS]);
    timers.runOut(CONNECT);
    expect(await error).toMatchObject({
      code: "connect_timeout",
      message: `${baseURL} could not be connected to within ${CONNECT} ms: check the base URL, the network and that the endpoint is running, or raise connectTimeoutMs.`,
    });
    expect(modelFailureOf(await error)).toEqual({ kind: "timeout" });
    expect(timers.active()).toEqual([]);
  });

  it("is over with the connection: nothing listens and no timer runs while the answer is waited for", async () => {
    const { server, timers, read, controller } = await start({ silent: true });
    const next = read();
    const { headers } = await server.request(0);
    expect(headers["x-client-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
    expect(listening()).toEqual([]);
    expect(timers.active()).toEqual([TOTAL, HEADERS]);
    timers.runOut(CONNECT);
    controller.abort();
    expect(await next).toBe("end");
  });

  it("is not watched where the request before has left its connection, and is for one more at the same time", async () => {
    const server = await faultServer([
      { frames: [deltaFrame({}, "stop")], end: "done" },
      { silent: true },
      { silent: true },
    ]);
    closing.push(() => server.close());
    const timers = handTimers();
    const controller = new AbortController();
    const model = openaiModelWith(
      {
        model: "m",
        baseURL: server.baseURL,
        connectTimeoutMs: CONNECT,
        headerTimeoutMs: HEADERS,
        totalTimeoutMs: TOTAL,
      },
      { environment: {}, setTimer: timers.setTimer },
    );
    const begin = () => model.stream(request, { signal: controller.signal })[Symbol.asyncIterator]();
    const first = begin();
    expect((await first.next()).value).toMatchObject({ type: "finish" });
    expect((await first.next()).done).toBe(true);
    await timers.started(CONNECT);

    const second = begin().next();
    await server.request(1);
    expect(timers.count(CONNECT)).toBe(1);
    expect(timers.active()).toEqual([TOTAL, HEADERS]);

    const third = begin().next();
    await server.request(2);
    controller.abort();
    await Promise.all([second, third]);
    expect(timers.count(CONNECT)).toBe(2);
  });

  it("never counts for a fetch that tells nobody when it connects", async () => {
    let begun = (): void => {};
    const started = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const client: ChatClient = new OpenAI({
      baseURL: "http://127.0.0.1:9/v1",
      apiKey: "sk-theirs",
      fetch: (_url, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
          begun();
        }),
    });
    const { timers, read } = ask({ client });
    const error = failure(read());
    await started;
    expect(timers.active()).toEqual([TOTAL, HEADERS]);
    timers.runOut(CONNECT);
    timers.runOut(HEADERS);
    expect((await error).code).toBe("first_byte_timeout");
  });

  it("keeps two requests to one address apart", async () => {
    const { baseURL, reached } = await mute();
    const { server, timers: answered, read, controller } = await start({ silent: true });
    const next = read();
    const { timers, read: readMute } = ask({ baseURL });
    const error = failure(readMute());
    await Promise.all([reached, timers.started(CONNECT), server.request(0)]);
    expect(answered.active()).toEqual([TOTAL, HEADERS]);
    controller.abort();
    await next;
    expect(listening()).toEqual([...CHANNELS]);
    timers.runOut(CONNECT);
    expect((await error).code).toBe("connect_timeout");
  });

  it("is also what fetch's own limits are called, although the SDK drops their code", async () => {
    const told = channel("undici:request:create");
    const failing = (code: string, name: string, connecting: boolean): ChatClient =>
      new OpenAI({
        baseURL: "http://127.0.0.1:9/v1",
        apiKey: "sk-theirs",
        fetch(_url, init) {
          const id = new Headers(init?.headers).get("x-client-request-id") ?? "";
          if (connecting) told.publish({ request: { headers: ["x-client-request-id", id] } });
          const cause = Object.assign(new Error(name), { name, code });
          return Promise.reject(new TypeError("fetch failed", { cause }));
        },
      });
    const connect = failing("UND_ERR_CONNECT_TIMEOUT", "ConnectTimeoutError", true);
    expect(await failure(ask({ client: connect }).read())).toMatchObject({
      code: "connect_timeout",
      message: expect.stringContaining("could not be connected to in time"),
    });
    const headers = failing("UND_ERR_HEADERS_TIMEOUT", "Headers Timeout Error", false);
    expect((await failure(ask({ client: headers }).read())).code).toBe("first_byte_timeout");
  });

  it.each([
    ["UND_ERR_CONNECT_TIMEOUT", "connect_timeout"],
    ["UND_ERR_HEADERS_TIMEOUT", "first_byte_timeout"],
    ["UND_ERR_BODY_TIMEOUT", "idle_timeout"],
  ])("%s from a client that keeps it is %s", async (code, expected) => {
    const create = (): Promise<never> => Promise.reject(new TypeError("terminated", { cause: { code } }));
    const { read } = ask({ client: { chat: { completions: { create } } } });
    const error = await failure(read());
    expect(error.code).toBe(expected);
    expect(modelFailureOf(error)).toEqual({ kind: "timeout", code });
  });
});

describe("P31 total_timeout", () => {
  it("ends an answer that goes on for too long, although it never stalls", async () => {
    const gate = pause();
    const { server, timers, read } = await start({ frames: [a, gate, a], end: "stall" });
    expect(await read()).toMatchObject({ type: "text" });
    gate.open();
    expect(await read()).toMatchObject({ type: "text" });
    const error = failure(read());
    timers.runOut(TOTAL);
    expect(await error).toMatchObject({
      code: "total_timeout",
      message: `${server.baseURL} did not end its answer within ${TOTAL} ms: if the model "m" may take longer, raise totalTimeoutMs.`,
    });
    expect(modelFailureOf(await error)).toEqual({ kind: "timeout" });
    expect(await (await server.request(0)).over).toBe("closed");
    expect(timers.active()).toEqual([]);
  });

  it("counts while nobody reads, and from before the headers", async () => {
    const { server, timers, read } = await start({ frames: [a], end: "stall" });
    expect(await read()).toMatchObject({ type: "text" });
    timers.runOut(TOTAL);
    expect(await (await server.request(0)).over).toBe("closed");
    expect((await failure(read())).code).toBe("total_timeout");
    const other = await start({ silent: true });
    const error = failure(other.read());
    await other.server.request(0);
    other.timers.runOut(TOTAL);
    expect((await error).code).toBe("total_timeout");
  });

  it("does not take away an answer that is complete", async () => {
    const { timers, read } = await start({ frames: [a, deltaFrame({}, "stop")], end: "stall" });
    expect(await read()).toMatchObject({ type: "text" });
    const next = read();
    await timers.started(5_000);
    timers.runOut(TOTAL);
    expect(await next).toEqual({ type: "finish", finish: "stop" });
  });
});

describe("of two limits that run out", () => {
  it("the first one is told, once", async () => {
    const { timers, read } = await start({ frames: [a], end: "stall" });
    expect(await read()).toMatchObject({ type: "text" });
    const error = failure(read());
    timers.runOut(IDLE);
    timers.runOut(TOTAL);
    expect((await error).code).toBe("idle_timeout");
    expect(await read()).toBe("end");
  });
});

it.each(["connectTimeoutMs", "headerTimeoutMs", "idleTimeoutMs", "totalTimeoutMs"])("%s is checked", (name) => {
  for (const ms of [0, -1, 1.5, Number.NaN, 86_400_001]) {
    expect(() => openaiModel({ model: "m", baseURL: "http://127.0.0.1/v1", [name]: ms })).toThrow(name);
  }
});
