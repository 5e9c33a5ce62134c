import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { memoryLog, pause, scriptedModel, type EventLog } from "rubato";
import { deferred } from "../support/agents.ts";
import { manualClock } from "../support/manual-clock.ts";
import { codeOf, eventually, finished, raw, served } from "./served.ts";
import { socketTo } from "./socket-client.ts";

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

describe("a socket", () => {
  it("P26 tells events in one order to all who listen, and receipts with the id of their command", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["half ", gate, "more"], "whole"]) });
    const run = it.agent.run("talk", { runId: "r1" });
    const [anna, otto, late] = await Promise.all(
      [0, 0, 3].map((after) => socketTo(`${it.url}/runs/r1/socket?after=${after}`)),
    );
    if (anna === undefined || otto === undefined || late === undefined) throw new Error("no sockets");
    await anna.until(() => anna.events.at(-1)?.type === "token_stream");
    anna.say({ type: "ping", id: "p1" });
    expect(await anna.answer("p1")).toEqual({ type: "pong", id: "p1" });
    anna.say({ type: "command", id: "c1", command: { verb: "interrupt", mode: "now", by: "anna" } });
    otto.say({ type: "command", id: "c1", command: { verb: "approve", callId: "9.9" } });
    expect(await anna.answer("c1")).toMatchObject({ type: "receipt", receipt: { accepted: true, effective: true } });
    expect(await otto.answer("c1")).toEqual({
      type: "receipt",
      id: "c1",
      receipt: { accepted: false, reason: "not_waiting" },
    });
    otto.say({ type: "command", id: "c2", command: { verb: "send", text: "go on" } });
    expect(await otto.answer("c2")).toMatchObject({ receipt: { accepted: true } });
    await run.settled();
    const all = await it.events("r1");
    await Promise.all([anna, otto, late].map((client) => client.until(() => client.events.at(-1)?.type === "done")));
    expect(anna.events).toEqual(all);
    expect(otto.events).toEqual(all);
    expect(late.events).toEqual(all.slice(3));
    // What Anna's command came to was told to nobody else.
    expect(otto.frames.map(({ id }) => id)).toEqual(["c1", "c2"]);
    expect(anna.frames.map(({ id }) => id)).toEqual(["p1", "c1"]);
  });

  it("subscribes by type and from any seq, again and again", async () => {
    const it = await served();
    await finished(it, "r1");
    const all = await it.events("r1");
    const client = await socketTo(`${it.url}/runs/r1/socket?types=done`);
    await client.until(() => client.events.length === 1);
    expect(client.events[0]?.type).toBe("done");
    client.say({ type: "subscribe", id: "s1", after: 10, types: ["tool_*"] });
    expect(await client.answer("s1")).toEqual({ type: "subscribed", id: "s1", after: 10 });
    const tools = all.filter(({ seq, type }) => seq > 10 && type.startsWith("tool_"));
    await client.until(() => client.events.length === 1 + tools.length);
    expect(client.events.slice(1)).toEqual(tools);
    client.say({ type: "subscribe", id: "s2" });
    await client.until(() => client.events.length === 1 + tools.length + all.length);
    expect(client.events.slice(1 + tools.length)).toEqual(all);
    for (const [frame, code] of [
      [{ type: "subscribe", id: "b1", after: 100_000 }, "cursor_beyond_head"],
      [{ type: "subscribe", id: "b2", types: ["nonsense"] }, "invalid_request"],
    ] as const) {
      client.say(frame);
      expect(await client.answer(frame.id)).toMatchObject({ type: "error", error: { code } });
    }
    // What was refused changed nothing: it follows all that comes.
    const run = await it.agent.open("r1");
    await run.send("again");
    await run.settled();
    const now = await it.events("r1");
    await client.until(() => client.events.length === 1 + tools.length + now.length);
    expect(client.events.slice(1 + tools.length)).toEqual(now);
  });

  it("answers what it cannot take, stays open, and records nothing", async () => {
    const it = await served();
    await finished(it, "r1");
    const before = await it.events("r1");
    const client = await socketTo(`${it.url}/runs/r1/socket`);
    const bad: readonly (readonly [unknown, string])[] = [
      ['{"type":', "invalid_json"],
      ["[]", "invalid_request"],
      [{ type: "explode" }, "invalid_request"],
      [{ type: "command", command: { verb: "send", text: "no id" } }, "invalid_request"],
      [{ type: "command", id: "c1", command: { verb: "explode" } }, "unknown_command"],
      [{ type: "command", id: "c2", command: "send" }, "unknown_command"],
      [{ type: "command", id: "c3", command: { verb: "send", text: "x", extra: 1 } }, "invalid_request"],
      [{ type: "command", id: "c4", command: { verb: "fork", at: 9_999 } }, "invalid_option"],
      [{ type: "subscribe", after: -1 }, "invalid_request"],
    ];
    for (const [at, [frame, code]] of bad.entries()) {
      client.say(frame);
      await client.until(() => client.frames.length === at + 1);
      expect(client.frames[at]).toMatchObject({ type: "error", error: { code } });
    }
    expect(client.frames.map(({ id }) => id)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "c1",
      "c2",
      "c3",
      "c4",
      undefined,
    ]);
    client.say({ type: "ping", id: "p" });
    expect(await client.answer("p")).toMatchObject({ type: "pong" });
    expect(await it.events("r1")).toEqual(before);
    expect(it.errors).toEqual([]);
  });

  it("closes at a binary frame with 1003, at one that is too large with 1009", async () => {
    const it = await served({}, { limits: { frameBytes: 1_000 } });
    await finished(it, "r1");
    const before = await it.events("r1");
    const binary = await socketTo(`${it.url}/runs/r1/socket`);
    binary.socket.send(Buffer.from('{"type":"command","id":"c","command":{"verb":"send","text":"x"}}'), {
      binary: true,
    });
    expect((await binary.closed).code).toBe(1003);
    const large = await socketTo(`${it.url}/runs/r1/socket`);
    large.say({ type: "command", id: "c", command: { verb: "send", text: "x".repeat(1_000) } });
    expect((await large.closed).code).toBe(1009);
    expect(await it.events("r1")).toEqual(before);
    expect((await raw(`${it.url}/metrics`)).body).toContain('connections_open{kind="socket"} 0');
  });

  it("is refused as every request, with a JSON error", async () => {
    const it = await served();
    await finished(it, "r1");
    for (const [path, headers, status, code] of [
      ["/runs/nix/socket", {}, 404, "unknown_run"],
      ["/nix", {}, 404, "not_found"],
      ["/runs/r1/socket?after=-1", {}, 400, "invalid_cursor"],
      ["/runs/r1/socket?after=99999", {}, 400, "cursor_beyond_head"],
      ["/runs/r1/socket?types=nonsense", {}, 400, "invalid_request"],
      ["/runs/r1/socket", { "sec-websocket-protocol": "chat" }, 400, "invalid_request"],
      ["/runs/r1/socket", { origin: "http://evil.example" }, 403, "forbidden_origin"],
    ] as const) {
      const answer = await raw(it.url + path, { headers: { ...UPGRADE, ...headers } });
      expect([path, answer.status, codeOf(answer.body)]).toEqual([path, status, code]);
    }
    // No WebSocket at all.
    const odd = await raw(`${it.url}/runs/r1/socket`, { headers: { connection: "Upgrade", upgrade: "h2c" } });
    expect(odd.status).toBeGreaterThanOrEqual(400);
    const old = await raw(`${it.url}/runs/r1/socket`, { headers: { ...UPGRADE, "sec-websocket-version": "1" } });
    expect(old.status).toBe(400);
    expect((await raw(`${it.url}/health`)).status).toBe(200);
  });

  it("P33 that was refused holds no place, whoever does not hang up", async () => {
    const it = await served();
    const lines = await Promise.all(["nix", "r1"].map((id) => halfOpen(it.server.port, `/runs/${id}/socket`)));
    // It waits for every line that is still open.
    await it.server.close();
    for (const line of lines) line.destroy();
  });

  it("of a run that is cancelled ends when all of it was told", async () => {
    const it = await served();
    await finished(it, "r1");
    await it.agent.fork("r1", { at: 20, runId: "f1" });
    const client = await socketTo(`${it.url}/runs/f1/socket`);
    client.say({ type: "command", id: "c", command: { verb: "cancel" } });
    expect(await client.closed).toEqual({ code: 1000, reason: "cancelled" });
    const all = await it.events("f1");
    expect(client.events).toEqual(all);
    expect(client.frames.at(-1)).toEqual({ type: "end", reason: "cancelled", after: all.length });
  });

  it("P29 is pinged every 15 s, and given up when it answers none", async () => {
    const clock = manualClock();
    const it = await served({}, { clock });
    await finished(it, "r1");
    const alive = await socketTo(`${it.url}/runs/r1/socket`);
    let pings = 0;
    alive.socket.on("ping", () => pings++);
    const dead = new WebSocket(`${it.url.replace("http", "ws")}/runs/r1/socket`, { autoPong: false });
    const closed = new Promise<number>((resolve) => dead.on("close", resolve));
    dead.on("error", () => {});
    await new Promise((resolve) => dead.on("open", resolve));
    const open = async (count: number): Promise<boolean> =>
      (await raw(`${it.url}/metrics`)).body.includes(`connections_open{kind="socket"} ${count}`);
    await eventually(() => open(2));
    clock.advance(15_000);
    await eventually(() => pings === 1);
    // The pong is on its way to the server.
    alive.say({ type: "ping", id: "p" });
    await alive.answer("p");
    clock.advance(15_000);
    expect(await closed).toBe(1006);
    expect(await open(1)).toBe(true);
    expect(alive.socket.readyState).toBe(WebSocket.OPEN);
  });

  it("P27 is given up when it asks and does not read", async () => {
    const it = await served({}, { limits: { queueBytes: 100_000 } });
    await finished(it, "r1");
    const client = await socketTo(`${it.url}/runs/r1/socket`);
    await client.until(() => client.events.at(-1)?.type === "done");
    client.socket.pause();
    const id = "x".repeat(100);
    await eventually(async () => {
      for (let count = 0; count < 5_000; count++) client.say({ type: "ping", id });
      return (await raw(`${it.url}/metrics`)).body.includes('connections_open{kind="socket"} 0');
    });
    client.socket.resume();
    expect([1006, 4008]).toContain((await client.closed).code);
  });

  it("answers a subscription also where the log cannot be read, and waits for so many of them at once", async () => {
    const inner = memoryLog();
    const works: EventLog["head"] = (runId) => inner.head(runId);
    let head = works;
    const it = await served({ log: { ...inner, head: (runId) => head(runId) } }, { limits: { commandsPerSocket: 2 } });
    await finished(it, "r1");
    const client = await socketTo(`${it.url}/runs/r1/socket`);
    const broken = deferred();
    head = () => broken.promise.then(() => Promise.reject(new Error("the disk is gone")));
    for (const id of ["s1", "s2", "s3"]) client.say({ type: "subscribe", id });
    expect(await client.answer("s3")).toMatchObject({ type: "error", error: { code: "too_many_commands" } });
    broken.resolve();
    expect(await client.answer("s1")).toMatchObject({ type: "error", error: { code: "internal" } });
    expect(await client.answer("s2")).toMatchObject({ type: "error", error: { code: "internal" } });
    expect(it.errors).toHaveLength(2);
    head = works;
    client.say({ type: "subscribe", id: "s4" });
    expect(await client.answer("s4")).toMatchObject({ type: "subscribed" });
  });

  it("waits for so many receipts at once, and says so", async () => {
    const it = await served({ model: scriptedModel([["half ", pause()]]) }, { limits: { commandsPerSocket: 2 } });
    const run = it.agent.run("talk", { runId: "r1" });
    const client = await socketTo(`${it.url}/runs/r1/socket`);
    await client.until(() => client.events.at(-1)?.type === "token_stream");
    for (const id of ["c1", "c2", "c3"])
      client.say({ type: "command", id, command: { verb: "interrupt", mode: "step" } });
    expect(await client.answer("c3")).toMatchObject({ type: "error", error: { code: "too_many_commands" } });
    await run.interrupt("now", { mode: "now" });
    expect(await client.answer("c1")).toMatchObject({ type: "receipt" });
    client.say({ type: "command", id: "c4", command: { verb: "resume" } });
    expect(await client.answer("c4")).toMatchObject({ type: "receipt" });
    await it.agent.close();
  });
});

/** A client that asks for a socket, reads the refusal, and leaves its half of the line open. */
async function halfOpen(port: number, path: string): Promise<Socket> {
  const line = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const headers = Object.entries({ host: "localhost", ...UPGRADE }).map(([name, value]) => `${name}: ${value}\r\n`);
  line.write(`GET ${path} HTTP/1.1\r\n${headers.join("")}\r\n`);
  line.resume();
  await once(line, "end");
  return line;
}
