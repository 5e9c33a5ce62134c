import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createAgent, offlineModel } from "rubato";
import { serve } from "rubato/server";
import { serveFile } from "../../../runtime/inspect/file-server.ts";
import { stateJson } from "../../../runtime/server/state-json.ts";
import {
  expectSeq,
  expectText,
  openBrowser,
  openPage,
  OTHER_MACHINE,
  scrubTo,
  seqOf,
  type Watched,
} from "./browser.ts";
import { writeBigLog } from "./big-logs.ts";
import { golden, recordingOf, textOf } from "./golden.ts";
import { hostileLog } from "./hostile-log.ts";
import { faint, overlaps } from "./in-page.ts";

let browser: Browser;
let folder = "";

beforeAll(async () => {
  browser = await openBrowser();
  folder = mkdtempSync(join(tmpdir(), "rubato-page-"));
});

afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A file of this text. */
function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** The page over a file, as `rubato inspect FILE` opens it. */
async function inspect(file: string, options: Parameters<typeof openPage>[2] = {}, more = ""): Promise<Watched> {
  const server = await serveFile({ file, port: 0, token: "correct-horse-battery" });
  onTestFinished(() => server.close());
  return openPage(browser, `${server.url}${more}`, options);
}

/** The page over a server without runs: it opens the sample. */
async function sample(options: Parameters<typeof openPage>[2] = {}): Promise<Watched> {
  const agent = createAgent({ name: "nobody", model: offlineModel() });
  const server = await serve({ agents: agent, port: 0, inspect: true });
  onTestFinished(() => server.close());
  const watched = await openPage(browser, `${server.url}/`, options);
  await expectSeq(watched.page, golden("sample").length);
  return watched;
}

async function raw(page: Page): Promise<unknown> {
  await page.getByRole("tab", { name: "Raw" }).click();
  return JSON.parse((await page.locator(".tab-body pre.raw").textContent()) ?? "");
}

