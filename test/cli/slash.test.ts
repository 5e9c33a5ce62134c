import { expect, it } from "vitest";
import { readSlash } from "../../runtime/cli/slash.ts";

it.each([
  ["say something", undefined],
  ["/etc/passwd is a file", undefined],
  ["/", undefined],
  ["/help", { type: "help" }],
  [" /state ", { type: "state" }],
  ["/exit", { type: "exit" }],
  ["/quit", { type: "exit" }],
  ["/log", { type: "log", count: 20 }],
  ["/log 5", { type: "log", count: 5 }],
  ["/after then this\nand that", { type: "after", text: "then this\nand that" }],
  ["/resume", { type: "resume", text: undefined, partial: "keep" }],
  ["/resume use Celsius", { type: "resume", text: "use Celsius", partial: "keep" }],
  ["/resume --continue", { type: "resume", text: undefined, partial: "continue" }],
  ["/resume --discard shorter", { type: "resume", text: "shorter", partial: "discard" }],
])("%j", (line, slash) => {
  expect(readSlash(line)).toEqual(slash);
});

it.each(["/nonsense", "/log many", "/log 0", "/after", "/resume --nonsense", "/resume --continue text"])(
  "%j is answered with a sentence",
  (line) => {
    const slash = readSlash(line);
    expect(slash?.type).toBe("wrong");
    expect(slash?.type === "wrong" ? slash.message : "").toMatch(/^[/T].*\.$/);
  },
);
