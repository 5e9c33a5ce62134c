import { describe, expect, it } from "vitest";
import { createAgent, memoryLog, pause, RubatoError, scriptedModel, type Event } from "rubato";
import { createTasks } from "../../runtime/tasks.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

function deferred(): Deferred {
  let resolve = (): void => {};
  let reject = (_error: unknown): void => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

async function quiet(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

function newTasks(max = 10) {
  const failures: [string, unknown][] = [];
  const tasks = createTasks(max, { taskFailed: (name, error) => failures.push([name, error]) });
  return { tasks, failures };
}

describe("tasks", () => {
  it("K1 K2 are bounded, and make room when they end, whichever way", async () => {
    const { tasks, failures } = newTasks(3);
    const held = [deferred(), deferred(), deferred()];
    let ran = 0;
    for (const { promise } of held) {
      expect(
        tasks.start("work", () => {
          ran++;
          return promise;
        }),
      ).toBe(true);
    }
    expect(tasks.start("one too many", () => Promise.reject(new Error("ran")))).toBe(false);
    expect([tasks.size, ran]).toEqual([3, 3]);
    held[0]?.resolve();
    held[1]?.reject(new Error("broke"));
    await quiet();
    expect(tasks.size).toBe(1);
    expect(failures).toMatchObject([["work", { message: "broke" }]]);
    expect(tasks.start("room again", () => Promise.resolve())).toBe(true);
    held[2]?.resolve();
    await tasks.idle();
    expect([tasks.size, tasks.failures]).toEqual([0, 1]);
  });

  it("K3 every way to fail is reported once and is never an unhandled rejection", async () => {
    const { tasks, failures } = newTasks();
    tasks.start("throws at once", () => {
      throw new Error("at once");
    });
    tasks.start("rejects", () => Promise.reject(new Error("later")));
    tasks.start("with nothing", () => Promise.reject<undefined>(undefined));
    tasks.adopt("adopted", Promise.reject(new Error("adopted")));
    await tasks.idle();
    await quiet();
    expect(failures.map(([name]) => name).sort()).toEqual(["adopted", "rejects", "throws at once", "with nothing"]);
    expect([tasks.failures, tasks.size]).toEqual([4, 0]);
  });

  it("K3 also where the report itself fails", async () => {
    const tasks = createTasks(3, {
      taskFailed() {
        throw new Error("the report");
      },
    });
    tasks.start("broken", () => Promise.reject(new Error("x")));
    tasks.adopt("broken", Promise.reject(new Error("y")));
    await tasks.idle();
    await quiet();
    expect([tasks.failures, tasks.size]).toEqual([2, 0]);
  });

  it("K4 close aborts each signal with a reason, refuses what comes later, and swallows only what the abort threw", async () => {
    const { tasks, failures } = newTasks();
    const signals: AbortSignal[] = [];
    for (let count = 0; count < 3; count++) {
      tasks.start("waits", async (signal) => {
        signals.push(signal);
        await new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reject(new Error("told to stop"));
          });
        });
      });
    }
    tasks.start("broke before", () => Promise.reject(new Error("before")));
    await quiet();
    tasks.close();
    tasks.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
    expect(signals[0]?.reason).toBeInstanceOf(RubatoError);
    expect(signals[0]?.reason).toMatchObject({ code: "closed" });
    expect(tasks.start("late", () => Promise.resolve())).toBe(false);
    await tasks.idle();
    expect(failures).toMatchObject([["broke before", { message: "before" }]]);
  });

  it("idle waits for what is started while it waits", async () => {
    const { tasks } = newTasks();
    const second = deferred();
    tasks.start("first", async () => {
      await Promise.resolve();
      tasks.start("second", () => second.promise);
    });
    let idle = false;
    const waiting = tasks.idle().then(() => {
      idle = true;
    });
    await quiet();
    expect([idle, tasks.size]).toEqual([false, 1]);
    second.resolve();
    await waiting;
    expect(tasks.size).toBe(0);
  });
});

describe("run.background", () => {
  it("a failure becomes an error event that changes nothing, while the run works and at rest", async () => {
    const log = memoryLog();
    const gate = pause();
    const run = createAgent({ name: "a", model: scriptedModel([["one ", gate, "two"]]), log }).run("go");
    await gate.reached;
    expect(run.background("index", () => Promise.reject(new Error("no index")))).toBe(true);
    await quiet();
    gate.open();
    expect(await run.settled()).toMatchObject({ status: "done", output: "one two" });
    expect(run.background("mail", () => Promise.reject(new Error("no mail")))).toBe(true);
    await quiet();
    expect((await run.settled()).status).toBe("done");
    const events = await stored(log, run.id);
    checkLog(events);
    const errors = events.filter((event): event is Extract<Event, { type: "error" }> => event.type === "error");
    expect(errors.map(({ data }) => data)).toMatchObject([
      { source: "background", severity: "low", retryable: false, message: 'Background work "index" failed: no index' },
      { source: "background", severity: "low", retryable: false, message: 'Background work "mail" failed: no mail' },
    ]);
    expect(events.at(-1)?.type).toBe("error");
    expect(run.stats().tasks).toBe(0);
  });

  it("P33 is bounded at 1,000; 10,000 leave nothing", async () => {
    const run = createAgent({ name: "a", model: scriptedModel(["ok"]) }).run("go");
    await run.settled();
    const gate = deferred();
    let refused = 0;
    for (let count = 0; count < 1_200; count++) if (!run.background("held", () => gate.promise)) refused++;
    expect([refused, run.stats().tasks]).toEqual([200, 1_000]);
    gate.resolve();
    await quiet();
    let ended = 0;
    for (let count = 0; count < 10_000; count++) {
      const started = run.background("short", async () => {
        await Promise.resolve();
        ended++;
      });
      expect(started).toBe(true);
      if (count % 500 === 499) await quiet();
    }
    expect([ended, run.stats().tasks]).toEqual([10_000, 0]);
    expect(run.state.seq).toBe(run.durableSeq);
  });

  it("close tells it to stop and waits for it", async () => {
    const clock = manualClock();
    const agent = createAgent({ name: "a", model: scriptedModel(["ok"]), clock });
    const run = agent.run("go");
    await run.settled();
    const steps: string[] = [];
    run.background("tidy", async (signal) => {
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          resolve();
        });
      });
      await quiet();
      steps.push("tidied");
      throw signal.reason;
    });
    const closing = agent.close().then(() => steps.push("closed"));
    await closing;
    expect(steps).toEqual(["tidied", "closed"]);
    expect(clock.pending).toBe(0);
    expect(run.background("late", () => Promise.resolve())).toBe(false);
    expect(run.stats().tasks).toBe(0);
    expect(run.state.status).toBe("done");
  });

  it("close waits no longer than the grace for work that ignores its signal", async () => {
    const clock = manualClock();
    const agent = createAgent({ name: "a", model: scriptedModel(["ok"]), clock, graceMs: 700 });
    const run = agent.run("go");
    await run.settled();
    const stubborn = deferred();
    run.background("stubborn", () => stubborn.promise);
    let closed = false;
    const closing = agent.close().then(() => {
      closed = true;
    });
    await quiet();
    clock.advance(699);
    await quiet();
    expect([closed, clock.pending]).toEqual([false, 1]);
    clock.advance(1);
    await closing;
    expect([clock.pending, run.stats().tasks]).toEqual([0, 1]);
    stubborn.reject(new Error("too late to be a failure"));
    await quiet();
    expect([run.stats().tasks, run.state.error]).toEqual([0, undefined]);
  });
});
