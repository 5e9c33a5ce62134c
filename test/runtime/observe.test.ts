import { describe, expect, it, onTestFinished } from "vitest";
import { memoryLog, scriptedModel, type AgentObserver, type Event, type EventLog } from "rubato";
import { isHot } from "rubato/machines";
import { Probe } from "../../runtime/metrics/probe.ts";
import { processWatch } from "../../runtime/metrics/process-watch.ts";
import { testAgent } from "../support/agents.ts";
import { countedModel } from "../support/counted-model.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";

function golden() {
  return { model: goldenModel(), tools: goldenTools({ started: [], finished: [], aborted: [] }) };
}

/** Control events, and the first delta behind each request. */
function worthSeeing(events: readonly Event[]): readonly Event[] {
  let waits = false;
  return events.filter((event) => {
    if (event.type === "thinking") waits = true;
    if (!isHot(event)) return true;
    const first = waits && event.type !== "tool_progress";
    if (first) waits = false;
    return first;
  });
}

function seeing(): { readonly observer: AgentObserver; readonly seen: Map<string, Event[]> } {
  const seen = new Map<string, Event[]>();
  const observer: AgentObserver = {
    event(event, run) {
      seen.set(run.id, [...(seen.get(run.id) ?? []), event]);
    },
  };
  return { observer, seen };
}

/** A log that tells when the owner kept tokens to itself (H7). */
function holdingLog(onKeep: () => void): EventLog {
  const inner = memoryLog();
  return Object.assign(Object.create(inner), {
    keep(...args: Parameters<NonNullable<EventLog["keep"]>>) {
      onKeep();
      inner.keep?.(...args);
    },
  });
}

describe("agent.observe", () => {
  it("sees every control event of every run once, in order, and the first delta of each answer", async () => {
    const { agent, log } = testAgent(golden());
    const { observer, seen } = seeing();
    agent.observe(observer);
    await Promise.all(["a", "b"].map((runId) => agent.run("How warm is it?", { runId }).settled()));
    for (const runId of ["a", "b"]) {
      const events = await stored(log, runId);
      expect(seen.get(runId)).toEqual(worthSeeing(events));
      expect(events.filter(isHot).length).toBeGreaterThan(10);
    }
    await agent.close();
  });

  it("begins in the middle of a run, ends when it is told to, and begins anew", async () => {
    const { agent, log } = testAgent({ model: scriptedModel([["one"], ["two"], ["three"]]) });
    const run = agent.run("say", { runId: "r" });
    await run.settled();
    const { observer, seen } = seeing();
    const stop = agent.observe(observer);
    const from = run.durableSeq;
    await run.send("more");
    await run.settled();
    stop();
    const to = run.durableSeq;
    await run.send("more");
    await run.settled();
    const events = await stored(log, "r");
    expect(seen.get("r")).toEqual(worthSeeing(events.filter(({ seq }) => seq > from && seq <= to)));
    agent.observe(observer);
    await run.send("and more");
    await run.settled();
    expect(seen.get("r")?.at(-1)?.seq).toBe(run.durableSeq);
    await agent.close();
  });

  it("R6: what an observer throws concerns neither the run nor another observer", async () => {
    const { agent, log } = testAgent(golden());
    const { observer, seen } = seeing();
    agent.observe({
      event() {
        throw new Error("broken");
      },
      failed() {
        throw new Error("broken");
      },
    });
    agent.observe(observer);
    const outcome = await agent.run("How warm is it?", { runId: "r" }).settled();
    expect(outcome.status).toBe("done");
    expect(seen.get("r")).toEqual(worthSeeing(await stored(log, "r")));
    await agent.close();
  });

  it("P28: what an asynchronous observer, inspector or logger rejects with concerns nobody either", async () => {
    let told = 0;
    const rejects = (): unknown => {
      told++;
      return Promise.reject(new Error("broken"));
    };
    const unheard: unknown[] = [];
    const hear = (reason: unknown): void => void unheard.push(reason);
    process.on("unhandledRejection", hear);
    onTestFinished(() => void process.off("unhandledRejection", hear));
    const { agent } = testAgent({
      ...golden(),
      inspect: rejects,
      logger: { debug: rejects, info: rejects, warn: rejects, error: rejects },
    });
    agent.observe({ event: rejects, failed: rejects });
    expect((await agent.run("How warm is it?", { runId: "r" }).settled()).status).toBe("done");
    await agent.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toBeGreaterThan(60);
    expect(unheard).toEqual([]);
  });

  it("leaves alone what another process owns", async () => {
    const log = memoryLog();
    const owner = testAgent({ ...golden(), log }).agent;
    const other = testAgent({ ...golden(), log }).agent;
    const { observer, seen } = seeing();
    other.observe(observer);
    const run = owner.run("How warm is it?", { runId: "r" });
    const followed = await other.open("r");
    const heard: Event[] = [];
    followed.subscribe("*", (event) => heard.push(event));
    await run.settled();
    while (heard.at(-1)?.type !== "done") await new Promise((resolve) => setTimeout(resolve, 1));
    expect(seen.size).toBe(0);
    await owner.close();
    expect((await followed.send("again")).accepted).toBe(true);
    await followed.settled();
    expect(seen.get("r")?.map(({ type }) => type)).toContain("owner");
    await other.close();
  });

  it("is told when a run's log fails, with why", async () => {
    const inner = memoryLog();
    const log: EventLog = Object.assign(Object.create(inner), {
      append(...[runId, batch]: Parameters<EventLog["append"]>) {
        if (batch.events.some(({ type }) => type === "message")) throw new Error("the disk is full");
        return inner.append(runId, batch);
      },
    });
    const { agent } = testAgent({ model: scriptedModel([["hello"]]), log });
    const failures: string[] = [];
    agent.observe({
      event() {},
      failed(error, run) {
        failures.push(`${run.id} ${error.code}`);
      },
    });
    await agent.run("say", { runId: "r" }).settled();
    expect(failures).toEqual(["r log"]);
    await agent.close();
  });
});

