import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, type Agent, type Run } from "rubato";
import type { Event } from "rubato/machines";
import { memoryLog } from "../../runtime/log/memory.ts";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { pause, scriptedModel } from "../../runtime/models/scripted.ts";
import { deferred, eventsOf, quiet, testAgent, until } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { goldenAgent, leftBehind, resumePrefixes } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";
import { recordedLogs } from "../support/recorded-logs.ts";

const agents: Agent[] = [];
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.close()));
});

describe("P8 every prefix of a log is one to resume from", () => {
  it("I14 I15 comes to rest, with the same answer, and keeps what was recorded (a sample; the full suite takes all)", async () => {
    expect(await resumePrefixes(6)).toBeGreaterThan(100);
  });

  it("P20 an interrupt stays one: opened it rests, and only a resume goes on", async () => {
    for (const recorded of await recordedLogs()) {
      const at = recorded.findIndex((event) => event.type === "interrupt");
      const effective = recorded.findIndex((event) => event.type === "interrupted");
      if (at < 0 || effective < 0 || recorded.some((event) => event.type === "cancelled")) continue;
      for (let k = at + 1; k <= effective; k++) {
        const log = await leftBehind(recorded.slice(0, k));
        const agent = goldenAgent(log, { started: [], finished: [], aborted: [] });
        agents.push(agent);
        const run = await agent.open("r");
        expect((await run.settled()).error?.code).toBe("not_running");
        expect(await run.cancel("enough")).toMatchObject({ accepted: true });
        expect(run.state.status).toBe("cancelled");
        const after = checkLog(await stored(log, "r"));
        expect(after.status).toBe("cancelled");
        await agent.close();
      }
    }
  });
});

describe("P22 a request that was out when the process died", () => {
  it("is made again as a new attempt, announced before its first delta; the old text is superseded", async () => {
    const gate = pause();
    const { agent, log } = testAgent({ model: scriptedModel([["Half a sen", gate, "tence."]]) });
    agents.push(agent);
    const run = agent.run("say it", { runId: "r" });
    await until(run, "token_stream");
    const recorded = await stored(log, "r");

    const copy = await leftBehind(recorded);
    const again = testAgent({ log: copy, model: scriptedModel([["A whole sentence."]]) });
    agents.push(again.agent);
    const opened = await again.agent.open("r");
    const seen: string[] = [];
    opened.subscribe("*", (event) => seen.push(event.type));
    const answer = await again.agent.resume("r");
    expect(answer.accepted).toBe(true);
    expect(await opened.settled()).toMatchObject({ status: "done", output: "A whole sentence." });
    expect(seen.slice(0, 3)).toEqual(["owner", "thinking", "token_stream"]);
    const [, second] = await eventsOf(copy, opened, "thinking");
    expect(second?.data).toMatchObject({ step: 1, attempt: 2, messageId: "m1" });
    expect(opened.state.messages.map(({ content }) => content)).toEqual(["say it", "A whole sentence."]);
    expect(opened.state.usage).toMatchObject({ requests: 2 });
    // The text of the superseded attempt is still there to be read.
    const texts = (await eventsOf(copy, opened, "token_stream")).map(({ data }) => [data.attempt, data.text]);
    expect(texts[0]).toEqual([1, "Half"]);
    checkLog(await stored(copy, "r"));
    gate.open();
  });

  it("five recoveries without progress end the run as failed; a person can still resume it", async () => {
    const start = await firstEvents();
    let events: readonly Event[] = start;
    for (let crash = 1; crash <= 4; crash++) {
      const log = await leftBehind(events);
      const { agent } = testAgent({ log, model: scriptedModel([["never", pause(), "ends"]]) });
      agents.push(agent);
      const answer = await agent.resume("r");
      if (!answer.accepted) throw new Error(answer.reason);
      await until(answer.run, "token_stream", ({ data }) => data.attempt === crash + 1);
      events = await stored(log, "r");
    }
    const log = await leftBehind(events);
    const { agent } = testAgent({ log, model: scriptedModel([["now it answers"]]) });
    agents.push(agent);
    const answer = await agent.resume("r");
    if (!answer.accepted) throw new Error(answer.reason);
    const outcome = await answer.run.settled();
    expect(outcome).toMatchObject({ status: "failed", error: { code: "recoveries" } });
    expect(await answer.run.resume()).toMatchObject({ accepted: true });
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "now it answers" });
    checkLog(await stored(log, "r"));
  });
});

