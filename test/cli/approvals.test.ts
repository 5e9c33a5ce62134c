import { afterEach, describe, expect, it } from "vitest";
import { createAsker, type Asker } from "../../runtime/cli/asker.ts";
import { createTalk, type Talk } from "../../runtime/cli/talk.ts";
import { createTheme } from "../../runtime/cli/theme.ts";
import { createTranscript } from "../../runtime/cli/transcript.ts";
import type { Run } from "../../runtime/run.ts";
import { pause } from "../../runtime/models/scripted.ts";
import { askUser } from "../../tools/index.ts";
import { actingTool, slowTool, stage, type Stage, type StageOptions } from "./stage.ts";

const stages: Stage[] = [];
afterEach(async () => {
  for (const made of stages.splice(0)) await made.close();
});

interface Seat {
  readonly made: Stage;
  readonly talk: Talk;
  readonly asker: Asker;
  /** Draws, and resolves with all that was shown once it matches. */
  readonly until: (pattern: RegExp) => Promise<string>;
  /** Types a line; what stands in the prompt then. */
  readonly type: (line: string) => string;
  readonly prompt: () => string;
  readonly run: () => Run;
  /** Goes on with a run that nobody has. */
  readonly pickUp: (runId: string) => Promise<void>;
}

/** A chat as a person has it who looks at every frame, without the terminal. */
function sit(options: StageOptions, blind = false): Seat {
  const made = stage(options);
  stages.push(made);
  const agent = made.agent();
  const transcript = createTranscript(createTheme(false));
  let text = "";
  let prompt = "";
  let look = (): void => {};
  const draw = (): void => {
    asker.follow(talk.asked);
    for (const row of transcript.take(100).finished) text += `${row}\n`;
    if (!blind) asker.drawn();
    look();
  };
  const talk: Talk = createTalk({ agent, log: made.log, transcript, onChange: draw });
  const asker = createAsker({
    transcript,
    approve: (callId, given, onUnfit) => {
      talk.approve(callId, given, onUnfit);
    },
    reject: (callId, reason) => {
      talk.reject(callId, reason);
    },
    onEdit: (edited) => {
      prompt = edited;
    },
  });
  agent.subscribe("*", (event) => {
    talk.follow(event);
    draw();
  });
  return {
    made,
    talk,
    asker,
    until: (pattern) =>
      new Promise((resolve) => {
        look = () => {
          if (pattern.test(text)) resolve(text);
        };
        draw();
      }),
    type(line) {
      asker.follow(talk.asked);
      prompt = asker.enter(line);
      draw();
      return prompt;
    },
    prompt: () => prompt,
    run() {
      if (talk.run === undefined) throw new Error("no run");
      return talk.run;
    },
    async pickUp(runId) {
      talk.pickUp(await agent.open(runId), { owned: false, allowChanged: false });
    },
  };
}

const calls = (...whats: string[]) => ({ calls: whats.map((what) => ({ name: "act", args: { what } })) });