describe("the page over a recorded run", () => {
  it("shows at a seq what replay gives there: raw state, chart, messages", async () => {
    const { page, complaints } = await inspect(fileOf("parallel.jsonl", textOf("parallel-tools")));
    const recording = recordingOf(golden("parallel-tools"));
    await expectSeq(page, recording.endSeq);
    for (const seq of [1, 9, 20, 31, 44, 57, recording.endSeq]) {
      await scrubTo(page, seq);
      const state = recording.stateAt(seq);
      expect(await raw(page)).toEqual(JSON.parse(JSON.stringify(stateJson(state))));
      const active = page.locator('.chart[aria-label^="agent"] .state.active');
      expect(await active.getAttribute("aria-label")).toBe(`State ${state.value}`);
    }
    expect(complaints).toEqual([]);
  });

  it("takes the token out of the address, and keeps run and seq there", async () => {
    const { page } = await inspect(fileOf("plain.jsonl", textOf("plain")));
    await expectSeq(page, golden("plain").length);
    await scrubTo(page, 7);
    await expect.poll(() => page.url()).toMatch(/#run=r&seq=7/);
    expect(page.url()).not.toContain("token");
    // Loaded anew it is the same file at the same moment.
    await page.reload();
    await expectSeq(page, 7);
    await expect.poll(() => page.locator(".notice.bad").count()).toBe(0);
    await expect.poll(() => page.locator("header .title").textContent()).toBe("plain.jsonl");
  });

  it("shows the sample at its moment when it is loaded anew, and goes back to what was open before", async () => {
    const { page, complaints } = await sample();
    await scrubTo(page, 40);
    await expect.poll(() => page.url()).toMatch(/#sample=1&seq=40$/);
    await page.reload();
    await expectSeq(page, 40);
    // Typed by hand, and gone back from.
    await page.evaluate("location.hash = 'sample=1&seq=12'");
    await expectSeq(page, 12);
    await page.goBack();
    await expectSeq(page, 40);
    await page.getByLabel("Open a log file").setInputFiles(fileOf("back.jsonl", textOf("redirect")));
    await expectSeq(page, golden("redirect").length);
    await expect.poll(() => page.url()).not.toContain("#");
    await page.goBack();
    await expectText(page, ".badge", /^sample$/);
    expect(complaints).toEqual([]);
  });

  it("works with the keyboard alone", async () => {
    const { page, complaints } = await sample();
    const events = golden("sample");
    const step = (number: number): number =>
      events.find((event) => event.type === "thinking" && event.data.step === number)?.seq ?? 0;
    await page.keyboard.press("Home");
    await expectSeq(page, 0);
    await page.keyboard.press("ArrowRight");
    await expectSeq(page, 1);
    await page.keyboard.press("]");
    await expectSeq(page, step(1));
    await page.keyboard.press("]");
    await expectSeq(page, step(2));
    await page.keyboard.press("[");
    await expectSeq(page, step(1));
    await page.keyboard.press("i");
    const interrupt = events.find(({ type }) => type === "interrupt")?.seq ?? 0;
    await expectSeq(page, interrupt);
    await expectText(page, ".why", /It was asked to stop by ada/);
    await page.keyboard.press("ArrowLeft");
    await expectSeq(page, interrupt - 1);
    await page.keyboard.press("/");
    await page.keyboard.type("atlantis");
    await expect.poll(() => page.locator(".count").textContent()).not.toBe(String(events.length));
    await page.keyboard.press("Escape");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    // Only what is looked for is walked through.
    const shown = async (): Promise<string> => JSON.stringify(events[(await seqOf(page)) - 1] ?? "").toLowerCase();
    await expect.poll(shown).toContain("atlantis");
    await page.keyboard.press("/");
    await page.keyboard.press("Control+a");
    await page.keyboard.press("Delete");
    await page.keyboard.press("Escape");
    await page.keyboard.press("End");
    await expectSeq(page, events.length);
    for (const [key, name] of [
      ["2", "State"],
      ["3", "Messages"],
      ["4", "Calls"],
      ["5", "Act"],
      ["6", "Raw"],
      ["1", "Event"],
    ] as const) {
      await page.keyboard.press(key);
      await expect.poll(() => page.getByRole("tab", { name }).getAttribute("aria-selected")).toBe("true");
      await expect.poll(() => page.evaluate("document.activeElement.className")).toBe("tab-body");
    }
    await page.keyboard.press("?");
    await expectText(page, ".help", /the next interrupt/);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator(".help").count()).toBe(0);
    // Every state of the chart is reached by Tab, and says what it does.
    await page.locator('[aria-label="State thinking.streaming"]').focus();
    await page.keyboard.press("Enter");
    await expectText(page, ".definition", /The answer streams\..*answerWantsTools.*announce/s);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator(".definition").count()).toBe(0);
    await page.keyboard.press("Home");
    await page.keyboard.press(" ");
    await expect.poll(() => seqOf(page)).toBeGreaterThan(2);
    await page.keyboard.press(" ");
    expect(complaints).toEqual([]);
  });

  it("leads from an event to what caused it and what it caused", async () => {
    const { page } = await sample();
    const events = golden("sample");
    const message = events.find(({ type }) => type === "message")?.seq ?? 0;
    await scrubTo(page, message);
    await page.getByRole("tab", { name: "Event" }).click();
    await page
      .locator(".causes")
      .first()
      .getByRole("button", { name: /^thinking/ })
      .click();
    await expectSeq(page, events.find(({ type }) => type === "thinking")?.seq ?? 0);
    await page.getByRole("button", { name: /^message / }).click();
    await expectSeq(page, message);
    await page.locator(".detail h3 button").click();
    await expectText(page, ".definition", /in thinking\.streaming.*answerWantsTools/s);
  });

  it("finds the moment under the pointer on the timeline, and zooms to single tokens", async () => {
    const { page } = await sample();
    const box = await page.locator("canvas.timeline").boundingBox();
    if (box === null) throw new Error("There is no timeline.");
    const middle = box.x + 92 + (box.width - 100) / 2;
    await page.mouse.click(middle, box.y + 30);
    const here = await seqOf(page);
    expect(Math.abs(here - golden("sample").length / 2)).toBeLessThan(3);
    await page.mouse.down();
    await page.mouse.move(middle + 200, box.y + 30, { steps: 5 });
    await page.mouse.up();
    await expect.poll(() => seqOf(page)).toBeGreaterThan(here + 10);
    for (let turn = 0; turn < 30; turn++) await page.mouse.wheel(0, -120);
    await page.mouse.click(middle, box.y + 30);
    const near = await seqOf(page);
    await page.mouse.click(middle + 160, box.y + 30);
    // An event is wider than a token's text by now.
    await expect.poll(async () => Math.abs((await seqOf(page)) - near)).toBeLessThan(4);
  });
});