describe("with nothing attached", () => {
  it("nothing is computed: no probe, no watch of the process, no tap, and no look at a clock per token", async () => {
    const looks = async (tokens: number, metrics: boolean): Promise<number> => {
      let count = 0;
      const clock = manualClock();
      const counting = {
        ...clock,
        monotonic() {
          count++;
          return clock.monotonic();
        },
      };
      const before = processWatch.users;
      const made = testAgent({ model: countedModel(tokens), clock: counting, metrics });
      const run = made.agent.run("count");
      const listening = run.subscribe("token_stream", () => {});
      await run.settled();
      listening();
      expect(processWatch.users - before).toBe(metrics ? 1 : 0);
      await made.agent.close();
      expect(processWatch.users).toBe(before);
      return count;
    };
    expect(await looks(1_000, false)).toBe(await looks(100, false));
    // With figures one in 16 is timed, with two looks each, and an append is timed as well as a publication.
    const more = (await looks(1_000, true)) - (await looks(100, true));
    expect(more).toBeGreaterThan(0);
    expect(more).toBeLessThanOrEqual(2 * 3 * Math.ceil(900 / 16));
  });

  it("observers leave the run to keep tokens to itself where nobody listens (H7)", async () => {
    const kept = async (observed: boolean): Promise<number> => {
      let count = 0;
      const log = holdingLog(() => {
        count++;
      });
      const { agent } = testAgent({ model: countedModel(200), log });
      if (observed) agent.observe({ event() {} });
      await agent.run("count").settled();
      await agent.close();
      return count;
    };
    expect(await kept(false)).toBeGreaterThan(0);
    expect(await kept(true)).toBe(await kept(false));
  });
});

it("a probe changes nothing about what a run records", async () => {
  expect(new Probe({ now: () => 0, monotonic: () => 0, timer: () => () => {} }, () => {}).beginAppend()).toBe(0);
  const logs = await Promise.all(
    [false, true].map(async (metrics) => {
      const { agent, log } = testAgent({ ...golden(), metrics });
      await agent.run("How warm is it?", { runId: "r" }).settled();
      await agent.close();
      return stored(log, "r");
    }),
  );
  expect(logs[1]).toEqual(logs[0]);
});
