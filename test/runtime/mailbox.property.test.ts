import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createAgent,
  memoryLog,
  type Event,
  type Level,
  type Overflow,
  type RubatoError,
  type SubscriberStats,
} from "rubato";
import { EVENT_TYPES, isHot } from "rubato/machines";
import { Lane } from "../../runtime/lane.ts";
import { Mailbox } from "../../runtime/mailbox.ts";
import { statsOf } from "../../runtime/subscriber.ts";
import { Valve } from "../../runtime/valve.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

/** One thing of each kind that can be told, as an arbitrary of what the next event is. */
const next = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constantFrom("text", "reasoning"), length: fc.integer({ min: 1, max: 40 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("args"), length: fc.integer({ min: 0, max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("progress"), length: fc.integer({ min: 0, max: 200 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("custom"), length: fc.integer({ min: 0, max: 300 }) }) },
);
type Next = { readonly kind: string; readonly length: number };

/** As they would stand in a log, as far as a mailbox looks. */
function logOf(parts: readonly Next[]): Event[] {
  const offsets = { text: 0, reasoning: 0 };
  return parts.map(({ kind, length }, index): Event => {
    const envelope = { seq: index + 1, timestamp: 1_000 + index, runId: "r" };
    const words = String(index).padEnd(length, "x").slice(0, length);
    if (kind === "text" || kind === "reasoning") {
      const offset = offsets[kind];
      offsets[kind] += length;
      return { ...envelope, type: "token_stream", data: { kind, text: words, messageId: "m", attempt: 1, offset } };
    }
    if (kind === "args") {
      return {
        ...envelope,
        type: "tool_call_delta",
        data: { messageId: "m", attempt: 1, index: 0, callId: "1.0", args: words },
      };
    }
    if (kind === "progress") {
      return { ...envelope, type: "tool_progress", data: { callId: "1.0", attempt: 1, value: [words] } };
    }
    return { ...envelope, type: "custom", data: { name: "note", data: words } };
  });
}

/** A mailbox of a run whose events a test tells one by one. */
function mailboxOf(log: readonly Event[], lane: Lane, { from, readLater }: { from: number; readLater: boolean }) {
  let published = 0;
  const owner = {
    stats: (): SubscriberStats => stats(),
    run(callback: () => void) {
      callback();
    },
  };
  const readAfter = (cursor: number, limit: number): readonly Event[] | Promise<readonly Event[]> => {
    const page = log.slice(cursor, Math.min(cursor + limit, published));
    return readLater ? Promise.resolve(page) : page;
  };
  const feed = { readAfter, publishedSeq: () => published, valve: new Valve(manualClock()) };
  let mailbox: Mailbox | undefined;
  const open = (): Mailbox => {
    mailbox ??= new Mailbox(feed, lane, {
      types: new Set<string>(EVENT_TYPES),
      owner,
      cursor: from,
      begin: Math.max(from, published),
    });
    return mailbox;
  };
  const stats = (): SubscriberStats =>
    statsOf({ pattern: "*", lane, mailbox: open(), direct: 0, failed: 0, lastError: undefined });
  return {
    stats,
    open,
    tell(count: number) {
      for (let left = count; left > 0 && published < log.length; left--) {
        published++;
        const event = log[published - 1];
        if (event !== undefined) mailbox?.hold(event);
      }
    },
  };
}

/**
 * I17: what was heard, each event once, is the log after the cursor: as it was, within a merged one, or named by a gap. Control events as they were.
 */
function checkHeard(heard: readonly Event[], log: readonly Event[]): { merged: number; dropped: number } {
  let at = 0;
  let merged = 0;
  let dropped = 0;
  for (const event of heard) {
    expect(event.seq, "in order").toBeGreaterThan(at === 0 ? 0 : (log[at - 1]?.seq ?? 0));
    if (event.type === "gap") {
      for (; at < log.length && (log[at]?.seq ?? 0) < event.data.from; at++)
        expect.fail(`seq ${log[at]?.seq} is missing`);
      for (; at < log.length && (log[at]?.seq ?? 0) <= event.data.to; at++) {
        expect(isHot(log[at] ?? event), "only hot events are dropped").toBe(true);
        dropped++;
      }
      continue;
    }
    const parts: Event[] = [];
    while (at < log.length && (log[at]?.seq ?? 0) <= event.seq) {
      const part = log[at++];
      if (part !== undefined) parts.push(part);
    }
    if (parts.length === 1) {
      expect(event).toEqual(parts[0]);
      continue;
    }
    merged += parts.length - 1;
    const [first] = parts;
    const last = parts.at(-1);
    if (event.type === "token_stream" && first?.type === "token_stream") {
      const text = parts.map((part) => (part.type === "token_stream" ? part.data.text : "?")).join("");
      expect(event).toEqual({ ...last, data: { ...first.data, text } });
    } else if (event.type === "tool_call_delta" && first?.type === "tool_call_delta") {
      const args = parts.map((part) => (part.type === "tool_call_delta" ? part.data.args : "?")).join("");
      expect(event).toEqual({ ...last, data: { ...first.data, args } });
    } else expect.fail(`${event.type} at seq ${event.seq} stands for ${parts.length} events`);
  }
  expect(at, "to the end").toBe(log.length);
  return { merged, dropped };
}

const policy = fc.constantFrom<Overflow>("catch-up", "coalesce", "drop-oldest", "drop-newest", "block", "disconnect");
const bounds = fc.record({
  events: fc.integer({ min: 1, max: 12 }),
  bytes: fc.constantFrom(150, 600, 3_000, 1_000_000),
});

describe("P27 I17", () => {
  it("whatever is told and taken when: each event is delivered, merged, or named by a gap; control events are never dropped", async () => {
    const schedule = fc.array(fc.record({ tell: fc.nat(30), take: fc.nat(12), group: fc.boolean() }), {
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(next, { maxLength: 250 }),
        schedule,
        policy,
        bounds,
        fc.record({ from: fc.constantFrom(0, 0, 7), before: fc.nat(40), readLater: fc.boolean() }),
        async (parts, schedule, overflow, queue, { from, before, readLater }) => {
          const log = logOf(parts);
          let error: RubatoError | undefined;
          const lane = new Lane({ overflow, queue, onDisconnect: (thrown) => (error = thrown) });
          const box = mailboxOf(log, lane, { from, readLater });
          lane.undo = () => {
            box.open().close();
          };
          box.tell(before);
          const mailbox = box.open();
          const heard: Event[] = [];
          const take = async (group: boolean): Promise<boolean> => {
            if (group) {
              const events = mailbox.takeGroup();
              expect(events.length).toBeLessThanOrEqual(256);
              heard.push(...events);
              if (events.length > 0) return true;
            } else {
              const event = mailbox.take();
              if (event !== undefined) return heard.push(event) > 0;
            }
            if (!mailbox.behind) return false;
            const reading = mailbox.refill();
            if (readLater) box.tell(3);
            return (await reading) > 0;
          };
          for (const { tell, take: count, group } of schedule) {
            box.tell(tell);
            const { queued, queuedBytes, highWater, produced, delivered, merged, dropped } = box.stats();
            // Hot events keep the bound; control events may take as much again. One that is larger than everything has its place alone.
            expect(highWater).toBeLessThanOrEqual(2 * queue.events);
            expect(queued === 1 || queuedBytes <= 2 * queue.bytes).toBe(true);
            if (!mailbox.behind && error === undefined) expect(produced).toBe(delivered + merged + dropped + queued);
            for (let left = count; left > 0; left--) if (!(await take(group))) break;
          }
          box.tell(log.length);
          while (await take(true));
          const after = log.slice(from);
          if (overflow === "disconnect" && error !== undefined) {
            // As far as it came, and from there on anew.
            expect(heard).toEqual(log.slice(from, from + heard.length));
            expect(error.message).toContain(`Read on from seq ${heard.at(-1)?.seq ?? from},`);
            expect([lane.load, mailbox.pending]).toEqual([{ events: 0, bytes: 0 }, false]);
            return;
          }
          const { merged, dropped } = checkHeard(heard, after);
          const stats = box.stats();
          expect([stats.merged, stats.dropped, stats.queued, stats.behind]).toEqual([merged, dropped, 0, false]);
          expect(stats.produced).toBe(after.length);
          expect(stats.delivered + merged + dropped).toBe(after.length);
          expect(stats.level).toBe("green");
          if (merged > 0) expect(overflow).toBe("coalesce");
          if (dropped > 0) expect(overflow).toMatch(/^drop-/);
          expect(lane.load).toEqual({ events: 0, bytes: 0 });
        },
      ),
      { numRuns: 400 },
    );
  });

  it("levels and marks are told once per crossing, however the fill moves", () => {
    const steps = fc.array(fc.record({ up: fc.boolean(), by: fc.nat(60) }), { maxLength: 40 });
    fc.assert(
      fc.property(steps, (steps) => {
        const levels: Level[] = [];
        const marks: number[] = [];
        const lane = new Lane({
          queue: { events: 100 },
          onLevel: (level) => levels.push(level),
          onFill: (percent, { queued }) => {
            expect(queued).toBe(percent);
            marks.push(percent);
          },
        });
        const log = logOf(Array.from({ length: 3_000 }, () => ({ kind: "text", length: 1 })));
        const box = mailboxOf(log, lane, { from: 0, readLater: false });
        const mailbox = box.open();
        // Written apart from the lane: where each bound was crossed last.
        let level = 0;
        let armed = [true, true];
        const expected: { readonly levels: Level[]; readonly marks: number[] } = { levels: [], marks: [] };
        const names: readonly Level[] = ["green", "yellow", "red", "degraded"];
        let fill = 0;
        const move = (to: number): void => {
          fill = to;
          const rises = [0, 30, 71, 91].findLastIndex((bound) => fill >= bound);
          const falls = [0, 20, 60, 80].findLastIndex((bound) => fill >= bound);
          const now = rises > level ? rises : Math.min(level, falls);
          if (now !== level) expected.levels.push(names[now] ?? "green");
          level = now;
          for (const [index, at] of [50, 90].entries()) {
            if (fill < at - 10) armed[index] = true;
            if (fill < at || armed[index] !== true) continue;
            armed[index] = false;
            expected.marks.push(at);
          }
        };
        for (const { up, by } of steps) {
          for (let left = by; left > 0; left--) {
            if (up && fill < 100) {
              box.tell(1);
              move(fill + 1);
            } else if (!up && fill > 0) {
              mailbox.take();
              move(fill - 1);
            }
          }
        }
        expect([levels, marks]).toEqual([expected.levels, expected.marks]);
      }),
      { numRuns: 150 },
    );
  });
});

it("P26 P27 whatever it asks for, a reader that is cut off anywhere and goes on from its last seq misses nothing", async () => {
  const reader = fc.record({
    overflow: policy,
    queue: bounds,
    durable: fc.boolean(),
    pace: fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
    batchesPerTurn: fc.integer({ min: 1, max: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(reader, { minLength: 1, maxLength: 4 }), fc.boolean(), async (readers, slow) => {
      const log = slow ? slowLog() : memoryLog();
      const ledger = { started: [], finished: [], aborted: [] };
      const clock = manualClock();
      const agent = createAgent({ name: "golden", model: goldenModel(), tools: goldenTools(ledger), log, clock });
      const run = agent.run("How is the weather?", { runId: "golden" });
      const read = readers.map(async ({ overflow, queue, durable, pace, batchesPerTurn }) => {
        const heard: Event[] = [];
        for (let over = false; !over;) {
          over = true;
          let turns = 0;
          try {
            for await (const batch of run.batches({ from: heard.at(-1)?.seq ?? 0, overflow, queue, durable })) {
              heard.push(...batch);
              if (durable) expect(batch.at(-1)?.seq).toBeLessThanOrEqual(run.durableSeq);
              for (let turn = pace[heard.length % pace.length] ?? 0; turn > 0; turn--) await Promise.resolve();
              if (++turns < batchesPerTurn) continue;
              over = false;
              break;
            }
          } catch (error) {
            expect(error).toMatchObject({ code: "overflow" });
            over = false;
          }
        }
        return heard;
      });
      await run.settled();
      const all = await stored(log, "golden");
      for (const heard of await Promise.all(read)) checkHeard(heard, all);
      expect(run.stats().subscribers).toEqual([]);
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 80 },
  );
});
