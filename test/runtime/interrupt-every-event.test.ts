import { AsyncResource } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { createAgent, type Run } from "rubato";
import type { Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { GOLDEN_ANSWER, goldenModel, goldenTools, type Ledger } from "../support/golden-run.ts";
import { checkLog } from "../support/invariants.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

/** Where the command is given: when subscribers see event k, or while the log is still storing it. */
type Moment = "published" | "storing";
type Act = (run: Run) => Promise<unknown>;

interface Played {
  readonly events: readonly Event[];
  readonly run: Run;
  readonly answer: unknown;
  readonly ledger: Ledger;
}

/** Plays the golden run, acts once at event k, and answers when the run is at rest. */
async function play(k: number, moment: Moment, act: Act, then: (run: Run) => Promise<void>): Promise<Played> {
  const ledger: Ledger = { started: [], finished: [], aborted: [] };
  const clock = manualClock();
  const controller = new AbortController();
  let answer: Promise<unknown> | undefined;
  // Outside of every tool, wherever it is called from: a command from inside a tool resolves before it is effective.
  const fire = AsyncResource.bind((): void => {
    answer ??= act(run);
  });
  const log: EventLog =
    moment === "published"
      ? memoryLog()
      : slowLog((events) => {
          if (events.some((event) => event.seq === k)) queueMicrotask(fire);
        });
  const licences = (): readonly Event[] => {
    const read = log.read("golden", { after: 0, limit: 10_000 });
    return Array.isArray(read) ? read : [];
  };
  const agent = createAgent({
    name: "golden",
    model: goldenModel(),
    tools: goldenTools(ledger, (callId) => {
      const licensed = licences().some((event) => event.type === "tool_start" && event.data.callId === callId);
      expect(licensed, `R1 P1 the licence of ${callId} is durable before it runs`).toBe(true);
    }),
    log,
    clock,
  });
  const run = agent.run("How is the weather?", { runId: "golden", signal: controller.signal });
  if (moment === "published") {
    run.subscribe("*", (event) => {
      if (event.seq === k) fire();
    });
    // The first events are published before anybody can subscribe.
    if (run.state.seq >= k) fire();
  }
  await run.settled();
  const given = await answer;
  await then(run);
  await agent.close();
  expect(clock.pending, "no timer is left").toBe(0);
  expect(getEventListeners(controller.signal, "abort"), "no listener is left").toHaveLength(0);
  expect(run.stats().tasks, "no task is left").toBe(0);
  return { events: await stored(log, "golden"), run, answer: given, ledger };
}

const nothing = async (): Promise<void> => {};

async function goldenLength(moment: Moment): Promise<number> {
  const { events, run } = await play(Number.MAX_SAFE_INTEGER, moment, () => Promise.resolve(), nothing);
  expect(run.state.output).toBe(GOLDEN_ANSWER);
  checkLog(events);
  return events.length;
}

const moments: readonly Moment[] = ["published", "storing"];

describe.each(moments)("at every event, when it is %s", (moment) => {
  it("the run is about 60 events long", async () => {
    expect(await goldenLength(moment)).toBeGreaterThan(55);
  });

  it.each(["step", "now"] as const)(
    "case 11: interrupt %s, resume: same answer, valid log (R1-R8, P11, P13-P19, P23-P25)",
    async (mode) => {
      const length = await goldenLength(moment);
      let effective = 0;
      for (let k = 1; k <= length; k++) {
        const { events, run, answer } = await play(
          k,
          moment,
          (run) => run.interrupt("test", { mode }),
          async (run) => {
            if (run.state.status !== "interrupted") return;
            expect(run.state.interruptRequested).toBe(false);
            expect(await run.resume()).toMatchObject({ accepted: true });
            await run.settled();
          },
        );
        const at = `${mode} at event ${k}`;
        expect(run.state.status, at).toBe("done");
        expect(run.state.output, at).toBe(GOLDEN_ANSWER);
        checkLog(events);
        const accepted = events.filter((event) => event.type === "interrupt").length;
        expect(
          events.filter((event) => event.type === "interrupted"),
          at,
        ).toHaveLength(accepted);
        if (accepted === 1) {
          // From inside a listener a command resolves when it is recorded, so it cannot say more yet.
          expect(answer, at).toMatchObject(
            moment === "published" ? { accepted: true } : { accepted: true, effective: true },
          );
          effective++;
        } else expect(answer, at).toMatchObject({ accepted: false });
      }
      expect(effective).toBeGreaterThan(length - 6);
    },
  );

  it("send now redirects without a rest (P17)", async () => {
    const length = await goldenLength(moment);
    for (let k = 1; k <= length; k++) {
      const { events, run, answer } = await play(
        k,
        moment,
        (run) => run.send("in Celsius, please", { when: "now", id: "redirect" }),
        nothing,
      );
      const at = `redirect at event ${k}`;
      expect(answer, at).toMatchObject({ accepted: true, id: "redirect" });
      await run.settled();
      expect(run.state.status, at).toBe("done");
      expect(run.state.output, at).toBe(GOLDEN_ANSWER);
      expect(
        run.state.messages.filter((message) => message.role === "user"),
        at,
      ).toHaveLength(2);
      checkLog(events);
      const interrupted = events.findIndex((event) => event.type === "interrupted");
      if (interrupted >= 0) {
        const input = events.find((event) => event.type === "user_input" && event.data.id === "redirect");
        expect(events[interrupted + 1]?.type, at).toBe("resume");
        expect(events[interrupted]?.cause, at).toBe(input?.seq);
        expect(events[interrupted + 1]?.cause, at).toBe(input?.seq);
      }
    }
  });

  it.each(["step", "done"] as const)("send %s is heard once and stops nothing", async (when) => {
    const length = await goldenLength(moment);
    for (let k = 1; k <= length; k++) {
      const { events, run } = await play(k, moment, (run) => run.send("and Bonn?", { when, id: "more" }), nothing);
      await run.settled();
      expect(run.state.status, `${when} at event ${k}`).toBe("done");
      expect(events.filter((event) => event.type === "interrupt" || event.type === "interrupted")).toHaveLength(0);
      const heard = events.filter((event) => event.type === "input_delivered" && event.data.id === "more");
      expect(heard, `${when} at event ${k}`).toHaveLength(1);
      checkLog(events);
    }
  });

  it("cancel ends it for good", async () => {
    const length = await goldenLength(moment);
    for (let k = 1; k <= length; k++) {
      const { events, run, answer } = await play(
        k,
        moment,
        (run) => run.cancel("enough"),
        async (run) => {
          if (run.state.status === "cancelled") expect(await run.send("more")).toMatchObject({ reason: "cancelled" });
        },
      );
      const at = `cancel at event ${k}`;
      checkLog(events);
      const cancelled = events.some((event) => event.type === "cancelled");
      expect(answer, at).toMatchObject({ accepted: cancelled });
      expect(run.state.status, at).toBe(cancelled ? "cancelled" : "done");
    }
  });
});
