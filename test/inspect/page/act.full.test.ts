import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  createAgent,
  defineTool,
  memoryLog,
  pause,
  scriptedModel,
  type Agent,
  type EventLog,
  type ScriptStep,
} from "rubato";
import { z } from "zod";
import { leftBehind } from "../../support/left-behind.ts";
import { stored } from "../../support/logs.ts";
import { expectSeq, expectText, openBrowser, openPage, seqOf } from "./browser.ts";
import { faint, overlaps } from "./in-page.ts";
import { act, served, TOKEN } from "./served.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await openBrowser();
});

afterAll(() => browser.close());

interface Parts {
  readonly log?: EventLog;
  readonly approval?: "always" | "never";
  readonly started?: string[];
  readonly toolCalls?: number;
  /** The tool does not end before. */
  readonly until?: Promise<void>;
}

function agentOf(steps: readonly ScriptStep[], parts: Parts = {}): Agent {
  const { log = memoryLog(), approval = "never", started = [], toolCalls, until } = parts;
  const transfer = defineTool({
    name: "transfer",
    description: "Moves money",
    input: z.object({ euros: z.number() }),
    approval,
    async execute({ euros }, { callId, signal }) {
      started.push(callId);
      const stopped = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.race([until, stopped]);
      return `moved ${euros}`;
    },
  });
  const budget = toolCalls === undefined ? {} : { budget: { toolCalls } };
  const agent = createAgent({ name: "act", model: scriptedModel(steps), tools: [transfer], log, ...budget });
  onTestFinished(() => agent.close());
  return agent;
}

const pay = (euros: number): ScriptStep => ({ calls: [{ name: "transfer", args: { euros } }] });

async function opened(agent: Agent, more: Parameters<typeof openPage>[2] = {}): Promise<Page> {
  const server = await served(agent);
  const { page } = await openPage(browser, `${server.url}/inspect#run=r1&token=${TOKEN}`, more);
  await expectText(page, ".badge", /^live$/);
  await act(page);
  return page;
}

/** What has the focus: its name for a screen reader, or its text. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const { activeElement: element } = document;
    if (element instanceof HTMLTextAreaElement && element.className === "say") return "Say";
    return element?.getAttribute("aria-label") ?? element?.textContent ?? "";
  });
}

/** What a process left behind that died while a tool ran. */
async function diedInTool(): Promise<EventLog> {
  const log = memoryLog();
  const agent = agentOf([pay(9), "Never."], { log, until: new Promise(() => {}) });
  const run = agent.run("Pay", { runId: "r1" });
  for await (const event of run) if (event.type === "tool_start") break;
  const events = await stored(log, "r1");
  return leftBehind(events.slice(0, events.findIndex(({ type }) => type === "tool_start") + 1));
}

