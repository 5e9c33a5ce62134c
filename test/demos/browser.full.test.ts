import { existsSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, pause, scriptedModel, type Agent, type Gate, type Script } from "rubato";
import { servePages } from "../../demos/support/pages.ts";
import { line, type Line } from "../client/support.ts";

// The pages of demo 12 in a real browser, with a model whose every token waits for the test.

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const PAGES = ["plain", "react"] as const;
type PageName = (typeof PAGES)[number];

let browser: Browser;

beforeAll(async () => {
  if (!existsSync(CHROMIUM)) {
    throw new Error(
      `There is no ${CHROMIUM}. Install it (apt-get install -y chromium), or name another by CHROMIUM=/path/to/chromium.`,
    );
  }
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});

afterAll(async () => {
  await browser?.close();
});

interface Shown {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly agent: Agent;
  /** Between the browser and the server. */
  readonly line: Line;
  /** Errors of the page, on its console, and violations of its policy. */
  readonly complaints: string[];
}

/** A page in front of an agent that plays this script; all of it is closed when the test ends. */
async function show(name: PageName, script: Script): Promise<Shown> {
  const mail = defineTool({
    name: "mail",
    description: "Sends a mail",
    input: z.object({ to: z.string() }),
    approval: "always",
    execute: ({ to }) => `sent to ${to}`,
  });
  const agent = createAgent({ name: "clerk", model: scriptedModel(script), tools: [mail] });
  const server = await servePages(agent);
  onTestFinished(async () => {
    await agent.close();
    await server.close();
  });
  const between = await line(Number(new URL(server.url).port));
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  await page.exposeFunction("complain", (text: string) => complaints.push(text));
  await page.addInitScript(
    'addEventListener("securitypolicyviolation", (event) => complain(`policy: ${event.violatedDirective} ${event.blockedURI}`))',
  );
  await page.goto(`${between.url}/${name}.html`);
  return { page, context, agent, line: between, complaints };
}

/** A text in pieces, and what lets the next piece through. */
function told(pieces: readonly string[]): { readonly parts: readonly (string | Gate)[]; next(): void } {
  const gates = pieces.map(() => pause());
  let told = 0;
  return {
    parts: pieces.flatMap((piece, index) => [gates[index] ?? "", piece]),
    next() {
      gates[told++]?.open();
    },
  };
}

/** A headless browser hides no tab. This is what a page meets in one that is hidden: it hears of it, draws no frame, and its timers are slow. */
const HIDE = `
  Object.defineProperty(document, "hidden", { value: true });
  Object.defineProperty(document, "visibilityState", { value: "hidden" });
  globalThis.requestAnimationFrame = () => 0;
  const timer = globalThis.setTimeout;
  globalThis.setTimeout = (does, ms, ...args) => timer(does, Math.max(ms ?? 0, 1000), ...args);
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
`;

/** What the conversation shows. */
function texts(page: Page): Promise<string[]> {
  return page.locator("#transcript .entry .text").allTextContents();
}

async function showsTexts(page: Page, expected: readonly string[]): Promise<void> {
  await expect.poll(() => texts(page), { timeout: 60_000 }).toEqual(expected);
}

async function showsStatus(page: Page, status: string): Promise<void> {
  await expect.poll(() => page.locator("#status").textContent(), { timeout: 60_000 }).toBe(status);
}

async function say(page: Page, text: string, button: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: button, exact: true }).click();
}

/** What the server has of the run that the page's address names: messages, then the answer that streams. */
async function onServer(agent: Agent, page: Page): Promise<string[]> {
  const id = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("run");
  expect(id).toMatch(/^run/);
  const { state } = await agent.open(id ?? "");
  const contents = state.messages.map(({ content }) => content);
  return state.partial === undefined ? contents : [...contents, state.partial.text];
}

