import { expect, it } from "vitest";
import { createAgent, memoryLog, scriptedModel, type EventLog } from "rubato";
import { EVENT_TYPES } from "rubato/machines";
import { RunFeed } from "../../runtime/server/feed.ts";
import { Subscription, type Sink } from "../../runtime/server/subscription.ts";
import { manualClock } from "../support/manual-clock.ts";

const TOKENS = 3_000;
const HEARTBEAT_MS = 15_000;

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A run of some chunks, and a feed of it that counts what it reads, by cursor. */
async function longRun(slow = false) {
  const log = memoryLog();
  const text = Array.from({ length: TOKENS }, (_, index) => `token ${index} `);
  await createAgent({ name: "a", model: scriptedModel([text]), log })
    .run("go", { runId: "r" })
    .settled();
  const reads: number[] = [];
  const counting: EventLog = {
    ...log,
    read(runId, options) {
      reads.push(options.after);
      return slow ? turn().then(() => log.read(runId, options)) : log.read(runId, options);
    },
  };
  const clock = manualClock();
  const feed = new RunFeed(counting, "r", clock, () => {});
  const follow = (cursor = 0, types?: ReadonlySet<string>) => {
    const taken: { chunks: number; events: number; to: number; first?: string } = { chunks: 0, events: 0, to: cursor };
    const sink: Sink = {
      write(chunk) {
        taken.chunks++;
        taken.events += chunk.count;
        taken.to = chunk.to;
        taken.first ??= chunk.bytes.toString().slice(0, 20);
        return true;
      },
      beat: () => true,
      end: () => false,
      destroy() {},
    };
    const subscription = new Subscription({
      kind: "sse",
      feed,
      view: feed.view("sse", types),
      cursor,
      sink,
      clock,
      heartbeatMs: HEARTBEAT_MS,
      beatsAlways: false,
      maxConnectionMs: 3_600_000,
      cancelled: false,
      onDispose() {},
      onError(error) {
        throw error;
      },
      onDelivered() {},
    });
    subscription.pump();
    return { subscription, taken };
  };
  const { length } = await log.read("r", { after: 0, limit: Number.MAX_SAFE_INTEGER });
  return { feed, follow, reads, clock, length };
}

it("F4 who catches up is handed one chunk in a turn of the event loop, however fast it takes them", async () => {
  const { follow, length } = await longRun();
  const { subscription, taken } = follow();
  let turns = 0;
  for (; taken.events < length; turns++) {
    expect(taken.chunks).toBe(turns + 1);
    await turn();
  }
  expect(turns).toBeGreaterThan(4);
  subscription.dispose();
});

it("F4 who wants little of a long log reads it in turns as well", async () => {
  const { follow, reads, length } = await longRun();
  const { subscription, taken } = follow(0, new Set(["done"]));
  expect(reads).toHaveLength(1);
  while (taken.events === 0) {
    const before = reads.length;
    await turn();
    expect(reads.length).toBeLessThanOrEqual(before + 1);
  }
  expect(taken).toMatchObject({ events: 1, to: length });
  subscription.dispose();
});

it("F2 F4 those who came together share what is read, and what is kept for them is given back a second later", async () => {
  const { follow, reads, clock, length } = await longRun();
  const both = [follow(), follow(), follow()];
  const late = follow();
  while ([...both, late].some(({ taken }) => taken.events < length)) await turn();
  await turn();
  // Each cursor once; the last is where nothing more is.
  expect(reads).toEqual([...new Set(reads)]);
  const once = reads.length;

  clock.advance(1_000);
  const next = follow();
  while (next.taken.events < length) await turn();
  await turn();
  expect(reads.length, "nothing was kept").toBeGreaterThanOrEqual(2 * once - 1);
  for (const { subscription } of [...both, late, next]) subscription.dispose();
  expect(clock.pending, "the last one to leave ends every timer").toBe(0);
});

it("who leaves in the middle is not called again", async () => {
  const { follow, feed } = await longRun();
  const { subscription, taken } = follow();
  const stays = follow();
  subscription.dispose();
  await turn();
  expect(taken.chunks).toBe(1);
  expect(stays.taken.chunks).toBe(2);
  stays.subscription.dispose();
  feed.again(() => {
    throw new Error("It does not follow.");
  });
  await turn();
});

it("P26 who goes on elsewhere while the log is read gets what he asked for last, also through the same filter", async () => {
  const { feed, follow, length } = await longRun(true);
  const { subscription, taken } = follow(1_000);
  subscription.move(feed.view("sse", undefined), 10, false);
  while (taken.to < length) await turn();
  expect(taken.first).toMatch(/^id: 11\n/);
  expect(taken.events).toBe(length - 10);
  subscription.dispose();
});

it("P27 F2 what is kept is bounded, also where a filter leaves everything out", async () => {
  const { feed, reads } = oneByOne();
  const view = feed.view("sse", new Set(["done"]));
  for (let cursor = 0; cursor < 20_000; cursor++) await view.next(cursor);
  reads.length = 0;
  await view.next(19_999);
  expect(reads, "the last one is still there").toEqual([]);
  await view.next(0);
  expect(reads, "the first one is not").toEqual([0]);
});

it("P27 F2 what is kept is bounded, however many filters clients think of", async () => {
  const { feed, reads } = oneByOne();
  const first = feed.view("socket", new Set(["token_stream"]));
  await first.next(0);
  await first.next(0);
  expect(reads).toEqual([0]);
  for (const type of EVENT_TYPES.slice(0, 10)) await feed.view("sse", new Set([type, "token_stream"])).next(0);
  reads.length = 0;
  // Whoever still has it reads on, alone.
  const again = [await first.next(0), await first.next(0)];
  expect(again.map((chunk) => chunk?.to)).toEqual([1, 1]);
  expect(reads).toEqual([0, 0]);
});

/** A log that hands out one token at a time, without end. */
function oneByOne() {
  const reads: number[] = [];
  const log: EventLog = {
    ...memoryLog(),
    read(runId, { after }) {
      reads.push(after);
      const data = { kind: "text", text: "token ", messageId: "m", attempt: 1, offset: after * 6 } as const;
      return [{ seq: after + 1, timestamp: 1, runId, type: "token_stream", data }];
    },
  };
  return { feed: new RunFeed(log, "r", manualClock(), () => {}), reads };
}
