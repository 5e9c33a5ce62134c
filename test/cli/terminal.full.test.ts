import { afterEach, describe, expect, it } from "vitest";
import { openPane, type Pane } from "./tmux.ts";

/** The chat in a real terminal, used as a person uses it. Needs tmux: without it these tests fail. */

const panes: Pane[] = [];
afterEach(async () => {
  for (const pane of panes.splice(0)) await pane.close();
});

async function chat(args: readonly string[] = [], columns?: number, rows?: number): Promise<Pane> {
  const pane = await openPane(args, columns, rows);
  panes.push(pane);
  await pane.until(/IDLE/);
  return pane;
}

describe("the answer", { timeout: 600_000 }, () => {
  it("streams, stops within a sentence by Esc, and goes on by Enter", async () => {
    const pane = await chat();
    expect(await pane.screen()).toContain("offline model");
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/idle > THINKING > acting {3}step 1 · .*~\d+ tokens/);
    await pane.until(/longer text about tides/);
    await pane.keys("Escape");
    const stopped = await pane.until(
      /interrupted, step 1, (mid-sentence|after a sentence), \d+ characters kept, [\d.]+ ms/,
    );
    expect(stopped).toContain("> INTERRUPTED");
    expect(stopped).toContain("› New direction?");
    await pane.keys("Enter");
    await pane.until(/\(goes on\)[\s\S]*THINKING/);
    await pane.keys("C-c");
    await pane.until(/\(goes on\)[\s\S]*interrupted[\s\S]*INTERRUPTED/);
  });

  it("is stopped by an Esc that is read together with what is typed behind it", async () => {
    const pane = await chat();
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/longer text about tides/);
    await pane.keys("-H", "1b", "2f", "68");
    await pane.until(/interrupted, step 1, [\s\S]*INTERRUPTED[^\n]*\n› \/h/);
  });

  it("is stopped by Ctrl-C while somebody looks at its log", async () => {
    const pane = await chat();
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/longer text about tides/);
    await pane.keys("/log", "Enter");
    await pane.until(/q back/);
    await pane.keys("C-c");
    await pane.until(/interrupted, step 1, [\s\S]*INTERRUPTED/);
  });

  it("is redirected by Esc with a text", async () => {
    const pane = await chat();
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/longer text about tides/);
    await pane.keys("what is in the machines folder");
    await pane.until(/› what is in the machines folder/);
    await pane.keys("Escape");
    const shown = await pane.until(/redirected, step 1, [\s\S]*› what is in the machines folder[\s\S]*DONE/);
    expect(shown.match(/› what is in the machines folder/g)).toHaveLength(1);
  });

  it("is followed up by Alt-Enter", async () => {
    const pane = await chat([], 100, 50);
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/longer text about tides/);
    await pane.keys("hello", "M-Enter");
    await pane.until(/↳ after the answer: hello/);
    await pane.until(/practice in\s+stopping[\s\S]*› hello[\s\S]*DONE/);
  });

  it("gives the text back when it was stopped before it began", async () => {
    const pane = await chat();
    await pane.keys("hello there", "Enter", "C-c");
    await pane.until(/before the answer began[\s\S]*INTERRUPTED[^\n]*\n› hello there/);
    await pane.keys("Enter");
    const shown = await pane.until(/DONE/);
    expect(shown.match(/hello there/g)).toHaveLength(1);
  });
});

describe("a tool", { timeout: 600_000 }, () => {
  it("shows its progress, is steered, finishes or is stopped", async () => {
    const pane = await chat([], 100, 40);
    await pane.keys("wait 30 seconds", "Enter");
    await pane.until(/idle > thinking > ACTING {3}step 1 · wait \d+\/30 s/);
    await pane.keys("hello", "Enter");
    await pane.until(/↳ at the next step: hello/);
    await pane.keys("Escape");
    await pane.until(/ACTING {3}stops after this step · /);
    await pane.keys("Escape");
    const stopped = await pane.until(/→ aborted[\s\S]*interrupted, step 1, during wait \(aborted\), [\d.]+ m?s/);
    expect(stopped).toContain("↳ at the next step: hello");
    // Its text came back: sent as it is, the run goes on with what waits.
    await pane.keys("Enter");
    await pane.until(/› hello[\s\S]*DONE/);
    expect(await pane.screen()).not.toContain("↳");
  });

  it("is stopped by one Esc after its step", async () => {
    const pane = await chat([], 100, 40);
    await pane.keys("wait 8 seconds", "Enter");
    await pane.until(/wait \d\/8 s/);
    await pane.keys("Escape");
    await pane.until(/interrupted, step 1, after wait \(ok\)/);
  });
});

