import { afterEach, describe, expect, it } from "vitest";
import { verify, type Agent } from "rubato";
import { forkLog } from "../../runtime/fork.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { scriptedModel } from "../../runtime/models/scripted.ts";
import { eventsOf, testAgent } from "../support/agents.ts";
import { GOLDEN_ANSWER } from "../support/golden-run.ts";
import { checkLog } from "../support/invariants.ts";
import { goldenAgent, leftBehind } from "../support/left-behind.ts";
import { stored } from "../support/logs.ts";
import { recordedLogs } from "../support/recorded-logs.ts";

const agents: Agent[] = [];
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.close()));
});

describe("a fork", () => {
  it("case 30 at any event, also inside a message: the past stays, it rests, and an instruction starts it", async () => {
    let forks = 0;
    for (const [index, recorded] of (await recordedLogs()).entries()) {
      const log = await leftBehind(recorded);
      const agent = goldenAgent(log, { started: [], finished: [], aborted: [] });
      agents.push(agent);
      for (let at = 1 + (index % 5); at <= recorded.length; at += 5) {
        const run = await agent.fork("r", { at, runId: `f${at}` });
        const outcome = await run.settled();
        const events = await stored(log, run.id);
        const state = checkLog(events);
        expect(outcome.error?.code, `rests at ${at} in ${state.value}`).not.toBe("not_running");
        const [first] = events;
        expect(first?.type === "run_start" && first.data.fork).toEqual({ runId: "r", seq: at });
        expect(events.slice(1, at), `at ${at}`).toEqual(
          recorded.slice(1, at).map((event) => ({ ...event, runId: run.id })),
        );
        expect(events[at]).toMatchObject({ seq: at + 1, type: "owner", data: { why: "fork" } });
        // It did nothing but come to rest.
        const types = events.slice(at).map(({ type }) => type);
        expect(types.filter((type) => type === "thinking" || type === "tool_start" || type === "resume")).toEqual([]);
        forks++;
        if (state.status === "cancelled" || state.status === "idle") continue;
        expect(await run.send("go on"), `started at ${at} in ${state.value}`).toMatchObject({ accepted: true });
        expect(await run.settled()).toMatchObject({ status: "done", output: GOLDEN_ANSWER });
        checkLog(await stored(log, run.id));
      }
      expect(await stored(log, "r"), "the original stays as it was").toEqual(recorded);
      await agent.close();
    }
    expect(forks).toBeGreaterThan(150);
  });

  it("P11 one whose process died right after the copy stops like any fork: nothing of the other run starts again under a new key", async () => {
    const [recorded = []] = await recordedLogs();
    const at = recorded.find((event) => event.type === "tool_start")?.seq ?? 0;
    const log = await leftBehind(recorded);
    const copied = await forkLog(log, "r", "f", { at });
    await log.release("f", copied.epoch);
    const agent = goldenAgent(log, { started: [], finished: [], aborted: [] });
    agents.push(agent);
    const answer = await agent.resume("f");
    if (!answer.accepted) throw new Error(answer.reason);
    await answer.run.settled();
    const events = await stored(log, "f");
    expect(events[at]).toMatchObject({ type: "owner", data: { why: "fork" } });
    expect(await verify(log, "f")).toMatchObject({ ok: true });
    checkLog(events);
  });

  it("takes another model and an edited result, and begins at once with an instruction", async () => {
    const [recorded = []] = await recordedLogs();
    const log = await leftBehind(recorded);
    const agent = goldenAgent(log, { started: [], finished: [], aborted: [] });
    agents.push(agent);
    const result = recorded.find((event) => event.type === "tool_result" && event.data.callId === "1.2");
    const run = await agent.fork("r", {
      at: result?.seq ?? 0,
      instruction: "Say what you know.",
      model: scriptedModel((request) => [
        request.messages.flatMap((message) => (message.role === "tool" ? [message.content] : [])).join(" "),
      ]),
      results: { "1.2": { output: { city: "Oslo", degrees: 30 } } },
    });
    const outcome = await run.settled();
    expect(outcome.status).toBe("done");
    expect(outcome.output).toContain('"degrees":30');
    expect(outcome.output).not.toContain('"degrees":6');
    const [start] = await eventsOf(log, run, "run_start");
    expect(start?.data.fork).toMatchObject({ runId: "r", edited: ["1.2"] });
  });

  it("that was not copied to its end is not gone on with", async () => {
    const [recorded = []] = await recordedLogs();
    const [start, ...rest] = recorded.slice(0, 20);
    if (start?.type !== "run_start") throw new Error("a run begins with run_start");
    const half = [{ ...start, data: { ...start.data, fork: { runId: "other", seq: 30 } } }, ...rest];
    const log = await leftBehind(half);
    const agent = goldenAgent(log, { started: [], finished: [], aborted: [] });
    agents.push(agent);
    expect(await agent.resume("r")).toMatchObject({
      accepted: false,
      reason: "half_fork",
      message: expect.stringContaining("ends at seq 20 of 30"),
    });
    expect(await stored(log, "r")).toEqual(half);
  });

  it("of a run that a fork cannot be made of is one sentence", async () => {
    const { agent } = testAgent({ log: memoryLog(), model: scriptedModel([["x"]]) });
    agents.push(agent);
    const run = agent.run("task", { runId: "r" });
    await run.settled();
    await expect(agent.fork("nowhere", { at: 1 })).rejects.toMatchObject({ code: "unknown_run" });
    await expect(agent.fork("r", { at: 99 })).rejects.toThrow(/a seq from 1 to/);
    await expect(agent.fork("r", { at: 2, runId: "r" })).rejects.toMatchObject({ code: "run_exists" });
    await expect(agent.fork("r", { at: 2, instruction: " " })).rejects.toMatchObject({ code: "invalid_input" });
  });
});
