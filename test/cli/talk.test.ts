import { afterEach, describe, expect, it } from "vitest";
import { createScrubber } from "../../runtime/cli/scrubber.ts";
import { createTalk, type Talk } from "../../runtime/cli/talk.ts";
import { createTheme } from "../../runtime/cli/theme.ts";
import { createTranscript } from "../../runtime/cli/transcript.ts";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { pause } from "../../runtime/models/scripted.ts";
import { leftBehind } from "../support/left-behind.ts";
import { slowTool, stage, type Stage, type StageOptions } from "./stage.ts";

const stages: Stage[] = [];
afterEach(async () => {
  for (const made of stages.splice(0)) await made.close();
});

interface Seat {
  readonly talk: Talk;
  readonly log: EventLog;
  /** Everything in the transcript so far. Resolves when it matches. */
  readonly until: (pattern: RegExp) => Promise<string>;
  readonly pickUp: (runId: string, allowChanged?: boolean) => Promise<void>;
}

/** A chat without a terminal. */
function sit(options: StageOptions): Seat {
  const made = stage(options);
  stages.push(made);
  const agent = made.agent();
  const transcript = createTranscript(createTheme(false));
  let text = "";
  let look = (): void => {};
  const onChange = (): void => {
    for (const row of transcript.take(200).finished) text += `${row}\n`;
    look();
  };
  const talk = createTalk({ agent, log: made.log, transcript, onChange });
  agent.subscribe("*", (event) => {
    talk.follow(event);
    onChange();
  });
  return {
    talk,
    log: made.log,
    until: (pattern) =>
      new Promise((resolve) => {
        look = () => {
          if (pattern.test(text)) resolve(text);
        };
        onChange();
      }),
    async pickUp(runId, allowChanged = false) {
      const { owned } = await made.log.head(runId);
      talk.pickUp(await agent.open(runId), { owned, allowChanged });
    },
  };
}

/** A log whose process died while a tool ran. */
async function diedInTool(): Promise<{ log: EventLog; tools: ReturnType<typeof slowTool>[] }> {
  const tools = [slowTool(pause())];
  const before = stage({ script: [{ text: "Let me see.", calls: [{ name: "slow", args: {} }] }], tools });
  stages.push(before);
  const run = before.agent().run("sleep", { runId: "r" });
  for await (const event of run) if (event.type === "tool_start") break;
  return { log: await leftBehind(await before.log.read("r", { after: 0, limit: 1_000 })), tools };
}

describe("picking up", () => {
  it("shows the conversation so far, and goes on with it", async () => {
    const first = stage({ script: ["Paris is warm."] });
    stages.push(first);
    const agent = first.agent();
    await agent.run("How warm is Paris?", { runId: "r" }).settled();
    await agent.close();
    const seat = sit({ log: first.log, script: ["Rome too."] });
    await seat.pickUp("r");
    const shown = await seat.until(/Run r, \d+ events: its answer is complete\./);
    expect(shown).toMatch(/^\n› How warm is Paris\?\n\nParis is warm\.\n/);
    seat.talk.say("And Rome?", "step");
    await seat.until(/› And Rome\?\n\nRome too\./);
  });

  it("shows whole answers where their deltas were pruned", async () => {
    const first = stage({ script: ["Paris is very warm today."] });
    stages.push(first);
    const agent = first.agent();
    await agent.run("How warm is Paris?", { runId: "r" }).settled();
    await agent.close();
    expect(await first.log.prune("r")).toBeGreaterThan(1);
    const seat = sit({ log: first.log });
    await seat.pickUp("r");
    expect(await seat.until(/complete/)).toContain("\nParis is very warm today.\n");
  });

  it("brings a run to rest whose process died, and lets somebody say how its call ended", async () => {
    const { log, tools } = await diedInTool();
    const seat = sit({ log, tools, script: ["It slept well."] });
    await seat.pickUp("r");
    const shown = await seat.until(/has no known outcome/);
    expect(shown).toMatch(/Run r, \d+ events: its process ended while slow ran \(step 1\)\./);
    expect(shown).toContain("Call 1.0 of slow has no known outcome. /settle 1.0 ok TEXT");
    expect(shown).not.toContain("interrupted,");
    expect(seat.talk.run?.state.value).toBe("interrupted.paused");
    seat.talk.settle("9.9", { output: 1 });
    await seat.until(/Not now: no such call/);
    seat.talk.settle("1.0", { output: "eight hours" });
    await seat.until(/→ eight hours/);
    seat.talk.resume(undefined, "keep");
    await seat.until(/It slept well\./);
  });

  it("says what differs from the agent that it was begun with, and goes on all the same when told to", async () => {
    const { log, tools } = await diedInTool();
    const changed = { log, tools, instructions: "Be short.", script: ["Short."] };
    const seat = sit(changed);
    await seat.pickUp("r");
    await seat.until(/the instructions changed\. Start with --resume --allow-changed/);
    const other = sit(changed);
    await other.pickUp("r", true);
    await other.until(/its process ended[\s\S]*Call 1\.0 of slow has no known outcome/);
    expect(other.talk.run?.state.status).toBe("interrupted");
  });

  it("follows a run that another process has, and its words go there", async () => {
    const gate = pause();
    const tools = [slowTool(gate)];
    const first = stage({ script: [{ calls: [{ name: "slow", args: {} }] }, "Good morning."], tools });
    stages.push(first);
    const run = first.agent().run("sleep", { runId: "r" });
    for await (const event of run) if (event.type === "tool_start") break;
    const seat = sit({ log: first.log, tools });
    await seat.pickUp("r");
    await seat.until(/another process works on it/);
    seat.talk.say("and wake up", "step");
    while (run.state.inputs.length === 0) await run.history("user_input", 1);
    gate.open();
    await seat.until(/› and wake up\n\nGood morning\./);
  });
});

