import { expect } from "vitest";
import type { Event } from "rubato";
import { DONE, events } from "../log-fixture.ts";
import { all, append, refused, type Suite } from "./suite.ts";

export function listContract({ on }: Suite): void {
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
}
