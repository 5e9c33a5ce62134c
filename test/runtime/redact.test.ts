import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, verify, type Agent } from "rubato";
import { encodeState } from "rubato/machines";
import { scriptedModel } from "../../runtime/models/scripted.ts";
import { testAgent } from "../support/agents.ts";
import { checkLog, fold } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

const SECRET = "sk-12345 67890";
const redact = (text: string): string => text.replaceAll(SECRET, "[key]").replaceAll("sk-12345", "[half]");

const agents: Agent[] = [];
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.close()));
});

describe("redact, before append", () => {
  it("takes a secret out of everything that is recorded or shown, however it is cut into tokens", async () => {
    const shown: string[] = [];
    const seen: unknown[] = [];
    const leak = defineTool({
      name: "leak",
      description: "",
      input: z.object({ key: z.string() }),
      execute(input, ctx) {
        seen.push(input);
        ctx.progress({ at: [SECRET] });
        ctx.emit("note", { deep: { key: SECRET } });
        if (seen.length > 1) throw new Error(`no ${SECRET}`);
        return { answer: `it is ${SECRET}.` };
      },
    });
    const asked: string[] = [];
    const script = [
      [
        { type: "reasoning" as const, text: `think ${SECRET}` },
        "The key is sk-1",
        "23",
        "45 67",
        "890, all of it.\nNext line ",
        SECRET,
        { type: "tool_call" as const, index: 0, id: "a", name: "leak", args: '{"key":"sk-12' },
        { type: "tool_call" as const, index: 0, args: '345 67890"}' },
        { type: "finish" as const, finish: "tool_calls" as const },
      ],
      { calls: [{ name: "leak", args: { key: "none" } }] },
      [`done with ${SECRET}`],
    ];
    const { agent, log } = testAgent({
      redact,
      model: scriptedModel((request) => {
        asked.push(JSON.stringify(request.messages));
        return script[asked.length - 1] ?? ["?"];
      }),
      tools: [leak],
    });
    agents.push(agent);
    const run = agent.run(`use ${SECRET} please`, {
      runId: "r",
      metadata: { key: SECRET, list: [SECRET] },
      messages: [{ role: "user", content: `before: ${SECRET}` }],
    });
    run.subscribe("*", (event) => shown.push(JSON.stringify(event)));
    const outcome = await run.settled();
    expect(outcome).toMatchObject({ status: "done", output: "done with [key]" });
    const events = await stored(log, "r");
    for (const text of [...shown, ...asked, JSON.stringify(events), encodeState(run.state)]) {
      expect(text).not.toMatch(/sk-1|67890/);
    }
    expect(seen).toEqual([{ key: "[key]" }, { key: "none" }]);
    expect(JSON.stringify(events)).toContain("The key is [key], all of it.");
    // P6: the state is the fold of what was recorded.
    expect(encodeState(fold(events))).toBe(encodeState(run.state));
    checkLog(events);
    expect(await verify(log, "r")).toMatchObject({ ok: true });
  });

  it("also out of what is cancelled at rest, given to a fork, or brought along from an earlier conversation", async () => {
    const { agent, log } = testAgent({
      redact,
      model: scriptedModel([{ calls: [{ name: "quick", args: {} }] }, ["done"]]),
      tools: [defineTool({ name: "quick", description: "", input: z.object({}), execute: () => "ok" })],
    });
    agents.push(agent);
    const call = { callId: "0.0", providerCallId: "p", name: "quick", args: JSON.stringify({ key: SECRET }) };
    const run = agent.run("task", {
      runId: "r",
      messages: [
        { role: "assistant", content: "", toolCalls: [call] },
        { role: "tool", callId: "0.0", name: "quick", content: SECRET, outcome: "ok" },
      ],
    });
    await run.settled();
    const result = (await stored(log, "r")).find(({ type }) => type === "tool_result");
    const at = result?.seq ?? 0;
    const fork = await agent.fork("r", { at, runId: "f", results: { "1.0": { output: [SECRET] } } });
    expect(await fork.cancel(`no more of ${SECRET}`)).toMatchObject({ accepted: true });
    const failed = await agent.fork("r", { at, runId: "g", results: { "1.0": { error: SECRET } } });
    expect(failed.state.status).toBe("interrupted");
    for (const id of ["r", "f", "g"]) {
      expect(JSON.stringify(await stored(log, id)), id).not.toMatch(/sk-1|67890/);
      expect(await verify(log, id)).toMatchObject({ ok: true });
    }
  });

  it("P14 the arguments of a call stay those of its message, also where redacting twice is not the same as once", async () => {
    const { agent, log } = testAgent({
      redact: (text) => `<${text}>`,
      model: scriptedModel([{ calls: [{ name: "quick", args: { key: "x" } }] }, ["done"]]),
      tools: [
        defineTool({ name: "quick", description: "", input: z.object({ key: z.string() }), execute: () => "ok" }),
      ],
    });
    agents.push(agent);
    expect((await agent.run("task", { runId: "r" }).settled()).status).toBe("done");
    expect(await verify(log, "r")).toMatchObject({ ok: true });
  });

  it("one that throws or answers no text ends the run, and nothing is recorded as it was", async () => {
    for (const broken of [
      () => {
        throw new Error("broken");
      },
      (): string => JSON.parse("1"),
    ]) {
      const { agent, log } = testAgent({ redact: broken, model: scriptedModel([["x"]]) });
      agents.push(agent);
      const run = agent.run("task", { runId: "r" });
      expect(await run.settled()).toMatchObject({ status: "failed", error: { code: "internal" } });
      expect(JSON.stringify(await stored(log, "r"))).not.toContain("task");
    }
  });
});
