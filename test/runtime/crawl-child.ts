import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileLog, systemClock, type Overflow } from "rubato";
import { crawl } from "../support/crawl.ts";

// Prints how much memory a run of many tokens takes beside what it took after its first turn, with a consumer of one policy or with none.
const [policy = "none", turns = "100"] = process.argv.slice(2);
const POLICIES: readonly Overflow[] = ["catch-up", "coalesce", "drop-oldest", "drop-newest", "disconnect", "block"];
const folder = mkdtempSync(join(tmpdir(), "rubato-crawl-"));
let before: number | undefined;
let peak = 0;
const { stats, seq } = await crawl({
  overflow: POLICIES.find((known) => known === policy),
  turns: Number(turns),
  tokensPerTurn: 10_000,
  log: fileLog(folder),
  clock: systemClock,
  onTurn() {
    globalThis.gc?.();
    const { rss } = process.memoryUsage();
    before ??= rss;
    peak = Math.max(peak, rss);
  },
});
rmSync(folder, { recursive: true });
console.log(
  JSON.stringify({ seq, grown: peak - (before ?? peak), highWater: stats?.highWater ?? 0, overflow: stats?.overflow }),
);
