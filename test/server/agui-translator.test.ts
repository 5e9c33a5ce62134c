import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choices, randomLog } from "../support/random-walk.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { aguiDifference } from "./agui-check.ts";
import { numRuns } from "../support/depth.ts";

describe("a run in AG-UI", () => {
  it("is valid and shows what the log says, for a sample of prefixes of real runs", async () => {
    for (const log of await recordedLogs()) {
      for (let to = 1; to <= log.length; to += 17) expect(await aguiDifference(log, 0, to)).toEqual([]);
      expect(await aguiDifference(log, 0, log.length)).toEqual([]);
    }
  });

  it("is valid and shows what the log says from wherever it begins to wherever it ends, for random logs", async () => {
    await fc.assert(
      fc.asyncProperty(choices, fc.double({ min: 0, max: 1, noNaN: true }), async (walk, share) => {
        const log = randomLog(walk);
        const from = Math.floor(log.length * share);
        for (let to = from; to <= log.length; to += 11) expect(await aguiDifference(log, from, to)).toEqual([]);
        expect(await aguiDifference(log, 0, log.length)).toEqual([]);
      }),
      { numRuns: numRuns(60), endOnFailure: true },
    );
  });
});
