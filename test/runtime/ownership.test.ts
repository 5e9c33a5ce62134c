import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, type Agent } from "rubato";
import type { Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { pause, scriptedModel } from "../../runtime/models/scripted.ts";
import { deferred, quiet, testAgent, until, type TestAgent } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { leftBehind } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";

const agents: Agent[] = [];
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.close()));
});

function kept(made: TestAgent): TestAgent {
  agents.push(made.agent);
  return made;
}

/** A run whose process died while its answer streamed. */
async function leftStreaming(): Promise<readonly Event[]> {
  const { agent, log } = kept(testAgent({ model: scriptedModel([["Half a sen", pause(), "tence."]]) }));
  const run = agent.run("say it", { runId: "r" });
  await until(run, "token_stream");
  return stored(log, "r");
}

/** A log whose claims are answered only when the test lets them. */
function slowClaims(log: EventLog): { readonly log: EventLog; readonly asked: Promise<void>; readonly go: () => void } {
  const asked = deferred();
  const gate = deferred();
  return {
    log: {
      ...log,
      async claim(runId, options) {
        asked.resolve();
        await gate.promise;
        return log.claim(runId, options);
      },
    },
    asked: asked.promise,
    go: () => gate.resolve(),
  };
}

describe("an interrupt that a dead process left behind", () => {
  it("P19 P20 another interrupt ends it: nobody waits for a process that is gone", async () => {
    const { agent, log } = kept(testAgent({ model: scriptedModel([["Half a sen", pause(), "tence."]]) }));
    const run = agent.run("say it", { runId: "r" });
    await until(run, "token_stream");
    const asked = run.interrupt("stop", { mode: "step" });
    await until(run, "interrupt");
    const events = await stored(log, "r");
    const copy = await leftBehind(events);
    const second = kept(testAgent({ log: copy, model: scriptedModel([]) }));
    const opened = await second.agent.open("r");
    expect(await opened.interrupt("stop")).toMatchObject({ accepted: true, effective: true });
    expect(opened.state.status).toBe("interrupted");
    checkLog(await stored(copy, "r"));
    await agent.close();
    await asked;
  });
});

describe("a run that is taken over while it stops", () => {
  it("P12 a call is settled before the stop is, also where its arguments are checked asynchronously", async () => {
    const hang = deferred<string>();
    const input = z.object({}).refine(() => Promise.resolve(true));
    const report = (answer: Promise<string>) =>
      defineTool({ name: "hang", description: "", input, onCrash: "report", execute: () => answer });
    const model = () =>
      scriptedModel(({ messages }) =>
        messages.some(({ role }) => role === "tool") ? ["went on"] : { calls: [{ name: "hang", args: {} }] },
      );
    const first = kept(testAgent({ model: model(), tools: [report(hang.promise)] }));
    const run = first.agent.run("task", { runId: "r" });
    await until(run, "tool_start");
    const asked = run.interrupt("stop");
    await until(run, "interrupt");
    const copy = await leftBehind(await stored(first.log, "r"));
    const second = kept(testAgent({ log: copy, model: model(), tools: [report(Promise.resolve("again"))] }));
    const answer = await second.agent.resume("r");
    if (!answer.accepted) throw new Error(answer.reason);
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "went on" });
    checkLog(await stored(copy, "r"));
    hang.resolve("late");
    await asked;
  });

  it("P22 one that was recovered too often goes on with what a person says, and no limit is named that there was not", async () => {
    const events = [...(await leftStreaming())];
    for (let epoch = 2; epoch <= 5; epoch++) {
      const { runId, timestamp } = events[0] ?? { runId: "r", timestamp: 0 };
      const data = { epoch, who: "test", why: "resume" as const, recoveries: epoch - 1 };
      events.push({ seq: events.length + 1, runId, timestamp, type: "owner", data });
    }
    const copy = await leftBehind(events);
    const { agent } = kept(testAgent({ log: copy, model: scriptedModel([["it answers"]]) }));
    const answer = await agent.resume("r", "try it otherwise");
    if (!answer.accepted) throw new Error(answer.reason);
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "it answers" });
    const after = await stored(copy, "r");
    const stop = after.find(({ type }) => type === "interrupted");
    expect(stop?.data).toMatchObject({ by: "recovery", reason: "recoveries" });
    checkLog(after);
  });
});

