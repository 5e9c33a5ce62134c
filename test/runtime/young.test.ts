import { expect, it } from "vitest";
import { source } from "../project/child.ts";

/** About 7,000 bytes of each run stay; with a getter in one object literal of the shell it is five times as much. */
const MOST_BYTES = 15_000;

it("a run that is over is young garbage: nothing old keeps it until the next full collection", async () => {
  const { code, out, err } = await source("test/support/young-child.ts");
  expect([code, err]).toEqual([0, ""]);
  const bytes: unknown = JSON.parse(out);
  expect(bytes).toBeLessThan(MOST_BYTES);
});
