import { expect, it } from "vitest";
import { killAt, killPoints } from "./every-event.ts";

it("kill -9 at events of a run, and it goes on in another process (a sample; the full suite takes every event)", async () => {
  const points = await killPoints();
  const sample = points.filter((_point, index) => index % 89 === 5);
  expect(await killAt(sample)).toBeGreaterThan(sample.length / 2);
});
