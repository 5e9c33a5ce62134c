import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choices, randomLog } from "../support/random-walk.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { aguiDifference } from "./agui-check.ts";
import { uiProblems } from "./ui-check.ts";

describe("a run in another protocol is valid and shows what the log says", { timeout: 1_200_000 }, () => {
  it("for every prefix of real runs", async () => {
    for (const log of await recordedLogs()) {
      for (let to = 1; to <= log.length; to++) {
        expect(await aguiDifference(log, 0, to)).toEqual([]);
        expect(await uiProblems(log, to, to % 2 === 0)).toEqual([]);
      }
    }
  });

  it("for every prefix of random logs", async () => {
    await fc.assert(
      fc.asyncProperty(choices, async (walk) => {
        const log = randomLog(walk);
        for (let to = 1; to <= log.length; to++) {
          expect(await aguiDifference(log, Math.floor(to / 2), to)).toEqual([]);
          expect(await uiProblems(log, to)).toEqual([]);
        }
      }),
      { numRuns: 25, endOnFailure: true },
    );
  });
});