describe("a call whose outcome nobody knows", () => {
  it.for([
    ["It succeeded", '{"moved": 9}', { outcome: "ok", output: { moved: 9 } }],
    ["It succeeded", "moved it", { outcome: "ok", output: "moved it" }],
    ["It failed", "no such account", { outcome: "error", error: { message: "no such account" } }],
  ] as const)("is told by a person: %s, %s (P12)", async ([button, text, result]) => {
    const started: string[] = [];
    const agent = agentOf(["I see."], { log: await diedInTool(), started });
    const page = await opened(agent);
    await page.getByRole("button", { name: "Interrupt now" }).click();
    await expectText(page, ".why", /Nobody knows how 1\.0 transfer ended: its process is gone\./);
    await expectText(page, ".approval pre", /^euros: 9$/);
    await expect.poll(() => page.getByRole("button", { name: "It failed: transfer 1.0" }).isDisabled()).toBe(true);
    await page.getByLabel("What transfer 1.0 answered, or what went wrong").fill(text);
    await page.getByRole("button", { name: `${button}: transfer 1.0` }).click();
    await expectText(page, ".answers li", /^settle: accepted, seq \d+\.$/);
    // The answer and the event come on lines of their own.
    await expect.poll(() => page.locator(".approval").count()).toBe(0);
    await expect.poll(() => focused(page)).toBe("Say");
    await page.getByRole("button", { name: "Resume" }).click();
    await expectText(page, ".why", /^done It is done/);
    const events = await stored(agent.log, "r1");
    const results = events.filter(({ type }) => type === "tool_result");
    expect(results).toMatchObject([{ data: { callId: "1.0", from: "orphaned", ...result } }]);
    expect(started).toEqual([]);
  });

  it("is told once: whoever comes second is told so, and keeps what was typed", async () => {
    const agent = agentOf(["I see."], { log: await diedInTool() });
    const page = await opened(agent);
    await page.getByRole("button", { name: "Interrupt now" }).click();
    await page.getByLabel("What transfer 1.0 answered, or what went wrong").fill("moved");
    const run = await agent.open("r1");
    expect(await run.settleCall("1.0", { output: "other" })).toMatchObject({ accepted: true });
    await expectText(
      page,
      ".answers li",
      /^transfer 1\.0 was answered elsewhere or ended\. What was typed about it: moved$/,
    );
  });
});

