import { expect, it } from "vitest";
import { killAt, killPoints } from "./every-event.ts";

it("kill -9 before and after every event and effect of every scenario", { timeout: 2_400_000 }, async () => {
  const points = await killPoints();
  console.log(`${points.length} points`);
  expect(await killAt(points)).toBeGreaterThan(300);
});