const HOSTILE = [
  "<img src=x onerror=alert(1)><script>alert(2)</script>",
  "</script><script>alert(3)</script><!--",
  "javascript:alert(4)",
  "\u202Egnp.exe\u202C \u0000\u001B[31m \u2066x",
  "{{constructor.constructor('alert(5)')()}}",
  '" onmouseover="alert(6)" x="',
].join(" ");

describe("a hostile log", () => {
  it("is text: nothing of it becomes an element, a script, a request or a dialog", async () => {
    const lines = golden("parallel-tools").map((event) => {
      const text = JSON.stringify(event).replaceAll(/"(Paris|Rome|Oslo|weather|golden|ok)"/g, JSON.stringify(HOSTILE));
      return text.replaceAll("is mild", JSON.stringify(HOSTILE).slice(1, -1));
    });
    const { page, complaints } = await inspect(fileOf("hostile.jsonl", `${lines.join("\n")}\n`));
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await expect.poll(() => page.locator(".row").count()).toBeGreaterThan(3);
    for (const name of ["Event", "State", "Messages", "Calls", "Act", "Raw"]) {
      await page.getByRole("tab", { name }).click();
      for (const seq of [1, 12, 25, 40]) await page.locator(".scrubber").fill(String(seq));
    }
    await expectText(page, ".row .said", /onerror=alert/);
    await expect.poll(() => page.locator("#app img, #app script, #app iframe, #app a, #app object").count()).toBe(0);
    expect(complaints).toEqual([]);
    expect(asked).toEqual([]);
  });
});

