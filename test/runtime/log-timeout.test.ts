import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, memoryLog, scriptedModel } from "rubato";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { deferred, quiet } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

interface HangingLog extends EventLog {
  /** Appends that have not been let through. */
  readonly held: number;
  /** Stores what is held, and everything from now on. */
  release(): Promise<void>;
}

/** Holds back every append after the first `free`, as a log on a hung disk. */
function hangingLog(free: number): HangingLog {
  const base = memoryLog();
  let appends = 0;
  let open = false;
  const held: (() => Promise<void>)[] = [];
  return {
    ...base,
    append(runId, batch) {
      if (open || appends++ < free) return base.append(runId, batch);
      const { promise, resolve } = deferred<undefined>();
      held.push(async () => {
        await base.append(runId, batch);
        resolve(undefined);
      });
      return promise;
    },
    get held() {
      return held.length;
    },
    async release() {
      open = true;
      for (const store of held.splice(0)) await store();
    },
  };
}

function look(started: string[]) {
  return defineTool({
    name: "look",
    description: "",
    input: z.object({}),
    idempotent: true,
    execute(_input, ctx) {
      started.push(ctx.callId);
      return "seen";
    },
  });
}

describe("P4 a log that does not answer", () => {
  it("within logTimeoutMs: the run stops as failed, code log, no effect starts, and resume works later", async () => {
    const log = hangingLog(3);
    const clock = manualClock();
    const started: string[] = [];
    let requests = 0;
    const model = scriptedModel(() => {
      requests++;
      return requests > 1 ? ["The answer."] : { calls: [{ name: "look", args: {} }] };
    });
    const agent = createAgent({ name: "a", model, tools: [look(started)], log, clock, logTimeoutMs: 1_000 });
    const run = agent.run("task", { runId: "r" });
    await quiet();
    expect(log.held).toBe(1);
    clock.advance(999);
    await quiet();
    expect(run.state.status).not.toBe("failed");
    clock.advance(1);
    const outcome = await run.settled();
    expect(outcome).toMatchObject({ status: "failed", error: { code: "log" } });
    expect(outcome.error?.message).toMatch(/did not store an event within 1000 ms/);
    expect(started, "no effect without its licence").toEqual([]);
    expect(await run.send("hello?")).toEqual({ accepted: false, reason: "log" });
    expect(clock.pending, "no timer is left").toBe(0);

    // It answers after all: what it stores then is no more than what was accepted, and another owner goes on from there.
    await log.release();
    await agent.close();
    const again = createAgent({ name: "a", model, tools: [look(started)], log, clock });
    const answer = await again.resume("r", undefined, { takeover: true });
    if (!answer.accepted) throw new Error(answer.reason);
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "The answer." });
    expect(started).toHaveLength(1);
    checkLog(await stored(log, "r"));
    await again.close();
  });

  it("slow, but within the time: nothing happens, and the timer ends when the run rests", async () => {
    const log = hangingLog(2);
    const clock = manualClock();
    const model = scriptedModel([["The answer."]]);
    const agent = createAgent({ name: "a", model, log, clock, logTimeoutMs: 1_000 });
    const run = agent.run("task");
    await quiet();
    clock.advance(900);
    await log.release();
    expect(await run.settled()).toMatchObject({ status: "done" });
    expect(clock.pending).toBe(0);
    await agent.close();
  });

  it("keeps what waits bounded: the model is read no faster than the log stores", async () => {
    const log = hangingLog(2);
    let yielded = 0;
    const model = {
      name: "endless",
      async *stream() {
        for (; yielded < 50_000; yielded++) yield { type: "text" as const, text: "x" };
        yield { type: "finish" as const, finish: "stop" as const };
      },
    };
    const agent = createAgent({ name: "a", model, log, clock: manualClock() });
    const run = agent.run("task");
    for (let turn = 0; turn < 20; turn++) await quiet();
    expect(yielded).toBeGreaterThan(9_000);
    expect(yielded).toBeLessThan(11_000);
    await log.release();
    expect((await run.settled()).output).toHaveLength(50_000);
    await agent.close();
  });
});
