import { createServer } from "node:http";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, toolCalls } from "rubato";
import type { ClientRun } from "rubato/client";
import { eventually, finished, served } from "../server/served.ts";
import { addressOf, clientTo, collect, line, TRANSPORTS } from "./support.ts";

const write = defineTool({
  name: "write",
  description: "Writes",
  input: z.object({ text: z.string() }),
  approval: "always",
  execute: ({ text }) => Promise.resolve(text.toUpperCase()),
});
const call = (text: string) => toolCalls([{ name: "write", args: { text } }]);

/** Follows it until the line takes commands. */
async function up(run: ClientRun): Promise<void> {
  onTestFinished(run.onChange(() => {}));
  await eventually(() => run.connection.status === "open");
}

describe.each(TRANSPORTS)("commands over %s", (transport) => {
  it("P19 are answered with the server's receipts: send, interrupt, resume, cancel, fork", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate], "two", "three", "four", ["five", pause()]]) });
    const client = clientTo(it.url, { transport });
    const run = await client.start("talk");
    await up(run);
    await eventually(() => run.state.partial?.text === "one ");
    const stopped = await run.interrupt("wait", { mode: "now", by: "me" });
    expect(stopped).toMatchObject({ accepted: true, effective: true, keptChars: 4, where: "thinking.streaming" });
    await eventually(() => run.state.status === "interrupted");
    expect(await run.interrupt()).toEqual({ accepted: false, reason: "already_interrupted" });
    expect(await run.resume("go on", { partial: "keep" })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "two" });
    const sent = await run.send("and now?", { id: "in-1" });
    expect(sent).toMatchObject({ accepted: true, id: "in-1" });
    expect(await run.send("and now?", { id: "in-1" })).toEqual(sent);
    expect(await run.settled()).toMatchObject({ status: "done", output: "three" });
    const forked = await run.fork({ at: run.state.seq, instruction: "else" });
    expect(forked).toMatchObject({ accepted: true });
    if (!forked.accepted) return;
    expect(await client.attach(forked.runId).settled()).toMatchObject({ status: "done", output: "four" });
    await run.send("go on");
    await eventually(() => run.state.partial?.text === "five");
    expect(await run.cancel("enough")).toMatchObject({ accepted: true });
    await eventually(() => run.connection.status === "closed");
    expect(run.state.status).toBe("cancelled");
    expect(await run.send("more")).toMatchObject({ accepted: false, reason: "cancelled" });
    expect(await run.settleCall("c1", { output: 1 })).toMatchObject({ accepted: false, reason: "not_unknown" });
    expect(it.errors).toEqual([]);
  });

  it("approve with edited arguments, reject with a reason, and refuse what does not wait", async () => {
    const it = await served({ tools: [write], model: scriptedModel([call("a"), call("b"), "fine"]) });
    const run = await clientTo(it.url, { transport }).start("write");
    await up(run);
    expect(await run.settled()).toMatchObject({ status: "waiting" });
    const [first] = run.state.pendingApprovals;
    expect(await run.approve("another")).toMatchObject({ accepted: false, reason: "not_waiting" });
    expect(await run.approve(first?.callId ?? "", { argsHash: "0" })).toMatchObject({ reason: "other_args" });
    expect(await run.approve(first?.callId ?? "", { args: { text: "edited" } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "waiting" });
    const [second] = run.state.pendingApprovals;
    expect(await run.reject(second?.callId ?? "", "not this")).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "fine" });
    const calls = [...run.state.toolCalls.values()].map(({ outcome, output, error }) => [
      outcome,
      output ?? error?.message,
    ]);
    expect(calls).toEqual([
      ["ok", "EDITED"],
      ["rejected", "not this"],
    ]);
  });

  it("an approval within the loop lets the loop go on", async () => {
    const it = await served({ tools: [write], model: scriptedModel([call("a"), call("b"), "fine"]) });
    const run = await clientTo(it.url, { transport }).start("write");
    const types: string[] = [];
    for await (const event of run) {
      types.push(event.type);
      if (event.type === "approval_request") await run.approve(event.data.callId);
    }
    expect(types.filter((type) => type === "approval_request")).toHaveLength(2);
    expect(types.at(-1)).toBe("done");
  });

  it("hostile text goes there and back as it is", async () => {
    const it = await served({ model: scriptedModel((request) => String(request.messages.at(-1)?.content)) });
    const text = "nul \0 line \u2028 lone \ud800 and \r\n\n data: x\n\nid: 9\n <script>";
    const metadata: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":"c","plain":"x"}');
    const client = clientTo(it.url, { transport });
    const run = await client.start(text, { metadata: z.record(z.string(), z.json()).and(z.custom()).parse(metadata) });
    const events = await collect(run);
    expect(events).toEqual(await it.events(run.id));
    expect(run.state.output.replace("\ufffd", "\ud800")).toBe(text);
    expect(await run.send(text)).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect({}).not.toHaveProperty("a");
  });

  it("what is no command is refused with the server's code and sentence", async () => {
    const it = await served();
    const client = clientTo(it.url, { transport });
    await expect(client.start("  ")).rejects.toMatchObject({ code: "invalid_request", message: "task: empty." });
    await expect(client.start("x", { agent: "nobody" })).rejects.toMatchObject({ code: "invalid_request" });
    const run = await client.start("What is the average temperature?", { runId: "r1" });
    await expect(client.start("x", { runId: "r1" })).rejects.toMatchObject({ code: "run_exists" });
    await up(run);
    await expect(run.send(" ")).rejects.toMatchObject({ code: "invalid_request" });
    await expect(run.fork({ at: 100_000 })).rejects.toMatchObject({ code: expect.stringMatching(/^invalid_/) });
    expect(run.connection.status).toBe("open");
  });

  it("P24 an abort while an interrupt waits, and close, stop waiting and nothing else", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate, "two"]]) });
    const run = await clientTo(it.url, { transport }).start("talk");
    await up(run);
    await eventually(() => run.state.partial?.text === "one ");
    const controller = new AbortController();
    // At a step boundary, which does not come before the gate opens.
    const asked = run.interrupt("wait", { mode: "step", signal: controller.signal });
    await eventually(() => run.state.interruptRequested);
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: "aborted" });
    const again = run.cancel("enough", { graceMs: 0 });
    again.catch(() => {});
    run.close();
    await expect(run.interrupt()).rejects.toMatchObject({ code: "closed" });
    gate.open();
    await Promise.allSettled([again]);
  });
});

