import { AzureOpenAI, OpenAI } from "openai";
import { describe, expect, it } from "vitest";
import type { Message } from "../../machines/messages.ts";
import type { ModelRequest } from "../../runtime/models/chat-model.ts";
import type { ChatBody, ChatClient } from "../../runtime/models/openai-client.ts";
import { openaiModel, openaiModelWith, type OpenAIModelOptions } from "../../runtime/models/openai.ts";
import { thrownBy } from "../support/thrown.ts";

const live = () => new AbortController().signal;
const ask = (messages: readonly Message[], rest: Partial<ModelRequest> = {}): ModelRequest => ({
  instructions: "",
  tools: [],
  messages,
  ...rest,
});
const user: Message = { role: "user", content: "hi" };
const tool = { name: "add", description: "adds", parameters: { type: "object", properties: {} } };

/** A client that keeps the body of a request and answers nothing. */
function recorder(baseURL = "http://127.0.0.1/v1") {
  const bodies: ChatBody[] = [];
  const client: ChatClient = {
    baseURL,
    chat: {
      completions: {
        create(body) {
          bodies.push(body);
          return Promise.resolve((async function* (): AsyncGenerator {})());
        },
      },
    },
  };
  return { client, bodies };
}

async function bodyOf(request: ModelRequest, options: Partial<OpenAIModelOptions> = {}, baseURL?: string) {
  const { client, bodies } = recorder(baseURL);
  for await (const chunk of openaiModel({ model: "m", client, ...options }).stream(request, { signal: live() })) {
    throw new Error(`unexpected ${chunk.type}`);
  }
  return JSON.parse(JSON.stringify(bodies[0]));
}

describe("the body of a request", () => {
  it("is a stream with usage, and has neither tools nor tool_choice without tools", async () => {
    expect(await bodyOf(ask([user], { instructions: "Be brief." }), { toolChoice: "required" })).toEqual({
      model: "m",
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hi" },
      ],
    });
  });

  it("carries tools, tool choice, temperature, the token limit and the program's own fields", async () => {
    const options = {
      toolChoice: { name: "add" },
      temperature: 0,
      maxTokens: 5,
      extraBody: { seed: 7, stream_options: null },
    };
    expect(await bodyOf(ask([user], { tools: [tool] }), options)).toMatchObject({
      tools: [{ type: "function", function: tool }],
      tool_choice: { type: "function", function: { name: "add" } },
      temperature: 0,
      max_tokens: 5,
      seed: 7,
      stream_options: null,
    });
    const official = await bodyOf(ask([user]), { maxTokens: 5 }, "https://api.openai.com/v1");
    expect(official).toMatchObject({ max_completion_tokens: 5 });
    expect(official).not.toHaveProperty("max_tokens");
  });

  it("gives calls ids of ours, the same for call and result, although the provider's repeat or are empty", async () => {
    const body = await bodyOf(
      ask([
        user,
        {
          role: "assistant",
          content: "",
          toolCalls: [
            { callId: "3.0", providerCallId: "", name: "add", args: '{"a": 1}' },
            { callId: "3.1", providerCallId: "", name: "add", args: '{"a":' },
          ],
        },
        { role: "tool", callId: "3.0", name: "add", content: "1", outcome: "ok" },
        { role: "tool", callId: "3.1", name: "add", content: "cut", outcome: "error" },
      ]),
    );
    expect(body.messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: "call_3_0", type: "function", function: { name: "add", arguments: '{"a": 1}' } },
          { id: "call_3_1", type: "function", function: { name: "add", arguments: "{}" } },
        ],
      },
      { role: "tool", tool_call_id: "call_3_0", content: "1" },
      { role: "tool", tool_call_id: "call_3_1", content: "cut" },
    ]);
  });

  it("makes any id fit for a provider and keeps different ones different", async () => {
    const ids = ["3.0", "3_0", "a b", "a-b", "", "x".repeat(100), `${"x".repeat(100)}y`, "é"];
    const calls = ids.map((callId) => ({ callId, providerCallId: "", name: "add", args: "{}" }));
    const results = ids.map((callId): Message => ({ role: "tool", callId, name: "add", content: "", outcome: "ok" }));
    const { messages } = await bodyOf(ask([{ role: "assistant", content: "", toolCalls: calls }, ...results]));
    const sent: string[] = messages[0].tool_calls.map((call: { id: string }) => call.id);
    expect(new Set(sent).size).toBe(ids.length);
    for (const id of sent) expect(id).toMatch(/^[A-Za-z0-9_-]{1,40}$/);
    expect(messages.slice(1).map((message: { tool_call_id: string }) => message.tool_call_id)).toEqual(sent);
  });

  it.each(["", "[1]", "null", '"text"', "{", "{} {}"])("sends arguments that are no object as {}: %s", async (args) => {
    const calls = [{ callId: "1.0", providerCallId: "", name: "add", args }];
    const { messages } = await bodyOf(ask([{ role: "assistant", content: "x", toolCalls: calls }]));
    expect(messages[0]).toMatchObject({ content: "x", tool_calls: [{ function: { arguments: "{}" } }] });
  });

  it("leaves out an assistant message that says and calls nothing", async () => {
    const { messages } = await bodyOf(ask([user, { role: "assistant", content: "", cut: true }, user]));
    expect(messages).toEqual([user, user]);
  });

  it("asks to go on when the list ends with a cut message, and only then", async () => {
    const cut: Message = { role: "assistant", content: "The answer is", cut: true };
    const { messages } = await bodyOf(ask([user, cut]));
    expect(messages).toHaveLength(3);
    expect(messages[1]).toEqual({ role: "assistant", content: "The answer is" });
    expect(messages[2]).toMatchObject({
      role: "user",
      content: expect.stringContaining("exactly where its text stops"),
    });
    expect((await bodyOf(ask([user, cut, user]))).messages).toHaveLength(3);
    expect((await bodyOf(ask([user, { role: "assistant", content: "done" }]))).messages).toHaveLength(2);
    expect((await bodyOf(ask([user, { role: "assistant", content: "", cut: true }]))).messages).toHaveLength(1);
  });
});

