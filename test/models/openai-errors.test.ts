import { inspect } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { RubatoError } from "../../runtime/errors.ts";
import type { ModelChunk, ModelRequest } from "../../runtime/models/chat-model.ts";
import { modelFailureOf } from "../../runtime/models/openai-errors.ts";
import { openaiModelWith } from "../../runtime/models/openai.ts";
import {
  deltaFrame,
  faultServer,
  type Fault,
  type FaultServerOptions,
  type TestServer,
} from "../support/fault-server.ts";

const KEY = "sk-test-s3cret-0123456789";
const request: ModelRequest = { instructions: "", messages: [{ role: "user", content: "hi" }], tools: [] };
const servers: TestServer[] = [];

afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

interface Setting {
  readonly apiKey?: string;
  readonly userinfo?: string;
  readonly options?: FaultServerOptions;
}

async function failing(fault: Fault, { apiKey = KEY, userinfo, options }: Setting = {}) {
  const server = await faultServer([fault], options);
  servers.push(server);
  const baseURL = userinfo === undefined ? server.baseURL : server.baseURL.replace("//", `//${userinfo}@`);
  const error = await errorFrom(baseURL, userinfo === undefined ? apiKey : undefined);
  return { error, server, message: error.message.replaceAll(server.baseURL, "URL") };
}

async function errorFrom(baseURL: string, apiKey?: string): Promise<RubatoError> {
  const options = apiKey === undefined || apiKey === "" ? { baseURL } : { baseURL, apiKey };
  const model = openaiModelWith({ model: "small", ...options }, { environment: {} });
  try {
    for await (const chunk of model.stream(request, { signal: new AbortController().signal }))
      expect(chunk).toBeDefined();
  } catch (error) {
    if (!(error instanceof RubatoError)) throw error;
    expect(error.code).toBe("model");
    expect(error.message).not.toContain("\n");
    return error;
  }
  throw new Error("nothing was thrown");
}

const saying = (message: string, code?: string) => ({
  error: { message, type: "t", ...(code === undefined ? undefined : { code }) },
});

describe("an HTTP error becomes a sentence that says what to do", () => {
  it("401: check the key, or pass one", async () => {
    const refused = { status: 401, body: saying("Incorrect API key provided") };
    expect((await failing(refused)).message).toBe(
      "URL: the endpoint refused the key (401): check OPENAI_API_KEY, or the key that the program passes.",
    );
    expect((await failing(refused, { apiKey: "" })).message).toBe(
      "URL: the endpoint wants a key (401): set OPENAI_API_KEY, or pass apiKey.",
    );
  });

  it("404: names at most ten models that the endpoint offers", async () => {
    const models = Array.from({ length: 12 }, (_, at) => `model-${at + 1}`);
    const { message } = await failing({ status: 404, body: saying("no such model") }, { options: { models } });
    expect(message).toBe(
      `URL does not offer the model "small" (404). It offers: ${models.slice(0, 10).join(", ")}, and 2 more.`,
    );
  });

  it("404: without a list, points at the model and the base URL", async () => {
    const { message } = await failing({ status: 404, body: saying("no such model") });
    expect(message).toBe('URL answered 404: check the model "small" and the base URL: no such model');
    const other = await failing({ status: 404, body: "<html>nothing here</html>" }, { options: { models: ["small"] } });
    expect(other.message).toBe('URL answered 404: check the model "small" and the base URL.');
  });

  it("429: tells a rate limit from an empty account, and keeps the headers", async () => {
    const limited = await failing({ status: 429, body: saying("slow down"), headers: { "Retry-After": "7" } });
    expect(limited.message).toBe(
      "URL gets too many requests at the moment (429): try again later, or send fewer at once: slow down",
    );
    const failure = modelFailureOf(limited.error);
    expect(failure).toMatchObject({ kind: "status", status: 429 });
    expect(failure.kind === "status" && failure.header("retry-after")).toBe("7");
    expect(failure.kind === "status" && failure.header("x-should-retry")).toBeUndefined();
    const empty = await failing({ status: 429, body: saying("You exceeded your quota", "insufficient_quota") });
    expect(empty.message).toContain("no quota left");
    expect(modelFailureOf(empty.error)).toMatchObject({ code: "insufficient_quota" });
  });

  it("400, 403 and 5xx: say what the endpoint says, in one printable line of bounded length", async () => {
    const long = `bad\r\n\u001b]0;title\u0007 \u202e${"x".repeat(1_000)}`;
    const { message } = await failing({ status: 400, body: saying(long) });
    expect(message).toBe(`URL refused the request (400): bad ]0;title ${"x".repeat(287)}...`);
    expect((await failing({ status: 403, body: saying("not yours") })).message).toContain("not yours");
    expect((await failing({ status: 503, body: saying("overloaded") })).message).toBe(
      "URL failed with status 503: try again later: overloaded",
    );
    expect((await failing({ status: 502, body: "<html><body>Bad gateway</body></html>" })).message).toBe(
      "URL failed with status 502: try again later.",
    );
    expect((await failing({ status: 500, body: { error: "as a string" } })).message).toContain(": as a string");
  });

  it("sends each of them once", async () => {
    for (const status of [408, 409, 429, 500]) {
      const { server } = await failing({ status, headers: { "x-should-retry": "true" } });
      expect(server.requests).toHaveLength(1);
    }
  });
});

