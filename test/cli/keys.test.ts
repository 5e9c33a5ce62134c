import { describe, expect, it } from "vitest";
import {
  decide,
  hintOf,
  phaseOf,
  readKeys,
  type Action,
  type Key,
  type Phase,
  type Situation,
} from "../../runtime/cli/keys.ts";

const situation = { phase: "idle" as const, stopAsked: false, text: "", asks: "no" as const, again: false };
const phases: readonly Phase[] = ["idle", "thinking", "acting", "waiting", "stopping", "interrupted", "failed", "done"];

describe("keys", () => {
  it.each([
    ["\u001b", ["escape"]],
    ["\u001b\u001b", ["escape", "escape"]],
    ["\u0003", ["ctrl-c"]],
    ["\u0004", ["ctrl-d"]],
    ["\u001b\r", ["alt-enter"]],
    ["\r", ["edit"]],
    ["x", ["edit"]],
    ["\u001b[A", ["edit"]],
    ["\u001bb", ["edit"]],
    ["\u001b\u007f", ["edit"]],
  ])("%j", (bytes, keys) => {
    expect(readKeys(bytes, "text").map(({ key }) => key)).toEqual(keys);
  });

  it.each([
    ["\u001b\u0003", ["escape", "ctrl-c"]],
    ["\u001b\u0004", ["escape", "ctrl-d"]],
    ["\u001bPl", ["escape", "edit", "edit"]],
    ["\u001bOn", ["escape", "edit", "edit"]],
    ["\u001b[1]", ["escape", "edit", "edit", "edit"]],
    ["\u001b]x", ["escape", "edit", "edit"]],
    // Keys without a character, and what a terminal says of itself.
    ["\u001bOP", ["edit"]],
    ["\u001b[1;5C", ["edit"]],
    ["\u001b[3~", ["edit"]],
    ["\u001b\u001b[A", ["edit"]],
    ["\u001bP>|tmux 3.4\u001b\\", ["edit"]],
    ["\u001b]11;rgb:0/0/0\u0007", ["edit"]],
  ])("more than Esc, read as one: %j", (bytes, keys) => {
    expect(readKeys(bytes, "").map(({ key }) => key)).toEqual(keys);
  });

  it.each([
    ["\u001bB", "text", "B"],
    ["\u001b/", "", "/"],
    ["\u001b[", "", "["],
    ["\u001b停", "text", "停"],
    ["\u001b😀", "text", "😀"],
    // Nothing to go through by words.
    ["\u001bb", "", "b"],
  ])("Esc and what is typed right behind it, read as one: %j", (bytes, text, typed) => {
    expect(readKeys(bytes, text)).toEqual([
      { key: "escape", bytes: "\u001b" },
      { key: "edit", bytes: typed },
    ]);
  });

  const cases: readonly [string, Key, Partial<Situation>, Action][] = [
    ["Esc stops text at once", "escape", { phase: "thinking" }, { type: "interrupt", mode: "now" }],
    ["Esc lets a tool finish", "escape", { phase: "acting" }, { type: "interrupt", mode: "step" }],
    ["a second Esc stops it", "escape", { phase: "acting", stopAsked: true }, { type: "interrupt", mode: "now" }],
    ["Esc with text redirects", "escape", { phase: "thinking", text: "x" }, { type: "redirect" }],
    ["Esc with text redirects a tool", "escape", { phase: "acting", text: "x" }, { type: "redirect" }],
    [
      "Esc with a command of the chat's stops",
      "escape",
      { phase: "acting", text: "/state" },
      { type: "interrupt", mode: "step" },
    ],
    ["Esc at rest is nothing", "escape", { phase: "done", text: "x" }, { type: "nothing" }],
    ["Esc stops what waits", "escape", { phase: "waiting", asks: "asking" }, { type: "interrupt", mode: "now" }],
    [
      "Esc at a question redirects nothing",
      "escape",
      { phase: "waiting", text: "no be", asks: "asking" },
      { type: "interrupt", mode: "now" },
    ],
    ["Esc leaves an edit", "escape", { phase: "waiting", text: "{}", asks: "editing" }, { type: "leave_edit" }],
    ["Alt-Enter answers nothing", "alt-enter", { phase: "waiting", text: "y", asks: "asking" }, { type: "nothing" }],
    ["Ctrl-C stops", "ctrl-c", { phase: "acting", text: "x" }, { type: "interrupt", mode: "now" }],
    ["a second Ctrl-C leaves", "ctrl-c", { phase: "stopping", again: true }, { type: "leave" }],
    ["Ctrl-C at rest clears", "ctrl-c", { phase: "done", text: "x" }, { type: "clear" }],
    ["Ctrl-C at rest and empty leaves", "ctrl-c", { phase: "idle" }, { type: "leave" }],
    ["Ctrl-D leaves", "ctrl-d", { phase: "thinking" }, { type: "leave" }],
    ["Ctrl-D in a text deletes", "ctrl-d", { text: "x" }, { type: "edit" }],
    ["Alt-Enter follows up", "alt-enter", { phase: "thinking", text: "x" }, { type: "follow_up" }],
    ["Alt-Enter does a command", "alt-enter", { phase: "thinking", text: "/after x" }, { type: "enter" }],
    ["Alt-Enter says something", "alt-enter", { text: " " }, { type: "nothing" }],
    ["others edit", "edit", { phase: "acting" }, { type: "edit" }],
  ];
  it.each(cases)("%s", (_name, key, change, action) => {
    expect(decide(key, { ...situation, ...change })).toEqual(action);
  });

  it("no run is idle, and every phase has its hint", () => {
    expect(phaseOf(undefined)).toBe("idle");
    for (const phase of phases) expect(hintOf(phase, false)).not.toBe("");
  });
});
