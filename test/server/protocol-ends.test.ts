import { describe, expect, it } from "vitest";
import { problemsAt, type Deed } from "./protocol-ends.ts";

const DEEDS: readonly Deed[] = ["step", "now", "cancel", "shutdown"];

// All events: protocol-ends.full.test.ts.
describe("case 13: a run that is stopped at a sample of its events", () => {
  it.each(DEEDS)("has valid streams that end as it did: %s", async (deed) => {
    for (const at of [1, 3, 9, 24, 40]) {
      expect(await problemsAt(deed, at, at % 2 === 0 ? "agui" : "ui")).toEqual([]);
    }
  });
});
