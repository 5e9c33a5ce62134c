import { expect, it } from "vitest";
import { compareWithXState } from "../support/compare-with-xstate.ts";

it("the compiled table is XState's transition over every reachable (state, event) pair", { timeout: 600_000 }, () => {
  expect(compareWithXState(1)).toBeGreaterThan(400_000);
});
