import { describe, expect, it } from "vitest";
import { RubatoError, type Event, type Json } from "rubato";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { deltas, DONE, events, FOREIGN_IDS, HALVES, RUN_IDS, TEXTS } from "./log-fixture.ts";

/** What a suite needs of an adapter: an empty log, and its end. */
export interface LogUnderTest {
  readonly log: EventLog;
  close?(): Promise<void>;
}

/** Every adapter of the port passes this, and a new one begins with it. Everything is awaited: an adapter may answer at once or later. */
export function describeEventLog(name: string, open: () => LogUnderTest | Promise<LogUnderTest>): void {
  const on = (what: string, test: (log: EventLog) => Promise<void>): void => {
    it(what, async () => {
      const under = await open();
      try {
        await test(under.log);
      } finally {
        await under.close?.();
      }
    });
  };
  const all = async (log: EventLog, runId: string): Promise<readonly Event[]> =>
    log.read(runId, { after: 0, limit: 100_000 });
  const append = async (log: EventLog, runId: string, batch: readonly Event[], epoch = 1): Promise<void> => {
    await log.append(runId, { epoch, events: batch });
  };
  /** A refusal is a RubatoError, and the run and the list are as they were. */
  const refused = async (log: EventLog, runId: string, code: string, act: () => Promise<unknown>): Promise<void> => {
    const before = [await all(log, runId), (await log.head(runId)).seq, await log.list()];
    const error: unknown = await act().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(RubatoError);
    expect(error).toMatchObject({ code });
    expect([await all(log, runId), (await log.head(runId)).seq, await log.list()]).toEqual(before);
  };

  describe(`EventLog: ${name}`, () => {
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

    on("reads pages: as many as there are up to the limit, after an exclusive cursor", async (log) => {
      const given = events("r", 1, 600);
      await append(log, "r", given.slice(0, 300));
      await append(log, "r", given.slice(300));
      for (const limit of [1, 7, 256, 599, 600, 601, 100_000]) {
        for (const after of [0, 1, 299, 300, 301, 599]) {
          expect(await log.read("r", { after, limit }), `${after} + ${limit}`).toEqual(
            given.slice(after, after + limit),
          );
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

    on("runs do not know each other, whatever their ids", async (log) => {
      for (const [index, runId] of RUN_IDS.entries()) {
        expect((await log.head(runId)).seq, `${runId} is new`).toBe(0);
        await append(log, runId, events(runId, 1, 1 + (index % 3), { text: runId }), 1 + index);
      }
      for (const [index, runId] of RUN_IDS.entries()) {
        expect(await all(log, runId), runId).toEqual(events(runId, 1, 1 + (index % 3), { text: runId }));
      }
      expect((await log.list()).map(({ runId }) => runId)).toEqual(RUN_IDS);
      expect(Object.keys(Object.prototype)).toEqual([]);
    });

    on("ids that no agent gives are refused or kept apart", async (log) => {
      await append(log, "a", events("a", 1, 2));
      for (const runId of FOREIGN_IDS) {
        let kept = true;
        try {
          await append(log, runId, events(runId, 1, 1, { metadata: { runId } }));
        } catch (error) {
          expect(error, JSON.stringify(runId)).toBeInstanceOf(RubatoError);
          kept = false;
        }
        if (kept) expect((await log.head(runId)).seq, JSON.stringify(runId)).toBe(1);
      }
      expect(await all(log, "a")).toEqual(events("a", 1, 2));
    });

    on("texts come back as they were, in every place where a text may stand", async (log) => {
      const given: Event[] = [];
      for (const text of TEXTS) {
        const seq = given.length + 1;
        given.push(
          ...events("r", seq, seq, { text, metadata: { [text]: text, list: [...TEXTS] } }),
          ...events("r", seq + 1, seq + 1, { text }),
          {
            seq: seq + 2,
            timestamp: 0.5,
            runId: "r",
            type: "custom",
            data: { name: text, data: [{ [text]: { [text]: text } }] },
          },
        );
      }
      await append(log, "r", given);
      expect(await all(log, "r")).toEqual(given);
      expect(JSON.stringify(await all(log, "r"))).toBe(JSON.stringify(given));
    });

    on("half a character does no harm", async (log) => {
      const given = HALVES.flatMap((text, index) => events("r", index + 1, index + 1, { text, metadata: { text } }));
      await append(log, "r", [...given, ...events("r", HALVES.length + 1, HALVES.length + 1, { text: "whole" })]);
      const read = JSON.stringify(await all(log, "r"));
      const well = (text: string): string => text.replace(/\\ud[89a-f][0-9a-f]{2}/g, "\uFFFD").toWellFormed();
      expect(well(read)).toBe(well(JSON.stringify([...given, ...events("r", 4, 4, { text: "whole" })])));
    });

    on("`__proto__` is a key like any other", async (log) => {
      const metadata: Record<string, Json> = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}');
      const given = events("r", 1, 2, { metadata });
      await append(log, "r", given);
      expect(JSON.stringify(await all(log, "r"))).toBe(JSON.stringify(given));
      const [summary] = await log.list();
      expect(JSON.stringify(summary?.metadata)).toBe(JSON.stringify(metadata));
      expect("polluted" in {}).toBe(false);
    });

    on("deltas come back field by field, from every cursor", async (log) => {
      const given = deltas("r");
      for (let from = 0, size = 1; from < given.length; from += size, size = (size % 7) + 1) {
        await append(log, "r", given.slice(from, from + size));
      }
      expect(await all(log, "r")).toEqual(given);
      for (let after = 0; after <= given.length; after++) {
        for (const limit of [1, 2, 13]) {
          expect(await log.read("r", { after, limit }), `${after} + ${limit}`).toEqual(
            given.slice(after, after + limit),
          );
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

    on("lists runs, oldest first, with what a list shows", async (log) => {
      await append(
        log,
        "one",
        events("one", 1, 3, { text: "  first line\nsecond", metadata: { tag: "x" }, agent: "ann" }),
      );
      await append(log, "two", events("two", 1, 1, { agent: "bob" }));
      await append(log, "one", events("one", 4, 4, { text: "a later input" }));
      await append(log, "one", [{ seq: 5, timestamp: 9_000, runId: "one", type: "done", data: DONE }]);
      const [one, two, ...rest] = await log.list();
      expect(rest).toEqual([]);
      expect(one).toEqual({
        runId: "one",
        agent: "ann",
        status: "done",
        title: "first line",
        metadata: { tag: "x" },
        createdAt: 1_001,
        updatedAt: 9_000,
        seq: 5,
        owned: true,
      });
      expect(two).toMatchObject({ runId: "two", agent: "bob", status: "idle", title: "", metadata: {}, seq: 1 });
    });

    on("a title is one line of whole characters, at most 80 long", async (log) => {
      for (const [index, text] of [
        "a".repeat(80),
        "b".repeat(81),
        `${"c".repeat(78)}\u{1F3B5}${"c".repeat(9)}`,
      ].entries()) {
        await append(log, `r${index}`, events(`r${index}`, 1, 2, { text }));
      }
      await append(log, "r3", events("r3", 1, 2, { text: "windows\r\nline" }));
      await append(log, "r4", events("r4", 1, 2, { text: "separated\u2028line" }));
      const titles = (await log.list()).map(({ title }) => title);
      expect(titles[0]).toBe("a".repeat(80));
      expect(titles[1]).toBe(`${"b".repeat(79)}…`);
      expect(titles[2]).toBe(`${"c".repeat(78)}…`);
      expect(titles.slice(3)).toEqual(["windows", "separated"]);
    });

    on("lists by status, also after a run went on", async (log) => {
      const end = (runId: string, seq: number): Event => ({ seq, timestamp: 1, runId, type: "done", data: DONE });
      await append(log, "rests", [...events("rests", 1, 2), end("rests", 3)]);
      await append(log, "works", [...events("works", 1, 2), end("works", 3), ...events("works", 4, 4)]);
      await append(log, "noted", [
        ...events("noted", 1, 2),
        end("noted", 3),
        {
          seq: 4,
          timestamp: 1,
          runId: "noted",
          type: "tool_result",
          data: { callId: "1.0", attempt: 1, outcome: "ok", from: "running", late: true },
        },
        { seq: 5, timestamp: 1, runId: "noted", type: "custom", data: { name: "n", data: null } },
      ]);
      const ids = async (status: "done" | "thinking" | "failed"): Promise<string[]> =>
        (await log.list({ status })).map(({ runId }) => runId);
      expect(await ids("done")).toEqual(["rests", "noted"]);
      expect(await ids("thinking")).toEqual(["works"]);
      expect(await ids("failed")).toEqual([]);
      expect(await log.list({})).toHaveLength(3);
    });

    on("deletes one run and no other; its id is free again", async (log) => {
      await append(log, "r", events("r", 1, 5), 7);
      await append(log, "r.", events("r.", 1, 2));
      expect(await log.delete("r")).toBe(true);
      expect(await log.delete("r")).toBe(false);
      expect((await log.head("r")).seq).toBe(0);
      expect(await all(log, "r")).toEqual([]);
      await refused(log, "r", "log", () => append(log, "r", events("r", 6, 6), 7));
      await append(log, "r", events("r", 1, 1), 1);
      expect(await all(log, "r")).toEqual(events("r", 1, 1));
      expect((await log.list()).map(({ runId }) => runId)).toEqual(["r.", "r"]);
    });
  });
}