describe("options", () => {
  it.each([
    [{ model: "" }, "model's name"],
    [{ temperature: 3 }, "got 3"],
    [{ temperature: Number.NaN }, "got NaN"],
    [{ maxTokens: 0 }, "got 0"],
    [{ maxTokens: 1.5 }, "got 1.5"],
    [{ idleTimeoutMs: 0 }, "idleTimeoutMs"],
    [{ headerTimeoutMs: Infinity }, "got Infinity"],
    [{ toolChoice: { name: "" } }, "toolChoice"],
    [{ extraBody: { messages: [] } }, "cannot set messages"],
    [{ extraBody: { stream: false } }, "cannot set stream"],
    [{ api: "responses" as const }, "Responses API"],
    [{ baseURL: "localhost:1234/v1" }, "localhost:1234/v1"],
    [{ baseURL: "nonsense" }, "nonsense"],
    [{ baseURL: "http://h/v1?api-key=s3cret" }, "http://h/v1?..."],
    [{ client: recorder().client, apiKey: "k" }, "leave these out"],
    [Object.assign({}, { baseUrl: "http://h" }), '"baseUrl"'],
  ])("refuses %j and shows what it got", (options, text) => {
    const error = thrownBy(() => openaiModelWith({ model: "m", ...options }, { environment: { OPENAI_API_KEY: "k" } }));
    expect(error.code).toBe("invalid_option");
    expect(error.message).toContain(text);
    expect(error.message).not.toContain("s3cret");
  });

  it("wants a key for OpenAI's own service and for no other", () => {
    const make = (options: Partial<OpenAIModelOptions>, environment: Record<string, string>) => () =>
      openaiModelWith({ model: "m", ...options }, { environment });
    for (const missing of [
      make({}, {}),
      make({ apiKey: "" }, { OPENAI_API_KEY: "not this one" }),
      make({ baseURL: "https://api.openai.com/v1" }, {}),
    ]) {
      const error = thrownBy(missing);
      expect(error.code).toBe("missing_key");
      expect(error.message).toContain("OPENAI_API_KEY");
    }
    expect(make({}, { OPENAI_API_KEY: "k" })().name).toBe("m");
    expect(make({}, { OPENAI_BASE_URL: "http://127.0.0.1:1234/v1" })().name).toBe("m");
    expect(make({ baseURL: "http://127.0.0.1:1234/v1" }, {})().name).toBe("m");
  });

  it("refuses a key that no header can carry, without showing it", () => {
    const error = thrownBy(() => openaiModelWith({ model: "m", apiKey: "sk-s3cret\nsk-s3cret" }, { environment: {} }));
    expect(error.code).toBe("invalid_option");
    expect(error.message).not.toContain("s3cret");
  });

  it("hides the credentials of a URL that it refuses", () => {
    for (const baseURL of [
      "ftp://me:s3cret@h/v1",
      "me:s3cret@h/v1",
      "http://me:s3cret@/v1",
      "http://s3%E0%A4%A@h/v1",
    ]) {
      const error = thrownBy(() => openaiModelWith({ model: "m", baseURL }, { environment: {} }));
      expect(error.code).toBe("invalid_option");
      expect(error.message).not.toContain("s3");
    }
  });
});

