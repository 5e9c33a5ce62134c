import { expect } from "vitest";
import type { Event, EventLog } from "rubato";
import { prunable } from "../../../runtime/log/prunable.ts";
import { deltas, events } from "../log-fixture.ts";
import { all, append, refused, type Suite } from "./suite.ts";

function message(runId: string, seq: number, messageId: string): Event {
  const data = { messageId, step: 1, attempt: 1, finish: "stop", text: "", calls: [], usage: "unknown" } as const;
  return { seq, timestamp: 9_000 + seq, runId, type: "message", data: { ...data, calls: [] } };
}

/** A run with deltas of two messages and a call, of which the first message is finished in between and the others at the end, or never. */
function longRun(finished: boolean): Event[] {
  const list = deltas("r");
  list.push(message("r", list.length + 1, "m1"));
  const [, , ...more] = deltas("r");
  const shift = list.length - 2;
  for (const event of more) list.push({ ...event, seq: event.seq + shift });
  if (!finished) return list;
  list.push(message("r", list.length + 1, "m1"), message("r", list.length + 2, "m2"));
  const data = { callId: "1.0", attempt: 1, outcome: "ok", from: "running" } as const;
  list.push({ seq: list.length + 1, timestamp: 1, runId: "r", type: "tool_result", data });
  return list;
}

function rangesIn(list: readonly Event[]): { from: number; to: number }[] {
  const found = prunable();
  for (const event of list) found.take(event);
  return found.ranges();
}

/** What a pruned log must read: a gap for each range, and everything else as it was. */
async function expectGaps(log: EventLog, given: readonly Event[]): Promise<void> {
  const ranges = rangesIn(given);
  const expected = given.flatMap((event): unknown[] => {
    const range = ranges.find(({ from, to }) => event.seq >= from && event.seq <= to);
    if (range === undefined) return [event];
    if (event.seq !== range.to) return [];
    const { seq, timestamp, runId } = event;
    return [{ seq, timestamp, runId, type: "gap", data: { ...range, digest: expect.stringMatching(/^[0-9a-f]+$/) } }];
  });
  expect(await all(log, "r")).toEqual(expected);
  expect(ranges.length).toBeGreaterThan(0);
}

export function pruneContract({ on }: Suite): void {
  for (const finished of [true, false]) {
    on(`drops deltas of what is finished, and reads gaps (${finished ? "all" : "some"} of it)`, async (log, other) => {
      const given = longRun(finished);
      for (let at = 0, size = 1; at < given.length; at += size, size = (size % 5) + 1) {
        await append(log, "r", given.slice(at, at + size));
      }
      await log.release("r", 1);
      const before = await log.list();
      const dropped = rangesIn(given).reduce((count, { from, to }) => count + to - from + 1, 0);
      expect(await log.prune("r")).toBe(dropped);
      await expectGaps(log, given);
      await expectGaps(other, given);
      expect(await log.list()).toEqual(before);
      expect(await log.prune("r")).toBe(0);
      await expectGaps(log, given);
      expect(await log.check?.("r")).toBe(undefined);
    });
  }

  on("reads on from every cursor, also inside a gap", async (log, other) => {
    const given = longRun(true);
    await append(log, "r", given);
    await log.release("r", 1);
    await log.prune("r");
    const pruned = await all(log, "r");
    for (let after = 0; after <= given.length; after++) {
      for (const limit of [1, 3]) {
        const expected = pruned.filter(({ seq }) => seq > after).slice(0, limit);
        expect(await other.read("r", { after, limit }), `${after} + ${limit}`).toEqual(expected);
      }
    }
  });

  on("a pruned run goes on", async (log, other) => {
    const given = longRun(true);
    await append(log, "r", given);
    await log.release("r", 1);
    await log.prune("r");
    const claim = await other.claim("r");
    if (!claim.claimed) throw new Error("not claimed");
    expect(claim.seq).toBe(given.length);
    const more = events("r", given.length + 1, given.length + 4);
    await append(other, "r", more, claim.epoch);
    expect((await all(log, "r")).slice(-4)).toEqual(more);
    expect(await log.check?.("r")).toBe(undefined);
  });

  on("deltas of a message that two owners streamed", async (log, other) => {
    const given = longRun(true);
    const cut = 30;
    await append(log, "r", given.slice(0, cut));
    await other.claim("r", { takeover: true });
    await append(other, "r", given.slice(cut), 2);
    await other.release("r", 2);
    expect(await log.check?.("r")).toBe(undefined);
    await log.prune("r");
    expect(await log.check?.("r")).toBe(undefined);
    const kept = (await all(other, "r")).filter(({ type }) => type !== "gap");
    const ranges = rangesIn(given);
    expect(kept).toEqual(given.filter(({ seq }) => !ranges.some(({ from, to }) => seq >= from && seq <= to)));
  });

  on("a copy of a pruned run has its gaps, in batches of any size", async (log, other) => {
    await append(log, "r", longRun(true));
    await log.release("r", 1);
    await log.prune("r");
    const copied = (await all(log, "r")).map((event) => ({ ...event, runId: "copy" }));
    for (const size of [1, 3, copied.length]) {
      for (let at = 0; at < copied.length; at += size) await append(log, "copy", copied.slice(at, at + size), 4);
      expect(await all(log, "copy")).toEqual(copied);
      expect(await all(other, "copy")).toEqual(copied);
      expect((await log.head("copy")).seq).toBe(copied.at(-1)?.seq);
      expect(await log.check?.("copy")).toBe(undefined);
      await log.delete("copy");
    }
  });

  on("refuses a run that somebody owns, and knows none that does not exist", async (log, other) => {
    await append(log, "r", longRun(true));
    await refused(log, "r", "owned", async () => log.prune("r"));
    await refused(other, "r", "owned", async () => other.prune("r"));
    expect(await log.prune("unknown")).toBe(0);
  });
}
