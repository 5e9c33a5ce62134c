import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createAgent, type Agent } from "../../runtime/agent.ts";
import { createConversation } from "../../runtime/cli/conversation.ts";
import { describeEvent } from "../../runtime/cli/describe-event.ts";
import { phaseOf } from "../../runtime/cli/keys.ts";
import { statusLine } from "../../runtime/cli/status-line.ts";
import { createTheme } from "../../runtime/cli/theme.ts";
import { createTranscript } from "../../runtime/cli/transcript.ts";
import { pause, scriptedModel, type Gate, type Script } from "../../runtime/models/scripted.ts";
import { defineTool, type Tool } from "../../tools/tool.ts";
import { manualClock } from "../support/manual-clock.ts";

const plain = createTheme(false);
const agents: Agent[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.close();
});

function stage(script: Script, tools: readonly Tool[] = [], maxSteps = 10) {
  const clock = manualClock();
  const agent = createAgent({ name: "test", model: scriptedModel(script), tools, maxSteps, clock });
  agents.push(agent);
  const transcript = createTranscript(plain);
  const conversation = createConversation(transcript);
  const lines: string[] = [];
  agent.subscribe("*", (event) => {
    conversation.follow(event);
    lines.push(describeEvent(event));
  });
  return { agent, clock, conversation, lines, rows: () => transcript.take(100).finished };
}

/** A tool that waits for the test, and for nothing when it is stopped. */
function slowTool(gate: Gate): Tool {
  return defineTool({
    name: "slow",
    description: "Waits.",
    input: z.object({ hours: z.number() }),
    async execute(_input, ctx) {
      ctx.progress({ elapsed: 1, total: 2 });
      await gate.pass(ctx.signal);
      if (ctx.signal.aborted) throw new Error("stopped");
      return "slept";
    },
  });
}

const asksForSlow = { text: "Let me wait.", calls: [{ name: "slow", args: { hours: 2 } }] };

describe("the transcript of a run", () => {
  it("shows what was said, called and answered", async () => {
    const gate = pause();
    gate.open();
    const { agent, rows } = stage([asksForSlow, "Done \u001b[31mwaiting."], [slowTool(gate)]);
    await agent.run("wait\u0007 please").settled();
    expect(rows()).toEqual([
      "",
      "› wait please",
      "",
      "Let me wait.",
      "",
      "· slow hours: 2",
      "  → slept",
      "",
      "Done waiting.",
    ]);
  });

  it("a stop within a sentence keeps it and says so", async () => {
    const gate = pause();
    const { agent, rows, conversation } = stage([["Half of a sent", gate], "The rest."]);
    const run = agent.run("talk");
    await gate.reached;
    expect(phaseOf(run.state)).toBe("thinking");
    await run.interrupt("", { mode: "now" });
    expect(phaseOf(run.state)).toBe("interrupted");
    expect(conversation.turn.answered).toBe(true);
    await run.resume();
    await run.settled();
    expect(rows()).toEqual([
      "",
      "› talk",
      "",
      "Half of a sent",
      "",
      "interrupted, step 1, mid-sentence, 14 characters kept, 0.0 ms",
      "(goes on)",
      "",
      "The rest.",
    ]);
  });

  it("a stop before the answer knows what the person said", async () => {
    const gate = pause();
    const { agent, rows, conversation } = stage([[gate, "never"]]);
    const run = agent.run("talk");
    await gate.reached;
    await run.interrupt("", { mode: "now" });
    expect(conversation.turn).toMatchObject({ answered: false, input: "talk" });
    expect(rows().at(-1)).toBe("interrupted, step 1, before the answer began, 0.0 ms");
  });

  it("a redirect goes on with the new words, and they come back when nothing answers them", async () => {
    const first = pause();
    const second = pause();
    const { agent, rows, conversation } = stage([
      ["It is.", first],
      [second, "never"],
    ]);
    const run = agent.run("talk");
    await first.reached;
    await run.send("of something else", { when: "now" });
    await second.reached;
    await run.interrupt("", { mode: "now" });
    expect(conversation.turn).toMatchObject({ answered: false, input: "of something else" });
    expect(rows()).toContain("redirected, step 1, after a sentence, 6 characters kept, 0.0 ms");
    expect(rows()).toEqual([]);
  });

  it("a tool that finishes its step, and one that is stopped", async () => {
    const gate = pause();
    const stopped = pause();
    const { agent, rows, clock } = stage([asksForSlow, asksForSlow], [slowTool(gate)]);
    const run = agent.run("wait");
    await gate.reached;
    const stop = run.interrupt("", { mode: "step" });
    clock.advance(2_000);
    gate.open();
    await stop;
    expect(rows().at(-1)).toBe("interrupted, step 1, after slow (ok), 2.0 s");

    const other = stage([asksForSlow], [slowTool(stopped)]);
    const second = other.agent.run("wait");
    await stopped.reached;
    await second.interrupt("", { mode: "now" });
    expect(other.rows().at(-1)).toBe("interrupted, step 1, during slow (aborted), 0.0 ms");
  });

  it("what waits is shown when it is heard", async () => {
    const gate = pause();
    const { agent, rows } = stage([["One.", gate], "Two.", "Three."]);
    const run = agent.run("first");
    await gate.reached;
    await run.send("last", { when: "done" });
    await run.send("second");
    gate.open();
    await run.settled();
    expect(rows().filter((row) => row !== "")).toEqual(["› first", "One.", "› second", "Two.", "› last", "Three."]);
  });

  it("a failure and a limit are one line each", async () => {
    const broken = stage([{ text: "So", error: "no\u001b]0;t\u0007 endpoint" }]);
    await broken.agent.run("talk").settled();
    expect(broken.rows().slice(-3)).toEqual(["So", "", "failed: no endpoint"]);

    const gate = pause();
    gate.open();
    const limited = stage([asksForSlow], [slowTool(gate)], 1);
    await limited.agent.run("wait").settled();
    expect(limited.rows().at(-1)).toBe("stopped at the limit of 1 step per turn (raise it with --max-steps)");
  });

  it("every event reads as one line without control characters", async () => {
    const gate = pause();
    gate.open();
    const { agent, lines } = stage([asksForSlow, "\u009b31mred\u202e"], [slowTool(gate)]);
    await agent.run("x\u0000\ny").settled();
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) expect(line).not.toMatch(/\p{Cc}|\u202e/u);
    expect(lines.join("\n")).toMatch(/ 2 [\d:.]{12} user_input {6}start: x y\n/);
  });
});

