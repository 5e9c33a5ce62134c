import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAgent, defineTool, memoryLog, pause, scriptedModel } from "rubato";
import type { Event } from "rubato/machines";
import { z } from "zod";
import { fuzz } from "../../support/fuzz.ts";
import { fuzzRecovery } from "../../support/fuzz-recovery.ts";
import { leftBehind } from "../../support/left-behind.ts";
import { stored } from "../../support/logs.ts";
import { choices, randomLog } from "../../support/random-walk.ts";
import { Causes } from "../../../runtime/inspect/page/model/causes.ts";
import { whyHere } from "../../../runtime/inspect/page/model/why.ts";
import { golden, GOLDEN, recordingOf } from "./golden.ts";
import { causeProblems, HOSTILE, hostileProblems, whyProblems, wordProblems } from "./why-checks.ts";

/** A sample of what why.full.test.ts does with many more runs. */
describe("why did it stop here: against an oracle of the lines alone", () => {
  it.for(GOLDEN.map((name, at) => [name, HOSTILE[at % HOSTILE.length] ?? ""] as const))(
    "at every moment of %s",
    ([name, text]) => {
      const events = golden(name);
      expect(whyProblems(events)).toEqual([]);
      expect(causeProblems(events)).toEqual([]);
      expect(hostileProblems(events, text)).toEqual([]);
    },
  );

  it("at every moment of random runs, also of such that were taken over", async () => {
    const logs: (readonly Event[])[] = [];
    expect(await fuzz(1, 8, (events) => logs.push(events))).toEqual([]);
    expect(await fuzzRecovery(1, 3, (events) => logs.push(events))).toEqual([]);
    expect(logs.length).toBeGreaterThan(12);
    expect(logs.flatMap(whyProblems)).toEqual([]);
    expect(logs.flatMap(causeProblems)).toEqual([]);
  });

  it("is a sentence whatever the chart takes", () => {
    fc.assert(
      fc.property(choices, (list) => {
        expect(wordProblems(randomLog(list))).toEqual([]);
      }),
      { numRuns: 10 },
    );
  });
});

describe("why did it stop here: what seldom happens", () => {
  it("names the resume that led to the end, and not the answer that was stopped after", async () => {
    const gate = pause();
    const log = memoryLog();
    const agent = createAgent({ name: "a", model: scriptedModel([["It is", gate, " mild."]]), log });
    const run = agent.run("go", { runId: "r" });
    await gate.reached;
    const stopped = run.interrupt("wait", { mode: "step" });
    gate.open();
    await stopped;
    await run.resume();
    await run.settled();
    await agent.close();
    const events = await stored(log, "r");
    expect(whyProblems(events)).toEqual([]);
    expect(whyHere(recordingOf(events), events.length)).toContain(
      "(mayResumeComplete held: interrupted.paused → thinking.finishing)",
    );
  });

  it("names the calls whose outcome nobody knows (P12)", async () => {
    const input = z.object({});
    const never = defineTool({ name: "pay", description: "", input, execute: () => new Promise<never>(() => {}) });
    const parts = { name: "a", tools: [never] };
    const steps = [{ calls: [{ name: "pay", args: {} }] }, "Done."];
    const first = memoryLog();
    const died = createAgent({ ...parts, model: scriptedModel(steps), log: first, graceMs: 0 });
    for await (const { type } of died.run("go", { runId: "r" })) if (type === "tool_start") break;
    const log = await leftBehind(await stored(first, "r"));
    await died.close();
    const agent = createAgent({ ...parts, model: scriptedModel(["Done."]), log });
    const run = await agent.open("r");
    await run.interrupt("look", { mode: "now" });
    const events = await stored(log, "r");
    expect(whyProblems(events)).toEqual([]);
    expect(whyHere(recordingOf(events), events.length)).toMatch(
      / Nobody knows how 1\.0 pay ended: its process is gone\.$/,
    );
    await agent.close();
  });
});

describe("why did it stop here: where nobody can know", () => {
  it("says so at lines that could not be folded, and names no state as theirs", () => {
    const events = golden("interrupt-resume");
    const at = events.findIndex(({ type }) => type === "interrupt");
    const recording = recordingOf([...events.slice(0, at), ...events.slice(at + 1)]);
    expect(whyHere(recording, events.length)).toBe(
      `There is no state to explain at this line: the last that is known is seq ${at}, thinking.streaming.`,
    );
  });

  it("says at the last line of a recording that nothing came after it, and of a run that is followed only that it works", () => {
    const recording = recordingOf(golden("interrupt-resume").slice(0, 7));
    expect(whyHere(recording, 7)).toMatch(
      /^It has not stopped: .*\. Nothing is recorded after that: it works on, or is gone\.$/,
    );
    expect(whyHere(recording, 7, true)).not.toContain("gone");
    expect(whyHere(recording, 6)).not.toContain("gone");
  });
});

describe("what led to an event", () => {
  const line = (seq: number, type: string, data: object): object => ({ seq, timestamp: seq, runId: "r", type, data });

  it("follows from what it is of, where the log does not say it", () => {
    const causes = new Causes().catchUp(
      recordingOf([
        line(1, "run_start", {}),
        line(2, "user_input", { id: "a" }),
        line(3, "input_delivered", { id: "a" }),
        line(4, "thinking", {}),
        line(5, "message", {}),
        line(6, "tool_call", { callId: "__proto__" }),
        line(7, "approval_request", { callId: "__proto__" }),
        line(8, "deadline", { name: "approval", callId: "__proto__" }),
        line(9, "tool_start", { callId: "__proto__" }),
        line(10, "gap", { from: 10 }),
        line(11, "interrupt", { by: "tool" }),
        line(12, "deadline", { name: "wall_time" }),
        line(13, "resume", { by: "ada", budget: { wallMs: 5 } }),
        line(14, "deadline", { name: "wall_time" }),
        line(15, "interrupt", { by: "ada" }),
      ]).entries,
    );
    const found = Array.from({ length: 15 }, (_none, index) => causes.causeOf(index + 1));
    const [none] = [undefined];
    expect(found).toEqual([none, none, 2, none, 4, 5, 6, 7, 6, 9, 5, 1, none, 13, none]);
  });

  it("is found for an event whose recorded cause lies ahead", () => {
    const causes = new Causes().catchUp(
      recordingOf([line(1, "thinking", {}), { ...line(2, "message", {}), cause: 9 }]).entries,
    );
    expect(causes.chainOf(2)).toEqual([2, 1]);
  });
});
