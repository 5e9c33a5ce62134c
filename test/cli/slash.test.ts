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
  ["/log", { type: "log", count: undefined }],
  ["/fork 12", { type: "fork", seq: 12 }],
  ["/settle 1.0 ok", { type: "settle", callId: "1.0", result: { output: "" } }],
  ['/settle 1.0 ok {"a":1}', { type: "settle", callId: "1.0", result: { output: { a: 1 } } }],
  ["/settle 1.0 ok it is done", { type: "settle", callId: "1.0", result: { output: "it is done" } }],
  ["/settle 1.0 error no such file", { type: "settle", callId: "1.0", result: { error: "no such file" } }],
  ["/log 5", { type: "log", count: 5 }],
  ["/after then this\nand that", { type: "after", text: "then this\nand that" }],
  ["/resume", { type: "resume", text: undefined, partial: "keep" }],
  ["/resume use Celsius", { type: "resume", text: "use Celsius", partial: "keep" }],
  ["/resume --continue", { type: "resume", text: undefined, partial: "continue" }],
  ["/resume --discard shorter", { type: "resume", text: "shorter", partial: "discard" }],
])("%j", (line, slash) => {
  expect(readSlash(line)).toEqual(slash);
});

it.each([
  "/nonsense",
  "/log many",
  "/log 0",
  "/fork",
  "/fork 0",
  "/settle 1.0",
  "/settle 1.0 error",
  "/after",
  "/resume --nonsense",
  "/resume --continue text",
])("%j is answered with a sentence", (line) => {
  const slash = readSlash(line);
  expect(slash?.type).toBe("wrong");
  expect(slash?.type === "wrong" ? slash.message : "").toMatch(/^[/T].*\.$/);
});
