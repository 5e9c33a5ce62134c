import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, fileLog, type Agent, type EventLog } from "rubato";
import { messageListProblem } from "rubato/machines";
import { pause, scriptedModel, type ScriptStep } from "../../runtime/models/scripted.ts";
import { deferred, until } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// What users of other runtimes hit (cases.md), here across two processes: each log object stands for one, on the same folder.

let folder = "";
const agents: Agent[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rubato-cases-"));
});
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.close()));
  rmSync(folder, { recursive: true, force: true });
});

function agentOn(
  log: EventLog,
  steps: readonly ScriptStep[],
  started: string[] = [],
  wait: Promise<void> = Promise.resolve(),
): Agent {
  const look = defineTool({
    name: "look",
    description: "",
    input: z.object({ at: z.string() }),
    async execute({ at }, { callId }) {
      started.push(`${callId} ${at}`);
      if (at === "slow") await wait;
      return `seen ${at}`;
    },
  });
  const agent = createAgent({ name: "a", model: scriptedModel([...steps]), tools: [look], log });
  agents.push(agent);
  return agent;
}

/** Another process takes the run from one that hangs: to the log that is the same as from one that died. */
const taken = { takeover: true };

describe("after the process is gone", () => {
  it("case 14 case 15 the partial answer that was shown is still there, word for word", async () => {
    const gate = pause();
    const first = agentOn(fileLog(folder), [["Once upon a time there was a ", gate, "never told"]]);
    const run = first.run("tell", { runId: "r" });
    let shown = "";
    run.subscribe("token_stream", ({ data }) => {
      shown += data.text;
    });
    await until(run, "token_stream", ({ data }) => data.text.includes("was"));
    await run.interrupt("stop", { mode: "now" });
    await first.close();

    const second = agentOn(fileLog(folder), [["a king."]]);
    const again = await second.open("r");
    expect(again.state.messages.at(-1)).toMatchObject({ role: "assistant", content: shown, cut: true });
    expect(shown).toContain("Once upon a time");
    await again.resume(undefined, { partial: "continue" });
    expect(await again.settled()).toMatchObject({ status: "done", output: `${shown}a king.` });
    checkLog(await stored(fileLog(folder), "r"));
  });

  it("case 16 case 17 calls that were open are settled before the run goes on: the next request is one that a provider takes", async () => {
    const { promise, resolve } = deferred();
    const calls = [
      { name: "look", args: { at: "fast" } },
      { name: "look", args: { at: "slow" } },
    ];
    const first = agentOn(fileLog(folder), [{ calls }], [], promise);
    await until(first.run("go", { runId: "r" }), "tool_result");
    const requests: string[] = [];
    const second = createAgent({
      name: "a",
      model: scriptedModel((request) => {
        requests.push(messageListProblem(request.messages) ?? "valid");
        return ["Good."];
      }),
      tools: [
        defineTool({ name: "look", description: "", input: z.object({ at: z.string() }), execute: () => "again" }),
      ],
      log: fileLog(folder),
    });
    agents.push(second);
    const answer = await second.resume("r", undefined, taken);
    if (!answer.accepted) throw new Error(answer.reason);
    expect(await answer.run.settled()).toMatchObject({ status: "interrupted", pending: [{ callId: "1.1" }] });
    await answer.run.resume("never mind");
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "Good." });
    expect(requests).toEqual(["valid"]);
    resolve();
    checkLog(await stored(fileLog(folder), "r"));
  });

  it("case 22 what was said and accepted is heard by the process that comes after", async () => {
    const { promise, resolve } = deferred();
    const first = agentOn(fileLog(folder), [{ calls: [{ name: "look", args: { at: "slow" } }] }], [], promise);
    const run = first.run("go", { runId: "r" });
    await until(run, "tool_start");
    expect(await run.send("and hurry", { id: "said" })).toMatchObject({ accepted: true });

    const second = agentOn(fileLog(folder), [["I hurry."]]);
    const answer = await second.resume("r", undefined, taken);
    if (!answer.accepted) throw new Error(answer.reason);
    await answer.run.settled();
    await answer.run.resume();
    await answer.run.settled();
    const events = await stored(fileLog(folder), "r");
    const receipts = events.filter((event) => event.type === "input_delivered" && event.data.id === "said");
    expect(receipts).toMatchObject([{ data: { delivered: true } }]);
    expect(answer.run.state.messages.map(({ content }) => content)).toContain("and hurry");
    resolve();
    checkLog(events);
  });

  it("case 29 resume goes on from the event: what had its effect is not run again", async () => {
    const gate = pause();
    const started: string[] = [];
    const first = agentOn(
      fileLog(folder),
      [
        { calls: [{ name: "look", args: { at: "one" } }] },
        { calls: [{ name: "look", args: { at: "two" } }] },
        ["half ", gate],
      ],
      started,
    );
    await until(first.run("go", { runId: "r" }), "token_stream");
    expect(started).toEqual(["1.0 one", "2.0 two"]);

    const second = agentOn(fileLog(folder), [["All seen."]], started);
    const answer = await second.resume("r", undefined, taken);
    if (!answer.accepted) throw new Error(answer.reason);
    expect(await answer.run.settled()).toMatchObject({ status: "done", output: "All seen.", steps: 3 });
    expect(started).toEqual(["1.0 one", "2.0 two"]);
    checkLog(await stored(fileLog(folder), "r"));
  });
});