describe("a line that breaks under a command", () => {
  it.each(TRANSPORTS)(
    "over %s: nobody knows whether an interrupt arrived, and it is not repeated",
    async (transport) => {
      const gate = pause();
      const it = await served({ model: scriptedModel([["one ", gate, "two"]]) });
      const proxy = await line(it.server.port);
      const started = it.agent.run("talk", { runId: "r1" });
      const run = clientTo(proxy.url, { transport }).attach("r1");
      await up(run);
      await eventually(() => run.state.partial?.text === "one ");
      const asked = run.interrupt("wait", { mode: "step" });
      asked.catch(() => {});
      await eventually(() => started.state.interruptRequested);
      proxy.cut();
      await expect(asked).rejects.toMatchObject({ code: "unknown_outcome" });
      gate.open();
      await started.settled();
      expect((await it.events("r1")).filter(({ type }) => type === "interrupt")).toHaveLength(1);
    },
  );

  it.each(TRANSPORTS)("over %s: a send is repeated and is one input", async (transport) => {
    const it = await served({ model: scriptedModel(["one", "two"]) });
    let swallow = false;
    const proxy = await line(it.server.port, (count) => (swallow && count > 0 ? ((swallow = false), 1) : Infinity));
    await it.agent.run("talk", { runId: "r1" }).settled();
    const run = clientTo(proxy.url, { transport }).attach("r1");
    if (transport === "websocket") await up(run);
    swallow = true;
    if (transport === "websocket") proxy.cut();
    expect(await run.send("more")).toMatchObject({ accepted: true });
    await run.settled();
    expect((await it.events("r1")).filter(({ type }) => type === "user_input")).toHaveLength(2);
  });

  it("a start whose answer was cut is asked again and is one run", async () => {
    const it = await served();
    const proxy = await line(it.server.port, (count) => (count === 1 ? 20 : Infinity));
    const client = clientTo(proxy.url);
    const run = await client.start("What is the average temperature?");
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(await it.agent.runs()).toHaveLength(1);
    // With an id of one's own nobody could tell whose run there is.
    const other = await line(it.server.port, () => 20);
    await expect(clientTo(other.url).start("x", { runId: "mine" })).rejects.toMatchObject({ code: "unknown_outcome" });
  });
});

