import { expect, it } from "vitest";
import { createAgent, memoryLog, pause, scriptedModel } from "rubato";
import { object, parseSse, post, served } from "./served.ts";

// The log of a program that embeds rubato, looked at by a server whose agent is another one.

async function beside(others: boolean) {
  const log = memoryLog();
  const gate = pause();
  const clerk = createAgent({ name: "clerk", model: scriptedModel([["half", gate, " more"], "fine"]), log });
  const run = clerk.run("talk", { runId: "theirs" });
  for await (const event of run) if (event.type === "token_stream") break;
  const here = await served({ log, model: scriptedModel(["mine"]) }, { others });
  await post(`${here.url}/runs`, { task: "mine", runId: "mine" });
  await (await here.agent.open("mine")).settled();
  const tell = async (command: unknown): Promise<unknown> =>
    (await post(`${here.url}/runs/theirs/commands`, command)).json();
  return { here, clerk, run, tell };
}

it("runs of another agent do not exist on a server that did not ask for them", async () => {
  const { here, clerk, tell } = await beside(false);
  expect(await object(await fetch(`${here.url}/runs`))).toMatchObject({ runs: [{ runId: "mine" }] });
  for (const path of ["", "/state", "/events"])
    expect((await fetch(`${here.url}/runs/theirs${path}`)).status).toBe(404);
  expect(await tell({ verb: "interrupt", mode: "now" })).toMatchObject({ error: { code: "unknown_run" } });
  await clerk.close();
});

it("they are shown by one that did, told what their own process can do, and go on nowhere else", async () => {
  const { here, clerk, run, tell } = await beside(true);
  expect(await object(await fetch(`${here.url}/runs`))).toMatchObject({
    runs: [
      { runId: "theirs", agent: "clerk", status: "thinking" },
      { runId: "mine", agent: "test" },
    ],
  });
  expect(await object(await fetch(`${here.url}/runs?agent=clerk`))).toMatchObject({ runs: [{ runId: "theirs" }] });
  expect(await object(await fetch(`${here.url}/runs/theirs`))).toMatchObject({ agent: "clerk", status: "thinking" });

  // Its process has it, and is told through the log.
  expect(await tell({ verb: "interrupt", mode: "now", reason: "seen elsewhere" })).toMatchObject({
    accepted: true,
    effective: true,
  });
  expect(run.state.status).toBe("interrupted");
  expect(await tell({ verb: "fork", at: 3 })).toEqual({ accepted: false, reason: "other_agent" });
  expect(await tell({ verb: "send", text: "go on" })).toMatchObject({ accepted: true });
  await run.settled();
  expect(run.state.output).toBe("fine");
  const stream = await fetch(`${here.url}/runs/theirs/events?follow=false`, {
    headers: { accept: "text/event-stream" },
  });
  expect(parseSse(await stream.text()).events).toEqual(await here.events("theirs"));

  // Nobody has it any more: this agent is not the one to go on with it.
  await clerk.close();
  const before = await here.events("theirs");
  expect(await tell({ verb: "send", text: "and now?" })).toMatchObject({ accepted: false, reason: "changed" });
  expect(await tell({ verb: "resume" })).toMatchObject({ accepted: false });
  expect(await tell({ verb: "cancel" })).toMatchObject({ accepted: false });
  expect(await here.events("theirs")).toEqual(before);
  expect(here.errors).toEqual([]);
});