describe("commands to a run that nobody owns", () => {
  it("P17 an interrupt is effective by what comes after it, not by what others stopped before its turn", async () => {
    const copy = await leftBehind(await leftStreaming());
    const { agent } = kept(testAgent({ log: copy, model: scriptedModel([["Half", pause()]]) }));
    const opened = await agent.open("r");
    const [, , third] = await Promise.all([
      opened.interrupt("one"),
      opened.send("go on"),
      opened.interrupt("two", { mode: "now" }),
    ]);
    if (!third.accepted) throw new Error(third.reason);
    const stops = (await stored(copy, "r")).filter(({ type, seq }) => type === "interrupted" && seq > third.seq);
    expect(third.effective).toBe(stops.length > 0);
    expect(opened.state.status).toBe("interrupted");
  });

  it("L2 resume takes one over that was left at work, and says what a person said", async () => {
    const copy = await leftBehind(await leftStreaming());
    const { agent } = kept(testAgent({ log: copy, model: scriptedModel([["one"], ["two"]]) }));
    const opened = await agent.open("r");
    expect(await opened.resume("and briefly")).toMatchObject({ accepted: true });
    expect(await opened.settled()).toMatchObject({ status: "done" });
    expect(opened.state.messages).toContainEqual(expect.objectContaining({ role: "user", content: "and briefly" }));
    expect(await opened.resume()).toEqual({ accepted: false, reason: "done" });
    checkLog(await stored(copy, "r"));
  });

  it("L2 cancel ends one whose process died while it was cancelled", async () => {
    const hang = deferred<string>();
    const tool = defineTool({ name: "hang", description: "", input: z.object({}), execute: () => hang.promise });
    const model = () => scriptedModel([{ calls: [{ name: "hang", args: {} }] }]);
    const first = kept(testAgent({ model: model(), tools: [tool] }));
    const run = first.agent.run("task", { runId: "r" });
    await until(run, "tool_start");
    const cancelling = run.cancel("enough");
    await until(run, "interrupt");
    const copy = await leftBehind(await stored(first.log, "r"));
    const second = kept(testAgent({ log: copy, model: model(), tools: [tool] }));
    const opened = await second.agent.open("r");
    expect(await opened.cancel("enough")).toMatchObject({ accepted: true });
    expect((await opened.settled()).status).toBe("cancelled");
    checkLog(await stored(copy, "r"));
    hang.resolve("late");
    await cancelling;
  });
});

