import { createElement, StrictMode, type ReactElement } from "react";
import { createRoot, type Root } from "react-dom/client";
import { Window } from "happy-dom";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { pause, scriptedModel } from "rubato";
import type { Client } from "rubato/client";
import { useRun, type UseRun } from "rubato/react";
import { createRunStore } from "../../runtime/react/run-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { eventually, served } from "../server/served.ts";
import { openCount } from "./follow.ts";
import { clientTo } from "./support.ts";

// One page for all: what React has still to do when a test ends finds it.
const browser = new Window();
vi.stubGlobal("window", browser);
vi.stubGlobal("document", browser.document);
// Files share a process, and some packages refuse to work in what looks like a page.
afterAll(async () => {
  await new Promise((resolve) => setTimeout(resolve, 50));
  vi.unstubAllGlobals();
});

interface Shown {
  /** As of the last rendering. */
  now(): UseRun;
  readonly renders: () => number;
  readonly text: () => string;
  readonly root: Root;
  draw(runId?: string): void;
}

/** A page with the conversation as text. */
function show(client: Client, runId?: string, strict = true): Shown {
  let last: UseRun | undefined;
  let renders = 0;
  function Chat({ id }: { readonly id: string | undefined }): ReactElement {
    const run = useRun(client, id);
    renders++;
    last = run;
    return createElement("p", null, run.messages.map(({ role, content }) => `${role}: ${content}`).join("|"));
  }
  const host = browser.document.createElement("div");
  const root = createRoot(host);
  const draw = (id?: string): void => {
    const chat = createElement(Chat, { id });
    root.render(strict ? createElement(StrictMode, null, chat) : chat);
  };
  draw(runId);
  onTestFinished(() => {
    root.unmount();
  });
  return {
    now() {
      if (last === undefined) throw new Error("not drawn yet");
      return last;
    },
    renders: () => renders,
    text: () => host.textContent,
    root,
    draw,
  };
}

async function drawn(page: Shown): Promise<void> {
  await eventually(() => page.renders() > 0);
}

describe("useRun", () => {
  it("starts a run, shows its tokens as they come, interrupts, resumes and follows up, mounted twice by StrictMode", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate, "never"], ["two ", "three"], "four"]) });
    const page = show(clientTo(it.url));
    await drawn(page);
    expect(page.now()).toMatchObject({ runId: undefined, messages: [], status: "idle", isStreaming: false });
    expect(await page.now().send("too early")).toMatchObject({ accepted: false, reason: "not_started" });
    expect(await page.now().start("talk")).toMatchObject({ accepted: true });
    await eventually(() => page.text() === "user: talk|assistant: one ");
    expect(page.now()).toMatchObject({ isStreaming: true, status: "thinking", error: undefined });
    expect(page.now().messages.at(-1)).toMatchObject({ streaming: true });
    expect(page.now().connection).toMatchObject({ status: "open" });
    await eventually(async () => (await openCount(it)) === 1);
    expect(await page.now().interrupt("wait", { mode: "now" })).toMatchObject({ accepted: true, effective: true });
    await eventually(() => page.now().status === "interrupted");
    expect(page.text()).toBe("user: talk|assistant: one ");
    expect(page.now().isStreaming).toBe(false);
    expect(await page.now().resume()).toMatchObject({ accepted: true });
    await eventually(() => page.now().status === "done");
    expect(page.text()).toBe("user: talk|assistant: one |assistant: two three");
    expect(await page.now().send("and?")).toMatchObject({ accepted: true });
    await eventually(() => page.text().endsWith("|user: and?|assistant: four"));
    expect(await page.now().interrupt()).toMatchObject({ accepted: false, reason: "done" });
  });

  it("P24 unmounting lets the connection go, changes nothing any more, and the run goes on", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate, "two"]]) });
    const started = it.agent.run("talk", { runId: "r1" });
    const page = show(clientTo(it.url), "r1");
    await eventually(() => page.text() === "user: talk|assistant: one ");
    page.root.unmount();
    const renders = page.renders();
    await eventually(async () => (await openCount(it)) === 0);
    gate.open();
    expect(await started.settled()).toMatchObject({ status: "done", output: "one two" });
    // What is asked from a component that is gone is answered, and draws nothing.
    expect(await page.now().start("  ")).toMatchObject({ accepted: false, reason: "invalid_request" });
    expect(page.renders()).toBe(renders);
    expect(await openCount(it)).toBe(0);
  });

  it("shows another run when it is given another id", async () => {
    const it = await served({ model: scriptedModel((request) => `re: ${String(request.messages.at(-1)?.content)}`) });
    await it.agent.run("first", { runId: "r1" }).settled();
    await it.agent.run("second", { runId: "r2" }).settled();
    const page = show(clientTo(it.url), "r1");
    await eventually(() => page.text() === "user: first|assistant: re: first");
    page.draw("r2");
    await eventually(() => page.text() === "user: second|assistant: re: second");
    await eventually(async () => (await openCount(it)) === 1);
  });

  it("shows what went wrong, and that it is over", async () => {
    const it = await served({ model: scriptedModel([{ error: "no model" }, "fine"]), retry: { retries: 0 } });
    const page = show(clientTo(it.url), "r1");
    await eventually(() => page.renders() > 0 && page.now().error?.code === "unknown_run");
    expect(await page.now().start("talk")).toMatchObject({ accepted: true });
    await eventually(() => page.now().status === "failed");
    expect(page.now().error).toMatchObject({ message: expect.stringContaining("no model") });
    expect(await page.now().send(" ")).toMatchObject({ accepted: false, reason: "invalid_request" });
    await eventually(() => page.now().error?.code === "invalid_request");
    expect(await page.now().resume()).toMatchObject({ accepted: true });
    await eventually(() => page.now().status === "done");
    expect(page.now().error).toBeUndefined();
  });

  it("is drawn once per frame at most while tokens come, and its values are the same until something changed", async () => {
    const gates = Array.from({ length: 200 }, () => pause());
    const it = await served({ model: scriptedModel([gates.flatMap((gate, at) => [`${at} `, gate])]) });
    const clock = manualClock();
    const run = await clientTo(it.url).start("talk");
    const store = createRunStore(clientTo(it.url), run.id, clock);
    let told = 0;
    const stop = store.subscribe(() => {
      told++;
    });
    await eventually(() => told > 0);
    const before = told;
    const standing = store.snapshot();
    for (const gate of gates) gate.open();
    await eventually(() => store.run()?.state.status === "done");
    // The clock stands still: one drawing waits for its frame.
    expect(told).toBe(before);
    expect(store.snapshot()).toBe(standing);
    clock.advance(16);
    expect(told).toBe(before + 1);
    expect(store.snapshot().state.status).toBe("done");
    expect(store.snapshot()).toBe(store.snapshot());
    stop();
    expect(clock.pending).toBe(0);
    const page = show(clientTo(it.url), run.id, false);
    await eventually(() => page.renders() > 0 && page.now().status === "done");
    const { messages, send } = page.now();
    page.draw(run.id);
    const renders = page.renders();
    await eventually(() => page.renders() > renders);
    expect(page.now().messages).toBe(messages);
    expect(page.now().send).toBe(send);
    expect(page.renders()).toBeLessThan(60);
  });
});
