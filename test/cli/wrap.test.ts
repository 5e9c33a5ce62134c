import { array, assert, constantFrom, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { columnsOf, fit, rowStarts, wrapLine } from "../../runtime/cli/wrap.ts";

describe("wrapping", () => {
  it.each([
    ["at spaces", "one two three", 8, ["one two", "three"]],
    ["a space at the end hangs over", "one two  three", 7, ["one two", "three"]],
    ["within a word that is longer than a row", "abcdefghij kl", 4, ["abcd", "efgh", "ij", "kl"]],
    ["between wide characters", "日本語の文", 4, ["日本", "語の", "文"]],
    ["a wide character does not fit half", "a日本", 4, ["a日", "本"]],
    ["joined emoji stay together", "ab 👩‍👩‍👧 cd", 4, ["ab", "👩‍👩‍👧", "cd"]],
    ["indentation stays", "    code", 20, ["    code"]],
    ["nothing is one empty row", "", 10, [""]],
  ])("%s", (_name, line, width, rows) => {
    expect(wrapLine(line, width)).toEqual(rows);
  });

  const text = array(constantFrom("a", "bc", " ", "日", "👩‍👩‍👧", "é", "long-word"), { maxLength: 40 }).map((parts) =>
    parts.join(""),
  );

  it("no row is too wide and no text is lost", () => {
    assert(
      property(text, integer({ min: 2, max: 20 }), (line, width) => {
        const rows = wrapLine(line, width);
        for (const row of rows) expect(columnsOf(row)).toBeLessThanOrEqual(width);
        expect(rows.join("").replaceAll(" ", "")).toBe(line.replaceAll(" ", ""));
      }),
    );
  });

  it("text added to the end changes no row but the last", () => {
    assert(
      property(text, text, integer({ min: 2, max: 20 }), (line, more, width) => {
        const before = rowStarts(line, width);
        expect(rowStarts(line + more, width).slice(0, before.length - 1)).toEqual(before.slice(0, -1));
      }),
    );
  });
});

it("fits a text into columns", () => {
  expect(fit("abcdef", 6)).toBe("abcdef");
  expect(fit("abcdef", 4)).toBe("abc…");
  expect(fit("日本語", 4)).toBe("日…");
  expect(fit("abc", 0)).toBe("");
});