describe("who waits for a run that changes its owner", () => {
  it("L1 settled() of one that follows waits on when its own process takes the run over", async () => {
    const log = memoryLog();
    const first = kept(testAgent({ log, model: scriptedModel([["one", pause(), "more"]]) }));
    const gate = pause();
    const second = kept(testAgent({ log, model: scriptedModel([["two ", gate, "three"]]) }));
    await until(first.agent.run("task", { runId: "r" }), "token_stream");
    const opened = await second.agent.open("r");
    const settled = opened.settled();
    expect(await second.agent.resume("r", undefined, { takeover: true })).toMatchObject({ accepted: true });
    await quiet();
    gate.open();
    expect(await settled).toMatchObject({ status: "done", output: "two three" });
  });

  it("P26 a reader that follows hears of what comes after its agent let the run go", async () => {
    const log = memoryLog();
    const first = kept(testAgent({ log, model: scriptedModel(() => ["x"]) }));
    const run = first.agent.run("task", { runId: "r" });
    const heard: Event[] = [];
    const reader = run.events({ follow: true });
    const reading = (async () => {
      for await (const event of reader) heard.push(event);
    })();
    await run.settled();
    await quiet();
    for (let count = 0; count < 101; count++) await first.agent.run("more").settled();
    await quiet();
    expect((await log.head("r")).owned).toBe(false);
    const second = kept(testAgent({ log, model: scriptedModel(() => ["y"]) }));
    const opened = await second.agent.open("r");
    await opened.send("again");
    await opened.settled();
    await quiet();
    first.clock.advance(2_000);
    await quiet();
    expect(heard).toEqual(await stored(log, "r"));
    await reader.return?.();
    await reading;
  });

  it("settled() of a run that another process has answers when the agent closes, and after it", async () => {
    const log = memoryLog();
    const first = kept(testAgent({ log, model: scriptedModel([["one", pause(), "more"]]) }));
    await until(first.agent.run("task", { runId: "r" }), "token_stream");
    const second = testAgent({ log, model: scriptedModel([]) });
    const opened = await second.agent.open("r");
    const settled = opened.settled();
    await quiet();
    await second.agent.close();
    expect((await settled).error?.code).toBe("not_running");
    expect((await opened.settled()).error?.code).toBe("not_running");
    expect(second.clock.pending).toBe(0);
  });
});

describe("an agent that closes", () => {
  it("takes no run over any more: a claim that is under way is let go", async () => {
    const slow = slowClaims(await leftBehind(await leftStreaming()));
    const { agent } = testAgent({ log: slow.log, model: scriptedModel([["never said"]]) });
    const before = await stored(slow.log, "r");
    const answer = agent.resume("r");
    await slow.asked;
    const closing = agent.close();
    slow.go();
    await closing;
    expect(await answer).toEqual({ accepted: false, reason: "closed" });
    expect(await slow.log.head("r")).toMatchObject({ owned: false, seq: before.length });
    expect(await stored(slow.log, "r")).toEqual(before);
  });

  it("leaves no fork behind that it began meanwhile", async () => {
    const events = await leftStreaming();
    const inner = await leftBehind(events);
    const gate = deferred();
    const asked = deferred();
    const log: EventLog = {
      ...inner,
      async append(runId, batch) {
        asked.resolve();
        await gate.promise;
        return inner.append(runId, batch);
      },
    };
    const { agent } = testAgent({ log, model: scriptedModel([]) });
    const fork = agent.fork("r", { at: events.length, runId: "f" });
    fork.catch(() => {});
    await asked.promise;
    const closing = agent.close();
    gate.resolve();
    await closing;
    await expect(fork).rejects.toMatchObject({ code: "closed" });
    expect(await inner.head("f")).toMatchObject({ seq: 0 });
  });

  it("answers its own commands that wait for the owner in another process, and takes them back", async () => {
    const log = memoryLog();
    await log.append("r", { epoch: 1, events: await leftStreaming() });
    const { agent, clock } = testAgent({ log, model: scriptedModel([]) });
    const opened = await agent.open("r");
    const asked = opened.interrupt("hello?");
    await quiet();
    await agent.close();
    expect(await asked).toEqual({ accepted: false, reason: "closed" });
    expect(await log.inbox.take("r", 1)).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("leaves what others ask of it while it ends to whoever has the run next", async () => {
    const log = memoryLog();
    const hang = deferred<string>();
    const tool = defineTool({ name: "hang", description: "", input: z.object({}), execute: () => hang.promise });
    const model = () =>
      scriptedModel((request) =>
        request.messages.some((message) => message.role === "tool")
          ? ["went on"]
          : { calls: [{ name: "hang", args: {} }] },
      );
    const first = testAgent({ log, model: model(), tools: [tool] });
    const second = kept(testAgent({ log, model: model(), tools: [tool] }));
    await until(first.agent.run("task", { runId: "r" }), "tool_start");
    const opened = await second.agent.open("r");
    const closing = first.agent.close();
    await quiet();
    const sent = opened.send("and also this");
    await quiet();
    // The tool's grace, then that of the close itself.
    first.clock.advance(5_000);
    await quiet();
    first.clock.advance(5_000);
    await closing;
    for (let tick = 0; tick < 3; tick++) {
      await quiet();
      second.clock.advance(500);
    }
    expect(await sent).toMatchObject({ accepted: true });
    expect(await opened.settled()).toMatchObject({ status: "done" });
    hang.resolve("late");
    checkLog(await stored(log, "r"));
  });
});

describe("commands between processes", () => {
  it("N2 one that a dead owner took is not waited for because somebody else has the run now", async () => {
    const log = memoryLog();
    const events = await leftStreaming();
    await log.append("r", { epoch: 1, events });
    const { agent, clock } = kept(testAgent({ log, model: scriptedModel([]) }));
    const opened = await agent.open("r");
    const asked = opened.interrupt("stop");
    await quiet();
    expect(await log.inbox.take("r", 1)).toHaveLength(1);
    // It dies with the command taken, and another process goes on with the run.
    const claimed = await log.claim("r", { takeover: true });
    expect(claimed.claimed).toBe(true);
    for (let tick = 0; tick < 40; tick++) {
      await quiet();
      clock.advance(500);
    }
    expect(await asked).toEqual({ accepted: false, reason: "owner_gone" });
  });

  it("what was posted to an owner that died is done by the next one", async () => {
    const log = memoryLog();
    await log.append("r", { epoch: 1, events: await leftStreaming() });
    const sender = kept(testAgent({ log, model: scriptedModel([]) }));
    const sent = (await sender.agent.open("r")).send("also this", { id: "mine" });
    await quiet();
    const gate = pause();
    const next = kept(testAgent({ log, model: scriptedModel([["a", gate], ["b"]]) }));
    const answer = await next.agent.resume("r", undefined, { takeover: true });
    if (!answer.accepted) throw new Error(answer.reason);
    await quiet();
    expect(await sent).toMatchObject({ accepted: true, id: "mine" });
    gate.open();
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "b" });
    checkLog(await stored(log, "r"));
  });
});