/** A run whose first request is out. */
async function firstEvents(): Promise<readonly Event[]> {
  const { agent, log } = testAgent({ model: scriptedModel([[pause()]]) });
  agents.push(agent);
  const run = agent.run("go", { runId: "r" });
  await until(run, "thinking");
  return stored(log, "r");
}

describe("P12 a call whose process died while it ran", () => {
  async function crashed(
    onCrash: "ask" | "report" | "rerun" | undefined,
    idempotent = false,
  ): Promise<{
    log: EventLog;
    resume: () => Promise<{ run: Run; started: string[] }>;
  }> {
    const hang = deferred<string>();
    const started: string[] = [];
    const make = (answer: Promise<string>) => [
      defineTool({
        name: "pay",
        description: "Pays",
        input: z.object({ cents: z.number() }),
        idempotent,
        ...(onCrash === undefined ? {} : { onCrash }),
        execute(_input, ctx) {
          started.push(`${ctx.callId} attempt ${ctx.attempt} key ${ctx.idempotencyKey}`);
          return answer;
        },
      }),
      defineTool({ name: "look", description: "Looks", input: z.object({}), idempotent: true, execute: () => "seen" }),
    ];
    const model = () =>
      scriptedModel((request) => {
        const results = request.messages.filter((message) => message.role === "tool");
        if (results.length > 0) return [results.map(({ content }) => content).join(" | ")];
        return {
          calls: [
            { name: "pay", args: { cents: 5 } },
            { name: "look", args: {} },
          ],
        };
      });
    const { agent, log } = testAgent({ model: model(), tools: make(hang.promise) });
    agents.push(agent);
    const run = agent.run("pay", { runId: "r" });
    await until(run, "tool_result");
    const copy = await leftBehind(await stored(log, "r"));
    hang.resolve("too late");
    await quiet();
    started.length = 0;
    return {
      log: copy,
      async resume() {
        const again = testAgent({ log: copy, model: model(), tools: make(Promise.resolve("paid")) });
        agents.push(again.agent);
        const answer = await again.agent.resume("r");
        if (!answer.accepted) throw new Error(answer.reason);
        return { run: answer.run, started };
      },
    };
  }

  it("case 33 `ask` (the default): the run rests and lists it; a plain resume reports it as unknown", async () => {
    const { log, resume } = await crashed(undefined);
    const { run, started } = await resume();
    expect(await run.settled()).toMatchObject({
      status: "interrupted",
      pending: [{ callId: "1.0", phase: "orphaned" }],
    });
    expect(await eventsOf(log, run, "tool_result")).toHaveLength(1);
    expect(await run.resume()).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({
      status: "done",
      output: expect.stringContaining("Unknown: this call"),
    });
    expect(started).toEqual([]);
    checkLog(await stored(log, "r"));
  });

  it("`ask`: settleCall gives its one result, and the model reads it", async () => {
    const { log, resume } = await crashed("ask");
    const { run, started } = await resume();
    await run.settled();
    expect(await run.settleCall("9.9", { output: "x" })).toEqual({ accepted: false, reason: "not_unknown" });
    expect(await run.settleCall("1.0", { output: { paid: true } })).toMatchObject({ accepted: true });
    expect(await run.settleCall("1.0", { error: "no" })).toEqual({ accepted: false, reason: "not_unknown" });
    expect(run.state.status).toBe("interrupted");
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: '{"paid":true} | seen' });
    expect(started).toEqual([]);
    checkLog(await stored(log, "r"));
  });

  it("`ask`: what a person says goes on, with the call unknown", async () => {
    const { log, resume } = await crashed("ask");
    const { run } = await resume();
    await run.settled();
    expect(await run.send("it was paid, I looked")).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    checkLog(await stored(log, "r"));
  });

  it("`report`: the model reads that nobody knows", async () => {
    const { log, resume } = await crashed("report");
    const { run, started } = await resume();
    expect(await run.settled()).toMatchObject({
      status: "done",
      output: expect.stringContaining("Unknown: this call"),
    });
    expect(started).toEqual([]);
    checkLog(await stored(log, "r"));
  });

  it("P11 `rerun`: an idempotent call runs again, with the same key and a higher attempt", async () => {
    const { log, resume } = await crashed(undefined, true);
    const { run, started } = await resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: "paid | seen" });
    expect(started).toEqual(["1.0 attempt 2 key r:1.0"]);
    checkLog(await stored(log, "r"));
  });

  it("an idempotent tool alone may rerun", () => {
    const tool = defineTool({
      name: "pay",
      description: "",
      input: z.object({}),
      onCrash: "rerun",
      execute: () => null,
    });
    expect(() => testAgent({ model: scriptedModel([]), tools: [tool] })).toThrow(/cannot rerun after a crash/);
  });
});

