import * as fc from "fast-check";
import { expect, it } from "vitest";
import { lineDiff, type LineChange } from "../../machines/line-diff.ts";

function side(changes: readonly LineChange[], other: LineChange["kind"]): string {
  return changes
    .filter(({ kind }) => kind !== other)
    .map(({ line }) => line)
    .join("\n");
}

it("shows what was removed and added between what is the same", () => {
  expect(lineDiff("a\nb\nc\nd", "a\nx\nc\ny\nd").map(({ kind, line }) => `${kind} ${line}`)).toEqual([
    "same a",
    "removed b",
    "added x",
    "same c",
    "added y",
    "same d",
  ]);
  expect(lineDiff("", "")).toEqual([]);
  expect(lineDiff("a", "")).toEqual([{ kind: "removed", line: "a" }]);
});

it("both texts can be read off it, and no line is the same that is not", () => {
  const text = fc
    .array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 12 })
    .map((all) => all.join("\n"));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const changes = lineDiff(before, after);
      expect(side(changes, "added")).toBe(before);
      expect(side(changes, "removed")).toBe(after);
      if (before === after) expect(changes.every(({ kind }) => kind === "same")).toBe(true);
    }),
    { numRuns: 200, seed: 1 },
  );
});

it("texts of thousands of lines that have nothing in common are shown as a whole", () => {
  const lines = (word: string): string => Array.from({ length: 3_000 }, (_, index) => `${word} ${index}`).join("\n");
  const changes = lineDiff(`start\n${lines("a")}\nend`, `start\n${lines("b")}\nend`);
  expect(changes).toHaveLength(6_002);
  expect(changes.slice(1, 3_001).every(({ kind }) => kind === "removed")).toBe(true);
});