describe("an agent and its runs", () => {
  it("resume with takeover gets a run back that was lost while it rested", async () => {
    const log = memoryLog();
    const first = kept(testAgent({ log, model: scriptedModel([["one", pause()], ["mine again"]]) }));
    const run = first.agent.run("task", { runId: "r" });
    await until(run, "token_stream");
    await run.interrupt("stop", { mode: "now" });
    await log.claim("r", { takeover: true });
    const back = await first.agent.resume("r", "mine", { takeover: true });
    if (!back.accepted) throw new Error(back.reason);
    expect(await back.run.settled()).toMatchObject({ status: "done", output: "mine again" });
  });

  it("case 36 listening to all runs keeps none of those that the agent let go", async () => {
    const { agent, log, clock } = kept(testAgent({ model: scriptedModel(() => ["x"]) }));
    let ends = 0;
    agent.subscribe("done", () => ends++);
    for (let count = 0; count < 130; count++) {
      const run = agent.run("x", { runId: `r${count}` });
      run.subscribe("*", () => {});
      await run.settled();
    }
    await quiet();
    expect((await log.head("r0")).owned).toBe(false);
    // A follower that looks has a timer.
    expect(clock.pending).toBe(0);
    expect(ends).toBe(130);
  });

  it("one that it let go is heard again by who listens to all, from its first event on", async () => {
    const { agent } = kept(testAgent({ model: scriptedModel(() => ["x"]) }));
    const heard: string[] = [];
    agent.subscribe("*", ({ runId, type }) => runId === "r0" && heard.push(type));
    const run = agent.run("x", { runId: "r0" });
    await run.settled();
    for (let count = 0; count < 101; count++) await agent.run("x").settled();
    await quiet();
    heard.length = 0;
    await run.send("again");
    await run.settled();
    expect(heard.slice(0, 3)).toEqual(["owner", "user_input", "input_delivered"]);
    expect(heard.at(-1)).toBe("done");
  });
});