describe("the status line", () => {
  const none = { elapsedMs: 0, progress: new Map<string, string>() };

  it("shows the chart and, while a tool runs, its progress", async () => {
    const gate = pause();
    const { agent, conversation } = stage([asksForSlow, "Done."], [slowTool(gate)]);
    expect(statusLine(undefined, none, plain, 80)).toBe("IDLE > thinking > acting");
    const run = agent.run("wait");
    await gate.reached;
    const facts = { elapsedMs: 4_200, progress: conversation.progress };
    expect(statusLine(run.state, facts, plain, 80)).toBe("idle > thinking > ACTING   step 1 · slow 1/2 s · 4.2 s");
    const stop = run.interrupt("", { mode: "step" });
    expect(statusLine(run.state, facts, plain, 120)).toContain("ACTING   stops after this step · step 1 · slow 1/2 s");
    gate.open();
    await stop;
    expect(statusLine(run.state, facts, plain, 80)).toMatch(
      /^idle > thinking > acting > INTERRUPTED {3}step 1 · 4\.2 s/,
    );
  });

  it("estimates the tokens of an answer that streams, and says so", async () => {
    const gate = pause();
    const script: Script = [
      ["x".repeat(400), gate, { type: "finish", finish: "stop", usage: { inputTokens: 1_200, outputTokens: 99 } }],
    ];
    const { agent } = stage(script);
    const run = agent.run("talk");
    await gate.reached;
    expect(statusLine(run.state, none, plain, 80)).toBe("idle > THINKING > acting   step 1 · 0.0 s · ~100 tokens");
    gate.open();
    await run.settled();
    expect(statusLine(run.state, none, plain, 80)).toBe(
      "idle > thinking > acting > DONE   step 1 · 0.0 s · 1.2k in, 99 out",
    );
    expect(statusLine(run.state, none, plain, 45)).toBe("idle > thinking > acting > DONE   step 1 · 0…");
    expect(statusLine(run.state, none, plain, 10)).toBe("DONE");
  });
});
