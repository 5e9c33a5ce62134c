import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { createAgent, defineTool, memoryLog, pause, scriptedModel, toolCalls, type EventLog } from "rubato";
import { createHandler } from "rubato/server";
import { z } from "zod";
import { deferred, until } from "../support/agents.ts";
import { manualClock } from "../support/manual-clock.ts";
import { codeOf, eventually, finished, object, parseSse, post, raw, served, type Served } from "./served.ts";
import { socketTo } from "./socket-client.ts";
import { floodedLog } from "./flooded-log.ts";
import { open } from "./wire.ts";

let long: Promise<EventLog> | undefined;

/** How many whole frames of events a text has. */
function idsOf(text: string): number {
  return text.slice(0, text.lastIndexOf("\n\n")).match(/^id: /gm)?.length ?? 0;
}

/** Waits until nothing more is handed out: kernel buffers are full, the server waits. */
async function allFull(it: Pick<Served, "url">): Promise<void> {
  let before = -1;
  let now = 0;
  await eventually(async () => {
    before = now;
    now = Number(/bytes_delivered_total (\d+)/.exec((await raw(`${it.url}/metrics`)).body)?.[1]);
    return now > 0 && now === before;
  });
}

async function openCount(it: Pick<Served, "url">): Promise<number> {
  const { body } = await raw(`${it.url}/metrics`);
  return [...body.matchAll(/connections_open\{.*\} (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** A memory log that knows who watches it. */
function watchedLog(): { readonly log: EventLog; readonly watching: () => number } {
  const inner = memoryLog();
  let watching = 0;
  return {
    watching: () => watching,
    log: {
      ...inner,
      watch(runId, onChange) {
        watching++;
        const undo = inner.watch(runId, onChange);
        return () => {
          watching--;
          undo();
        };
      },
    },
  };
}

describe("P33 (case 36) a connection that ends", () => {
  it("in any way leaves no timer, no watch and no place", async () => {
    const clock = manualClock();
    const { log, watching } = watchedLog();
    const it = await served({ log }, { clock });
    await finished(it, "r1");
    const url = `${it.url}/runs/r1/events`;
    const idle = { timers: clock.pending, watching: watching() };
    const ways: readonly (readonly [string, () => Promise<void>])[] = [
      [
        "cut by the client",
        async () => {
          const stream = await open(url);
          await stream.until((text) => text.includes("event: done"));
          stream.cut();
        },
      ],
      [
        "cut before its first byte",
        async () => {
          const socket = connect(it.server.port, "127.0.0.1");
          socket.write("GET /runs/r1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
          await new Promise((resolve) => socket.once("data", resolve));
          socket.resetAndDestroy();
        },
      ],
      [
        "ended at its rest",
        async () => {
          await raw(`${url}?follow=false`);
        },
      ],
      [
        "as NDJSON, compressed, cut",
        async () => {
          const stream = await open(url, { accept: "application/x-ndjson", "accept-encoding": "gzip" });
          stream.cut();
        },
      ],
      [
        "at its age",
        async () => {
          const stream = await open(url);
          await eventually(async () => (await openCount(it)) === 1);
          clock.advance(3_600_000);
          expect(parseSse(await stream.ended).comments.at(-1)).toBe("end max_connection");
        },
      ],
      [
        "a socket closed by its client",
        async () => {
          const client = await socketTo(url.replace("events", "socket"));
          client.socket.close();
        },
      ],
      [
        "a socket that is torn off",
        async () => {
          const client = await socketTo(url.replace("events", "socket"));
          client.socket.terminate();
        },
      ],
    ];
    for (const [name, way] of ways) {
      await way();
      await eventually(async () => (await openCount(it)) === 0);
      // The line of one that ended is gone a moment after its place.
      await eventually(() => clock.pending === idle.timers);
      expect([name, clock.pending, watching()]).toEqual([name, idle.timers, idle.watching]);
    }
    expect(it.errors).toEqual([]);
  });

  it("where the log cannot be read ends as one that comes again, and is reported", async () => {
    const inner = memoryLog();
    let broken = false;
    const log: EventLog = {
      ...inner,
      read(runId, range) {
        if (broken) throw new Error("the disk is gone");
        return inner.read(runId, range);
      },
    };
    const gate = pause();
    const it = await served({ log, model: scriptedModel([["half ", gate, "more"]]) });
    const run = it.agent.run("talk", { runId: "r1" });
    const stream = await open(`${it.url}/runs/r1/events`);
    const client = await socketTo(`${it.url}/runs/r1/socket`);
    await stream.until((text) => text.includes("half"));
    await client.until(() => client.events.length > 0);
    broken = true;
    gate.open();
    expect(parseSse(await stream.ended).comments).toEqual(["end log"]);
    expect((await client.closed).code).toBe(1011);
    expect(String(it.errors[0])).toContain("the disk is gone");
    broken = false;
    await run.settled();
    const after = parseSse(stream.text()).events.at(-1)?.seq ?? 0;
    const rest = await raw(`${it.url}/runs/r1/events?follow=false&after=${after}`);
    expect([...parseSse(stream.text()).events, ...parseSse(rest.body).events]).toEqual(await it.events("r1"));
  });
});

describe("P27 a client that stops reading", () => {
  it("is left behind with little in memory, holds up nobody, and catches up from the log", async () => {
    const agent = createAgent({ name: "test", model: scriptedModel([]), log: await (long ??= floodedLog(1_600)) });
    const handler = createHandler({ agents: agent });
    const ask = (path: string): Promise<Response> => handler(new Request(`http://localhost${path}`));
    // Nobody reads its body.
    const stalled = await ask("/runs/r1/events?follow=false");
    const quick = await (await ask("/runs/r1/events?follow=false")).text();
    const { seq } = await agent.log.head("r1");
    expect(idsOf(quick)).toBe(seq);
    const metrics = await (await ask("/metrics")).text();
    const delivered = Number(/bytes_delivered_total (\d+)/.exec(metrics)?.[1]);
    expect(quick.length).toBeGreaterThan(5_000_000);
    // What it was handed is one chunk or two of a stream of megabytes.
    expect(delivered - quick.length).toBeLessThan(200_000);
    expect(await stalled.text()).toBe(quick);
    await handler.close();
    await agent.close();
  });

  it("P29 for two heartbeats is let go, also over a real line, and comes again", async () => {
    const clock = manualClock();
    const it = await served({ log: await (long ??= floodedLog(1_600)) }, { clock });
    const stream = await open(`${it.url}/runs/r1/events`);
    stream.response.pause();
    await allFull(it);
    clock.advance(15_000);
    expect(await openCount(it)).toBe(1);
    clock.advance(15_000);
    await eventually(async () => (await openCount(it)) === 0);
    stream.response.resume();
    await stream.ended;
    const got = idsOf(stream.text());
    const rest = await raw(`${it.url}/runs/r1/events?follow=false`, { headers: { "last-event-id": String(got) } });
    expect(got + idsOf(rest.body)).toBe((await it.log.head("r1")).seq);
  });
});

describe("P33 a stream that ended", () => {
  it("is cut when its client does not take the last of it within two heartbeats", async () => {
    const clock = manualClock();
    const it = await served({ log: await (long ??= floodedLog(1_600)) }, { clock });
    const url = `${it.url}/runs/r1/events?client=anna`;
    const left = [];
    // Each takes the place of the one before, and none of them reads.
    for (let count = 0; count < 3; count++) {
      const stream = await open(url);
      stream.response.pause();
      await allFull(it);
      left.push(stream);
    }
    expect(await openCount(it)).toBe(1);
    clock.advance(30_000);
    await eventually(async () => (await openCount(it)) === 0);
    for (const stream of left) {
      stream.response.resume();
      expect(parseSse(await stream.ended).comments).toEqual([]);
    }
    expect(clock.pending).toBe(0);
  });

  it("is not cut while its client takes it", async () => {
    const clock = manualClock();
    const it = await served({ log: await (long ??= floodedLog(1_600)) }, { clock });
    const url = `${it.url}/runs/r1/events?client=anna`;
    const older = await open(url);
    older.response.pause();
    await allFull(it);
    const newer = await open(url);
    clock.advance(29_999);
    older.response.resume();
    expect(parseSse(await older.ended).comments).toEqual(["end superseded"]);
    newer.cut();
  });
});

describe("a client that comes twice", () => {
  it("keeps its newer stream, by header or by parameter, and nobody else's", async () => {
    const it = await served();
    await finished(it, "r1");
    await finished(it, "r2");
    const url = `${it.url}/runs/r1/events`;
    const older = await open(`${url}?client=anna`);
    const others = [
      await open(`${url}?client=otto`),
      await open(url),
      await open(`${it.url}/runs/r2/events?client=anna`),
    ];
    const newer = await open(url, { "x-client-id": "anna" });
    expect(parseSse(await older.ended).comments).toEqual(["end superseded"]);
    expect(await openCount(it)).toBe(4);
    const first = await socketTo(`${it.url}/runs/r1/socket?client=anna`);
    const second = await socketTo(`${it.url}/runs/r1/socket?client=anna`);
    expect(await first.closed).toEqual({ code: 4000, reason: "superseded" });
    expect(second.socket.readyState).toBe(second.socket.OPEN);
    for (const stream of [newer, ...others]) stream.cut();
  });
});

describe("limits", () => {
  it("on streams answer 429, and a stream that ends makes room", async () => {
    const it = await served({}, { limits: { connections: 3, connectionsPerRun: 2 } });
    await finished(it, "r1");
    await finished(it, "r2");
    const first = await open(`${it.url}/runs/r1/events`);
    await socketTo(`${it.url}/runs/r1/socket`);
    const third = await raw(`${it.url}/runs/r1/events`);
    expect([third.status, codeOf(third.body), third.headers["retry-after"]]).toEqual([
      429,
      "too_many_connections",
      "5",
    ]);
    const other = await open(`${it.url}/runs/r2/events?client=anna`);
    expect((await raw(`${it.url}/runs/r2/events`)).status).toBe(429);
    // One that replaces its own older one needs no room.
    const again = await open(`${it.url}/runs/r2/events?client=anna`);
    expect(again.response.statusCode).toBe(200);
    await other.ended;
    const upgrade = await raw(`${it.url}/runs/r2/socket`, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      },
    });
    expect([upgrade.status, codeOf(upgrade.body)]).toEqual([429, "too_many_connections"]);
    first.cut();
    await eventually(async () => (await openCount(it)) === 2);
    const room = await open(`${it.url}/runs/r1/events`);
    expect(room.response.statusCode).toBe(200);
    for (const stream of [room, again]) stream.cut();
  });

  it("on runs answer 429 to what would begin, and never to what stops", async () => {
    const it = await served({ model: scriptedModel(["first", ["half ", pause()], "last"]) }, { limits: { runs: 1 } });
    await finished(it, "r0");
    expect((await post(`${it.url}/runs`, { task: "one", runId: "r1" })).status).toBe(201);
    const full = await post(`${it.url}/runs`, { task: "two", runId: "r2" });
    expect([full.status, codeOf(await full.text())]).toEqual([429, "too_many_runs"]);
    expect((await it.agent.runs()).some(({ runId }) => runId === "r2")).toBe(false);
    const other = await post(`${it.url}/runs/r0/commands`, { verb: "send", text: "more" });
    expect(other.status).toBe(429);
    // The run that works may be told anything.
    expect((await post(`${it.url}/runs/r1/commands`, { verb: "send", text: "and", when: "done" })).status).toBe(200);
    expect((await post(`${it.url}/runs/r1/commands`, { verb: "interrupt", mode: "now" })).status).toBe(200);
    await (await it.agent.open("r1")).settled();
    await eventually(async () => (await post(`${it.url}/runs`, { task: "two", runId: "r2" })).status === 201);
  });
});

describe("a shutdown", () => {
  it("begins nothing, gives what runs its grace, and ends every stream at a place to go on from", async () => {
    const started = deferred();
    const log = memoryLog();
    const effects: string[] = [];
    const work = defineTool({
      name: "work",
      description: "Works",
      input: z.object({}),
      async execute(_input, { signal }) {
        effects.push("begun");
        started.resolve();
        // Ends its work when it is told to stop: within its grace.
        await new Promise((resolve) => {
          signal.addEventListener("abort", resolve, { once: true });
        });
        effects.push("put away");
        return "half of it";
      },
    });
    const it = await served({
      log,
      tools: [work],
      model: scriptedModel([toolCalls([{ name: "work", args: {} }]), "never"]),
    });
    expect((await post(`${it.url}/runs`, { task: "work", runId: "r1" })).status).toBe(201);
    const sse = await open(`${it.url}/runs/r1/events`);
    const lines = await open(`${it.url}/runs/r1/events`, {
      accept: "application/x-ndjson",
      "accept-encoding": "identity",
    });
    const client = await socketTo(`${it.url}/runs/r1/socket`);
    await started.promise;
    const closing = it.server.close();
    await expect(it.server.close()).resolves.toBeUndefined();
    await closing;
    expect(effects).toEqual(["begun", "put away"]);
    const all = await it.events("r1");
    expect(all.at(-1)).toMatchObject({ type: "interrupted", data: { by: "shutdown" } });
    expect(all.filter(({ type }) => type === "thinking").length).toBe(1);
    const { events, comments } = parseSse(await sse.ended);
    expect([events, comments]).toEqual([all, ["end shutdown"]]);
    expect(
      (await lines.ended)
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    ).toEqual(all);
    expect((await client.closed).code).toBe(1001);
    expect(client.events).toEqual(all);
    expect(client.frames.at(-1)).toEqual({ type: "end", reason: "shutdown", after: all.length });
    await expect(raw(`${it.url}/health`)).rejects.toThrow();

    // Another process takes up where it was left, and so do its clients.
    const next = await served({ log, tools: [work], model: scriptedModel(["fine"]) });
    expect((await post(`${next.url}/runs/r1/commands`, { verb: "resume", allowChanged: true })).status).toBe(200);
    await (await next.agent.open("r1")).settled();
    const rest = await raw(`${next.url}/runs/r1/events?follow=false`, {
      headers: { "last-event-id": String(all.length) },
    });
    expect([...events, ...parseSse(rest.body).events]).toEqual(await next.events("r1"));
  });

  it("does not wait for a client that does not read", async () => {
    const it = await served({ log: await (long ??= floodedLog(1_600)) }, { closeMs: 100 });
    const stream = await open(`${it.url}/runs/r1/events`);
    stream.response.pause();
    await it.server.close();
    stream.response.resume();
    await stream.ended;
  });

  it("answers 503 to what comes meanwhile, and leaves agents alone where that is asked for", async () => {
    const gate = pause();
    const agent = createAgent({ name: "a", model: scriptedModel([["half ", gate, "whole"]]) });
    const handler = createHandler({ agents: agent });
    const run = agent.run("talk", { runId: "r1" });
    await until(run, "token_stream");
    const stream = await handler(new Request("http://localhost/runs/r1/events"));
    await handler.close();
    expect(parseSse(await stream.text()).comments).toEqual(["end shutdown"]);
    const late = await handler(new Request("http://localhost/runs"));
    expect([late.status, (await object(late))["error"]]).toMatchObject([503, { code: "closing" }]);
    gate.open();
    expect(await run.settled()).toMatchObject({ status: "done" });
    await agent.close();
  });
});
