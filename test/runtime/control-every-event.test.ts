import { expect, it } from "vitest";
import { verify } from "rubato";
import type { Event } from "rubato/machines";
import { memoryLog } from "../../runtime/log/memory.ts";
import { bringToEnd, CONTROL_ANSWER, controlAgent } from "../support/control-run.ts";
import { moments } from "../support/depth.ts";
import { checkLog } from "../support/invariants.ts";
import { leftBehind } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import type { Run } from "rubato";

interface Played {
  readonly events: readonly Event[];
  readonly run: Run;
  readonly answer: unknown;
  readonly started: readonly string[];
}

/** Plays the run with a person who brings it to its end, and acts once when event k is told. */
async function play(k: number, act: (run: Run) => Promise<unknown>): Promise<Played> {
  const clock = manualClock();
  const log = memoryLog();
  const ledger = { started: [] };
  const agent = controlAgent(log, clock, ledger);
  const run = agent.run("Pay Ann, tell Bob, file the bill.", { runId: "r" });
  let answer: Promise<unknown> | undefined;
  run.subscribe("*", (event) => {
    if (event.seq === k) answer ??= act(run);
  });
  if (run.state.seq >= k) answer ??= act(run);
  await bringToEnd(run, clock);
  const given = await answer;
  await bringToEnd(run, clock);
  await agent.close();
  expect(clock.pending, `no timer is left at ${k}`).toBe(0);
  expect(run.stats().tasks, `no task is left at ${k}`).toBe(0);
  return { events: await stored(log, "r"), run, answer: given, started: ledger.started };
}

function holds({ events, run, started }: Played, at: string): void {
  checkLog(events);
  expect(run.state.status, at).toBe("done");
  expect(run.state.output, at).toBe(CONTROL_ANSWER);
  // P11: what is not idempotent starts once a call, and here one call does it.
  const paid = started.filter((callId) => run.state.toolCalls.get(callId)?.name === "pay");
  expect(new Set(paid).size, at).toBe(paid.length);
  expect(
    run.state.messages.filter(
      (message) => message.role === "tool" && message.name === "pay" && message.outcome === "ok",
    ),
    at,
  ).toHaveLength(1);
}

const undisturbed = await play(Number.MAX_SAFE_INTEGER, () => Promise.resolve());

it("the run meets everything that holds a run up", () => {
  holds(undisturbed, "undisturbed");
  const types = new Set(undisturbed.events.map(({ type }) => type));
  for (const type of [
    "retry",
    "retry_due",
    "limit",
    "interrupted",
    "resume",
    "approval_request",
    "approval",
  ] as const) {
    expect(types, type).toContain(type);
  }
  expect(undisturbed.events.filter(({ type }) => type === "retry")).toMatchObject([
    { data: { class: "server", delayMs: 25, superseded: 13 } },
    { data: { class: "auth", fallback: 1, delayMs: 0 } },
  ]);
  expect(undisturbed.events.length).toBeGreaterThan(40);
});

it.each(["step", "now"] as const)(
  "interrupt %s at every event: the same end, a valid log (P17-P20, P25)",
  async (mode) => {
    for (const k of moments(1, undisturbed.events.length)) {
      const played = await play(k, (run) => run.interrupt("test", { mode }));
      holds(played, `${mode} at ${k}`);
      const accepted = played.events.filter((event) => event.type === "interrupt").length;
      const limits = played.events.filter((event) => event.type === "limit").length;
      expect(
        played.events.filter((event) => event.type === "interrupted"),
        `${mode} at ${k}`,
      ).toHaveLength(accepted + limits);
    }
  },
);

it("redirect, steer and follow up at every event: heard once (P23)", async () => {
  for (const when of ["now", "step", "done"] as const) {
    for (const k of moments(1, undisturbed.events.length)) {
      const played = await play(k, (run) => run.send("Please hurry.", { when, id: "more" }));
      holds(played, `${when} at ${k}`);
      const heard = played.events.filter((event) => event.type === "input_delivered" && event.data.id === "more");
      expect(heard, `${when} at ${k}`).toHaveLength(1);
    }
  }
});

it("cancel at every event ends it for good, with no timer left", async () => {
  for (const k of moments(1, undisturbed.events.length)) {
    const played = await play(k, (run) => run.cancel("enough"));
    checkLog(played.events);
    const over = played.events.some((event) => event.type === "cancelled");
    expect(played.answer, `at ${k}`).toMatchObject({ accepted: over });
  }
});

it("a process that dies after any event: another one brings the run to the same end (P8, P11, I5, I14, I15)", async () => {
  for (const k of moments(2, undisturbed.events.length)) {
    const prefix = undisturbed.events.slice(0, k);
    const log = await leftBehind(prefix);
    const clock = manualClock();
    const ledger: { started: string[] } = { started: [] };
    const agent = controlAgent(log, clock, ledger);
    await agent.resume("r");
    const run = await agent.open("r");
    await bringToEnd(run, clock);
    const events = await stored(log, "r");
    const at = `died after ${k} (${prefix.at(-1)?.type})`;
    expect(events.slice(0, k), at).toEqual(prefix);
    expect(run.state.status, at).toBe("done");
    checkLog(events);
    expect(await verify(log, "r"), at).toMatchObject({ ok: true });
    expect(await agent.checkReplay("r"), at).toMatchObject({ ok: true });
    for (const event of prefix) {
      if (event.type !== "tool_start" || event.data.name !== "pay") continue;
      expect(ledger.started, `P11 ${at}`).not.toContain(event.data.callId);
    }
    await agent.close();
    expect(clock.pending, at).toBe(0);
  }
});
