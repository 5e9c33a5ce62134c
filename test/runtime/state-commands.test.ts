import { expect, it } from "vitest";
import { z } from "zod";
import { defineTool, pause, scriptedModel, type Run } from "rubato";
import { quiet, testAgent } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

// P19 for real: runs that hold, driven there through the shell, and what each command is answered there. The same table over all states of the chart,
// without a shell, stands in test/machines/commands.test.ts.

const pay = defineTool({
  name: "pay",
  description: "",
  input: z.object({}),
  approval: "always",
  execute: () => "paid",
});
const note = defineTool({ name: "note", description: "", input: z.object({}), execute: () => "noted" });

interface Held {
  readonly run: Run;
  /** Lets go of what the run waits for, so that it can come to its end. */
  readonly finish: () => Promise<void>;
  readonly log: ReturnType<typeof testAgent>["log"];
}

const busy = Object.assign(new Error("busy"), { status: 503 });
const used = { inputTokens: 1, outputTokens: 9 };

const states = {
  async backoff(): Promise<Held> {
    const model = scriptedModel([{ error: busy }, "Done.", "More.", "More."]);
    const { agent, clock, log } = testAgent({ model, retry: { retries: 1, baseMs: 1_000 }, random: () => 0.5 });
    const run = agent.run("go");
    while (run.state.retry === undefined) await quiet();
    return { run, log, finish: async () => clock.advance(1_000) };
  },
  async waiting(): Promise<Held> {
    const model = scriptedModel([{ calls: [{ name: "pay" }] }, "Done.", "More.", "More."]);
    const { agent, log } = testAgent({ model, tools: [pay] });
    const run = agent.run("go");
    await run.settled();
    return { run, log, finish: async () => void (await run.approve("1.0")) };
  },
  async "waiting, one runs"(): Promise<Held> {
    const gate = pause();
    const slow = defineTool({
      name: "slow",
      description: "",
      input: z.object({}),
      execute: async (_input, ctx) => {
        await gate.pass(ctx.signal);
        ctx.signal.throwIfAborted();
        return "slow";
      },
    });
    const model = scriptedModel([{ calls: [{ name: "pay" }, { name: "slow" }] }, "Done.", "More.", "More."]);
    const { agent, log } = testAgent({ model, tools: [pay, slow] });
    const run = agent.run("go");
    await gate.reached;
    return {
      run,
      log,
      finish: async () => {
        gate.open();
        await run.approve("1.0");
      },
    };
  },
  async "at a budget"(): Promise<Held> {
    const model = scriptedModel([{ calls: [{ name: "note" }], usage: used }, "Done.", "More.", "More."]);
    const { agent, log } = testAgent({ model, tools: [note], budget: { outputTokens: 5 } });
    const run = agent.run("go");
    await run.settled();
    return { run, log, finish: async () => void (await run.resume(undefined, { budget: { outputTokens: 500 } })) };
  },
  async "at a maximum of steps"(): Promise<Held> {
    const model = scriptedModel([{ calls: [{ name: "note" }] }, "Done.", "More.", "More."]);
    const { agent, log } = testAgent({ model, tools: [note], maxSteps: 1 });
    const run = agent.run("go");
    await run.settled();
    return { run, log, finish: async () => void (await run.resume()) };
  },
} satisfies Record<string, () => Promise<Held>>;

const commands = {
  "interrupt step": (run: Run) => run.interrupt("", { mode: "step" }),
  "interrupt now": (run: Run) => run.interrupt("", { mode: "now" }),
  resume: (run: Run) => run.resume(),
  "resume budget": (run: Run) => run.resume("on", { budget: { outputTokens: 500 } }),
  "send now": (run: Run) => run.send("x", { when: "now" }),
  "send step": (run: Run) => run.send("x", { when: "step" }),
  "send done": (run: Run) => run.send("x", { when: "done" }),
  approve: (run: Run) => run.approve("1.0"),
  "approve others": (run: Run) => run.approve("1.0", { argsHash: "other" }),
  reject: (run: Run) => run.reject("1.0", "no"),
  settle: (run: Run) => run.settleCall("1.0", { output: 1 }),
  cancel: (run: Run) => run.cancel("enough"),
};

const yes = "yes";
const working = {
  "interrupt step": yes,
  "interrupt now": yes,
  resume: "running",
  "resume budget": "running",
  "send now": yes,
  "send step": yes,
  "send done": yes,
  settle: "not_unknown",
  cancel: yes,
};
const nothingWaits = { approve: "not_waiting", "approve others": "not_waiting", reject: "not_waiting" };
const oneWaits = { approve: yes, "approve others": "other_args", reject: yes };
const paused = {
  ...working,
  ...nothingWaits,
  "interrupt step": "already_interrupted",
  "interrupt now": "already_interrupted",
};
const expected: Record<keyof typeof states, Record<keyof typeof commands, string>> = {
  backoff: { ...working, ...nothingWaits },
  waiting: { ...working, ...oneWaits },
  "waiting, one runs": { ...working, ...oneWaits },
  "at a budget": { ...paused, resume: "limit", "resume budget": yes },
  "at a maximum of steps": { ...paused, resume: yes, "resume budget": yes },
};

it.each(Object.entries(states))(
  "P19 %s: each command has its one answer, leaves a valid log, and the run comes to rest",
  async (name, hold) => {
    const table: Readonly<Record<string, Readonly<Record<string, string>>>> = expected;
    for (const [command, give] of Object.entries(commands)) {
      const { run, finish, log } = await hold();
      const before = run.state.seq;
      const given = give(run);
      for (let turn = 0; turn < 3; turn++) await quiet();
      const { seq } = run.state;
      // An interrupt is effective when the tool that runs has ended.
      await finish();
      const answer = await given;
      const text = answer.accepted ? yes : answer.reason;
      expect(text, `${name}: ${command}`).toBe(table[name]?.[command]);
      if (!answer.accepted) expect(seq, `${name}: ${command} left the log as it was`).toBe(before);
      for (let turn = 0; turn < 30; turn++) await quiet();
      expect(["done", "interrupted", "cancelled"], `${name}: ${command}`).toContain(run.state.status);
      checkLog(await stored(log, run.id));
    }
  },
);
