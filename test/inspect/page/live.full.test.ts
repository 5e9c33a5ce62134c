import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createAgent, defineTool, memoryLog, pause, scriptedModel, type Agent, type ScriptStep } from "rubato";
import { serve } from "rubato/server";
import { z } from "zod";
import { expectSeq, expectText, openBrowser, openPage, scrubTo } from "./browser.ts";
import { act, served, TOKEN } from "./served.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await openBrowser();
});

afterAll(() => browser.close());

const transfer = defineTool({
  name: "transfer",
  description: "Moves money",
  input: z.object({ euros: z.number(), to: z.string() }),
  approval: "always",
  execute: ({ euros, to }) => `moved ${euros} to ${to}`,
});

function agentOf(steps: readonly ScriptStep[]): Agent {
  const agent = createAgent({ name: "live", model: scriptedModel(steps), tools: [transfer], log: memoryLog() });
  onTestFinished(() => agent.close());
  return agent;
}

describe("a live run in the page", () => {
  it("is followed, interrupted, resumed, and forked; both branches stand side by side", async () => {
    const gate = pause();
    const agent = agentOf([["It is", " mild", gate, " today."], "In Celsius: 14.", "In Kelvin: 287.", "More."]);
    const run = agent.run("How is Paris?", { runId: "r1" });
    await gate.reached;
    const server = await served(agent);
    const { page, complaints } = await openPage(browser, `${server.url}/inspect#run=r1&token=${TOKEN}`);
    await expectText(page, ".badge", /^live$/);
    await expectText(page, ".why", /It has not stopped: it is in thinking\.streaming/);
    await act(page);
    await page.getByLabel("Say").fill("units");
    await page.getByRole("button", { name: "Interrupt now" }).click();
    await expectText(page, ".answers", /interrupt: accepted/);
    await expectText(
      page,
      ".why",
      /It stopped because page asked for it \(“units”\).*10 characters of the answer were kept/,
    );
    expect(run.state.status).toBe("interrupted");

    await page.getByLabel("Say").fill("in Celsius");
    await page.getByRole("button", { name: "Resume" }).click();
    await expectText(page, ".why", /It is done/);
    expect((await run.settled()).output).toBe("In Celsius: 14.");
    await expectSeq(page, run.state.seq);

    // From the moment that it was interrupted, in another way.
    const stopped = (await run.history("interrupted"))[0]?.seq ?? 0;
    await scrubTo(page, stopped);
    await page.getByLabel("Say").fill("in Kelvin");
    await page.getByRole("button", { name: `Fork from seq ${stopped}` }).click();
    await expectText(page, ".branches-panel header", new RegExp(`the same up to seq ${stopped}`));
    await page.keyboard.press("Escape");
    await page.keyboard.press("End");
    await expectText(page, ".branch", /In Celsius: 14\./);
    await expectText(page, ".branch", /in Kelvin/);
    expect(complaints).toEqual([]);
  });

  it("shows all arguments of a call that waits, and approves what was edited there", async () => {
    const calls = [{ name: "transfer", args: { euros: 90, to: "Eve <b>\u202Eeve" } }];
    const agent = agentOf([{ calls }, "Done."]);
    const run = agent.run("Pay \u202E(done)", { runId: "r1" });
    await run.settled();
    const server = await served(agent);
    const { page, complaints } = await openPage(browser, `${server.url}/inspect#token=${TOKEN}`);
    await expectText(page, ".why", /It waits for a person: 1\.0 transfer needs an approval/);
    await expectText(page, "header .title option", /^Pay .*\(done\) \(waiting\)$/);
    expect((await page.locator("header .title").textContent())?.includes("\u202E")).toBe(false);
    await act(page);
    await expectText(page, ".approval pre", /euros: 90\nto: "Eve <b>\\u202eeve"/);
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Arguments of transfer").fill('{"euros": 9, "to":');
    await expectText(page, ".approval", /no JSON yet/);
    await expect.poll(() => page.getByRole("button", { name: "Approve as edited" }).isDisabled()).toBe(true);
    await page.getByLabel("Arguments of transfer").fill('{"euros": 9, "to": "Ada"}');
    await page.getByRole("button", { name: "Approve as edited" }).click();
    await expectText(page, ".why", /It is done/);
    const [result] = await run.history("tool_result");
    expect(result).toMatchObject({ data: { outcome: "ok", output: "moved 9 to Ada" } });
    // At the wrong moment the answer says why, and nothing is changed.
    await page.getByLabel("Say").fill("once more");
    await page.getByRole("button", { name: "Send" }).click();
    await expectText(page, ".answers", /send: accepted/);
    expect(complaints).toEqual([]);
  });

  it("asks for the token where the address brings none, and says when it is wrong, also of a server that was begun anew with another", async () => {
    const agent = agentOf(["Hello."]);
    await agent.run("Hi", { runId: "r1" }).settled();
    const server = await served(agent);
    const { page } = await openPage(browser, `${server.url}/inspect`);
    await page.getByLabel("The server wants its token:").fill("wrong-wrong-wrong-wrong");
    await page.getByRole("button", { name: "Use it" }).click();
    await expectText(page, ".notice", /The server does not take the token that it was given/);
    await page.getByLabel("The server wants its token:").fill(TOKEN);
    await page.getByRole("button", { name: "Use it" }).click();
    await expectText(page, ".why", /It is done/);
    expect(page.url()).not.toContain(TOKEN);
    await server.close();
    await expectText(page, ".badge", /no connection/);
    const renewed = { token: "battery-staple-horse", inspect: true, closeAgents: false, closeMs: 200 };
    const other = await serve({ agents: agent, port: server.port, ...renewed });
    onTestFinished(() => other.close());
    await expectText(page, ".notice", /The server does not take the token any more\. What came so far stays/);
    await page.getByLabel("The server wants its token:").fill(renewed.token);
    await page.getByRole("button", { name: "Use it" }).click();
    await expectText(page, ".badge", /^live$/);
    await expectText(page, ".why", /It is done/);
  });

  it("keeps what it has when the server goes away, and goes on when it is back", async () => {
    const gate = pause();
    const agent = agentOf([["one", " two", gate, " three"]]);
    const run = agent.run("Count", { runId: "r1" });
    await gate.reached;
    const first = await served(agent);
    const { page } = await openPage(browser, `${first.url}/inspect#run=r1&token=${TOKEN}`);
    await expectText(page, ".why", /thinking\.streaming/);
    const rows = await page.locator(".row").count();
    await first.close();
    await expectText(page, ".badge", /no connection/);
    await expectText(page, ".notice", /What came so far stays; it is tried again/);
    await expect.poll(() => page.locator(".row").count()).toBe(rows);
    await served(agent, first.port);
    gate.open();
    await run.settled();
    await expectText(page, ".why", /It is done/);
    await expectText(page, ".badge", /^live$/);
  });

  it("says that a run is gone, and keeps it", async () => {
    const agent = agentOf(["Hello."]);
    await agent.run("Hi", { runId: "r1" }).settled();
    const first = await served(agent);
    const { page } = await openPage(browser, `${first.url}/inspect#run=r1&token=${TOKEN}`);
    await expectText(page, ".why", /It is done/);
    await first.close();
    // The same place, without that run.
    await served(agentOf(["Other."]), first.port);
    await expectText(page, ".notice", /no run "r1".*What came so far stays/);
    await expect.poll(() => page.locator(".row").count()).toBeGreaterThan(4);
  });

  it("says that a run was deleted while it is watched, and keeps it", async () => {
    const agent = agentOf(["Hello."]);
    await agent.run("Hi", { runId: "r1" }).settled();
    // Which is how soon a server that goes on notices it.
    const server = await served(agent, 0, 300);
    const { page } = await openPage(browser, `${server.url}/inspect#run=r1&token=${TOKEN}`);
    await expectText(page, ".why", /It is done/);
    await agent.log.delete("r1");
    await expectText(page, ".notice", /no run "r1".*What came so far stays/);
    await expect.poll(() => page.locator(".row").count()).toBeGreaterThan(4);
  });
});
