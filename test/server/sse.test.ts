import { EventSource } from "eventsource";
import { createGunzip } from "node:zlib";
import { describe, expect, it } from "vitest";
import { memoryLog, pause, scriptedModel, type ChatModel, type Event } from "rubato";
import { createClient } from "rubato/client";
import { EVENT_TYPES, parseEvent } from "rubato/machines";
import { deferred, until } from "../support/agents.ts";
import { manualClock } from "../support/manual-clock.ts";
import { codeOf, eventually, finished, parseSse, post, raw, seqsOf, served } from "./served.ts";
import { open } from "./wire.ts";

/** A client of somebody else's, with every event it got and every id it knew. */
function follow(url: string): {
  readonly source: EventSource;
  readonly events: Event[];
  readonly ids: string[];
  readonly opened: () => number;
} {
  const events: Event[] = [];
  const ids: string[] = [];
  let opened = 0;
  const source = new EventSource(url);
  source.addEventListener("open", () => opened++);
  for (const type of EVENT_TYPES) {
    source.addEventListener(type, ({ data, lastEventId }) => {
      // Its own news about the connection has the name of our `error`, and no data.
      if (data === undefined) return;
      events.push(parseEvent(JSON.parse(String(data))));
      ids.push(lastEventId);
    });
  }
  return { source, events, ids, opened: () => opened };
}

describe("P29 an independent EventSource", () => {
  it("gets the whole log, comes back exactly where it was, and stops for good at 204", async () => {
    const clock = manualClock();
    const [first, second] = [pause(), pause()];
    const it = await served(
      { model: scriptedModel([["one two ", first, "three ", second, "four"]]) },
      { clock, maxConnectionMs: 60_000 },
    );
    const run = it.agent.run("talk", { runId: "r1" });
    const client = follow(`${it.url}/runs/r1/events`);
    await eventually(() => client.events.at(-1)?.type === "token_stream");
    // The server lets it go; what comes meanwhile is in the log.
    clock.advance(60_000);
    await eventually(() => client.source.readyState === EventSource.CONNECTING);
    first.open();
    await until(run, "token_stream", ({ data }) => data.text.includes("three"));
    await eventually(() => client.opened() === 2);
    await eventually(() =>
      client.events.some((event) => event.type === "token_stream" && event.data.text.includes("three")),
    );
    second.open();
    await run.settled();
    await run.send("again", { when: "done" });
    await run.settled();
    await it.agent.fork("r1", { at: 3, runId: "f1" });
    await eventually(async () => client.events.length === (await it.events("r1")).length);
    expect(client.events).toEqual(await it.events("r1"));
    expect(client.ids).toEqual(client.events.map(({ seq }) => String(seq)));
    client.source.close();

    const gone = follow(`${it.url}/runs/f1/events`);
    const fork = await it.agent.open("f1");
    await eventually(() => gone.events.at(-1)?.type === "interrupted");
    await fork.cancel("enough");
    // Delivered, ended, asked once more, told that there is nothing: it does not ask again.
    await eventually(() => gone.source.readyState === EventSource.CLOSED);
    expect(gone.events).toEqual(await it.events("f1"));
    const metrics = (await raw(`${it.url}/metrics`)).body;
    expect(metrics).toContain('rubato_requests_total{route="/runs/:id/events",status="204"} 1');
  });

  it("P24 (case 34) that leaves stops nothing, and one that stops the run need not stay", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["half ", gate, "whole"]]) });
    await post(`${it.url}/runs`, { task: "talk", runId: "r1" });
    const client = follow(`${it.url}/runs/r1/events`);
    await eventually(() => client.events.at(-1)?.type === "token_stream");
    client.source.close();
    // The stream that began the run is no different.
    const began = await open(`${it.url}/runs/r1/events`);
    began.cut();
    await eventually(async () => (await raw(`${it.url}/metrics`)).body.includes('open{kind="sse"} 0'));
    gate.open();
    const run = await it.agent.open("r1");
    expect(await run.settled()).toMatchObject({ status: "done", output: "half whole" });
    expect((await it.events("r1")).filter(({ type }) => type === "interrupt")).toEqual([]);
  });
});