describe("P21 resume needs the log and the agent's definition, and nothing else", () => {
  const done = { model: scriptedModel([["done"], ["again"]]) };

  it("case 31 a run of another process is opened, read and gone on with", async () => {
    const log = memoryLog();
    const first = testAgent({ log, model: scriptedModel([["one"]]) });
    const run = first.agent.run("task", { runId: "r" });
    await run.settled();
    await first.agent.close();

    const second = testAgent({ log, model: scriptedModel([["two"]]) });
    agents.push(second.agent);
    const opened = await second.agent.open("r");
    expect(opened.state.output).toBe("one");
    expect(await second.agent.open("r")).toBe(opened);
    const before = (await stored(log, "r")).length;
    expect(await opened.interrupt()).toEqual({ accepted: false, reason: "done" });
    expect(await stored(log, "r")).toHaveLength(before);
    expect(await opened.send("more")).toMatchObject({ accepted: true });
    expect(await opened.settled()).toMatchObject({ status: "done", output: "two" });
    const events = checkLog(await stored(log, "r"));
    expect(events.turn).toBe(2);
    expect(await eventsOf(log, opened, "owner")).toMatchObject([{ data: { epoch: 2, why: "command", recoveries: 0 } }]);
  });

  it("a living owner answers `owned`; a takeover ends its ownership", async () => {
    const log = memoryLog();
    const gate = pause();
    const first = testAgent({ log, model: scriptedModel([["one", gate, "more"]]) });
    const second = testAgent({ log, model: scriptedModel([["two"]]) });
    agents.push(first.agent, second.agent);
    const run = first.agent.run("task", { runId: "r" });
    await until(run, "token_stream");
    expect(await second.agent.resume("r")).toEqual({ accepted: false, reason: "owned" });
    const taken = await second.agent.resume("r", undefined, { takeover: true });
    if (!taken.accepted) throw new Error(taken.reason);
    expect(await taken.run.settled()).toMatchObject({ status: "done", output: "two" });
    const before = await stored(log, "r");
    gate.open();
    // I16: nothing of the older epoch enters the log.
    expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "not_owner" } });
    expect(await stored(log, "r")).toEqual(before);
    expect(await run.send("x")).toEqual({ accepted: false, reason: "not_owner" });
    expect(await eventsOf(log, taken.run, "owner")).toMatchObject([{ data: { why: "takeover" } }]);
    checkLog(before);
  });

  it("of many resumers at once one wins, and the others do nothing", async () => {
    const log = await leftBehind(await firstEvents());
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => {
        const { agent } = testAgent({ log, model: scriptedModel([["done"]]) });
        agents.push(agent);
        return agent.resume("r");
      }),
    );
    const winners = answers.filter((answer) => answer.accepted);
    expect(winners).toHaveLength(1);
    expect(answers.filter((answer) => !answer.accepted)).toEqual(
      Array.from({ length: 7 }, () => ({ accepted: false, reason: "owned" })),
    );
    for (const answer of winners) await answer.run.settled();
    const events = await stored(log, "r");
    expect(events.filter((event) => event.type === "owner")).toHaveLength(1);
    checkLog(events);
  });

  it("a changed definition refuses and says what differs, unless it is allowed", async () => {
    const log = await leftBehind(await firstEvents());
    const tool = defineTool({ name: "extra", description: "", input: z.object({}), execute: () => null });
    const { agent } = testAgent({ ...done, log, instructions: "Be brief.", tools: [tool] });
    agents.push(agent);
    const before = await stored(log, "r");
    const refused = await agent.resume("r");
    expect(refused).toMatchObject({ accepted: false, reason: "changed" });
    expect(refused).toMatchObject({ message: expect.stringMatching(/instructions changed, tool "extra" is new/) });
    const run = await agent.open("r");
    expect(await run.send("x")).toMatchObject({ accepted: false, reason: "changed" });
    expect(await stored(log, "r")).toEqual(before);
    expect((await log.head("r")).epoch).toBe(1);
    expect(await agent.resume("r", undefined, { allowChanged: true })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done" });
    await agent.close();
    // Also a finished one, which there is nothing of to resume.
    const other = testAgent({ model: scriptedModel([["once more"]]), log, instructions: "Be long." });
    agents.push(other.agent);
    const opened = await other.agent.open("r", { allowChanged: true });
    expect(await opened.send("again")).toMatchObject({ accepted: true });
    expect(await opened.settled()).toMatchObject({ status: "done", output: "once more" });
  });

  it("P9 a log of a newer schema can be read, not resumed", async () => {
    const events = await firstEvents();
    const newer = events.map((event): Event =>
      event.type === "run_start" ? { ...event, data: { ...event.data, schema: 99 } } : event,
    );
    const log = await leftBehind(newer);
    const { agent } = testAgent({ ...done, log });
    agents.push(agent);
    expect(await agent.resume("r")).toMatchObject({ accepted: false, reason: "newer_schema" });
    await expect(agent.open("r")).rejects.toThrow(/newer rubato \(schema 99, this one knows 1\)/);
    expect(await stored(log, "r")).toEqual(newer);
  });
});

