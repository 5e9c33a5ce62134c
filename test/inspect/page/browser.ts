import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";

/** Debian's package `chromium`. */
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** A name of this machine that browsers take for another one: what comes from there over plain http is no secure context. */
export const OTHER_MACHINE = "workbench.example";

export function openBrowser(): Promise<Browser> {
  const args = ["--no-sandbox", `--host-resolver-rules=MAP ${OTHER_MACHINE} 127.0.0.1`];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

export interface Watched {
  readonly page: Page;
  /** What the page complained about: errors, refusals of its policy, dialogs that nobody expected. */
  readonly complaints: string[];
}

/** A page that is closed with the test. What it complains about is kept. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  await page.exposeFunction("complain", (text: string) => complaints.push(text));
  await page.addInitScript(
    'addEventListener("securitypolicyviolation", (event) => complain(`policy: ${event.violatedDirective} ${event.blockedURI}`))',
  );
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  await page.goto(url);
  return { page, complaints };
}

/** The seq that the page stands at. */
export async function seqOf(page: Page): Promise<number> {
  return Number(await page.locator(".transport .moment b").first().textContent());
}

export async function expectSeq(page: Page, seq: number): Promise<void> {
  await expect.poll(() => seqOf(page), { timeout: 60_000 }).toBe(seq);
}

/** Text of an element, once it is like this. */
export async function expectText(page: Page, selector: string, text: RegExp): Promise<void> {
  await expect
    .poll(() => page.locator(selector).allTextContents(), { timeout: 60_000 })
    .toEqual(expect.arrayContaining([expect.stringMatching(text)]));
}

/** Moves the scrubber as a hand would: to any seq at once. */
export async function scrubTo(page: Page, seq: number): Promise<void> {
  await page.locator(".scrubber").fill(String(seq));
  await expectSeq(page, seq);
}
