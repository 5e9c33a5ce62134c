import { OpenAI } from "openai";
import { afterEach, describe, expect, it } from "vitest";
import { classify, wasNotAsked, type ErrorClass } from "../../runtime/error-class.ts";
import { RubatoError } from "../../runtime/errors.ts";
import type { ModelRequest } from "../../runtime/models/chat-model.ts";
import type { ChatClient } from "../../runtime/models/openai-client.ts";
import { modelFailureOf } from "../../runtime/models/openai-errors.ts";
import { openaiModel } from "../../runtime/models/openai.ts";
import { pause } from "../../runtime/models/scripted.ts";
import { startAimock } from "../support/aimock.ts";
import { deltaFrame, faultServer, type Fault } from "../support/fault-server.ts";

// P30: what real endpoints answer, through the real SDK and a real socket, and the class that it gets.

const request: ModelRequest = { instructions: "", messages: [{ role: "user", content: "go" }], tools: [] };
const NOW = Date.UTC(2026, 0, 1);
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function thrownBy(options: Parameters<typeof openaiModel>[0]): Promise<unknown> {
  const stream = openaiModel(options).stream(request, { signal: new AbortController().signal });
  try {
    for await (const chunk of stream) expect(chunk.type).toBe("text");
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

async function failing(fault: Fault): Promise<unknown> {
  const server = await faultServer([fault]);
  closing.push(() => server.close());
  const error = await thrownBy({ model: "m", baseURL: server.baseURL, apiKey: "sk-test" });
  expect(server.requests).toHaveLength(1);
  return error;
}

const half = deltaFrame({ content: "half" });
const saying = (error: unknown, status: number, headers: Readonly<Record<string, string>> = {}): Fault => ({
  status,
  body: { error },
  headers,
});
const inStream = (error: unknown): Fault => ({ frames: [half, { error }], end: "done" });

const openaiContext = {
  message: "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens.",
  type: "invalid_request_error",
  param: "messages",
  code: "context_length_exceeded",
};
const openaiQuota = {
  message: "You exceeded your current quota, please check your plan and billing details.",
  type: "insufficient_quota",
  param: null,
  code: "insufficient_quota",
};

type Row = readonly [what: string, fault: Fault, expected: ErrorClass, retryable: boolean];

const rows: readonly Row[] = [
  // Context length
  ["400 context_length_exceeded", saying(openaiContext, 400), "context_length", false],
  [
    "400 in words only (vLLM)",
    saying({ ...openaiContext, code: 400, type: "BadRequestError" }, 400),
    "context_length",
    false,
  ],
  ["400 in words, code null", saying({ ...openaiContext, code: null }, 400), "context_length", false],
  [
    "400 in words, a code that repeats the type (DeepSeek)",
    saying({ ...openaiContext, code: "invalid_request_error" }, 400),
    "context_length",
    false,
  ],
  [
    "400 by its type (llama.cpp)",
    saying({ code: 400, message: "too many", type: "exceed_context_size_error", n_ctx: 4096 }, 400),
    "context_length",
    false,
  ],
  ["400 in words as a string", saying("the context length is exceeded", 400), "context_length", false],
  ["413", { status: 413, body: "<html>Request Entity Too Large</html>" }, "context_length", false],
  // Words never decide where there is a code, and never whether it is tried again.
  ["400 another code, the same words", saying({ ...openaiContext, code: "invalid_value" }, 400), "request", false],
  ["429 the same words", saying({ message: openaiContext.message }, 429), "rate_limit", true],
  ["429 quota in words only (Gemini)", saying({ code: 429, message: openaiQuota.message }, 429), "rate_limit", true],
  ["500 the same words", saying({ message: openaiContext.message, type: "server_error" }, 500), "server", true],
  // Quota
  ["429 insufficient_quota", saying(openaiQuota, 429), "quota", false],
  ["429 insufficient_quota by its type", saying({ ...openaiQuota, code: null }, 429), "quota", false],
  [
    "402",
    saying({ message: "Insufficient Balance", type: "unknown_error", code: "invalid_request_error" }, 402),
    "quota",
    false,
  ],
  [
    "403 billing_not_active",
    saying({ message: "no", type: "billing_not_active", code: "billing_not_active" }, 403),
    "quota",
    false,
  ],
  // Rate limit and the server
  ["429", saying({ message: "slow down", type: "requests", code: "rate_limit_exceeded" }, 429), "rate_limit", true],
  ["429 without a body", { status: 429, body: "" }, "rate_limit", true],
  ["408", saying({ message: "timeout" }, 408), "server", true],
  ["409", saying({ message: "locked" }, 409), "server", true],
  ["500", saying({ message: "sorry", type: "server_error", code: null }, 500), "server", true],
  ["502 with a page", { status: 502, body: "<html>Bad gateway</html>" }, "server", true],
  ["503", saying({ message: "The engine is currently overloaded", type: "engine_overloaded" }, 503), "server", true],
  ["529", saying({ message: "Overloaded", type: "overloaded_error" }, 529), "server", true],
  // Fatal
  ["400", saying({ message: "bad", type: "invalid_request_error", code: "invalid_value" }, 400), "request", false],
  ["400 that calls itself a server error", saying({ message: "bad", type: "server_error" }, 400), "request", false],
  ["400 API key (Gemini)", saying({ message: "bad", code: "invalid_api_key" }, 400), "auth", false],
  ["401", saying({ message: "bad", code: "invalid_api_key" }, 401), "auth", false],
  ["403", saying({ message: "bad" }, 403), "auth", false],
  ["404", saying({ message: "bad", code: "model_not_found" }, 404), "not_found", false],
  ["422", saying({ message: "bad" }, 422), "request", false],
  // x-should-retry wins
  ["400 x-should-retry: true", saying({ message: "bad" }, 400, { "x-should-retry": "true" }), "request", true],
  ["500 x-should-retry: false", saying({ message: "bad" }, 500, { "x-should-retry": "false" }), "server", false],
  ["500 x-should-retry: maybe", saying({ message: "bad" }, 500, { "x-should-retry": "maybe" }), "server", true],
  // Inside a stream
  [
    "in the stream: type server_error (OpenAI)",
    inStream({ message: "sorry", type: "server_error", code: null }),
    "server",
    true,
  ],
  [
    "in the stream: overloaded_error (Anthropic)",
    inStream({ message: "Overloaded", type: "overloaded_error" }),
    "server",
    true,
  ],
  ["in the stream: code 502 (OpenRouter)", inStream({ code: 502, message: "Provider disconnected" }), "server", true],
  ["in the stream: code 429", inStream({ code: 429, message: "slow down" }), "rate_limit", true],
  [
    "in the stream: code 500 (vLLM)",
    inStream({ code: 500, message: "x", type: "InternalServerError" }),
    "server",
    true,
  ],
  ["in the stream: rate_limit_exceeded", inStream({ code: "rate_limit_exceeded", message: "x" }), "rate_limit", true],
  ["in the stream: insufficient_quota", inStream(openaiQuota), "quota", false],
  ["in the stream: context_length_exceeded", inStream(openaiContext), "context_length", false],
  ["in the stream: code 400", inStream({ code: 400, message: "x" }), "request", false],
  ["in the stream: nothing but words", inStream({ message: "overloaded" }), "unknown", false],
  ["in the stream: a string", inStream("it broke"), "unknown", false],
  // A connection that breaks
  ["a frame that is no JSON", { frames: [half, "{broken"], end: "close" }, "network", true],
  ["a cut connection", { frames: [half], end: "cut" }, "network", true],
  [
    "another thing than a stream",
    { status: 200, body: "<html></html>", headers: { "content-type": "text/html" } },
    "request",
    false,
  ],
];

describe("P30 over HTTP", () => {
  it.each(rows)("%s", async (_what, fault, expected, retryable) => {
    const error = await failing(fault);
    expect(error).toBeInstanceOf(RubatoError);
    expect(classify(error, "", NOW)).toMatchObject({ class: expected, retryable, code: "model" });
  });

  it("a reset", async () => {
    const gate = pause();
    const thrown = failing({ frames: [half, gate], end: "reset" });
    await gate.reached;
    gate.open();
    expect(classify(await thrown, "", NOW)).toMatchObject({ class: "network", retryable: true });
  });

  it("nobody listens", async () => {
    const server = await faultServer([]);
    await server.close();
    const error = await thrownBy({ model: "m", baseURL: server.baseURL, apiKey: "x" });
    expect(modelFailureOf(error)).toEqual({ kind: "network", code: "ECONNREFUSED" });
    expect(classify(error, "", NOW)).toMatchObject({ class: "network", retryable: true });
    expect(wasNotAsked(error)).toBe(true);
  });

  it("a name that nobody knows", async () => {
    const error = await thrownBy({ model: "m", baseURL: "http://no-such-host.invalid/v1", apiKey: "x" });
    expect(classify(error, "", NOW)).toMatchObject({ class: "network", retryable: true });
    expect(String(error)).toMatch(/cannot be reached \((ENOTFOUND|EAI_AGAIN)\)/);
    expect(wasNotAsked(error)).toBe(true);
  });

  it("an answer that ends without saying so is truncated", async () => {
    const error = new RubatoError("truncated", "cut");
    expect(classify(error, "", NOW)).toMatchObject({ class: "truncated", retryable: true, code: "truncated" });
  });

  it.each(["connect_timeout", "first_byte_timeout", "idle_timeout", "total_timeout"] as const)("%s", (code) => {
    const error = new RubatoError(code, "slow");
    expect(classify(error, "", NOW)).toMatchObject({ class: "timeout", retryable: true, code });
    expect(modelFailureOf(error)).toEqual({ kind: "timeout" });
    expect(wasNotAsked(error)).toBe(code === "connect_timeout");
  });

  it("the same inside the SDK's own stream, for a client that is a wrapper", async () => {
    for (const [fault, expected] of [
      [inStream({ message: "sorry", type: "server_error", code: null }), "server"],
      [inStream({ code: 502, message: "Provider disconnected" }), "server"],
      [inStream(openaiQuota), "quota"],
    ] as const) {
      const server = await faultServer([fault]);
      closing.push(() => server.close());
      const sdk: ChatClient = new OpenAI({ baseURL: server.baseURL, apiKey: "x", maxRetries: 5 });
      const create: ChatClient["chat"]["completions"]["create"] = async (body, options) =>
        sdk.chat.completions.create(body, options);
      const error = await thrownBy({ model: "m", client: { chat: { completions: { create } } } });
      expect(classify(error, "", NOW)).toMatchObject({ class: expected });
      expect(server.requests).toHaveLength(1);
    }
  });

  it("what an endpoint echoes of a key is taken out, and the class stays", async () => {
    const leak = " for sk-test, which is sk-test";
    for (const [fault, expected] of [
      [saying({ ...openaiContext, code: null, message: openaiContext.message + leak }, 400), "context_length"],
      [saying({ ...openaiQuota, code: null, message: leak }, 429), "quota"],
      [inStream({ code: 502, message: leak }), "server"],
      [inStream({ type: "server_error", message: leak }), "server"],
    ] as const) {
      const error = await failing(fault);
      expect(JSON.stringify([error, error instanceof Error && error.cause, String(error)])).not.toContain("sk-test");
      expect(classify(error, "", NOW)).toMatchObject({ class: expected });
    }
  });

  it("what others' endpoints say: aimock", async () => {
    const aimock = await startAimock();
    closing.push(() => aimock.close());
    for (const [status, error, expected] of [
      [400, openaiContext, "context_length"],
      [400, { message: openaiContext.message, type: "invalid_request_error" }, "context_length"],
      [429, openaiQuota, "quota"],
      [429, { message: "slow down", type: "rate_limit_error" }, "rate_limit"],
      [529, { message: "Overloaded", type: "overloaded_error" }, "server"],
    ] as const) {
      aimock.mock.clearFixtures();
      aimock.mock.onMessage("go", { error, status });
      const thrown = await thrownBy({ model: "mock", baseURL: aimock.baseURL, apiKey: "x" });
      expect(classify(thrown, "", NOW)).toMatchObject({ class: expected });
    }
  });
});

describe("a model that was not asked has used nothing", () => {
  it.each([
    [400, true],
    [401, true],
    [429, true],
    [408, false],
    [500, false],
    [503, false],
  ])("%i", async (status, expected) => {
    expect(wasNotAsked(await failing({ status }))).toBe(expected);
  });

  it("one that broke in the middle may have", async () => {
    expect(wasNotAsked(await failing({ frames: [half], end: "cut" }))).toBe(false);
  });
});

describe("Retry-After", () => {
  const asked = async (headers: Readonly<Record<string, string>>): Promise<number | undefined> =>
    classify(await failing({ status: 429, headers }), "", NOW).retryAfterMs;

  it.each([
    ["seconds", "7", 7_000],
    ["nothing to wait", "0", 0],
    ["a fraction", "1.5", 1_500],
    ["the most", "60", 60_000],
    ["more than that", "61", undefined],
    ["huge", "999999", undefined],
    ["negative", "-5", undefined],
    ["nonsense", "soon", undefined],
    ["nonsense that Date.parse reads a date into", "soon 1", undefined],
    ["a number of another kind", "1e3", undefined],
    ["empty", "", undefined],
    ["an HTTP date", "Thu, 01 Jan 2026 00:00:09 GMT", 9_000],
    ["an HTTP date of the older form", "Thursday, 01-Jan-26 00:00:09 GMT", 9_000],
    ["a date that is past", "Wed, 31 Dec 2025 23:59:59 GMT", undefined],
    ["a date far off", "Fri, 02 Jan 2026 00:00:00 GMT", undefined],
  ])("%s: %s", async (_what, value, expected) => {
    expect(await asked({ "retry-after": value })).toBe(expected);
  });

  it("retry-after-ms is exact, and wins unless it makes no sense", async () => {
    expect(await asked({ "retry-after-ms": "250.5", "retry-after": "7" })).toBe(250.5);
    expect(await asked({ "retry-after-ms": "-1", "retry-after": "7" })).toBe(7_000);
    expect(await asked({ "retry-after-ms": "60001" })).toBeUndefined();
  });

  it("is read from the headers of a fetch of another make", async () => {
    const headers = new Map([["retry-after", "7"]]);
    const thrown = { status: 429, headers };
    expect(classify(thrown, "", NOW)).toMatchObject({ class: "rate_limit", retryAfterMs: 7_000 });
  });
});