describe("acting at odd moments", () => {
  it("does once what is clicked twice, and says what it was answered", async () => {
    const gate = pause();
    const agent = agentOf([["One", gate, "."], "Two.", "Three."]);
    const run = agent.run("Go", { runId: "r1" });
    await gate.reached;
    const page = await opened(agent);
    await page.getByLabel("Say").fill("and more");
    await page.getByRole("button", { name: "Send" }).dblclick();
    await expectText(page, ".answers li", /^send: accepted, seq \d+\.$/);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("");
    gate.open();
    await run.settled();
    await page.getByRole("button", { name: /^Fork from seq/ }).dblclick();
    await expectText(page, ".answers li", /^fork: accepted/);
    const said = (await run.history("user_input")).map(({ data }) => ("text" in data ? data.text : ""));
    expect(said).toEqual(["Go", "and more"]);
    expect(await agent.runs()).toHaveLength(2);
  });

  it("stops at once where somebody waits for the end of the step, and keeps what is typed in another tab (A1, A3)", async () => {
    const agent = agentOf([pay(1), "Done."], { until: new Promise(() => {}) });
    const run = agent.run("Pay", { runId: "r1" });
    for await (const event of run) if (event.type === "tool_start") break;
    const page = await opened(agent);
    await page.getByLabel("Say").fill("wait");
    await page.getByRole("button", { name: "Interrupt at step" }).click();
    await expectText(page, ".answers li", /^interrupt: asked, no answer yet\.$/);
    await page.getByLabel("Say").fill("something new");
    await page.getByRole("button", { name: "Interrupt now" }).click();
    await expectText(page, ".why", /^interrupted It stopped because page asked for it \(“something new”\)/);
    // Both were answered; the first of them is not what stands there any more.
    await expect
      .poll(() => page.locator(".answers li").allTextContents())
      .toEqual([expect.stringMatching(/^interrupt: accepted/), expect.stringMatching(/^interrupt: accepted/)]);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("");
    // What is typed belongs to the run, and not to the tab that is open.
    await page.getByLabel("Say").fill("go on");
    await page.getByRole("tab", { name: "State" }).click();
    await act(page);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("go on");
    await expect.poll(() => page.locator(".answers li").count()).toBe(2);
  });

  it("says that nobody answered where the server is gone, and keeps the text (A1)", async () => {
    const agent = agentOf([pay(1), "Done."], { approval: "always" });
    const run = agent.run("Pay", { runId: "r1" });
    await run.settled();
    const server = await served(agent);
    const { page } = await openPage(browser, `${server.url}/inspect#run=r1&token=${TOKEN}`);
    await act(page);
    await page.getByLabel("Why transfer 1.0 is rejected").fill("too much");
    await server.close();
    await page.getByRole("button", { name: "Reject: transfer 1.0" }).click();
    await expectText(page, ".answers li", /^reject: no answer\. .*whether it arrived is not known\. Look at the run/);
    await expect.poll(() => page.getByLabel("Why transfer 1.0 is rejected").inputValue()).toBe("too much");
    await page.getByLabel("Say").fill("hello");
    await page.getByRole("button", { name: "Send" }).click();
    await expectText(page, ".answers li", /^send: asked, no answer yet\.$/);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("hello");
    await page.getByLabel("Say").fill("typed meanwhile");
    // It is tried until the server is back, and heard once.
    await served(agent, server.port);
    await expectText(page, ".answers li", /^send: accepted/);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("typed meanwhile");
    expect((await run.history("user_input")).length).toBe(2);
    await page.getByRole("button", { name: "Reject: transfer 1.0" }).click();
    await expectText(page, ".answers li", /^reject: accepted/);
  });

  it("says that the run is gone", async () => {
    const agent = agentOf(["Hello."]);
    await agent.run("Hi", { runId: "r1" }).settled();
    const page = await opened(agent);
    await agent.log.delete("r1");
    await page.getByLabel("Say").fill("still there?");
    await page.getByRole("button", { name: "Send" }).click();
    await expectText(page, ".answers li", /^send: no answer\. .*no run "r1"/);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("still there?");
  });

  it("says what another page did first: an edit that was not sent is not lost without a word", async () => {
    const agent = agentOf([pay(1), "Done."], { approval: "always" });
    const run = agent.run("Pay", { runId: "r1" });
    await run.settled();
    const page = await opened(agent);
    await page.getByRole("button", { name: "Edit: transfer 1.0" }).click();
    await page.getByLabel("Arguments of transfer 1.0").fill('{"euros": 0.5}');
    await run.approve("1.0", { by: "ada" });
    await expectText(page, ".why", /^done It is done/);
    await expectText(page, ".answers li", /^transfer 1\.0 was answered elsewhere or ended\. .*\{"euros": 0\.5\}$/);
    expect(await focused(page)).toBe("Say");
  });

  it("is refused in a sentence, and a budget is raised where one is used up (P32)", async () => {
    const agent = agentOf([pay(1), pay(2), "Done."], { toolCalls: 1 });
    const run = agent.run("Pay", { runId: "r1" });
    await run.settled();
    const page = await opened(agent);
    await expectText(
      page,
      ".why",
      /^interrupted It rests at a limit: stopped at the limit of 1 tool call \(1 made\)\. Resume with a higher budget/,
    );
    await page.getByLabel("Budget, all in all").fill("toolCalls=many");
    await expectText(page, ".act .bad-text", /^A budget is NAME=NUMBER/);
    await expect.poll(() => page.getByRole("button", { name: "Resume" }).isDisabled()).toBe(true);
    await page.getByLabel("Budget, all in all").fill("toolCalls=1");
    await page.getByRole("button", { name: "Resume" }).click();
    await expectText(
      page,
      ".answers li",
      /^resume: refused \(limit\): a budget is used up, it goes on with a higher one\.$/,
    );
    await page.getByLabel("Budget, all in all").fill("toolCalls=5");
    await page.getByRole("button", { name: "Resume" }).click();
    await expectText(page, ".why", /^done It is done/);
  });
});

