import { expect } from "vitest";
import type { Claim } from "rubato";
import { events } from "../log-fixture.ts";
import { all, append, caught, refused, type Suite } from "./suite.ts";

/** Who may write, and how that passes on (P21, I16). */
export function ownerContract({ on }: Suite): void {
  on("a run belongs to who creates it, under the epoch that it names", async (log, other) => {
    expect(await log.head("r")).toEqual({ seq: 0, epoch: 0, owned: false });
    await append(log, "r", events("r", 1, 2), 3);
    expect(await log.head("r")).toEqual({ seq: 2, epoch: 3, owned: true });
    expect(await other.head("r")).toEqual({ seq: 2, epoch: 3, owned: true });
  });

  on("a run that somebody owns is not claimed, but with takeover", async (log, other) => {
    await append(log, "r", events("r", 1, 2));
    expect(await other.claim("r")).toEqual({ claimed: false, reason: "owned" });
    expect(await other.claim("r", { takeover: false })).toEqual({ claimed: false, reason: "owned" });
    await append(log, "r", events("r", 3, 3));
    expect(await other.claim("r", { takeover: true })).toEqual({ claimed: true, epoch: 2, seq: 3 });
    expect(await log.head("r")).toEqual({ seq: 3, epoch: 2, owned: true });
  });

  on("a run that does not exist is not claimed", async (log) => {
    for (const runId of ["unknown", "__proto__", "../a", ""]) {
      expect(await log.claim(runId, { takeover: true })).toEqual({ claimed: false, reason: "unknown_run" });
    }
    expect(await log.list()).toEqual([]);
  });

  on("I16 nothing of an older epoch comes after a claim", async (log, other) => {
    await append(log, "r", events("r", 1, 3));
    await other.claim("r", { takeover: true });
    await refused(other, "r", "not_owner", () => append(log, "r", events("r", 4, 4), 1));
    await append(other, "r", events("r", 4, 5), 2);
    await refused(other, "r", "not_owner", () => append(log, "r", events("r", 6, 6), 1));
    await refused(other, "r", "not_owner", () => append(log, "r", events("r", 4, 4), 1));
    await refused(other, "r", "run_exists", () => append(log, "r", events("r", 1, 1), 1));
    expect(await all(log, "r")).toEqual(events("r", 1, 5));
  });

  on("what was let go is owned by nobody until somebody claims it", async (log, other) => {
    await append(log, "r", events("r", 1, 3));
    await log.release("r", 1);
    expect(await other.head("r")).toEqual({ seq: 3, epoch: 1, owned: false });
    expect(await log.head("r")).toEqual({ seq: 3, epoch: 1, owned: false });
    expect(await other.list()).toMatchObject([{ runId: "r", owned: false, seq: 3 }]);
    await refused(log, "r", "not_owner", () => append(log, "r", events("r", 4, 4), 1));
    expect(await other.claim("r")).toEqual({ claimed: true, epoch: 2, seq: 3 });
    await append(other, "r", events("r", 4, 4), 2);
    expect(await log.list()).toMatchObject([{ runId: "r", owned: true, seq: 4 }]);
  });

  on("releasing an epoch that is not the newest does nothing", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    await other.claim("r", { takeover: true });
    for (const epoch of [0, 1, 3]) await log.release("r", epoch);
    await log.release("unknown", 1);
    expect(await log.head("r")).toEqual({ seq: 1, epoch: 2, owned: true });
    await append(other, "r", events("r", 2, 2), 2);
  });

  on("runs go from owner to owner, and what all of them wrote is one log", async (log, other) => {
    await append(log, "r", events("r", 1, 10));
    for (let epoch = 2; epoch <= 20; epoch++) {
      const next = epoch % 3 === 0 ? log : other;
      if (epoch % 2 === 0) await (epoch % 3 === 1 ? log : other).release("r", epoch - 1);
      expect(await next.claim("r", { takeover: true })).toEqual({ claimed: true, epoch, seq: (epoch - 1) * 10 });
      // One of them claims and writes nothing.
      await append(next, "r", events("r", epoch * 10 - 9, epoch * 10), epoch);
    }
    const given = events("r", 1, 200);
    expect(await all(log, "r")).toEqual(given);
    for (const after of [0, 5, 9, 10, 11, 99, 195]) {
      expect(await other.read("r", { after, limit: 25 })).toEqual(given.slice(after, after + 25));
    }
  });

  on("claims that write nothing leave nothing in the log", async (log, other) => {
    await append(log, "r", events("r", 1, 3));
    for (let epoch = 2; epoch <= 5; epoch++) await (epoch % 2 ? log : other).claim("r", { takeover: true });
    await append(log, "r", events("r", 4, 4), 5);
    expect(await all(other, "r")).toEqual(events("r", 1, 4));
    expect(await other.head("r")).toEqual({ seq: 4, epoch: 5, owned: true });
  });

  on("P21 of many claims one wins each epoch", async (log, other) => {
    await append(log, "r", events("r", 1, 3));
    await log.release("r", 1);
    const claims = await Promise.all(Array.from({ length: 64 }, async (_, at) => (at % 2 ? log : other).claim("r")));
    expect(claims.filter(({ claimed }) => claimed)).toEqual([{ claimed: true, epoch: 2, seq: 3 }]);
    const taken = await Promise.all(
      Array.from({ length: 64 }, async (_, at) => (at % 2 ? log : other).claim("r", { takeover: true })),
    );
    const won = taken.flatMap((claim: Claim) => (claim.claimed ? [claim.epoch] : []));
    expect(new Set(won).size).toBe(won.length);
    expect((await log.head("r")).epoch).toBe(Math.max(...won));
  });

  on("200 appends at the same time: one winner for each seq", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        const seq = 2 + (at % 20);
        const act = (): Promise<void> => append(log, "r", events("r", seq, seq, { text: `${at}` }));
        return (await caught(act)) === undefined ? `${at}` : undefined;
      }),
    );
    const stored = await all(log, "r");
    const texts = stored.flatMap((event) => (event.type === "user_input" ? [event.data.text] : []));
    expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, at) => at + 1));
    expect(texts).toEqual(answers.filter((text) => text !== undefined));
    expect(texts.length).toBeGreaterThan(0);
    expect(await all(other, "r")).toEqual(stored);
  });
}
