import { expect, it } from "vitest";
import { resumePrefixes } from "../support/left-behind.ts";

it("P8 I14 I15 every prefix of every recorded run is one to resume from", async () => {
  expect(await resumePrefixes(1)).toBeGreaterThan(500);
});
