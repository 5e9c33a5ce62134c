import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choices, randomLog } from "../support/random-walk.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { uiProblems } from "./ui-check.ts";
import { numRuns } from "../support/depth.ts";

describe("a run as a UI message stream", () => {
  it("is valid and shows what the log says, for a sample of prefixes of real runs", async () => {
    for (const log of await recordedLogs()) {
      for (let to = 1; to <= log.length; to += 17) expect(await uiProblems(log, to)).toEqual([]);
      expect(await uiProblems(log, log.length)).toEqual([]);
      expect(await uiProblems(log, log.length, true)).toEqual([]);
    }
  });

  it("is valid and shows what the log says wherever it ends, for random logs", async () => {
    await fc.assert(
      fc.asyncProperty(choices, fc.boolean(), async (walk, whole) => {
        const log = randomLog(walk);
        for (let to = 1; to <= log.length; to += 11) expect(await uiProblems(log, to, whole)).toEqual([]);
        expect(await uiProblems(log, log.length, whole)).toEqual([]);
      }),
      { numRuns: numRuns(60), endOnFailure: true },
    );
  });
});