it("follows a run that was taken from it", async () => {
  const tools = [slowTool(pause())];
  const seat = sit({ script: [{ calls: [{ name: "slow", args: {} }] }, "Hm."], tools });
  seat.talk.say("sleep", "step");
  await seat.until(/· slow/);
  const runId = seat.talk.run?.id ?? "";
  const other = stage({ log: seat.log, tools, script: ["Taken."] });
  stages.push(other);
  const taken = await other.agent().resume(runId, "mine now", { takeover: true });
  if (!taken.accepted) throw new Error(taken.reason);
  seat.talk.say("hello?", "step");
  await seat.until(/Another process took it over\./);
  await taken.run.settled();
  seat.talk.say("hello again", "step");
  await seat.until(/› mine now[\s\S]*Taken\./);
});

describe("forking", () => {
  it("goes on in a copy, and hears the old run no more", async () => {
    const seat = sit({ script: ["One two three.", "Four."] });
    seat.talk.fork(1);
    await seat.until(/nothing to fork yet/);
    seat.talk.say("count", "step");
    await seat.until(/One two three\./);
    await seat.talk.run?.settled();
    const first = seat.talk.run?.id;
    seat.talk.fork(6);
    await seat.until(/a copy of run_[\da-f]{8} up to seq 6/);
    expect(seat.talk.run?.id).not.toBe(first);
    seat.talk.say("go on", "step");
    await seat.until(/› go on\n\nFour\./);
    seat.talk.fork(9_999);
    await seat.until(/a seq from 1 to/);
  });
});

describe("scrubbing", () => {
  it("shows each event with the state at that moment, in both directions", async () => {
    const made = stage({ script: ["One two three.", "Four."] });
    stages.push(made);
    const agent = made.agent();
    const run = agent.run("count", { runId: "r" });
    await run.settled();
    await run.send("go on");
    await run.settled();
    const events = await made.log.read("r", { after: 0, limit: 1_000 });
    const last = events.length;
    const scrubber = createScrubber({ log: made.log, runId: "r", theme: createTheme(false), onChange() {} });
    const at = async (...keys: string[]): Promise<string[]> => {
      for (const key of keys) expect(scrubber.key(key)).toBe(true);
      await scrubber.idle;
      return scrubber.rows(120);
    };
    const [LEFT, RIGHT, HOME, END] = ["\u001b[D", "\u001b[C", "\u001b[H", "\u001b[F"];
    expect((await at())[0]).toBe(`log ${last}/${last}`);
    expect((await at(RIGHT))[0]).toBe(`log ${last}/${last}`);
    expect((await at(LEFT, LEFT))[0]).toBe(`log ${last - 2}/${last}`);
    const steps = events.filter(({ type }) => type === "thinking" || type === "done").map(({ seq }) => seq);
    for (const seq of steps.slice(0, -1).reverse()) expect((await at("["))[0]).toBe(`log ${seq}/${last}`);
    expect((await at("["))[0]).toBe(`log 1/${last}`);
    for (const seq of steps) expect((await at("]"))[0]).toBe(`log ${seq}/${last}`);
    expect(await at(HOME)).toEqual([
      `log 1/${last}`,
      expect.stringMatching(/^ +1 [\d:.]{12} run_start/),
      "IDLE · turn 0 · step 0 · 0 messages",
      "←/→ event   [/] step   Home/End   q back",
    ]);
    const token = events.findIndex(({ type }) => type === "token_stream") + 1;
    const rows = await at(...Array.from({ length: token - 1 }, () => RIGHT));
    expect(rows.slice(2, 4)).toEqual([
      "THINKING.STREAMING · turn 1 · step 1 · 1 message · ~1 tokens",
      "streams    …One",
    ]);
    expect((await at(END))[2]).toMatch(/^DONE · turn 2 · step 2 · 4 messages/);
    expect(scrubber.key("x")).toBe(true);
    expect(scrubber.key("q")).toBe(false);
  });

  it("jumps over what was pruned, and says why it cannot go on", async () => {
    const made = stage({ script: ["One two three four five."] });
    stages.push(made);
    const agent = made.agent();
    await agent.run("count", { runId: "r" }).settled();
    await agent.close();
    const dropped = await made.log.prune("r");
    const scrubber = createScrubber({ log: made.log, runId: "r", theme: createTheme(false), onChange() {} });
    await scrubber.idle;
    let seen = "";
    for (;;) {
      const before = scrubber.rows(120)[0];
      scrubber.key("\u001b[D");
      await scrubber.idle;
      seen += `${scrubber.rows(120)[1]}\n`;
      if (scrubber.rows(120)[0] === before) break;
    }
    expect(seen).toContain(`${dropped} deltas dropped`);
    expect(scrubber.rows(120)[0]).toMatch(/^log 1\//);
    await made.log.delete("r");
    scrubber.key("\u001b[F");
    await scrubber.idle;
    expect(scrubber.rows(120).join("\n")).toContain("not in the log any more");
  });
});