describe("a call that waits", () => {
  it("is shown with all of its arguments, and runs after a yes", async () => {
    const { tool, ran } = actingTool();
    const what = `${"long ".repeat(60)}\u202e\u001b]52;c;ZXZpbA==\u0007end`;
    const seat = sit({ script: [calls(what), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    const shown = await seat.until(/\? act \(call 1\.0\) wants to run/);
    expect(shown.replaceAll(/\s+/g, " ")).toContain(
      String.raw`what: "${"long ".repeat(60)}\u202e\u001b]52;c;ZXZpbA==\u0007end"`,
    );
    expect(shown).not.toMatch(/\p{Cf}|[^\P{Cc}\n]/u);
    expect(seat.asker.hint).toBe("y approves, n [reason] rejects, e edits, a approves act from now on");
    expect(ran).toEqual([]);
    expect(seat.type("y")).toBe("");
    await seat.until(/\(act is allowed\)[\s\S]*Done\./);
    expect(ran).toEqual([{ what }]);
    expect(seat.asker.call).toBeUndefined();
  });

  it("does not run after a no, and the model hears the reason", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("x"), "As you wish."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    seat.type("n not on a Friday");
    await seat.until(/\(act is not allowed: not on a Friday\)\n {2}→ rejected: not on a Friday[\s\S]*As you wish\./);
    expect(ran).toEqual([]);
    expect(seat.run().state.messages.find(({ role }) => role === "tool")?.content).toContain("not on a Friday");
  });

  it("is edited: what is no JSON and what does not fit is asked again, the difference is shown before it is sent", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("all"), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    expect(seat.type("e")).toBe('{"what":"all"}');
    expect(seat.asker.editing).toBe(true);
    expect(seat.type('{"what":')).toBe('{"what":');
    await seat.until(/That is no JSON: [^\n]+\. Esc leaves it as it was\./);
    expect(seat.type('{"what":5}')).toBe("");
    await seat.until(/\? act \(call 1\.0\) with this instead\n {2}\{\n- {3}"what": "all"\n\+ {3}"what": 5\n {2}\}/);
    expect(seat.run().state.status).toBe("waiting");
    seat.type("y");
    await seat.until(/It was not run\. Invalid arguments: what: /);
    expect(seat.prompt()).toBe('{"what":5}');
    expect(seat.type('{"what":"one"}')).toBe("");
    await seat.until(/\+ {3}"what": "one"/);
    expect(ran).toEqual([]);
    seat.type("y");
    await seat.until(/\(act is allowed, with what: "one"\)[\s\S]*Done\./);
    expect(ran).toEqual([{ what: "one" }]);
  });

  it("an edit that is left, or changes nothing, is none", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("all"), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    seat.type("e");
    seat.asker.leaveEdit();
    seat.type("e");
    seat.type('{ "what": "all" }');
    await seat.until(/Nothing is changed\./);
    seat.type("y");
    await seat.until(/\(act is allowed\)[\s\S]*Done\./);
    expect(ran).toEqual([{ what: "all" }]);
  });

  it("approved for the rest of the run is asked about no more", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("a", "b"), calls("c"), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    seat.type("a");
    const shown = await seat.until(/allowed, for the rest of the run\)[\s\S]*Done\./);
    expect(shown.match(/wants to run/g)).toHaveLength(1);
    expect(ran).toEqual([{ what: "a" }, { what: "b" }, { what: "c" }]);
  });

  it("one of several is asked about after the other, in any order if one is named", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("a", "b", "c"), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/act \(call 1\.0\) wants to run/);
    expect(seat.asker.others).toEqual(['1.1 act what: "b"', '1.2 act what: "c"']);
    // It was never shown: naming it shows it.
    seat.asker.approve("1.2");
    await seat.until(/act \(call 1\.2\) wants to run\n {2}what: "c"/);
    expect(seat.run().state.pendingApprovals).toHaveLength(3);
    seat.type("y");
    // The first was shown before.
    await seat.until(/act is allowed/);
    expect(seat.asker.call?.callId).toBe("1.0");
    seat.asker.reject("1.1", "no b");
    await seat.until(/not allowed: no b/);
    seat.asker.approve("1.0");
    await seat.until(/Done\./);
    expect(ran).toEqual([{ what: "c" }, { what: "a" }]);
    seat.asker.approve("1.0");
    seat.asker.reject(undefined, "");
    await seat.until(/No such call waits for an approval\.[\s\S]*No call waits for an approval\./);
  });

  it("what is no answer comes to nothing, and stands there to be said to the model", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("a"), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    expect(seat.type("yes, but hurry")).toBe("/say yes, but hurry");
    await seat.until(/That is no answer/);
    expect(seat.run().state.status).toBe("waiting");
    expect(ran).toEqual([]);
    seat.talk.say("hurry", "step");
    seat.type("y");
    await seat.until(/› hurry[\s\S]*Done\./);
  });

  it("Q1: what was typed before it stood on the screen answers nothing", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("a"), "Done."], tools: [tool] }, true);
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    expect(seat.type("y")).toBe("/say y");
    seat.asker.approve("1.0");
    await seat.until(/look at it first[\s\S]*look at it first/);
    expect(ran).toEqual([]);
    expect(seat.run().state.status).toBe("waiting");
    seat.asker.drawn();
    seat.type("y");
    await seat.until(/Done\./);
  });

  it("Q3: is asked about no more once another process answers it, also within an edit", async () => {
    const { tool, ran } = actingTool();
    const seat = sit({ script: [calls("a"), "Done."], tools: [tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    seat.type("e");
    const other = stage({ log: seat.made.log, tools: [tool] });
    stages.push(other);
    const { code, out, err } = await other.rubato("approve", seat.run().id);
    expect({ code, out, err }).toEqual({
      code: 0,
      out: expect.stringMatching(/^recorded at seq \d+\n$/),
      err: 'approved: 1.0 act what: "a"\n',
    });
    await seat.until(/That call waits no more\.[\s\S]*Done\./);
    expect(seat.prompt()).toBe("");
    expect(ran).toEqual([{ what: "a" }]);
  });

  it("is skipped by a stop, and its running sibling ends first", async () => {
    const { tool, ran } = actingTool();
    const gate = pause();
    const script = [{ calls: [{ name: "slow", args: {} }, ...calls("a").calls] }, "Done."];
    const seat = sit({ script, tools: [slowTool(gate), tool] });
    seat.talk.say("act", "step");
    await seat.until(/wants to run/);
    await gate.reached;
    seat.talk.interrupt("step");
    await seat.until(/act: skipped/);
    expect(seat.asker.call).toBeUndefined();
    gate.open();
    await seat.until(/interrupted, step 1, after slow \(ok\), 1 call skipped/);
    expect(ran).toEqual([]);
  });

  it("that a process left waiting is asked about by whoever picks the run up", async () => {
    const { tool, ran } = actingTool();
    const first = stage({ script: [calls("a")], tools: [tool] });
    stages.push(first);
    const agent = first.agent();
    expect((await agent.run("act", { runId: "r" }).settled()).status).toBe("waiting");
    await agent.close();
    const seat = sit({ log: first.log, script: ["Done."], tools: [tool] });
    await seat.pickUp("r");
    const shown = await seat.until(/wants to run/);
    expect(shown).toMatch(/Run r, \d+ events: it waits for your answer\.\n\n\? act \(call 1\.0\) wants to run/);
    seat.type("y");
    await seat.until(/act is allowed/);
    await seat.run().settled();
    expect(ran).toEqual([{ what: "a" }]);
  });
});

describe("a question", () => {
  it("is answered by what is typed, or by the number of an option", async () => {
    const ask = (question: string, options?: string[]) => ({
      calls: [{ name: "ask_user", args: { question, ...(options === undefined ? {} : { options }) } }],
    });
    const seat = sit({ script: [ask("Which city?", ["Rome", "Oslo"]), ask("And why?"), "I see."], tools: [askUser] });
    seat.talk.say("ask", "step");
    await seat.until(/\? Which city\?\n {2}1\. Rome\n {2}2\. Oslo\n/);
    expect(seat.asker.hint).toBe("Type the answer, or the number of one");
    seat.asker.approve(undefined);
    await seat.until(/It asks a question: type the answer\./);
    seat.type("2");
    await seat.until(/› Oslo\n {2}→ Oslo[\s\S]*\? And why\?/);
    expect(seat.asker.hint).toBe("Type the answer");
    seat.type("y");
    await seat.until(/› y\n {2}→ y[\s\S]*I see\./);
  });
});
