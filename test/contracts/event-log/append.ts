import { describe, expect } from "vitest";
import { deferred, quiet } from "../../support/agents.ts";
import { events } from "../log-fixture.ts";
import { all, append, refused, type Suite } from "./suite.ts";

export function appendContract({ on }: Suite): void {
  on("says what durable means", async (log) => {
    expect(["memory", "process", "power"]).toContain(log.durability);
  });

  on("keeps batches in order, as they were given", async (log) => {
    const given = events("r", 1, 12);
    await append(log, "r", given.slice(0, 1));
    await append(log, "r", given.slice(1, 4));
    for (const event of given.slice(4)) await append(log, "r", [event]);
    expect(await all(log, "r")).toEqual(given);
    expect((await log.head("r")).seq).toBe(12);
  });

  on("keeps its own list: what the caller does with the batch later changes nothing", async (log) => {
    const batch = events("r", 1, 3);
    await append(log, "r", batch);
    const more = events("r", 4, 5);
    await append(log, "r", more);
    batch.length = 0;
    more.length = 0;
    expect(await all(log, "r")).toEqual(events("r", 1, 5));
    const page = await log.read("r", { after: 0, limit: 5 });
    if (Array.isArray(page)) page.length = 0;
    expect(await all(log, "r")).toHaveLength(5);
  });

  on(
    "calls back at the end of the turn, where it asks to be fed once per turn: never at once, and once",
    async (log) => {
      if (log.afterTurn === undefined) return;
      let calls = 0;
      const { promise, resolve } = deferred();
      log.afterTurn(() => {
        calls++;
        resolve();
      });
      expect(calls).toBe(0);
      await promise;
      await quiet();
      expect(calls).toBe(1);
    },
  );

  on("an empty batch does nothing", async (log) => {
    await append(log, "r", []);
    expect((await log.head("r")).seq).toBe(0);
    expect(await log.list()).toEqual([]);
    await append(log, "r", events("r", 1, 2));
    await append(log, "r", []);
    expect((await log.head("r")).seq).toBe(2);
  });

  describe("refuses, and a refused batch leaves nothing", () => {
    on("a seq that does not follow: a gap, a repeat, a first event that is not 1", async (log) => {
      await refused(log, "r", "log", () => append(log, "r", events("r", 2, 3)));
      await append(log, "r", events("r", 1, 3));
      for (const from of [2, 3, 5, 9]) {
        await refused(log, "r", "log", () => append(log, "r", events("r", from, from + 1)));
      }
      await append(log, "r", events("r", 4, 4));
      expect((await log.head("r")).seq).toBe(4);
    });

    on("a batch with a hole or in the wrong order, as a whole", async (log) => {
      const [first, second, third, fourth] = events("r", 1, 4);
      if (first === undefined || second === undefined || third === undefined || fourth === undefined) return;
      for (const batch of [
        [first, third],
        [first, third, second],
        [first, first],
        [first, second, fourth],
      ]) {
        await refused(log, "r", "log", () => append(log, "r", batch));
      }
      await append(log, "r", [first]);
      for (const batch of [
        [second, fourth],
        [second, second],
        [second, fourth, third],
      ]) {
        await refused(log, "r", "log", () => append(log, "r", batch));
      }
      await append(log, "r", [second, third, fourth]);
      expect(await all(log, "r")).toEqual(events("r", 1, 4));
    });

    on("a second beginning, whatever its epoch", async (log) => {
      await append(log, "r", events("r", 1, 3), 2);
      for (const epoch of [1, 2, 3]) {
        await refused(log, "r", "run_exists", () => append(log, "r", events("r", 1, 3), epoch));
        await refused(log, "r", "run_exists", () => append(log, "r", events("r", 1, 1), epoch));
      }
    });

    on("P21 an epoch that nobody claimed, newer or older", async (log) => {
      await append(log, "r", events("r", 1, 2), 2);
      for (const epoch of [1, 3, 7]) {
        await refused(log, "r", "not_owner", () => append(log, "r", events("r", 3, 3), epoch));
      }
      await append(log, "r", events("r", 3, 3), 2);
      expect(await log.head("r")).toEqual({ seq: 3, epoch: 2, owned: true });
    });
  });

  on("of two owners that append the same seq one wins", async (log) => {
    await append(log, "r", events("r", 1, 1));
    const answers = await Promise.allSettled(
      ["left", "right"].map((text) => append(log, "r", events("r", 2, 3, { text }), 1)),
    );
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const texts = (await all(log, "r")).flatMap((event) => (event.type === "user_input" ? [event.data.text] : []));
    expect(texts).toHaveLength(2);
    expect(new Set(texts).size).toBe(1);
  });
}
