import { systemClock, type Event } from "rubato";
import { createBus } from "../../../runtime/bus.ts";
import type { Head } from "../../../runtime/head.ts";
import { initialState } from "../../../machines/state.ts";
import { openHead } from "../../../runtime/log-head.ts";
import { memoryLog } from "../../../runtime/log/memory.ts";
import { readPublished } from "../../../runtime/reader.ts";
import { mb, rate, us } from "../support/format.ts";
import { collectGarbage, sweep } from "../support/interleave.ts";
import { expect, type Row } from "../support/row.ts";
import { median, percentile } from "../support/stats.ts";

const PER_SAMPLE = 50_000;
const LIMIT_PER_1000 = 1_048_576;

export const events: Row = {
  name: "events",
  title: "bus + log + reducer, per event",
  async measure({ quick }) {
    const rounds = quick ? 5 : 30;
    const plain: number[] = [];
    const full: number[] = [];
    for (let round = -3; round < rounds; round++) {
      const sides = { plain: plainCalls(PER_SAMPLE), full: throughHead(PER_SAMPLE) };
      if (round < 0) continue;
      plain.push(sides.plain);
      full.push(sides.full);
    }
    const perEvent = median(full) / PER_SAMPLE;
    const late = percentile(eachEvent(quick ? 100_000 : 300_000), 0.99);
    const bytes = median(Array.from({ length: quick ? 3 : 9 }, () => bytesPer1000()));
    return [
      {
        what: "bus + log + reducer, per event",
        loop: rate(1_000 / (median(plain) / PER_SAMPLE)),
        rubato: rate(1_000 / perEvent),
        ratio: median(full) / median(plain),
        target: ">= 1 M/s",
        met: perEvent <= 0.001,
      },
      {
        what: "  p99 of one event",
        loop: us(median(plain) / PER_SAMPLE),
        rubato: us(late),
        target: "< 5 us",
        met: late < 0.005,
      },
      {
        what: "  memory of 1,000 events",
        loop: "",
        rubato: mb(bytes),
        target: `<= ${mb(LIMIT_PER_1000)}`,
        met: bytes <= LIMIT_PER_1000,
      },
    ];
  },
};

interface Bench {
  readonly head: Head;
  readonly seen: () => number;
}

/** A head in the middle of an answer, with a log, a bus, and one listener. */
function open(): Bench {
  const log = memoryLog();
  let seen = 0;
  const bus = createBus({
    readAfter: (cursor, limit) => readPublished(head, log, cursor, limit),
    publishedSeq: () => head.publishedSeq,
    clock: systemClock,
  });
  const head: Head = openHead({
    runId: "bench",
    log,
    epoch: 1,
    state: initialState(),
    logTimeoutMs: 30_000,
    redact: undefined,
    clock: systemClock,
    audience: bus,
    owner: { perform() {}, onFailure() {}, onRest() {} },
  });
  bus.subscribe("token_stream", () => {
    seen += 1;
  });
  head.record([
    {
      type: "run_start",
      data: {
        schema: 1,
        reducer: 1,
        chartHash: "",
        agent: { name: "bench", instructions: "", tools: [] },
        model: "bench",
        limits: { maxSteps: 1 },
      },
    },
    { type: "user_input", data: { id: "start", text: "task", when: "start" } },
    { type: "thinking", data: { step: 1, attempt: 1, messageId: "m1", model: "bench" } },
  ]);
  return { head, seen: () => seen };
}

function tell(head: Head, offset: number): void {
  head.delta({
    seq: head.nextSeq,
    timestamp: systemClock.now(),
    runId: "bench",
    type: "token_stream",
    data: { kind: "text", text: "token ", messageId: "m1", attempt: 1, offset },
  });
}

function throughHead(count: number): number {
  const { head, seen } = open();
  sweep();
  const start = performance.now();
  for (let index = 0; index < count; index++) tell(head, index * 6);
  const took = performance.now() - start;
  expect(seen() === count && head.durableSeq === count + 3, `${seen()} of ${count} events reached the listener`);
  return took;
}

/** What a program without any of this does: it makes the event and calls whoever wants it. */
function plainCalls(count: number): number {
  let seen = 0;
  // The last event is kept where it can be seen, else the compiler leaves it out altogether.
  const kept: Event[] = [];
  const listeners = new Set([
    (event: Event): void => {
      if (event.type === "token_stream") seen += 1;
      kept[0] = event;
    },
  ]);
  sweep();
  const start = performance.now();
  for (let index = 0; index < count; index++) {
    const event: Event = {
      seq: index + 1,
      timestamp: 0,
      runId: "bench",
      type: "token_stream",
      data: { kind: "text", text: "token ", messageId: "m1", attempt: 1, offset: index * 6 },
    };
    for (const listener of listeners) listener(event);
  }
  const took = performance.now() - start;
  expect(seen === count && kept[0]?.seq === count, "a plain call was lost");
  return took;
}

/** The time of every single event. Reading the clock is part of it, some 40 ns. */
function eachEvent(count: number): number[] {
  const times: number[] = [];
  const { head } = open();
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    tell(head, index * 6);
    times.push(performance.now() - start);
  }
  return times;
}

function bytesPer1000(): number {
  const thousands = 20;
  const { head } = open();
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < thousands * 1_000; index++) tell(head, index * 6);
  collectGarbage();
  const grown = process.memoryUsage().heapUsed - before;
  expect(head.durableSeq === thousands * 1_000 + 3, "the log lost events");
  return grown / thousands;
}
