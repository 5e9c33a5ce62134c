import { expect, it } from "vitest";
import { memoryLog, type Overflow } from "rubato";
import { crawl } from "../support/crawl.ts";
import { manualClock } from "../support/manual-clock.ts";

const consumers: readonly (readonly [Overflow, "subscribe" | "batches"])[] = [
  ["catch-up", "subscribe"],
  ["catch-up", "batches"],
  ["coalesce", "subscribe"],
  ["drop-oldest", "subscribe"],
  ["drop-newest", "batches"],
  ["disconnect", "subscribe"],
  ["block", "subscribe"],
];

it.each(consumers)(
  "P27 I19 200,000 tokens to a consumer at a hundredth of their pace: its queue keeps its bounds (%s, %s)",
  async (overflow, by) => {
    const clock = manualClock();
    // One that blocks makes the model as slow as it is itself: a tenth of the tokens takes as long.
    const turns = overflow === "block" ? 2 : 20;
    const { stats, seq } = await crawl({
      overflow,
      batches: by === "batches",
      turns,
      tokensPerTurn: 10_000,
      log: memoryLog(),
      clock,
    });
    expect(seq).toBeGreaterThan(turns * 10_000);
    expect(clock.pending).toBe(0);
    if (overflow === "disconnect") return expect(stats).toBeUndefined();
    // Control events, five in a turn, may fill more than the bound, up to twice of it.
    expect(stats?.highWater).toBeLessThanOrEqual(overflow === "block" ? 801 : 1_000 + 5 * turns);
    expect(stats?.highWater).toBeGreaterThan(700);
    expect(stats?.highWaterBytes).toBeLessThanOrEqual((overflow === "drop-newest" ? 2 : 1) * 1_048_576);
    expect(stats?.delivered).toBeGreaterThan(100);
    return undefined;
  },
);
