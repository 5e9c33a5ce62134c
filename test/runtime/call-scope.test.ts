import { describe, expect, it } from "vitest";
import { createAgent, defineTool, pause, scriptedModel, type Agent, type Run, type Tool } from "rubato";
import { z } from "zod";
import { enterCall, insideCall, leaveCall } from "../../runtime/call-scope.ts";
import { manualClock } from "../support/manual-clock.ts";

async function loop(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function tool(name: string, execute: () => unknown): Tool {
  return defineTool({ name, description: name, input: z.object({}), execute });
}

function calling(...names: string[]) {
  return scriptedModel((_request, index) => (index === 0 ? { calls: names.map((name) => ({ name })) } : "that is all"));
}

describe("the scope of a call", () => {
  it("holds across every kind of await, until the call is left", async () => {
    expect(insideCall("a")).toBe(false);
    const gate = pause();
    const seen: boolean[] = [];
    const work = enterCall("a", async () => {
      seen.push(insideCall("a"));
      await Promise.resolve();
      seen.push(insideCall("a"));
      await loop();
      await Promise.all([loop(), Promise.resolve()]);
      seen.push(insideCall("a"), insideCall("b"));
      await gate.pass(new AbortController().signal);
      seen.push(insideCall("a"));
    });
    expect(insideCall("a"), "the caller is outside").toBe(false);
    await gate.reached;
    expect(insideCall("a")).toBe(false);
    gate.open();
    await work;
    leaveCall();
    expect(seen).toEqual([true, true, true, false, true]);
    expect(insideCall("a")).toBe(false);
  });

  it("keeps runs apart that are interleaved, also when one leaves before the other and a third enters", async () => {
    const gates = [pause(), pause(), pause()];
    const seen: string[] = [];
    const enter = async (index: number): Promise<void> => {
      const runId = `r${index}`;
      await enterCall(runId, async () => {
        await gates[index]?.pass(new AbortController().signal);
        for (const other of ["r0", "r1", "r2"]) if (insideCall(other)) seen.push(`${runId} in ${other}`);
      });
      leaveCall();
    };
    const first = enter(0);
    const second = enter(1);
    gates[0]?.open();
    await first;
    const third = enter(2);
    gates[1]?.open();
    await second;
    gates[2]?.open();
    await third;
    expect(seen).toEqual(["r0 in r0", "r1 in r1", "r2 in r2"]);
    expect(insideCall("r2")).toBe(false);
  });

  it("begins anew after everybody left: nothing of the last scope is seen in the next", async () => {
    for (let round = 0; round < 3; round++) {
      const runId = `round${round}`;
      const seen = enterCall(runId, () => [insideCall(runId), insideCall(`round${round - 1}`)]);
      leaveCall();
      expect(seen).toEqual([true, false]);
    }
  });

  it("is over for work that the call left behind, once no tool runs", async () => {
    const gate = pause();
    let behind: Promise<boolean> | undefined;
    enterCall("a", () => {
      behind = gate.pass(new AbortController().signal).then(() => insideCall("a"));
    });
    leaveCall();
    gate.open();
    expect(await behind).toBe(false);
  });

  it("is left when the work throws", () => {
    expect(() =>
      enterCall("a", () => {
        throw new Error("x");
      }),
    ).toThrow("x");
    leaveCall();
    expect(insideCall("a")).toBe(false);
  });
});

describe("commands from inside a tool resolve when they are recorded", () => {
  it.each(["interrupt", "cancel"] as const)("%s of its own run", async (command) => {
    let run: Run | undefined;
    const answers: unknown[] = [];
    const stop = tool("stop", async () => {
      await loop();
      answers.push(command === "interrupt" ? await run?.interrupt("enough") : await run?.cancel("enough"));
      return "told";
    });
    run = createAgent({ name: "a", model: calling("stop"), tools: [stop] }).run("go");
    expect((await run.settled()).status).toBe(command === "interrupt" ? "interrupted" : "cancelled");
    expect(answers).toMatchObject([{ accepted: true }]);
    if (command === "interrupt") expect(answers).toMatchObject([{ effective: false }]);
    expect([...run.state.toolCalls.values()]).toMatchObject([{ outcome: "ok", output: "told" }]);
  });

  it("of its own run, from a tool of another run that it waits for", async () => {
    let outer: Run | undefined;
    let answer: unknown;
    const inner = createAgent({
      name: "inner",
      model: calling("stop"),
      tools: [
        tool("stop", async () => {
          await loop();
          answer = await outer?.interrupt("the whole tree");
          return "told";
        }),
      ],
    });
    const delegate = tool("delegate", async () => (await inner.run("go").settled()).status);
    outer = createAgent({ name: "outer", model: calling("delegate"), tools: [delegate] }).run("go");
    expect((await outer.settled()).status).toBe("interrupted");
    expect(answer, "else the two would wait for each other").toMatchObject({ accepted: true, effective: false });
    expect([...outer.state.toolCalls.values()]).toMatchObject([{ outcome: "ok", output: "done" }]);
  });

  it("of another run they wait until they are effective", async () => {
    const gate = pause();
    const other = createAgent({ name: "other", model: scriptedModel([["a b c", gate]]) }).run("go");
    await gate.reached;
    let answer: unknown;
    const stopOther = tool("stop_other", async () => {
      await loop();
      answer = await other.interrupt("you too", { mode: "now" });
    });
    const run = createAgent({ name: "a", model: calling("stop_other"), tools: [stopOther] }).run("go");
    expect((await run.settled()).status).toBe("done");
    expect(answer).toMatchObject({ accepted: true, effective: true, keptChars: 5 });
  });

  it("from outside they wait, also while a tool of that run executes and another run's listener looks on", async () => {
    const gate = pause();
    const hold = tool("hold", () => gate.pass(new AbortController().signal));
    const agent: Agent = createAgent({ name: "a", model: calling("hold", "hold"), tools: [hold] });
    const run = agent.run("go");
    await gate.reached;
    let effective = false;
    const stop = run.interrupt("after this step").then((receipt) => {
      effective = true;
      return receipt;
    });
    await loop();
    expect(effective).toBe(false);
    gate.open();
    expect(await stop).toMatchObject({ accepted: true, effective: true });
  });

  it("leave its scope once, also where it ends in the moment in which it is given up", async () => {
    for (let turns = 0; turns < 12; turns++) {
      const clock = manualClock();
      const [hold, deaf] = [pause(), pause()];
      const never = new AbortController().signal;
      let inside: boolean | undefined;
      const other: Run = createAgent({
        name: "other",
        model: calling("hold"),
        tools: [
          tool("hold", async () => {
            await hold.pass(never);
            inside = insideCall(other.id);
          }),
        ],
      }).run("go");
      const tools = [tool("deaf", () => deaf.pass(never))];
      const run = createAgent({ name: "a", model: calling("deaf"), tools, clock }).run("go");
      await Promise.all([hold.reached, deaf.reached]);
      const stopped = run.interrupt("stop", { mode: "now", graceMs: 10 });
      await loop();
      deaf.open();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      clock.advance(10);
      await stopped;
      hold.open();
      await other.settled();
      expect(inside, `after ${turns} turns`).toBe(true);
    }
  });

  it("of a tool that was given up wait like any others: it holds nothing up, and no later call is inside of it", async () => {
    const gate = pause();
    const over = pause();
    let own: Run | undefined;
    let seen: boolean | undefined;
    const deaf = tool("deaf", async () => {
      await gate.pass(new AbortController().signal);
      seen = insideCall(own?.id ?? "");
      over.open();
    });
    own = createAgent({ name: "a", model: calling("deaf"), tools: [deaf] }).run("go");
    await gate.reached;
    await own.interrupt("stop", { mode: "now", graceMs: 0 });
    expect([...own.state.toolCalls.values()]).toMatchObject([{ outcome: "unknown" }]);
    gate.open();
    await over.pass(new AbortController().signal);
    expect(seen).toBe(false);
    // Left once and no more: the next call is counted as before.
    let inside: boolean | undefined;
    const next: Run = createAgent({
      name: "b",
      model: calling("look"),
      tools: [
        tool("look", async () => {
          await loop();
          inside = insideCall(next.id);
        }),
      ],
    }).run("go");
    expect((await next.settled()).status).toBe("done");
    expect(inside).toBe(true);
  });
});