describe("the package", () => {
  it("is loaded at the first request, once", async () => {
    let loads = 0;
    const { client } = recorder();
    function Fake() {
      return client;
    }
    const load = () => {
      loads += 1;
      return Promise.resolve({ OpenAI: new Proxy(OpenAI, { construct: Fake }) });
    };
    const model = openaiModelWith({ model: "m", baseURL: "http://127.0.0.1/v1" }, { environment: {}, load });
    const stream = model.stream(ask([user]), { signal: live() });
    expect(loads).toBe(0);
    for await (const chunk of stream) throw new Error(`unexpected ${chunk.type}`);
    for await (const chunk of model.stream(ask([user]), { signal: live() }))
      throw new Error(`unexpected ${chunk.type}`);
    expect(loads).toBe(1);
  });

  it("is asked for by name when it is not installed", async () => {
    const missing = Object.assign(new Error("Cannot find package 'openai'"), { code: "ERR_MODULE_NOT_FOUND" });
    const { client, bodies } = recorder();
    let installed = false;
    const load = () =>
      installed ? Promise.resolve({ OpenAI: new Proxy(OpenAI, { construct: () => client }) }) : Promise.reject(missing);
    const model = openaiModelWith({ model: "m", baseURL: "http://127.0.0.1/v1" }, { environment: {}, load });
    const next = () => {
      const stream = model.stream(ask([user]), { signal: live() });
      return stream[Symbol.asyncIterator]().next();
    };
    await expect(next()).rejects.toMatchObject({
      code: "missing_package",
      message: expect.stringContaining("npm install openai"),
      cause: missing,
    });
    installed = true;
    expect((await next()).done).toBe(true);
    expect(bodies).toHaveLength(1);
  });

  it("is not touched when the signal has aborted before", async () => {
    const { client, bodies } = recorder();
    const stream = openaiModel({ model: "m", client }).stream(ask([user]), { signal: AbortSignal.abort() });
    for await (const chunk of stream) throw new Error(`unexpected ${chunk.type}`);
    expect(bodies).toEqual([]);
  });

  it("brings clients that all fit", () => {
    const clients: ChatClient[] = [
      new OpenAI({ apiKey: "k" }),
      new AzureOpenAI({ apiKey: "k", endpoint: "https://x.openai.azure.com", apiVersion: "2024-10-21" }),
    ];
    for (const client of clients) expect(openaiModel({ model: "m", client }).name).toBe("m");
  });
});