describe("commands from another process", () => {
  it("reach the owner through the inbox, and its answer comes back", async () => {
    const log = memoryLog();
    const gate = pause();
    const first = testAgent({ log, model: scriptedModel([["one", gate, "more"], ["two"]]) });
    const second = testAgent({ log, model: scriptedModel([]) });
    agents.push(first.agent, second.agent);
    const run = first.agent.run("task", { runId: "r" });
    await until(run, "token_stream");
    const seen = await second.agent.open("r");
    const receipt = await seen.interrupt("from outside", { mode: "now" });
    expect(receipt).toMatchObject({ accepted: true, effective: true, where: "thinking.streaming", keptChars: 3 });
    expect(run.state.status).toBe("interrupted");
    expect(seen.state.status).toBe("interrupted");
    expect(await seen.interrupt()).toEqual({ accepted: false, reason: "already_interrupted" });
    expect(await seen.resume("go on")).toMatchObject({ accepted: true });
    expect(await seen.settled()).toMatchObject({ status: "done", output: "two" });
    expect(seen.state.seq).toBe(run.state.seq);
    checkLog(await stored(log, "r"));
  });

  it("a reader follows what another process records, and ends when it rests", async () => {
    const log = memoryLog();
    const gate = pause();
    const first = testAgent({ log, model: scriptedModel([["one ", gate, "more"]]) });
    const second = testAgent({ log, model: scriptedModel([]) });
    agents.push(first.agent, second.agent);
    const run = first.agent.run("task", { runId: "r" });
    await until(run, "token_stream");
    const opened = await second.agent.open("r");
    const heard: string[] = [];
    opened.subscribe("token_stream", ({ data }) => heard.push(data.text));
    const reading = (async () => {
      const types: string[] = [];
      for await (const event of opened) types.push(event.type);
      return types;
    })();
    gate.open();
    expect(await reading).toEqual((await stored(log, "r")).map(({ type }) => type));
    expect(heard).toEqual(["more"]);
    expect(opened.state.status).toBe("done");
  });

  it("an owner that does not answer: the command is withdrawn and never done", async () => {
    const log = memoryLog();
    // Owned, and nobody serves its inbox.
    const events = await firstEvents();
    await log.append("r", { epoch: 1, events });
    const { agent, clock } = testAgent({ log, model: scriptedModel([]) });
    agents.push(agent);
    const run = await agent.open("r");
    const asked = run.interrupt("hello?");
    for (let tick = 0; tick < 20; tick++) {
      await quiet();
      clock.advance(500);
    }
    expect(await asked).toEqual({ accepted: false, reason: "no_answer" });
    expect(await log.inbox.take("r", 1)).toEqual([]);
    expect(await stored(log, "r")).toEqual(events);
  });

  it("an owner that dies meanwhile: the caller takes over, and the command is done once", async () => {
    const log = memoryLog();
    const events = await firstEvents();
    await log.append("r", { epoch: 1, events });
    const { agent, clock } = testAgent({ log, model: scriptedModel([]) });
    agents.push(agent);
    const run = await agent.open("r");
    const asked = run.interrupt("stop");
    await quiet();
    await log.release("r", 1);
    for (let tick = 0; tick < 3; tick++) {
      await quiet();
      clock.advance(500);
    }
    expect(await asked).toMatchObject({ accepted: true, effective: true });
    const after = await stored(log, "r");
    expect(after.filter((event) => event.type === "interrupt")).toHaveLength(1);
    expect(run.state.status).toBe("interrupted");
    checkLog(after);
  });
});