describe("no answer", () => {
  it("from an address where nothing listens names the address", async () => {
    const server = await faultServer([]);
    await server.close();
    const error = await errorFrom(server.baseURL);
    expect(error.message).toBe(
      `${server.baseURL} cannot be reached (ECONNREFUSED): check the base URL and that the endpoint is running.`,
    );
    expect(modelFailureOf(error)).toEqual({ kind: "network", code: "ECONNREFUSED" });
  });

  it("but a page or a document is told from a stream that was cut", async () => {
    const page = { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: "<html></html>" };
    expect((await failing(page)).message).toBe(
      "URL answered with text/html; charset=utf-8 instead of a stream: check the base URL, which often ends in /v1.",
    );
  });

  it("is asked of a content type only when nothing came", async () => {
    const server = await faultServer([
      { frames: [deltaFrame({ content: "a" })], contentType: "text/plain", end: "close" },
    ]);
    servers.push(server);
    const model = openaiModelWith({ model: "m", baseURL: server.baseURL }, { environment: {} });
    const chunks: ModelChunk[] = [];
    for await (const chunk of model.stream(request, { signal: new AbortController().signal })) chunks.push(chunk);
    expect(chunks).toEqual([{ type: "text", text: "a" }]);
  });
});

describe("credentials", () => {
  const everything = (error: unknown) => inspect(error, { depth: 20, showHidden: true, maxStringLength: null });

  it("that the endpoint echoes reach neither the message nor the cause", async () => {
    const echo = saying(`Bearer ${KEY} is wrong, ${KEY} too, and so is sk-other-abcdef****wxyz`, "bad");
    for (const status of [400, 401, 403, 404, 429, 500]) {
      const { error, server } = await failing({ status, body: echo, headers: { "x-echo": KEY, "retry-after": "3" } });
      expect((await server.request(0)).headers.authorization).toBe(`Bearer ${KEY}`);
      expect(everything(error)).not.toContain("s3cret");
      expect(error.message).not.toContain("wxyz");
      const failure = modelFailureOf(error);
      expect(failure).toMatchObject({ kind: "status", status, code: "bad" });
      expect(failure.kind === "status" && failure.header("retry-after")).toBe("3");
    }
    const inStream = await failing({ frames: [{ error: { message: `no: ${KEY}` } }], end: "done" });
    expect(everything(inStream.error)).not.toContain("s3cret");
    expect(inStream.message).toContain("no: ***");
    expect(modelFailureOf(inStream.error).kind).toBe("reported");
    const frame = await failing({ frames: [`{"said": "${KEY}`], end: "done" });
    expect(everything(frame.error)).not.toContain("s3cret");
    expect(modelFailureOf(frame.error).kind).toBe("frame");
  });

  it("in a URL are sent as Basic authorization and shown nowhere", async () => {
    const { error, server } = await failing(
      { status: 400, body: saying("was: p@ss:s3cret") },
      { userinfo: "me:p%40ss%3As3cret" },
    );
    expect((await server.request(0)).headers.authorization).toBe(`Basic ${btoa("me:p@ss:s3cret")}`);
    expect(error.message).toBe(`${server.baseURL} refused the request (400): was: ***`);
    expect(everything(error)).not.toContain("s3cret");
    await server.close();
    const unreachable = await errorFrom(server.baseURL.replace("//", "//me:s3cret@"));
    expect(unreachable.message).toContain("ECONNREFUSED");
    expect(everything(unreachable)).not.toContain("s3cret");
  });

  it("of the environment are not sent along with those of a URL", () => {
    const make = (more: { apiKey?: string }) =>
      openaiModelWith(
        { model: "m", baseURL: "http://me:s3cret@127.0.0.1/v1", ...more },
        { environment: { OPENAI_API_KEY: KEY } },
      );
    expect(make({}).name).toBe("m");
    expect(() => make({ apiKey: KEY })).toThrow("only one of them can be sent");
  });
});
