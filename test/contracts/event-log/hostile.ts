import { expect } from "vitest";
import { RubatoError, type Event, type Json } from "rubato";
import { events, FOREIGN_IDS, HALVES, RUN_IDS, TEXTS } from "../log-fixture.ts";
import { all, append, type Suite } from "./suite.ts";

export function hostileContract({ on }: Suite): void {
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
}