describe("the prompt", { timeout: 600_000 }, () => {
  it("takes wide characters, history and pastes, and survives a resize", async () => {
    const pane = await chat();
    await pane.keys("你好 👋");
    await pane.until(/› 你好 👋/);
    expect(await pane.read("cursor_x")).toBe("9");
    await pane.keys("C-u");
    await pane.paste("first pasted line\nsecond \u001b]2;title\u0007\u009b31mline");
    const pasted = await pane.until(/› first pasted line\n {2}second line/);
    expect(pasted).toContain("IDLE");
    await pane.resize(50, 18);
    await pane.until(/› first pasted line\n {2}second line/);
    await pane.keys("Enter");
    const narrow = await pane.until(/› first pasted line\n {2}second line[\s\S]*DONE/);
    for (const row of narrow.split("\n")) expect(row.length).toBeLessThanOrEqual(50);
    await pane.resize(100, 30);
    await pane.until(/› first pasted line\n {2}second line[\s\S]*DONE[^\n]*\n› Go on/);
    await pane.keys("Up");
    await pane.until(/DONE[^\n]*\n› first pasted line\n {2}second line/);
    expect(await pane.read("pane_title")).not.toBe("title");
  });

  it("stays where it is in a tiny terminal while an answer streams and scrolls", async () => {
    const pane = await chat([], 24, 6);
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/example/);
    await pane.keys("abc");
    await pane.until(/› abc/);
    await pane.keys("C-c");
    await pane.until(/INTERRUPTED\s*\n› abc/);
    const all = (await pane.history()).replaceAll(/\s+/g, " ");
    expect(all).toContain(
      "This is a longer text about tides. I am the offline model and know no facts about it, so take",
    );
  });

  it("answers its commands", async () => {
    const pane = await chat([], 100, 40);
    await pane.keys("/resume", "Enter");
    await pane.until(/IDLE > thinking > acting/);
    await pane.until(/nothing to resume/);
    await pane.keys("hello", "Enter");
    await pane.until(/DONE/);
    await pane.keys("/state", "Enter");
    await pane.until(/messages {2}2/);
    await pane.keys("/log 3", "Enter");
    await pane.until(/message +stop[\s\S]* done /);
    await pane.keys("/nonsense", "Enter");
    await pane.until(/There is no command \/nonsense/);
    await pane.keys("/resume", "Enter");
    await pane.until(/Not now: the answer is complete/);
    await pane.keys("/help", "Enter");
    await pane.until(/Alt-Enter {4}says it after the answer/);
  });
});

describe("the end", { timeout: 600_000 }, () => {
  async function expectSane(pane: Pane, code: number): Promise<void> {
    await pane.until(new RegExp(`code ${code}\\n[\\da-f:]+\\n`));
    const settings = (await pane.history()).split("\n").filter((row) => /^[\da-f]+:[\da-f:]+$/.test(row.trim()));
    expect(settings).toHaveLength(2);
    expect(settings[0]).toBe(settings[1]);
    expect(await pane.read("cursor_flag")).toBe("1");
    // With bracketed paste still on, cat would echo its marks.
    await pane.paste("pasted");
    expect(await pane.until(/pasted/)).not.toContain("200~");
  }

  it("Ctrl-D leaves an empty prompt, with the terminal as it was", async () => {
    const pane = await chat();
    await pane.keys("hello", "Enter");
    await pane.until(/DONE/);
    await pane.keys("C-d");
    await expectSane(pane, 0);
  });

  it("Ctrl-C twice leaves while a tool runs", async () => {
    const pane = await chat();
    await pane.keys("wait 60 seconds", "Enter");
    await pane.until(/wait \d+\/60 s/);
    await pane.keys("C-c", "C-c");
    await expectSane(pane, 0);
    expect(await pane.screen()).toContain("during wait (aborted)");
  });

  it("/exit leaves while an answer streams", async () => {
    const pane = await chat();
    await pane.keys("write a long answer about tides", "Enter");
    await pane.until(/longer text about tides/);
    await pane.keys("/exit", "Enter");
    await expectSane(pane, 0);
  });

  it("an endpoint that is not there is one sentence, and Enter tries again", async () => {
    const pane = await chat(["--base-url", "http://127.0.0.1:9", "--model", "m"]);
    await pane.keys("hello", "Enter");
    await pane.until(/failed: [^\n]*127\.0\.0\.1:9[\s\S]*FAILED[^\n]*\n› Enter tries again/);
    await pane.keys("Enter");
    await pane.until(/\(goes on\)[\s\S]*failed: [\s\S]*FAILED {3}step 2/);
    await pane.keys("C-d");
    await expectSane(pane, 0);
  });
});
