import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser } from "playwright-core";
import { createAgent, fileLog, offlineModel } from "rubato";
import { serve } from "rubato/server";
import { serveFile } from "../../../runtime/inspect/file-server.ts";
import { bigLog, writeBigLog, type BigKind } from "./big-logs.ts";

// `npm run inspect:big`: what the page does with logs of 200 MB, in headless Chromium: by a file that is chosen, by `rubato inspect FILE`, and as a run of a
// file log. Prints how long it took, how much memory the tab holds, and how long its thread was not to be had. Arguments choose: `small text structure`, `chosen served run`.

const BYTES = Number(process.env["BYTES"] ?? 200_000_000);
const TOKEN = "correct-horse-battery";
const WAYS = ["chosen", "served", "run"] as const;
const KINDS: readonly BigKind[] = ["small", "text", "structure"];
const asked = new Set(process.argv.slice(2));
const chosen = <Word extends string>(words: readonly Word[]): readonly Word[] =>
  words.some((word) => asked.has(word)) ? words.filter((word) => asked.has(word)) : words;

const folder = mkdtempSync(join(tmpdir(), "rubato-big-"));
for (const kind of chosen(KINDS)) {
  const file = join(folder, `${kind}.jsonl`);
  writeBigLog(file, kind, BYTES);
  console.log(`${kind}: ${(statSync(file).size / 1e6).toFixed(0)} MB`);
  for (const way of chosen(WAYS)) await measure(kind, way, file);
  rmSync(file);
}
rmSync(folder, { recursive: true, force: true });
const [load = 0] = loadavg();
console.log(`load of the machine: ${load.toFixed(1)} on ${cpus().length} cores`);

async function measure(kind: BigKind, way: (typeof WAYS)[number], file: string): Promise<void> {
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--enable-precise-memory-info"],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("crash", () => {
    console.log("  the tab crashed");
  });
  await page.addInitScript(
    `globalThis.__name = (named) => named; globalThis.longest = 0; globalThis.held = 0;
    new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) { longest = Math.max(longest, duration); held += duration; } }).observe({ type: "longtask", buffered: true });`,
  );
  const began = performance.now();
  let close: () => Promise<void>;
  if (way === "run") {
    const log = fileLog(join(folder, "runs"));
    let events = [];
    let name = "";
    for (const event of bigLog(kind, BYTES)) {
      events.push(event);
      if (event.type === "run_start") name = event.data.agent.name;
      if (events.length < (kind === "small" ? 5_000 : 8)) continue;
      await log.append("r", { epoch: 1, events });
      events = [];
    }
    await log.append("r", { epoch: 1, events });
    const server = await serve({
      agents: createAgent({ name, model: offlineModel(), log }),
      port: 0,
      inspect: true,
      token: TOKEN,
    });
    close = () => server.close();
    await page.goto(`${server.url}/inspect#run=r&token=${TOKEN}`);
  } else {
    const server = await serveFile({ file, port: 0, token: TOKEN });
    close = () => server.close();
    await page.goto(way === "served" ? server.url : server.url.replace(/#.*/, "#file=none"));
    if (way === "chosen") await page.getByLabel("Open a log file").setInputFiles(file);
  }
  let said = "";
  let peak = 0;
  try {
    let last = "";
    let quiet = 0;
    while (quiet < 6 && performance.now() - began < 240_000) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      peak = Math.max(peak, await residentMb(browser));
      const now = await page.evaluate(
        () =>
          `${document.querySelector(".transport .moment")?.textContent} ${[...document.querySelectorAll(".notice")].map(({ textContent }) => textContent).join(" ")}`,
      );
      quiet = now === last && !/Loading|Asking|^seq 0/.test(now) ? quiet + 1 : 0;
      if (now !== last && process.env["SAY"] !== undefined)
        console.log(`    ${((performance.now() - began) / 1e3).toFixed(1)} s: ${now.slice(0, 200)}`);
      last = now;
    }
    said = last;
    const figures = await page.evaluate(() => ({
      heap: Reflect.get(performance, "memory").usedJSHeapSize / 1e6,
      longest: Reflect.get(globalThis, "longest"),
      held: Reflect.get(globalThis, "held"),
      loaded: performance.getEntriesByName("rubato:loaded").at(-1)?.startTime,
    }));
    console.log(
      `  ${kind}, ${way}: ${((performance.now() - began) / 1_000 - 3).toFixed(1)} s (page: ${((figures.loaded ?? 0) / 1_000).toFixed(1)} s), heap ${figures.heap.toFixed(0)} MB, resident at most ${peak.toFixed(0)} MB, longest task ${figures.longest.toFixed(0)} ms`,
    );
    for (const tab of ["Event", "State", "Messages", "Calls", "Raw"]) {
      const tapped = performance.now();
      await page.getByRole("tab", { name: tab }).click({ timeout: 60_000 });
      const shown = performance.now() - tapped;
      await page.evaluate("longest = 0");
      await page.locator(".scrubber").evaluate(
        (scrubber) =>
          new Promise<void>((resolve) => {
            let frames = 0;
            const frame = (): void => {
              if (frames++ === 30 || !(scrubber instanceof HTMLInputElement)) {
                resolve();
                return;
              }
              scrubber.value = String(Math.round(Math.abs(((frames / 15) % 2) - 1) * Number(scrubber.max)));
              scrubber.dispatchEvent(new Event("input", { bubbles: true }));
              requestAnimationFrame(frame);
            };
            requestAnimationFrame(frame);
          }),
      );
      const longest = Number(await page.evaluate("longest"));
      console.log(`    ${tab}: shown after ${shown.toFixed(0)} ms, longest task of a scrub ${longest.toFixed(0)} ms`);
    }
  } catch (error) {
    console.log(`  ${kind}, ${way}: ${error instanceof Error ? error.message.split("\n")[0] : "failed"}`);
  }
  console.log(`    says: ${said.slice(0, 300)}`);
  await browser.close();
  await close();
  rmSync(join(folder, "runs"), { recursive: true, force: true });
}

/** Of the largest tab. */
async function residentMb(browser: Browser): Promise<number> {
  const devtools = await browser.newBrowserCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  await devtools.detach();
  const sizes = processInfo
    .filter(({ type }) => type === "renderer")
    .map(({ id }) => {
      try {
        return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0) / 1_000;
      } catch {
        return 0;
      }
    });
  return Math.max(0, ...sizes);
}
