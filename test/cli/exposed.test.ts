import { assert as check, constant, constantFrom, jsonValue, property, record, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonSchema } from "../../machines/events.ts";
import { pendingLine, pendingLines, questionOf, readAnswer, readArgs, wordsOf } from "../../runtime/cli/answer.ts";
import { argumentLines, expose, exposedJson } from "../../runtime/cli/exposed.ts";

/** What a hostile model would put into arguments: clipboard, title, C1, bidi, zero width, tags, fillers, blanks that are no space, half a character. */
const ATTACK =
  "a\u001b]52;c;ZXZpbA==\u0007b\u009b31m\u202ecod.exe\u2066\u200b\u2060\ufeff\u{e0041}\u3164\u00a0\u2800\ud800\u0000\r\u2028\u007fz";
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u00a0\u2800]/u;

describe("what is to be approved", () => {
  it("shows every character that cannot be seen as an escape", () => {
    const shown = expose(ATTACK);
    expect(shown).not.toMatch(UNSEEN);
    expect(shown).toMatch(/^a\\u001b\]52;c;ZXZpbA==\\u0007b\\u009b31m\\u202ecod\.exe\\u2066\\u200b\\u2060\\ufeff/);
    expect(shown).toContain(String.raw`\udb40\udc41\u3164\u00a0\u2800\ud800\u0000\u000d\u2028\u007fz`);
    expect(expose("plain, 你好 é 👋")).toBe("plain, 你好 é 👋");
  });

  it("reads back as the same value, so an edit changes only what is edited", () => {
    const text = string({ unit: "binary" });
    const value = jsonValue().filter((one) => jsonSchema.safeParse(one).success);
    check(
      property(record({ text, value, attack: constant(ATTACK) }), constantFrom(0, 2), (args, indent) => {
        const json = jsonSchema.parse(args);
        const shown = exposedJson(json, indent);
        expect(shown.replaceAll("\n", "")).not.toMatch(UNSEEN);
        expect(readArgs(shown)).toEqual({ args: JSON.parse(JSON.stringify(json)) });
      }),
      { numRuns: 30 },
    );
  });

  it("shows all of it, a text of several lines as such", () => {
    const long = "x".repeat(5_000);
    expect(
      argumentLines({ path: "a.txt", content: "one\n  two\u202e\n", deep: { list: [long] }, "odd key": null }),
    ).toEqual([
      'path: "a.txt"',
      "content:",
      "│ one",
      String.raw`│   two\u202e`,
      "│ ",
      "deep: {",
      '  "list": [',
      `    "${long}"`,
      "  ]",
      "}",
      '"odd key": null',
    ]);
    expect(argumentLines({})).toEqual(["(no arguments)"]);
    expect(argumentLines([1])).toEqual(["[", "  1", "]"]);
    expect(argumentLines(undefined)).toEqual(["(arguments that cannot be read)"]);
  });

  it("names a call, and shows a question with its options, both without a control character", () => {
    expect(pendingLines({ name: "act", callId: "1.0", args: { what: "x" } })).toEqual(["act (call 1.0)", 'what: "x"']);
    const asked = {
      name: "ask_user",
      callId: "1.0",
      args: { question: `Which?\n${ATTACK}`, options: ["Rome", ATTACK] },
    };
    const lines = pendingLines(asked);
    expect(lines.slice(0, 1).concat(lines.slice(2, 3))).toEqual(["Which?", "1. Rome"]);
    for (const line of lines) expect(line).not.toMatch(UNSEEN);
    expect(pendingLine(asked)).not.toMatch(UNSEEN);
    // Options that are none, and arguments of another tool of that name, are shown as they are.
    expect(pendingLines({ name: "ask_user", callId: "1.0", args: { question: 1 } })).toEqual([
      "ask_user (call 1.0)",
      "question: 1",
    ]);
  });
});

describe("an answer", () => {
  it.each([
    ["y", { type: "approve", forRun: false }],
    [" YES ", { type: "approve", forRun: false }],
    ["a", { type: "approve", forRun: true }],
    ["e", { type: "edit" }],
    ["n", { type: "reject", reason: "" }],
    ["no", { type: "reject", reason: "" }],
    ["n not there,\nplease", { type: "reject", reason: "not there,\nplease" }],
    ["yes, but first look", { type: "none" }],
    ["y y", { type: "none" }],
    ["not that", { type: "none" }],
    ["always be careful", { type: "none" }],
    ["", { type: "none" }],
  ])("%j", (line, answer) => {
    expect(readAnswer(line)).toEqual(answer);
  });

  it("to a question is what was typed, or the option of that number", () => {
    const asked = questionOf({ args: { question: "Which?", options: ["Rome", "Oslo", 3] } });
    expect(wordsOf(" 2 ", asked)).toBe("Oslo");
    expect(wordsOf("3", asked)).toBe("3");
    expect(wordsOf("0", asked)).toBe("0");
    expect(wordsOf("Paris ", asked)).toBe("Paris");
    expect(wordsOf("1", undefined)).toBe("1");
  });

  it("arguments that are no JSON are told in one sentence", () => {
    expect(readArgs("{}")).toEqual({ args: {} });
    for (const text of ["", "{", "{a:1}", '{"a":\u202e}']) {
      expect(readArgs(text)).toEqual({ problem: expect.stringMatching(/^That is no JSON[^\n\u202e]*\.$/) });
    }
  });
});
