import { array, assert, constantFrom, nat, oneof, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { createSanitizer, MAX_STRING, oneLine, safeJson, sanitize } from "../../runtime/cli/sanitizer.ts";

const ESC = "\u001b";
const BEL = "\u0007";

describe("sequences go as a whole", () => {
  it.each([
    ["colour", `a${ESC}[1;31mb${ESC}[0mc`, "abc"],
    ["cursor movement and erase", `a${ESC}[2J${ESC}[Hb`, "ab"],
    ["mode switch", `a${ESC}[?1049hb${ESC}[?25lc`, "abc"],
    ["queries that type answers", `a${ESC}[6nb${ESC}[cd${ESC}[>0qe`, "abde"],
    ["CSI as C1", "a\u009b31mb", "ab"],
    ["clipboard (OSC 52), BEL", `a${ESC}]52;c;ZXZpbA==${BEL}b`, "ab"],
    ["clipboard (OSC 52), ST", `a${ESC}]52;c;ZXZpbA==${ESC}\\b`, "ab"],
    ["link (OSC 8)", `${ESC}]8;;http://evil${ESC}\\text${ESC}]8;;${ESC}\\.`, "text."],
    ["title (OSC 0, 2)", `${ESC}]0;t${BEL}a${ESC}]2;t${BEL}b`, "ab"],
    ["OSC as C1 with C1 end", "a\u009d2;t\u009cb", "ab"],
    ["DCS", `a${ESC}P$q"p${ESC}\\b`, "ab"],
    ["APC, PM, SOS", `a${ESC}_G${ESC}\\b${ESC}^x${ESC}\\c${ESC}Xy${ESC}\\d`, "abcd"],
    ["reset, charset, keypad", `a${ESC}cb${ESC}(0c${ESC}=d`, "abcd"],
    ["ESC cancels a string", `a${ESC}]0;t${ESC}[31mb`, "ab"],
    ["ESC ESC", `a${ESC}${ESC}[31mb`, "ab"],
  ])("%s", (_name, input, output) => {
    expect(sanitize(input)).toBe(output);
  });
});

describe("single characters", () => {
  it.each([
    ["NUL, BEL, backspace, DEL", "a\u0000b\u0007c\bd\u007fe", "abcde"],
    ["C1", "a\u0080b\u0084c\u009fd", "abcd"],
    ["bidi controls", "a\u202eb\u2066c\u2069d\u200ee\u200ff\u061cg", "abcdefg"],
    ["CRLF is one newline", "a\r\nb", "a\nb"],
    ["a lone CR ends the line", "12%\r34%", "12%\n34%"],
    ["separators end the line", "a\u2028b\u2029c\u0085d", "a\nb\nc\nd"],
    ["vertical tab and form feed", "a\u000bb\u000cc", "abc"],
    ["newline and tab stay", "a\n\tb", "a\n\tb"],
    ["wide characters and joined emoji stay", "日本 👩‍👩‍👧 é", "日本 👩‍👩‍👧 é"],
    ["lone surrogates", "a\ud83db\ude00c", "a\ufffdb\ufffdc"],
  ])("%s", (_name, input, output) => {
    expect(sanitize(input)).toBe(output);
  });
});

describe("a sequence that does not end takes no text with it", () => {
  it("is given up at a newline", () => {
    expect(sanitize(`a${ESC}]0;title\nb`)).toBe("a0;title\nb");
  });

  it("is given up after its bound", () => {
    const text = "x".repeat(3 * MAX_STRING);
    expect(sanitize(`a${ESC}]${text}`)).toBe(`a${text}`);
    const digits = "1".repeat(500);
    expect(sanitize(`a${ESC}[${digits}m`)).toBe(`a${digits}m`);
  });

  it("is given up at the end of the text", () => {
    expect(sanitize(`a${ESC}]0;title`)).toBe("a0;title");
    expect(sanitize(`a${ESC}`)).toBe("a");
    expect(sanitize(`a${ESC}[12`)).toBe("a");
  });

  it("holds back no more than its bound", () => {
    const sanitizer = createSanitizer();
    let shown = "";
    for (let index = 0; index < 3 * MAX_STRING; index++) shown += sanitizer.write(index === 0 ? `${ESC}P` : "x");
    expect(shown.length).toBeGreaterThan(MAX_STRING);
  });
});

describe("properties", () => {
  const nasty = constantFrom(
    ...Array.from(
      "\u001b\u0007\u009b\u009d\u0090\u009c\u0018\u202e\u2066\u0000\b\u007f\u0085\u2028\r\n\t[]\\P(0;mx日 ",
    ),
    "\ud83d",
    "\ude00",
  );
  const text = oneof(
    array(nasty, { maxLength: 60 }).map((units) => units.join("")),
    string({ unit: "binary", maxLength: 60 }),
  );

  it("any split gives the same output (Z2)", () => {
    assert(
      property(text, array(nat(60), { maxLength: 12 }), (input, cuts) => {
        const sanitizer = createSanitizer();
        let shown = "";
        let at = 0;
        for (const cut of [...cuts].sort((a, b) => a - b)) {
          shown += sanitizer.write(input.slice(at, Math.max(at, cut)));
          at = Math.max(at, cut);
        }
        shown += sanitizer.write(input.slice(at)) + sanitizer.end();
        expect(shown).toBe(sanitize(input));
      }),
      { numRuns: 3_000 },
    );
  });

  it("the output holds no control character but newline and tab (Z1)", () => {
    assert(
      property(text, (input) => {
        const shown = sanitize(input);
        expect(shown.isWellFormed()).toBe(true);
        expect(shown).not.toMatch(/[^\P{Cc}\n\t]/u);
        expect(shown).not.toMatch(/[\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]/u);
        expect(sanitize(shown)).toBe(shown);
      }),
      { numRuns: 3_000 },
    );
  });

  it("JSON keeps its value and has no raw control character", () => {
    assert(
      property(text, (input) => {
        const json = safeJson({ input });
        expect(JSON.parse(json)).toEqual({ input });
        expect(json).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});

it("one line stays one line and says that it was cut", () => {
  expect(oneLine(`a\n\tb${ESC}[31m c`)).toBe("a b c");
  expect(oneLine("x".repeat(50), 10)).toBe(`${"x".repeat(9)}…`);
  expect(oneLine("😀".repeat(50), 10)).toBe(`${"😀".repeat(4)}…`);
});
