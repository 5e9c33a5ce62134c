import { describe, expect, it } from "vitest";
import { problemsAt, type Deed } from "./protocol-ends.ts";

const DEEDS: readonly Deed[] = ["step", "now", "cancel", "shutdown"];

describe("case 13: a run that is stopped at any of its events", () => {
  it.each(DEEDS)("has valid streams that end as it did: %s", { timeout: 600_000 }, async (deed) => {
    for (let at = 1; at <= 62; at++) {
      expect(await problemsAt(deed, at, "agui")).toEqual([]);
      expect(await problemsAt(deed, at, "ui")).toEqual([]);
    }
  });
});
