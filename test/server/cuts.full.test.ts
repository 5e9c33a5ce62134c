import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { scriptedModel, pause, type Event } from "rubato";
import { parseEvent } from "rubato/machines";
import { z } from "zod";
import { eventually, finished, parseSse, raw, seqsOf, served, type Served } from "./served.ts";
import { cuttingProxy, open } from "./wire.ts";

/** What a client got that read until its line was cut, wherever that was. Half a frame is none. */
async function readSse(url: string, after: number): Promise<readonly Event[]> {
  const stream = await open(url, { "last-event-id": String(after) }).catch(() => undefined);
  // Cut within the head of the response.
  if (stream === undefined) return [];
  return parseSse(await stream.ended).events;
}

async function readLines(url: string, after: number): Promise<readonly Event[]> {
  const stream = await open(url, { "last-event-id": String(after), accept: "application/x-ndjson" }).catch(
    () => undefined,
  );
  if (stream === undefined) return [];
  const lines = (await stream.ended).split("\n");
  lines.pop();
  return lines.filter((line) => line !== "").map((line) => parseEvent(JSON.parse(line)));
}

const framesSchema = z.looseObject({ type: z.string(), events: z.array(z.unknown()).optional() });

async function readSocket(url: string, after: number): Promise<readonly Event[]> {
  const events: Event[] = [];
  const socket = new WebSocket(
    `${url.replace("http", "ws").replace("/events", "/socket").replace("?follow=false", "")}?after=${after}`,
  );
  socket.on("message", (data: Buffer) => {
    const frame = framesSchema.parse(JSON.parse(data.toString()));
    for (const event of frame.events ?? []) events.push(parseEvent(event));
    // A socket goes on at rest: this client has what it came for.
    if (events.at(-1)?.type === "done") socket.close();
  });
  await new Promise<void>((resolve) => {
    socket.on("close", () => {
      resolve();
    });
    socket.on("error", () => {});
  });
  return events;
}

const CLIENTS = [
  ["SSE", readSse],
  ["NDJSON", readLines],
  ["WebSocket", readSocket],
] as const;

/** Reads again and again from its last event until it has the end. */
async function persist(
  read: (typeof CLIENTS)[number][1],
  url: string,
  before: (attempt: number) => void,
): Promise<{ readonly events: Event[]; readonly attempts: number }> {
  const events: Event[] = [];
  for (let attempt = 0; ; attempt++) {
    before(attempt);
    events.push(...(await read(url, events.at(-1)?.seq ?? 0)));
    if (events.at(-1)?.type === "done") return { events, attempts: attempt + 1 };
  }
}

async function golden(): Promise<Served> {
  const it = await served();
  await finished(it, "r1");
  return it;
}

describe.each(CLIENTS)("P26 I17 a client over %s that resumes has exactly the log", (_name, read) => {
  it("where the line is cut behind every event", async () => {
    const it = await golden();
    const all = await it.events("r1");
    const whole = await read(`${it.url}/runs/r1/events?follow=false`, 0);
    for (let kept = 0; kept < all.length; kept++) {
      // It forgets what it has not taken in: its cursor is the last that it did.
      const rest = await read(`${it.url}/runs/r1/events?follow=false`, kept);
      expect([...whole.slice(0, kept), ...rest]).toEqual(all);
    }
  });

  it("where it is cut at any byte, within the head and within a frame", async () => {
    const it = await golden();
    const all = await it.events("r1");
    const proxy = await cuttingProxy(it.server.port);
    const url = `http://127.0.0.1:${proxy.port}/runs/r1/events?follow=false`;
    let cuts = 0;
    for (let bytes = 90; bytes < 15_000; bytes += 331) {
      const { events, attempts } = await persist(read, url, (attempt) => {
        proxy.cutAfter(attempt === 0 ? bytes : Number.POSITIVE_INFINITY);
      });
      expect(events).toEqual(all);
      if (attempts > 1) cuts++;
    }
    expect(cuts).toBeGreaterThan(20);
  });

  it("where it is cut again and again while the run works", async () => {
    const gates = Array.from({ length: 6 }, () => pause());
    const it = await served({ model: scriptedModel([gates.flatMap((gate, at) => [`${at} `.repeat(40), gate])]) });
    const run = it.agent.run("talk", { runId: "r1" });
    const proxy = await cuttingProxy(it.server.port);
    const reading = persist(read, `http://127.0.0.1:${proxy.port}/runs/r1/events?follow=false`, (attempt) => {
      proxy.cutAfter(1_000 + 613 * attempt);
    });
    for (const gate of gates) {
      const { durableSeq } = run;
      gate.open();
      await eventually(() => run.durableSeq > durableSeq);
    }
    await run.settled();
    const { events, attempts } = await reading;
    expect(events).toEqual(await it.events("r1"));
    expect(attempts).toBeGreaterThan(5);
    expect(seqsOf(events)).toEqual(events.map((_, at) => at + 1));
    await eventually(async () => (await raw(`${it.url}/metrics`)).body.match(/connections_open\{.*\} [1-9]/) === null);
  });
});