describe("what goes along", () => {
  it("own fetch, headers, credentials and the token, on every request", async () => {
    const it = await served({}, { token: "the-right-token-of-16" });
    const seen: { readonly url: string; readonly init: RequestInit | undefined }[] = [];
    const client = clientTo(it.url, {
      token: "the-right-token-of-16",
      headers: { "X-Tenant": "t1" },
      credentials: "include",
      fetch: (input, init) => {
        seen.push({ url: addressOf(input), init });
        return fetch(input, init);
      },
    });
    const run = await client.start("What is the average temperature?", { metadata: { user: "u1", n: 2 } });
    await run.settled();
    await run.interrupt();
    expect(await client.runs({ status: "done", agent: "test", metadata: { user: "u1", n: 2 } })).toMatchObject([
      { runId: run.id, status: "done" },
    ]);
    expect(await client.runs({ metadata: { user: "u2" } })).toEqual([]);
    expect(seen.length).toBeGreaterThan(4);
    for (const { url, init } of seen) {
      expect(init?.credentials).toBe("include");
      expect(init?.headers).toMatchObject({ "X-Tenant": "t1", Authorization: "Bearer the-right-token-of-16" });
      expect(url).not.toContain("token-of-16");
    }
  });

  it("a socket carries the token as a subprotocol", async () => {
    const it = await served({}, { token: "the-right-token-of-16" });
    await finished(it, "r1");
    const run = clientTo(it.url, { token: "the-right-token-of-16", transport: "websocket" }).attach("r1");
    await run.settled();
    expect(run.connection.transport).toBe("websocket");
  });

  it("credentials reach no error text, whoever says them back", async () => {
    const token = "s3cret-token-0123456789";
    const server = createServer((request, response) => {
      response.statusCode = 400;
      response.setHeader("content-type", "application/json");
      const said = `${request.headers.authorization} ${String(request.headers["x-key"])}`;
      response.end(JSON.stringify({ error: { code: `x${token}`, message: said } }));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(() => {
      server.close();
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const secret = { token, headers: { "X-Key": "key-0123456789" } };
    const texts: string[] = [];
    const told = (error: unknown): void => {
      for (let at = error; at instanceof Error; at = at.cause) texts.push(`${at.message} ${at.stack}`);
    };
    await clientTo(`http://127.0.0.1:${port}`, secret).start("x").catch(told);
    const failing = clientTo(`http://127.0.0.1:${port}`, {
      ...secret,
      reconnect: { attempts: 0 },
      fetch: (_input, init) => Promise.reject(new Error(`cannot send ${JSON.stringify(init?.headers)}`)),
    });
    await failing.start("x").catch(told);
    await collect(failing.attach("r1")).catch(told);
    for (const bad of ["a\nb-secret-value", "ü-secret-value"]) {
      expect(() => clientTo("http://127.0.0.1:1", { token: bad })).toThrow(
        expect.objectContaining({ code: "invalid_option" }),
      );
      try {
        clientTo("http://127.0.0.1:1", { headers: { "x-key": `${bad}\n` } });
        clientTo(`http://name:${encodeURIComponent(bad)}@127.0.0.1:1`);
      } catch (error) {
        told(error);
      }
    }
    expect(texts.length).toBeGreaterThan(4);
    for (const text of texts) expect(text).not.toMatch(/s3cret|key-0123|secret-value/);
  });
});

describe("the way that events come", () => {
  it("is SSE where a socket is wanted and there is none", async () => {
    const it = await served();
    await finished(it, "r1");
    class NoSocket {
      constructor() {
        throw new Error("no sockets here");
      }
      send(): void {}
      close(): void {}
      addEventListener(): void {}
    }
    // Node 22 and later have one of their own.
    vi.stubGlobal("WebSocket", undefined);
    onTestFinished(() => {
      vi.unstubAllGlobals();
    });
    for (const WebSocket of [undefined, NoSocket]) {
      const run = clientTo(it.url, { transport: "websocket", WebSocket }).attach("r1");
      expect(await run.settled()).toMatchObject({ status: "done" });
      expect(run.connection.transport).toBe("sse");
    }
  });

  it("is a socket where responses cannot be read piece by piece", async () => {
    const it = await served();
    await finished(it, "r1");
    const run = clientTo(it.url, {
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (!addressOf(input).includes("/events")) return response;
        await response.body?.cancel();
        return new Response(null, { headers: response.headers });
      },
    }).attach("r1");
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(run.connection.transport).toBe("websocket");
  });

  it("is no stream that something else answers", async () => {
    const server = createServer((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<p>Hello</p>");
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(() => {
      server.close();
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const run = clientTo(`http://127.0.0.1:${port}`, { reconnect: {} }).attach("r1");
    await expect(collect(run)).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringContaining("text/html"),
    });
  });
});