describe("files", () => {
  it("are exported as they came, as a trace, and as one file that shows the same without a server", async () => {
    const text = textOf("sample");
    const { page, complaints } = await inspect(fileOf("sample.jsonl", text));
    await expectSeq(page, golden("sample").length);
    const save = async (format: string, name: string): Promise<string> => {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByLabel("Export").selectOption({ value: format }),
      ]);
      const file = join(folder, name);
      await download.saveAs(file);
      return file;
    };
    expect(readFileSync(await save("jsonl", "out.jsonl"), "utf8")).toBe(text);
    const trace: unknown = JSON.parse(readFileSync(await save("trace", "out.json"), "utf8"));
    expect(trace).toMatchObject({ traceEvents: expect.any(Array) });

    const html = await save("html", "out.html");
    const alone = await openPage(browser, `file://${html}`);
    await expectSeq(alone.page, golden("sample").length);
    await scrubTo(alone.page, 60);
    await scrubTo(page, 60);
    expect(await raw(alone.page)).toEqual(await raw(page));
    // An exported page exports itself again.
    const [again] = await Promise.all([
      alone.page.waitForEvent("download"),
      alone.page.getByLabel("Export").selectOption({ value: "html" }),
    ]);
    const copy = join(folder, "again.html");
    await again.saveAs(copy);
    expect(readFileSync(copy, "utf8")).toBe(readFileSync(html, "utf8"));
    expect([...complaints, ...alone.complaints]).toEqual([]);
  });

  it("are exported as one file also where the page came over plain http from another machine", async () => {
    const agent = createAgent({ name: "nobody", model: offlineModel() });
    const server = await serve({ agents: agent, port: 0, inspect: true, hosts: [OTHER_MACHINE] });
    onTestFinished(() => server.close());
    const { port } = new URL(server.url);
    const { page, complaints } = await openPage(browser, `http://${OTHER_MACHINE}:${port}/inspect`);
    await expectSeq(page, golden("sample").length);
    await expect.poll(() => page.evaluate(() => isSecureContext)).toBe(false);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByLabel("Export").selectOption({ value: "html" }),
    ]);
    const file = join(folder, "insecure.html");
    await download.saveAs(file);
    const alone = await openPage(browser, `file://${file}`);
    await expectSeq(alone.page, golden("sample").length);
    expect([...complaints, ...alone.complaints]).toEqual([]);
  });

  it("are one file that is whole, whatever a log says about comments and scripts", async () => {
    const text = textOf("sample").replaceAll("Paris", "<!-- <script> Paris");
    const { page } = await inspect(fileOf("comment.jsonl", text));
    await expectSeq(page, golden("sample").length);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByLabel("Export").selectOption({ value: "html" }),
    ]);
    const file = join(folder, "comment.html");
    await download.saveAs(file);
    const alone = await openPage(browser, `file://${file}`);
    await expectSeq(alone.page, golden("sample").length);
    await scrubTo(alone.page, 60);
    await scrubTo(page, 60);
    expect(await raw(alone.page)).toEqual(await raw(page));
    expect(alone.complaints).toEqual([]);
  });

  it("larger than the page can hold are shown as far as that goes, and it says so, with how far it is meanwhile", async () => {
    const file = join(folder, "structure.jsonl");
    writeBigLog(file, "structure", 64 * 1_048_576);
    const { page, complaints } = await inspect(file);
    await expectText(page, ".notice", /Loading structure\.jsonl: \d+ events, \d+ %/);
    await expect
      .poll(() => page.locator(".notice.bad").allTextContents(), { timeout: 180_000 })
      .toEqual([
        expect.stringMatching(/^It is larger than the page can hold: its first \d+ events are shown, up to seq \d+\.$/),
      ]);
    await expect.poll(() => page.locator(".notice").count()).toBe(1);
    const shown = await seqOf(page);
    expect(shown).toBeGreaterThan(20);
    expect(shown).toBeLessThan(62);
    for (const name of ["Event", "State", "Messages", "Calls", "Raw"]) await page.getByRole("tab", { name }).click();
    await scrubTo(page, 10);
    await expectText(page, ".why", /It has not stopped/);
    expect(complaints).toEqual([]);
  }, 300_000);

  it("of more events than an element can be tall are scrolled to their end", async () => {
    const file = join(folder, "small.jsonl");
    const head = writeBigLog(file, "small", 130_000_000);
    const { page, complaints } = await inspect(file);
    await expect.poll(() => seqOf(page), { timeout: 240_000 }).toBe(head);
    // Of 24 pixels each: beyond what Firefox draws.
    expect(head * 24).toBeGreaterThan(17_000_000);
    const rows = page.locator(".rows");
    const last = async (): Promise<(string | null)[]> => page.locator(".row .seq").allTextContents();
    await expect.poll(last).toContain(String(head));
    await rows.evaluate((element) => {
      element.scrollTop = element.scrollHeight / 2;
    });
    await expect.poll(async () => Math.abs(Number((await last())[0]) - head / 2)).toBeLessThan(head / 50);
    await page.locator(".row").nth(6).click();
    await expect.poll(async () => Math.abs((await seqOf(page)) - head / 2)).toBeLessThan(head / 50);
    await rows.evaluate((element) => {
      element.scrollTop = 0;
    });
    await expect.poll(last).toContain("1");
    await page.keyboard.press("End");
    await expect.poll(last).toContain(String(head));
    await expect.poll(() => page.locator(".row.chosen").isVisible()).toBe(true);
    expect(complaints).toEqual([]);
  }, 400_000);

  it("with a moment behind their end say so, and show the end", async () => {
    const { page } = await inspect(fileOf("behind.jsonl", textOf("plain")), {}, "&seq=4000");
    await expectText(
      page,
      ".notice",
      new RegExp(`There is no seq 4000 in it: its end is shown, seq ${golden("plain").length}`),
    );
    await expectSeq(page, golden("plain").length);
  });

  it("are dropped on the page, or chosen, or compared side by side", async () => {
    const { page, complaints } = await sample();
    const data = await page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "dropped.jsonl"));
      return transfer;
    }, textOf("plain"));
    await page.dispatchEvent("#app", "drop", { dataTransfer: data });
    await expectSeq(page, golden("plain").length);
    await page.getByLabel("Open a log file").setInputFiles(fileOf("redirect.jsonl", textOf("redirect")));
    await expectSeq(page, golden("redirect").length);
    await page.getByLabel("A log file to compare with").setInputFiles(fileOf("cancelled.jsonl", textOf("cancelled")));
    await expectText(page, ".branches-panel", /They are the same up to seq \d+/);
    await expect.poll(() => page.locator(".branch").count()).toBe(2);
    await page
      .getByLabel("A log file to compare with")
      .setInputFiles(fileOf("beside.jsonl", textOf("plain").slice(0, -40)));
    await expectText(page, ".branch .notice", /last line is cut/);
    expect(complaints).toEqual([]);
  });

  it.for<[name: string, text: () => string, sentence: RegExp, least: number]>([
    ["a newer schema", () => textOf("plain").replace('"schema":1', '"schema":99'), /recorded by a newer rubato/, 1],
    ["an unknown event", () => textOf("plain").replace('"thinking"', '"hologram"'), /lines but no states/, 1],
    ["a cut line", () => textOf("plain").slice(0, -40), /last line is cut/, 1],
    ["a broken line", () => `${textOf("plain")}{oops}\n`, /is no JSON/, 1],
    ["no log at all", () => "hello, I am a letter\nwith two lines\n", /is no JSON|holds no events/, 0],
    ["an empty file", () => "", /holds no events/, 0],
  ])("with %s are shown as far as they go, and it is said", async ([name, text, sentence, least]) => {
    const { page, complaints } = await sample();
    await page.getByLabel("Open a log file").setInputFiles(fileOf(`${name.replaceAll(" ", "-")}.jsonl`, text()));
    await expectText(page, ".notice", sentence);
    await expect.poll(() => page.locator(".row").count()).toBeGreaterThanOrEqual(least);
    expect(complaints).toEqual([]);
  });
});