describe("case 13: a cancel over HTTP", () => {
  it("has an outcome of its own, ends the stream, and closes what the model streamed", async () => {
    let asked = 0;
    let closed = false;
    const model: ChatModel = {
      name: "endless",
      async *stream(_request, { signal }) {
        try {
          for (;;) {
            asked++;
            yield { type: "text", text: "word " };
            await new Promise((resolve) => setTimeout(resolve, 1));
            if (signal.aborted) return;
          }
        } finally {
          closed = true;
        }
      },
    };
    const it = await served({ model });
    await post(`${it.url}/runs`, { task: "talk", runId: "r1" });
    const stream = await open(`${it.url}/runs/r1/events`);
    await stream.until((text) => text.includes("event: token_stream"));
    const receipt = await post(`${it.url}/runs/r1/commands`, { verb: "cancel", reason: "enough" });
    expect([receipt.status, await receipt.json()]).toMatchObject([200, { accepted: true }]);
    const { events, comments } = parseSse(await stream.ended);
    expect(events).toEqual(await it.events("r1"));
    expect(events.at(-1)).toMatchObject({ type: "cancelled", data: { reason: "enough" } });
    expect(events.some(({ type }) => type === "done" || type === "failed")).toBe(false);
    expect(comments).toEqual(["end cancelled"]);
    await eventually(() => closed);
    const before = asked;
    await eventually(
      async () =>
        (await raw(`${it.url}/runs/r1/events`, { headers: { "last-event-id": String(events.length) } })).status === 204,
    );
    expect(asked).toBe(before);
  });
});

describe("P29 a cursor", () => {
  const BAD: readonly (readonly [name: string, cursor: string, code: string])[] = [
    ["negative", "-1", "invalid_cursor"],
    ["no number", "latest", "invalid_cursor"],
    ["a fraction", "1.5", "invalid_cursor"],
    ["a power", "1e1", "invalid_cursor"],
    ["two", "1,2", "invalid_cursor"],
    ["longer than any number", "9".repeat(40), "invalid_cursor"],
    ["beyond the head", "100000", "cursor_beyond_head"],
    ["of another run", "r2:3", "cursor_of_another_run"],
    ["of this run, beyond the head", "r1:100000", "cursor_beyond_head"],
  ];

  it.for(BAD)("that is %s (%s) is refused, as header and as parameter", async ([, cursor, code]) => {
    const it = await served();
    await finished(it, "r1");
    for (const answer of [
      await raw(`${it.url}/runs/r1/events`, { headers: { "last-event-id": cursor } }),
      await raw(`${it.url}/runs/r1/events?after=${encodeURIComponent(cursor)}`),
      await raw(`${it.url}/runs/r1/events`, { headers: { "last-event-id": cursor, accept: "application/x-ndjson" } }),
    ]) {
      expect([answer.status, codeOf(answer.body)]).toEqual([400, code]);
    }
    expect((await raw(`${it.url}/metrics`)).body).toContain('connections_total{kind="sse"} 0');
  });

  it("P26 (case 35) is exclusive, for every seq, and only events have one", async () => {
    const it = await served();
    await finished(it, "r1");
    const all = await it.events("r1");
    for (let after = 0; after <= all.length; after++) {
      const said = after % 2 === 0 ? String(after) : `r1:${after}`;
      const { body } = await raw(`${it.url}/runs/r1/events?follow=false`, { headers: { "last-event-id": said } });
      expect(parseSse(body).events).toEqual(all.slice(after));
      expect(body.match(/^id:/gm)?.length ?? 0).toBe(all.length - after);
    }
    // The header that a browser sends when it comes again counts more than the address that it began with.
    const both = await raw(`${it.url}/runs/r1/events?follow=false&after=2`, { headers: { "last-event-id": "7" } });
    expect(seqsOf(parseSse(both.body).events)[0]).toBe(8);
  });

  it("in a range that was pruned reads on with its gap", async () => {
    const log = memoryLog();
    const before = await served({ log });
    await finished(before, "r1");
    await before.server.close();
    await log.prune("r1");
    const it = await served({ log });
    const left = await it.events("r1");
    const gap = left.find(({ type }) => type === "gap");
    if (gap?.type !== "gap") throw new Error("nothing was pruned");
    const { body } = await raw(`${it.url}/runs/r1/events?follow=false&after=${gap.data.from}`);
    expect(parseSse(body).events).toEqual(left.filter(({ seq }) => seq >= gap.seq));
  });
});

