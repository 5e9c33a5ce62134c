import { expect, it } from "vitest";
import { fuzzRecovery } from "../support/fuzz-recovery.ts";

it("runs whose process dies at random events break no promise, at length", { timeout: 600_000 }, async () => {
  expect(await fuzzRecovery(1_001, 4_000)).toEqual([]);
});
