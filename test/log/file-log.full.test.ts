import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileLog, type Event } from "rubato";
import { events } from "../contracts/log-fixture.ts";
import { claimTogether } from "./file-claims.ts";
import { newFolder, readAll, refusal, segmentPath } from "./file-fixture.ts";
import { tokens } from "./file-tokens.ts";

describe("the log in files, at length", () => {
  it.each([2, 4, 8, 16, 32])("P21 %i processes claim at the same time", { timeout: 240_000 }, async (processes) => {
    await claimTogether(processes, 40);
  });

  it("a million events are read with flat memory", { timeout: 240_000 }, async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 1) });
    let offset = 0;
    for (let seq = 2; seq < 1_000_000; seq += 1_000) {
      const batch: Event[] = tokens(
        seq,
        Array.from({ length: 1_000 }, (_, at) => ` t${at % 10}`),
        offset,
      );
      offset += 3_000;
      await log.append("r", { epoch: 1, events: batch });
    }
    const reader = fileLog(folder);
    const before = process.memoryUsage();
    let peak = 0;
    let seq = 0;
    for (;;) {
      const page = await reader.read("r", { after: seq, limit: 256 });
      if (page.length === 0) break;
      seq = page.at(-1)?.seq ?? seq;
      if (seq % 65_536 < 256) peak = Math.max(peak, process.memoryUsage().rss - before.rss);
    }
    expect(seq).toBe(1_000_001);
    // The file alone is 25 MB, its events some 200: what is kept is an index of a few hundred kilobytes and young garbage.
    expect(peak).toBeLessThan(100 * 1_048_576);
    expect(statSync(segmentPath(folder)).size / 1_000_000).toBeLessThanOrEqual(40);
  });

  it("a disk of 1 MiB that is full: refused in one sentence, nothing lost, and it goes on", async (test) => {
    const folder = join(newFolder(), "small");
    mkdirSync(folder);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
    if (mounted.status !== 0) {
      console.warn("\nLeft out: the log on a disk that is really full (a tmpfs of 1 MiB needs root).\n");
      test.skip();
    }
    try {
      for (const durability of ["process", "power"] as const) {
        const log = fileLog(join(folder, durability), { durability });
        await log.append("r", { epoch: 1, events: events("r", 1, 1) });
        let seq = 1;
        const error = await refusal(async () => {
          for (; seq < 10_000; seq++) {
            await log.append("r", { epoch: 1, events: events("r", seq + 1, seq + 1, { text: "x".repeat(3_000) }) });
          }
        });
        expect(error.message).toContain("The disk is full");
        expect((await readAll(log)).length).toBe(seq);
        expect(await log.check?.("r")).toBe(undefined);
        expect((await fileLog(join(folder, durability)).head("r")).seq).toBe(seq);
        expect((await refusal(() => log.append("s", { epoch: 1, events: events("s", 1, 400) }))).message).toContain(
          "The disk is full",
        );
        expect((await log.list()).map(({ runId }) => runId)).toEqual(["r"]);
        await log.delete("r");
        await log.append("s", { epoch: 1, events: events("s", 1, 400) });
        expect(await readAll(log, "s")).toHaveLength(400);
        await log.delete("s");
      }
    } finally {
      spawnSync("umount", [folder]);
    }
  });
});
