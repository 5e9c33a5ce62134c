import { describe, expect, it } from "vitest";
import { createPrompt } from "../../runtime/cli/prompt.ts";
import { createTheme } from "../../runtime/cli/theme.ts";

function edit() {
  const sent: string[] = [];
  const prompt = createPrompt(
    () => 24,
    (text) => sent.push(text),
    createTheme(false),
  );
  return {
    prompt,
    sent,
    type: (text: string) => {
      for (const unit of text) prompt.key(unit);
    },
  };
}

describe("the prompt", () => {
  it("says what the keys do while it is empty", () => {
    const { prompt } = edit();
    expect(prompt.render(40, "Ask something")).toEqual({ rows: ["› Ask something"], row: 0, column: 2 });
    expect(prompt.render(10, "Ask something").rows).toEqual(["› Ask so…"]);
  });

  it("puts the cursor behind wide characters", () => {
    const { prompt, type } = edit();
    type("日本語 ok");
    expect(prompt.render(40, "")).toEqual({ rows: ["› 日本語 ok"], row: 0, column: 11 });
    prompt.key("\u001b[D");
    expect(prompt.render(40, "").column).toBe(10);
  });

  it("wraps, and knows the row of the cursor", () => {
    const { prompt, type } = edit();
    type("one two three four");
    expect(prompt.render(14, "")).toEqual({ rows: ["› one two", "  three four"], row: 1, column: 12 });
  });

  it("Enter sends and empties it; a fast Enter is an Enter", () => {
    const { prompt, sent, type } = edit();
    type("hello\r");
    expect(sent).toEqual(["hello"]);
    expect(prompt.text).toBe("");
  });

  it("a paste is text: its Enter sends nothing, its sequences are gone", () => {
    const { prompt, sent } = edit();
    prompt.paste("one\r\ntwo\u001b]52;c;eA==\u0007\u009b31m!");
    expect(sent).toEqual([]);
    expect(prompt.text).toBe("one\ntwo!");
  });

  it("a long paste stands as a mark and is sent in full", () => {
    const { prompt, sent } = edit();
    const text = Array.from({ length: 30 }, (_none, index) => `line ${index}`).join("\n");
    prompt.paste(text);
    expect(prompt.render(60, "").rows).toEqual(["› [paste #1 +30 lines]"]);
    expect(prompt.text).toBe(text);
    prompt.key("\r");
    expect(sent).toEqual([text]);
  });

  it("up brings back what was said", () => {
    const { prompt } = edit();
    prompt.remember("first");
    prompt.remember("second");
    prompt.key("\u001b[A");
    expect(prompt.text).toBe("second");
    prompt.key("\u001b[A");
    expect(prompt.text).toBe("first");
    prompt.key("\u001b[B");
    expect(prompt.text).toBe("second");
  });
});