describe("the keyboard alone", () => {
  it("acts, and never loses its place (A2)", async () => {
    const gate = pause();
    const agent = agentOf([pay(1), ["Half", gate, "."], "More."], { approval: "always" });
    const run = agent.run("Pay", { runId: "r1" });
    await run.settled();
    const page = await opened(agent);
    await page.keyboard.press("Tab");
    await page.locator(".tab-body").focus();
    await page.keyboard.press("Tab");
    expect(await focused(page)).toBe("Approve: transfer 1.0");
    await page.keyboard.press("Enter");
    await gate.reached;
    await expect.poll(() => focused(page)).toBe("Say");
    await page.keyboard.type("i [ ] 3");
    const seq = await seqOf(page);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Home");
    await expect.poll(() => seqOf(page)).toBe(seq);
    await expect.poll(() => page.getByLabel("Say").inputValue()).toBe("i [ ] 3");
    await page.getByRole("button", { name: "Interrupt now" }).focus();
    await page.keyboard.press("Space");
    await expectText(page, ".why", /^interrupted It stopped because page asked for it \(“i \[ \] 3”\)/);
    await expect.poll(() => focused(page)).toBe("Say");
    // Final things are asked once more, and the harmless answer has the focus.
    await page.getByRole("button", { name: "Cancel", exact: true }).focus();
    await page.keyboard.press("Enter");
    await expect.poll(() => focused(page)).toBe("Keep it");
    await page.keyboard.press("Enter");
    expect(run.state.status).toBe("interrupted");
    await expect.poll(() => focused(page)).toBe("Say");
    await page.getByRole("button", { name: "Cancel", exact: true }).focus();
    await page.keyboard.press("Enter");
    await expect.poll(() => focused(page)).toBe("Keep it");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await expectText(page, ".why", /^cancelled It was cancelled by page: that is final\./);
    await expect.poll(() => focused(page)).toBe("Say");
    expect((await run.settled()).status).toBe("cancelled");
  });

  it("moves in a dialog that has the focus, and not behind it; closed, the focus is where it was", async () => {
    const agent = agentOf(["Hello."]);
    await agent.run("Hi", { runId: "r1" }).settled();
    const page = await opened(agent);
    const seq = await seqOf(page);
    await page.getByRole("button", { name: "Interrupt now" }).waitFor();
    await page.getByRole("tab", { name: "Act" }).focus();
    await page.keyboard.press("?");
    await expect.poll(() => focused(page)).toBe("Close");
    for (const key of ["ArrowLeft", "[", "i", "Home", "3"]) await page.keyboard.press(key);
    await expectSeq(page, seq);
    await expect.poll(() => page.getByRole("tab", { name: "Act" }).getAttribute("aria-selected")).toBe("true");
    await page.keyboard.press("?");
    await expect.poll(() => focused(page)).toBe("Act");
  });

  it("names every control, and all of it can be read, wide and narrow, light and dark", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const viewport of [
        { width: 1280, height: 800 },
        { width: 390, height: 844 },
      ]) {
        const agent = agentOf(
          [
            {
              calls: [
                { name: "transfer", args: { euros: 1 } },
                { name: "transfer", args: { euros: 2 } },
              ],
            },
          ],
          {
            approval: "always",
          },
        );
        await agent.run("Pay", { runId: "r1" }).settled();
        const page = await opened(agent, { colorScheme, viewport });
        await page.getByRole("button", { name: "Edit: transfer 1.0" }).click();
        await page.getByRole("button", { name: "Cancel", exact: true }).click();
        const names = await page
          .locator(".act")
          .evaluate((panel) =>
            [...panel.querySelectorAll("button, input, textarea, select")].map(
              (control) =>
                control.getAttribute("aria-label") ??
                control.closest("label")?.textContent?.trim() ??
                control.textContent,
            ),
          );
        expect(names.every((name) => name !== null && name !== "")).toBe(true);
        expect(new Set(names).size).toBe(names.length);
        await expect.poll(() => page.evaluate(faint)).toEqual([]);
        await expect.poll(() => page.evaluate(overlaps)).toEqual([]);
        const outside = await page.locator(".act").evaluate((panel) => panel.scrollWidth - panel.clientWidth);
        expect(outside).toBeLessThanOrEqual(0);
        const folder = process.env["SCREENSHOTS"];
        if (folder !== undefined) await page.screenshot({ path: `${folder}/act-${viewport.width}-${colorScheme}.png` });
      }
    }
  });
});