describe.each(PAGES)("the %s page", (name) => {
  it("shows tokens as they come, interrupts in mid-sentence and keeps the text, goes on, redirects", async () => {
    const first = told(["The sea", " is wide", " and never"]);
    const second = told(["The land", " is"]);
    const { page, agent, complaints } = await show(name, [first.parts, second.parts, "A poem."]);
    await showsStatus(page, "no run yet");
    await say(page, "Describe the sea", "Start");
    await showsStatus(page, "thinking");
    first.next();
    await showsTexts(page, ["Describe the sea", "The sea"]);
    first.next();
    await showsTexts(page, ["Describe the sea", "The sea is wide"]);
    await expect.poll(() => page.locator(".entry i").last().textContent()).toBe("streaming");
    await page.getByRole("button", { name: "Interrupt" }).click();
    await showsStatus(page, "interrupted");
    await showsTexts(page, ["Describe the sea", "The sea is wide"]);
    expect(await page.locator(".entry i").last().textContent()).toBe("stopped");
    expect(await onServer(agent, page)).toEqual(await texts(page));

    await say(page, "Rather the land", "Resume");
    second.next();
    await showsTexts(page, ["Describe the sea", "The sea is wide", "Rather the land", "The land"]);
    await say(page, "As a poem", "Redirect");
    await showsStatus(page, "done");
    const whole = ["Describe the sea", "The sea is wide", "Rather the land", "The land", "As a poem", "A poem."];
    await showsTexts(page, whole);
    expect(await onServer(agent, page)).toEqual(whole);
    expect(complaints).toEqual([]);
    // At the wrong moment: an answer of the server (409, which the browser notes on its console), and not an error of the page.
    await page.getByRole("button", { name: "Interrupt" }).click({ force: true });
    await expect.poll(() => page.locator("#notice").textContent()).toBe("Not done: done");
    expect(complaints.filter((text) => !text.includes("status of 409"))).toEqual([]);
  });

  it("loses nothing and doubles nothing when it is reloaded in mid-stream, on either page", async () => {
    const answer = told(["one", " two", " three", " four"]);
    const { page, agent, complaints } = await show(name, [answer.parts, "five"]);
    await say(page, "Count", "Start");
    answer.next();
    await showsTexts(page, ["Count", "one"]);
    answer.next();
    await page.reload();
    await showsTexts(page, ["Count", "one two"]);
    // What comes while nobody looks.
    const { hash } = new URL(page.url());
    await page.goto("about:blank");
    answer.next();
    await page.goBack();
    await showsTexts(page, ["Count", "one two three"]);
    expect(new URL(page.url()).hash).toBe(hash);
    await page.getByRole("link", { name: name === "plain" ? "React" : "Plain" }).click();
    await showsTexts(page, ["Count", "one two three"]);
    answer.next();
    await showsStatus(page, "done");
    await say(page, "And?", "Send");
    await showsTexts(page, ["Count", "one two three four", "And?", "five"]);
    expect(await onServer(agent, page)).toEqual(await texts(page));
    expect(complaints).toEqual([]);
  });

  it("comes back when its connection breaks, and the text is whole", async () => {
    const answer = told(["one", " two", " three", " four"]);
    const { page, context, agent, line, complaints } = await show(name, [answer.parts]);
    await say(page, "Count", "Start");
    answer.next();
    await showsTexts(page, ["Count", "one"]);
    const before = line.count();
    await context.setOffline(true);
    line.cut();
    await expect.poll(() => page.locator("#connection").textContent()).toMatch(/^reconnecting/);
    answer.next();
    answer.next();
    await context.setOffline(false);
    await showsTexts(page, ["Count", "one two three"]);
    expect(line.count()).toBeGreaterThan(before);
    line.cut();
    answer.next();
    await showsStatus(page, "done");
    await showsTexts(page, ["Count", "one two three four"]);
    await expect.poll(() => page.locator("#connection").textContent()).toBe("connected");
    expect(await onServer(agent, page)).toEqual(await texts(page));
    // A browser notes the requests that failed on its console; nothing else.
    expect(complaints.filter((text) => !/net::ERR_/.test(text))).toEqual([]);
  });

  it("goes on while it is hidden", async () => {
    const answer = told(["one", " two", " three"]);
    const { page, complaints } = await show(name, [answer.parts]);
    await say(page, "Count", "Start");
    answer.next();
    await showsTexts(page, ["Count", "one"]);
    await page.evaluate(HIDE);
    answer.next();
    answer.next();
    await showsTexts(page, ["Count", "one two three"]);
    await showsStatus(page, "done");
    expect(complaints).toEqual([]);
  });

  it("shows what is hostile as text", async () => {
    const hostile = '<img src=x onerror="alert(1)"></script><script>alert(2)</script><b>bold</b>';
    const { page, agent, complaints } = await show(name, [
      hostile,
      { calls: [{ name: "mail", args: { to: hostile } }] },
    ]);
    await say(page, hostile, "Start");
    await showsTexts(page, [hostile, hostile]);
    await say(page, "Mail it", "Send");
    await showsStatus(page, "waiting for you");
    await showsTexts(page, [hostile, hostile, "Mail it"]);
    expect(await page.locator(".approval .text").textContent()).toBe(`mail ${JSON.stringify({ to: hostile })}`);
    expect(await page.locator("#transcript img, #transcript script, main script, main b:not(.who b)").count()).toBe(0);
    expect((await onServer(agent, page)).slice(0, 2)).toEqual([hostile, hostile]);
    // An address that somebody else wrote.
    await page.goto(`${page.url().replace(/#.*/, "")}#run=${encodeURIComponent(`../${hostile}`)}`);
    await expect.poll(() => page.locator("#connection").textContent()).toMatch(/^failed: /);
    expect(complaints.filter((text) => !/status of 40[04]/.test(text))).toEqual([]);
  });

  it("asks a person, and works by the keyboard alone", async () => {
    const call = (to: string) => ({ calls: [{ name: "mail", args: { to } }] });
    const slow = told(["Well", "..."]);
    const { page, complaints } = await show(name, [call("ann"), "Sent.", call("bob"), "Not sent.", slow.parts]);
    await page.getByLabel("Message").focus();
    await page.keyboard.type("Mail Ann");
    await page.keyboard.press("Enter");
    await showsStatus(page, "waiting for you");
    await page.getByRole("button", { name: "Approve" }).focus();
    await page.keyboard.press("Enter");
    await showsStatus(page, "done");
    await showsTexts(page, ["Mail Ann", '{"to":"ann"}\nsent to ann', "Sent."]);
    await page.getByLabel("Message").focus();
    await page.keyboard.type("Mail Bob");
    await page.keyboard.press("Enter");
    await showsStatus(page, "waiting for you");
    await say(page, "he is away", "Reject");
    await showsStatus(page, "done");
    expect((await texts(page)).at(-2)).toContain("he is away");
    await say(page, "Talk", "Send");
    slow.next();
    await expect.poll(async () => (await texts(page)).at(-1)).toBe("Well");
    await page.keyboard.press("Escape");
    await showsStatus(page, "interrupted");
    expect((await texts(page)).at(-1)).toBe("Well");
    expect(complaints).toEqual([]);
  });
});
