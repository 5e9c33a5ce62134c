import { expect } from "vitest";
import type { Event, Json } from "rubato";
import { deltas, events } from "../log-fixture.ts";
import { all, append, type Suite } from "./suite.ts";

export function readContract({ on }: Suite): void {
  on("reads pages: as many as there are up to the limit, after an exclusive cursor", async (log) => {
    const given = events("r", 1, 600);
    await append(log, "r", given.slice(0, 300));
    await append(log, "r", given.slice(300));
    for (const limit of [1, 7, 256, 599, 600, 601, 100_000]) {
      for (const after of [0, 1, 299, 300, 301, 599]) {
        expect(await log.read("r", { after, limit }), `${after} + ${limit}`).toEqual(given.slice(after, after + limit));
      }
    }
    const walked: Event[] = [];
    for (;;) {
      const page = await log.read("r", { after: walked.length, limit: 64 });
      if (page.length === 0) break;
      walked.push(...page);
    }
    expect(walked).toEqual(given);
  });

  on("reads nothing beyond the head and nothing of a run that does not exist", async (log) => {
    await append(log, "r", events("r", 1, 3));
    expect(await log.read("r", { after: 3, limit: 10 })).toEqual([]);
    expect(await log.read("r", { after: 1_000, limit: 10 })).toEqual([]);
    for (const runId of ["unknown", "__proto__", "constructor"]) {
      expect(await log.read(runId, { after: 0, limit: 10 })).toEqual([]);
      expect((await log.head(runId)).seq).toBe(0);
      expect(await log.delete(runId)).toBe(false);
    }
  });

  on("deltas come back field by field, from every cursor", async (log) => {
    const given = deltas("r");
    for (let from = 0, size = 1; from < given.length; from += size, size = (size % 7) + 1) {
      await append(log, "r", given.slice(from, from + size));
    }
    expect(await all(log, "r")).toEqual(given);
    for (let after = 0; after <= given.length; after++) {
      for (const limit of [1, 2, 13]) {
        expect(await log.read("r", { after, limit }), `${after} + ${limit}`).toEqual(given.slice(after, after + limit));
      }
    }
    expect(await log.list()).toMatchObject([
      { status: "thinking", seq: given.length, updatedAt: given.at(-1)?.timestamp },
    ]);
  });

  on("numbers, null and nesting come back as they were", async (log) => {
    let deep: Json = "leaf";
    for (let level = 0; level < 64; level++) deep = level % 2 === 0 ? [deep] : { deep };
    const data: Json = [0, -1.5, 1e300, 5e-324, 9_007_199_254_740_991, null, true, {}, [], "", deep];
    const given: Event[] = [
      ...events("r", 1, 1),
      { seq: 2, timestamp: 1_700_000_000_000.25, runId: "r", type: "custom", data: { name: "n", data } },
    ];
    await append(log, "r", given);
    expect(await all(log, "r")).toEqual(given);
  });

  on("an event of 1 MiB, beside small ones", async (log) => {
    const text = "\u00E9\u{1F3B5}x".repeat(150_000);
    const given = [...events("r", 1, 1), ...events("r", 2, 2, { text }), ...events("r", 3, 3)];
    await append(log, "r", given);
    await append(log, "r", events("r", 4, 4));
    expect(await all(log, "r")).toEqual([...given, ...events("r", 4, 4)]);
    expect(await log.read("r", { after: 1, limit: 1 })).toEqual(given.slice(1, 2));
  });

  on("reads large events a few at a time where bytes are asked for, and all of them all the same", async (log) => {
    const text = "x".repeat(100_000);
    const given = [...events("r", 1, 1), ...events("r", 2, 9, { text }), ...events("r", 10, 12)];
    await append(log, "r", given.slice(0, 5));
    await append(log, "r", given.slice(5));
    for (const bytes of [0, 1, 150_000, 250_000, 10_000_000]) {
      const walked: Event[] = [];
      for (;;) {
        const page = await log.read("r", { after: walked.length, limit: 7, bytes });
        if (page.length === 0) break;
        expect(page.length).toBeLessThanOrEqual(7);
        // A log in memory has read nothing: it may answer all.
        if (log.durability !== "memory" && bytes === 150_000 && walked.length === 1) expect(page).toHaveLength(2);
        walked.push(...page);
      }
      expect(walked, String(bytes)).toEqual(given);
    }
  });

  on("100,000 events, appended in batches and read in pages", async (log) => {
    const count = 100_000;
    await append(log, "r", events("r", 1, 2));
    const token = (seq: number): Event => ({
      seq,
      timestamp: 1_000 + (seq >> 4),
      runId: "r",
      type: "token_stream",
      data: { kind: "text", text: `t${seq % 10}`, messageId: "m", attempt: 1, offset: (seq - 3) * 2 },
    });
    for (let from = 3; from <= count; from += 1_000) {
      const size = Math.min(1_000, count - from + 1);
      await append(
        log,
        "r",
        Array.from({ length: size }, (_, at) => token(from + at)),
      );
    }
    let seq = 0;
    for (;;) {
      const page = await log.read("r", { after: seq, limit: 256 });
      if (page.length === 0) break;
      for (const event of page) {
        seq++;
        // Compared by hand: a hundred thousand deep comparisons take longer than everything else here.
        const { text, offset } = event.type === "token_stream" ? event.data : { text: "", offset: -1 };
        const right = seq < 3 || (text === `t${seq % 10}` && offset === (seq - 3) * 2);
        if (event.seq !== seq || !right) expect(event).toEqual(token(seq));
      }
    }
    expect(seq).toBe(count);
    expect(await log.read("r", { after: 77_776, limit: 2 })).toEqual([token(77_777), token(77_778)]);
    expect(await log.head("r")).toMatchObject({ seq: count });
  });
}
