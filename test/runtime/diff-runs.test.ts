import { expect, it } from "vitest";
import { createAgent, diffRuns, memoryLog, scriptedModel } from "rubato";
import { forkLog } from "../../runtime/fork.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import { rejectedBy } from "../support/thrown-later.ts";
import { logOf, longRun } from "../support/written-log.ts";

it("a run and its fork are the same up to the fork", async () => {
  const events = longRun(3, 10);
  const log = await logOf(events);
  await forkLog(log, "r", "f", { at: 25 });
  const diff = await diffRuns(log, "r", "f");
  expect(diff).toMatchObject({ common: 25, same: false });
  expect(diff.a).toMatchObject({ runId: "r", seq: events.length, status: "done", steps: 1 });
  expect(diff.a.first).toEqual(events[25]);
  expect(diff.a.text).toBe(`${"token ".repeat(10)}\n${"token ".repeat(10)}`);
  expect(diff.b).toMatchObject({ runId: "f", seq: 25, status: "thinking", first: undefined, text: "", calls: [] });
  expect(diff.text.every(({ kind }) => kind === "removed")).toBe(true);
});

it("an edited result is where a fork begins to differ", async () => {
  const log = memoryLog();
  const tools = goldenTools({ started: [], finished: [], aborted: [] });
  const agent = createAgent({ name: "a", model: goldenModel(), tools, log, clock: manualClock() });
  await agent.run("How is the weather?", { runId: "r" }).settled();
  const events = await stored(log, "r");
  const [result] = events.filter((event) => event.type === "tool_result");
  if (result?.type !== "tool_result") throw new Error("no result");
  const { callId } = result.data;
  await forkLog(log, "r", "f", { at: result.seq + 1, results: { [callId]: { error: { code: "x", message: "no" } } } });
  const diff = await diffRuns(log, "f", "r");
  expect(diff.common).toBe(result.seq - 1);
  expect(diff.a.calls.find((call) => call.callId === callId)?.outcome).toBe("error");
  expect(diff.b.calls.find((call) => call.callId === callId)?.outcome).toBe("ok");
  expect(diff.b.calls.map(({ name }) => name)).toEqual(["weather", "weather", "weather", "average"]);
  expect(diff.b.calls.at(-1)?.args).toEqual({ values: [14, 22, 6] });
  expect(diff.b).toMatchObject({
    status: "done",
    steps: 2,
    usage: { requests: 2, inputTokens: 60, unknownRequests: 1 },
  });
});

it("two runs of one task are compared by what happened, whatever their ids and times", async () => {
  const log = memoryLog();
  const clock = manualClock();
  const answers = ["It rains.\nTake a coat.", "It rains.\nStay at home."];
  const agent = createAgent({ name: "a", model: scriptedModel([answers[0] ?? "", ...answers]), log, clock });
  for (const runId of ["one", "same", "other"]) {
    clock.advance(1_000);
    await agent.run("weather?", { runId }).settled();
  }
  expect(await diffRuns(log, "one", "same")).toMatchObject({ same: true, text: [] });
  const diff = await diffRuns(log, "one", "other");
  expect(diff.same).toBe(false);
  expect(diff.common).toBe(6);
  expect(diff.text).toEqual([
    { kind: "same", line: "It rains." },
    { kind: "removed", line: "Take a coat." },
    { kind: "added", line: "Stay at home." },
  ]);
  expect((await diffRuns(log, "one", "one")).same).toBe(true);
});

it("P10 deltas that were pruned on one side count as the same, in whatever ranges", async () => {
  const events = longRun(4, 12);
  const log = await logOf(events);
  await forkLog(log, "r", "f", { at: events.length });
  await log.release("f", 2);
  await log.prune("f");
  expect(await diffRuns(log, "r", "f")).toMatchObject({ same: true, common: events.length });
  expect(await diffRuns(log, "f", "r")).toMatchObject({ same: true, common: events.length });
  expect(await diffRuns(log, "f", "f")).toMatchObject({ same: true });
});

it("P10 an answer that ended within what was pruned on the other side is a difference", async () => {
  const log = await logOf(longRun(1, 10));
  await log.prune("r");
  const shorter = longRun(1, 6).map((event) => ({ ...event, runId: "s" }));
  await log.append("s", { epoch: 1, events: shorter });
  const diff = await diffRuns(log, "r", "s");
  expect(diff).toMatchObject({ same: false, common: 10, a: { status: "done" }, b: { status: "done" } });
  expect(diff.b.first?.type).toBe("message");
  expect([diff.a.text.length, diff.b.text.length]).toEqual([60, 36]);
});

it("needs both runs", async () => {
  const log = await logOf(longRun(1, 1));
  expect((await rejectedBy(() => diffRuns(log, "r", "nobody"))).code).toBe("unknown_run");
  expect((await rejectedBy(() => diffRuns(log, "nobody", "r"))).code).toBe("unknown_run");
});