describe("a filter", () => {
  it("lets through what it names, and a client that is filtered ends as well", async () => {
    const it = await served();
    await finished(it, "r1");
    await it.agent.fork("r1", { at: 30, runId: "f1" });
    await (await it.agent.open("f1")).cancel();
    const all = await it.events("f1");
    const { body } = await raw(`${it.url}/runs/f1/events?types=tool_*,message`);
    const { events, comments } = parseSse(body);
    expect(events).toEqual(all.filter(({ type }) => type.startsWith("tool_") || type === "message"));
    expect(comments).toEqual(["end cancelled"]);
    // It knows the last of its own, behind which nothing of its own comes: without 204 a browser would come again for ever.
    const again = await raw(`${it.url}/runs/f1/events?types=tool_*,message`, {
      headers: { "last-event-id": String(events.at(-1)?.seq) },
    });
    expect(again.status).toBe(204);
    const bad = await raw(`${it.url}/runs/f1/events?types=tool_*,nonsense`);
    expect([bad.status, codeOf(bad.body)]).toEqual([400, "invalid_request"]);
  });
});

describe("what is sent", () => {
  it("P2 is only what the log holds", async () => {
    const inner = memoryLog();
    const gate = deferred();
    const log: typeof inner = {
      ...inner,
      async append(runId, batch) {
        if (batch.events.some((event) => event.type === "token_stream" && event.data.text.includes("three")))
          await gate.promise;
        await inner.append(runId, batch);
        return undefined;
      },
    };
    const it = await served({ log, model: scriptedModel([["one ", "two ", "three"]]) });
    const run = it.agent.run("talk", { runId: "r1" });
    const stream = await open(`${it.url}/runs/r1/events`);
    // In this process its token was told already.
    await until(run, "token_stream", ({ data }) => data.text === "three");
    await eventually(() => parseSse(stream.text()).events.length === run.durableSeq);
    expect(stream.text()).not.toContain("three");
    gate.resolve();
    await stream.until((text) => text.includes("event: done"));
    stream.cut();
  });

  it("P29 is a comment every 15 s of silence, none before, and nothing that has an id", async () => {
    const clock = manualClock();
    const it = await served({}, { clock });
    await finished(it, "r1");
    const sse = await open(`${it.url}/runs/r1/events`);
    const lines = await open(`${it.url}/runs/r1/events`, { accept: "application/x-ndjson" });
    const whole = await sse.until((text) => text.includes("event: done"));
    await lines.until((text) => text.includes('"type":"done"'));
    clock.advance(14_999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sse.text()).toBe(whole);
    clock.advance(1);
    await sse.until((text) => text.length > whole.length);
    expect(sse.text().slice(whole.length)).toBe(":\n\n");
    clock.advance(15_000);
    await sse.until((text) => text.slice(whole.length) === ":\n\n:\n\n");
    await lines.until((text) => text.endsWith("}\n\n\n"));
    sse.cut();
    lines.cut();
  });

  it("F5 ends within a heartbeat where the run was deleted, and whoever comes again is told so", async () => {
    const clock = manualClock();
    const it = await served({}, { clock });
    await finished(it, "r1");
    const client = createClient({ url: it.url, clock });
    const run = client.attach("r1");
    const loop = run.events({ follow: true });
    while ((await loop.next()).value?.type !== "done");
    const next = loop.next();
    const sse = await open(`${it.url}/runs/r1/events`);
    await sse.until((text) => text.includes("event: done"));
    clock.advance(15_000);
    await sse.until((text) => text.endsWith(":\n\n"));
    expect(sse.text(), "not while it is there").not.toContain("end log");
    expect(await it.log.delete("r1")).toBe(true);
    clock.advance(15_000);
    await sse.until((text) => text.includes(": end log"));
    const rejected = expect(next).rejects.toMatchObject({ code: "unknown_run" });
    await eventually(() => {
      if (run.connection.status === "reconnecting") clock.advance(1_000);
      return run.connection.status === "failed";
    });
    await rejected;
    client.close();
  });

  it("is compressed for who reads that, each batch flushed, and the same events", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["small ", gate, "x".repeat(5_000)]]) });
    const run = it.agent.run("talk", { runId: "r1" });
    const stream = await open(`${it.url}/runs/r1/events`, { "accept-encoding": "gzip, br;q=0.5" });
    expect(stream.response.headers["content-encoding"]).toBe("gzip");
    stream.cut();
    const answer = await fetch(`${it.url}/runs/r1/events`, { headers: { "accept-encoding": "gzip" } });
    const reader = answer.body?.getReader();
    let text = "";
    const until = async (part: string): Promise<void> => {
      while (!text.includes(part) || !text.endsWith("\n\n")) {
        const piece = await reader?.read();
        if (piece?.value === undefined) throw new Error(`ended: ${text}`);
        text += Buffer.from(piece.value).toString();
      }
    };
    // The first token comes while the model waits: it was not held back for a fuller block.
    await until('"text":"small"');
    gate.open();
    await run.settled();
    await until("event: done");
    expect(parseSse(text).events).toEqual(await it.events("r1"));
    await reader?.cancel();
    for (const [accept, coding] of [
      ["identity", undefined],
      ["gzip;q=0", undefined],
      ["*", "gzip"],
    ] as const) {
      const { headers } = await raw(`${it.url}/runs/r1/events?follow=false`, {
        headers: { "accept-encoding": accept },
      });
      expect(headers["content-encoding"]).toBe(coding);
    }
  });

  it("compressed ends as gzip ends, with its checksum", async () => {
    const it = await served();
    await finished(it, "r1");
    const pieces: Buffer[] = [];
    const { response } = await new Promise<{ response: NodeJS.ReadableStream }>((resolve, reject) => {
      import("node:http").then(({ get }) => {
        get(
          `${it.url}/runs/r1/events?follow=false`,
          { headers: { "accept-encoding": "gzip" }, agent: false },
          (response) => {
            resolve({ response });
          },
        );
      }, reject);
    });
    const gunzip = createGunzip();
    // Throws at a wrong checksum or a wrong length, and where the end is missing.
    for await (const piece of response.pipe(gunzip)) pieces.push(Buffer.from(piece));
    expect(parseSse(Buffer.concat(pieces).toString()).events).toEqual(await it.events("r1"));
  });

  it("as a short answer is not compressed, as a long one it is", async () => {
    const it = await served();
    const headers = { "accept-encoding": "gzip" };
    expect((await raw(`${it.url}/health`, { headers })).headers["content-encoding"]).toBeUndefined();
    const long = await fetch(`${it.url}/openapi.json`, { headers });
    expect(long.headers.get("content-encoding")).toBe("gzip");
    expect(await long.json()).toMatchObject({ openapi: "3.1.0" });
  });

  it("comes many events to a write", async () => {
    const it = await served({ model: scriptedModel([[Array.from({ length: 2_000 }, () => "word").join(" ")]]) });
    await finished(it, "r1");
    const { length } = await it.events("r1");
    const { response, ended } = await open(`${it.url}/runs/r1/events?follow=false`);
    let pieces = 0;
    response.on("data", () => pieces++);
    expect(parseSse(await ended).events.length).toBe(length);
    expect(length).toBeGreaterThan(2_000);
    expect(pieces).toBeLessThan(length / 20);
  });

  it("is not acceptable in any other form", async () => {
    const it = await served();
    await finished(it, "r1");
    const answer = await raw(`${it.url}/runs/r1/events`, { headers: { accept: "application/xml" } });
    expect([answer.status, codeOf(answer.body)]).toEqual([406, "not_acceptable"]);
  });
});
