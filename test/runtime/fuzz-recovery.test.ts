import { expect, it } from "vitest";
import { fuzzRecovery } from "../support/fuzz-recovery.ts";

/** `FUZZ_SEED=123` replays the seed that a failure named. */
const replayed = process.env["FUZZ_SEED"];

it("runs whose process dies at random events, up to three times, break no promise (a sample; P8, P11, P12, P17, P20-P23, P26)", async () => {
  const [from, count] = replayed === undefined ? [1, 120] : [Number(replayed), 1];
  expect(await fuzzRecovery(from, count)).toEqual([]);
});
