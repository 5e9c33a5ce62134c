import { array, assert, constantFrom, integer, property, tuple } from "fast-check";
import { expect, it } from "vitest";
import { createScreen } from "../../runtime/cli/screen.ts";
import { smallTerminal } from "./small-terminal.ts";

const HEIGHT = 8;
const row = constantFrom("a", "bb", "", "status", "› prompt");
const paint = tuple(
  array(row, { maxLength: 4 }),
  array(row, { minLength: 1, maxLength: HEIGHT - 1 }),
  integer({ min: 0, max: 20 }),
);

it("prints what is final once, and the live area as it is now, with the cursor in it", () => {
  assert(
    property(array(paint, { minLength: 1, maxLength: 12 }), (paints) => {
      const terminal = smallTerminal(HEIGHT);
      const screen = createScreen(terminal.write);
      const printed: string[] = [];
      for (const [finished, rows, at] of paints) {
        const cursor = { row: at % rows.length, column: at % 5 };
        screen.paint(finished, { rows, cursor });
        printed.push(...finished);
        const all = terminal.all;
        expect(all.slice(0, printed.length + rows.length)).toEqual([...printed, ...rows]);
        expect(all.slice(printed.length + rows.length).join("")).toBe("");
        expect(terminal.cursor).toEqual({ row: printed.length + cursor.row, column: cursor.column });
      }
    }),
  );
});

it("writes nothing where nothing changed", () => {
  const terminal = smallTerminal(HEIGHT);
  let writes = 0;
  const screen = createScreen((text) => {
    writes++;
    terminal.write(text);
  });
  const live = { rows: ["status", "› x"], cursor: { row: 1, column: 3 } };
  screen.paint(["one"], live);
  screen.paint([], live);
  expect(writes).toBe(1);
});

it("draws again after a resize, and goes on from there", () => {
  const terminal = smallTerminal(HEIGHT);
  const screen = createScreen(terminal.write);
  screen.paint(["one", "two"], { rows: ["", "status", "›"], cursor: { row: 2, column: 1 } });
  screen.redraw(["one", "two"], { rows: ["", "narrow", "›"], cursor: { row: 2, column: 1 } }, HEIGHT);
  expect(terminal.all).toEqual(["one", "two", "", "narrow", "›", "", "", ""]);
  expect(terminal.cursor).toEqual({ row: 4, column: 1 });
  screen.paint(["three"], { rows: ["", "status", "›"], cursor: { row: 2, column: 1 } });
  expect(terminal.all).toEqual(["one", "two", "three", "", "status", "›", "", ""]);

  const many = Array.from({ length: 20 }, (_none, index) => `row ${index}`);
  screen.redraw(many, { rows: ["status", "›"], cursor: { row: 1, column: 1 } }, HEIGHT);
  expect(terminal.all.slice(-HEIGHT)).toEqual([...many.slice(14), "status", "›"]);
});

it("leaves the cursor below the transcript", () => {
  const terminal = smallTerminal(HEIGHT);
  const screen = createScreen(terminal.write);
  screen.paint(["one", "two"], { rows: ["", "status", "›"], cursor: { row: 2, column: 1 } });
  screen.clear();
  expect(terminal.all.join("|")).toBe("one|two||||||");
  expect(terminal.cursor).toEqual({ row: 2, column: 0 });
});
