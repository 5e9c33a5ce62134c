import { expect, it } from "vitest";
import { fuzz } from "../support/fuzz.ts";

it("random commands at random moments break no promise, at length", { timeout: 600_000 }, async () => {
  expect(await fuzz(1_001, 4_000)).toEqual([]);
});