describe("a log without its beginning", () => {
  it("is lines without states: no state is lit, nothing is said to have come from outside, long numbers stand apart", async () => {
    const lines = golden("plain").map((event) => `${JSON.stringify({ ...event, seq: 1_000_000 + event.seq })}\n`);
    const { page, complaints } = await inspect(fileOf("late.jsonl", lines.join("")));
    await expectSeq(page, 1_000_000 + lines.length);
    await expectText(page, ".notice", /Events 1 to 1000000 are missing/);
    await expectText(page, ".last", /^No state is known here\.$/);
    await expect.poll(() => page.locator(".state.active, .state.around").count()).toBe(0);
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await expectText(page, ".detail", /nothing that is kept here/);
    await expect.poll(() => page.evaluate(overlaps)).toEqual([]);
    expect(complaints).toEqual([]);
  });
});

describe("the page", () => {
  for (const colorScheme of ["light", "dark"] as const) {
    for (const [width, height] of [
      [1280, 800],
      [390, 844],
    ] as const) {
      it(`fits ${width} px in ${colorScheme}: nothing sticks out, nothing lies on another, text can be read`, async () => {
        const { page, complaints } = await sample({ colorScheme, viewport: { width, height } });
        await scrubTo(page, 60);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(wide).toBeLessThanOrEqual(0);
        await expect.poll(() => page.evaluate(overlaps)).toEqual([]);
        await expect.poll(() => page.evaluate(faint)).toEqual([]);
        expect(complaints).toEqual([]);
      });

      it(`fits ${width} px in ${colorScheme} also with texts that are made to break it`, async () => {
        const events = hostileLog();
        const file = fileOf(`${"name".repeat(40)}.jsonl`, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
        const { page, complaints } = await inspect(file, { colorScheme, viewport: { width, height } });
        await expectSeq(page, events.length);
        const seqOfType = (type: string): number => events.find((event) => event.type === type)?.seq ?? 0;
        for (const seq of [2, seqOfType("custom"), seqOfType("tool_result"), events.length]) {
          await scrubTo(page, seq);
          for (const name of ["Event", "State", "Messages", "Calls", "Raw"]) {
            await page.getByRole("tab", { name }).click();
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            expect(wide, `${name} at ${seq}`).toBeLessThanOrEqual(0);
            await expect.poll(() => page.evaluate(overlaps)).toEqual([]);
            await expect.poll(() => page.evaluate(faint)).toEqual([]);
          }
        }
        expect(complaints).toEqual([]);
      });
    }
  }
});
