import { afterEach, describe, expect, it } from "vitest";
import { readBudget, raiseOf } from "../../runtime/cli/budget.ts";
import type { AskLine } from "../../runtime/cli/ask-line.ts";
import { createConversation } from "../../runtime/cli/conversation.ts";
import { describeEvent } from "../../runtime/cli/describe-event.ts";
import { describeLimit } from "../../runtime/cli/describe-limit.ts";
import { statusLine } from "../../runtime/cli/status-line.ts";
import { createTheme } from "../../runtime/cli/theme.ts";
import { createTranscript } from "../../runtime/cli/transcript.ts";
import { createAgent } from "../../runtime/agent.ts";
import { scriptedModel, type Script } from "../../runtime/models/scripted.ts";
import { askUser } from "../../tools/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { actingTool, stage, type Stage, type StageOptions } from "./stage.ts";

const stages: Stage[] = [];
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const made of [...stages.splice(0), ...open.splice(0)]) await made.close();
});

function staged(options?: StageOptions): Stage {
  const made = stage(options);
  stages.push(made);
  return made;
}

const calls = (...whats: string[]) => ({ calls: whats.map((what) => ({ name: "act", args: { what } })) });

/** A run that a process left waiting for a person. */
async function leftWaiting(options: StageOptions): Promise<Stage> {
  const first = staged(options);
  const agent = first.agent();
  expect((await agent.run("act", { runId: "r" }).settled()).status).toBe("waiting");
  await agent.close();
  return first;
}

describe("approve and reject", () => {
  it("answer the only call that waits and go on with a run that nobody has", async () => {
    const { tool, ran } = actingTool();
    const { log } = await leftWaiting({ script: [calls("x")], tools: [tool] });
    const { rubato } = staged({ log, script: ["Done."], tools: [tool] });
    const { code, out, err } = await rubato("approve", "r");
    expect({ code, out }).toEqual({ code: 0, out: "Done.\n" });
    expect(err).toBe('approved: 1.0 act what: "x"\n(act is allowed)\n  act → did x\n');
    expect(ran).toEqual([{ what: "x" }]);
    expect(await rubato("approve", "r")).toMatchObject({
      code: 1,
      err: "rubato: Run r: no call waits for an approval.\n",
    });
  });

  it("say which wait where there are several, and end with 3 while some do", async () => {
    const { tool, ran } = actingTool();
    const { log } = await leftWaiting({ script: [calls("x", "\u202ey\u001b]2;t\u0007")], tools: [tool] });
    const { rubato } = staged({ log, script: ["Done."], tools: [tool] });
    const several = await rubato("approve", "r");
    expect(several.code).toBe(2);
    expect(several.err).toBe(
      String.raw`rubato: Run r: several calls wait, name one:
  1.0 act what: "x"
    rubato approve r 1.0
  1.1 act what: "\u202ey\u001b]2;t\u0007"
    rubato approve r 1.1
`,
    );
    expect(await rubato("approve", "r", "2.0")).toMatchObject({
      code: 1,
      err: expect.stringContaining("call 2.0 does not wait"),
    });
    const one = await rubato("reject", "r", "1.0", "not", "x");
    expect(one.code).toBe(3);
    expect(one.err).toContain(
      String.raw`(act is not allowed: not x)
  act → rejected: not x
? act (call 1.1)
  what: "\u202ey\u001b]2;t\u0007"
rubato: to allow it: rubato approve r 1.1
rubato: to refuse it: rubato reject r 1.1 ["reason"]
`,
    );
    expect(one.err + several.err).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
    expect(await rubato("approve", "r", "--args", '{"what":"z"}')).toMatchObject({ code: 0, out: "Done.\n" });
    expect(ran).toEqual([{ what: "z" }]);
  });

  it("with arguments that do not fit, without an answer to a question, and with one", async () => {
    const { tool, ran } = actingTool();
    const script: Script = [
      { calls: [...calls("x").calls, { name: "ask_user", args: { question: "Which?", options: ["a"] } }] },
    ];
    const { log } = await leftWaiting({ script, tools: [tool, askUser] });
    const { rubato } = staged({ log, script: ["Done."], tools: [tool, askUser] });
    expect(await rubato("approve", "r", "1.0", "--args", '{"what":5}')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^rubato: Run r: Invalid arguments: what: [^\n]+\n$/),
    });
    expect(await rubato("approve", "r", "1.1")).toMatchObject({
      code: 1,
      err: expect.stringContaining("approve it with an answer"),
    });
    expect((await rubato("approve", "r", "1.0", "--for-run")).code).toBe(3);
    const { code, out } = await rubato("approve", "r", "1.1", "--answer", "a");
    expect({ code, out }).toEqual({ code: 0, out: "Done.\n" });
    expect(ran).toEqual([{ what: "x" }]);
    expect((await rubato("show", "r", "--type", "approval")).out).toMatch(
      /1\.0 allowed by user, and for the rest of the run\n.*1\.1 allowed by user, answer "a"\n/,
    );
  });

  it.each([
    [["approve"], '"approve" needs a run'],
    [["approve", "r", "1.0", "x"], "takes one call"],
    [["approve", "r", "--args", "{"], "--args: That is no JSON"],
    [["approve", "r", "--answer", " "], "--answer must not be empty"],
    [["reject"], '"reject" needs a run'],
    [["resume", "r", "--budget", "tokens=3"], "--budget: A budget is NAME=NUMBER"],
  ])("%j is wrong usage", async (argv, sentence) => {
    expect(await staged().rubato(...argv)).toMatchObject({ code: 2, err: expect.stringContaining(sentence) });
  });

  it("a run that waits is listed as such also when something is said to it meanwhile", async () => {
    const { tool } = actingTool();
    const made = staged({ script: [calls("x")], tools: [tool] });
    const agent = made.agent();
    const run = agent.run("act", { runId: "r" });
    await run.settled();
    await run.send("hurry");
    await agent.close();
    expect((await made.rubato("runs")).out).toMatch(/^r +waiting .*\n {2}waits: 1\.0 act/m);
  });

  it("runs, show and resume say what waits", async () => {
    const { tool } = actingTool();
    const { log } = await leftWaiting({ script: [calls("x")], tools: [tool] });
    const { rubato } = staged({ log, tools: [tool] });
    const waits = 'waits: 1.0 act what: "x" (rubato approve | reject r 1.0)';
    expect((await rubato("runs")).out).toMatch(/^r +waiting .*\n {2}waits: 1\.0 act/m);
    expect((await rubato("runs")).out).toContain(`  ${waits}\n`);
    expect((await rubato("show", "r")).err).toBe(`${waits}\n`);
    expect((await rubato("show", "r")).out).toMatch(/approval_request 1\.0 waits for a person, until \d{4}-/);
    expect(await rubato("resume", "r")).toMatchObject({
      code: 3,
      err: expect.stringMatching(/^\? act \(call 1\.0\)\n {2}what: "x"\nrubato: to allow it: rubato approve r 1\.0\n/),
    });
    expect((await rubato("replay", "r", "--to", "9")).out).toMatch(
      /call 1\.0 waits for an approval[\s\S]*asks {6}1\.0 act/,
    );
  });
});

describe("whoever sits at a terminal is asked line by line", () => {
  /** Answers the questions in turn; `undefined` leaves. */
  function person(...answers: (string | undefined)[]): { readonly askLine: AskLine; readonly asked: string[] } {
    const asked: string[] = [];
    return {
      asked,
      async askLine(question, { prefill = "" }) {
        asked.push(question + prefill);
        return answers.shift();
      },
    };
  }

  it("edits, sees the difference, approves for the run, answers a question", async () => {
    const { tool, ran } = actingTool();
    const script: Script = [
      calls("x"),
      { calls: [{ name: "ask_user", args: { question: "Which?", options: ["a", "b"] } }] },
    ];
    const { log } = await leftWaiting({ script: [calls("first")], tools: [tool, askUser] });
    const { askLine, asked } = person("what?", "e", '{"what":1}', "y", "e", "{", "e", '{"what":"mine"}', "", "a", "2");
    const { rubato } = staged({ log, script: [...script, "Done."], tools: [tool, askUser], io: { askLine } });
    const { code, out, err } = await rubato("reject", "r", "1.0");
    expect({ code, out }).toEqual({ code: 0, out: "Done.\n" });
    expect(ran).toEqual([{ what: "mine" }]);
    expect(asked.filter((question) => question.startsWith("arguments"))).toEqual([
      'arguments > {"what":"x"}',
      'arguments > {"what":"x"}',
      'arguments > {"what":"x"}',
    ]);
    expect(err).toMatch(/That is no answer\.[\s\S]*It was not run\. Invalid[\s\S]*That is no JSON/);
    expect(err).toContain('  {\n-   "what": "x"\n+   "what": "mine"\n  }\n');
    expect(err).toContain("? Which?\n  1. a\n  2. b\n");
    expect(err).toContain('(ask_user is allowed, with the answer "b")');
  });

  it("leaves: what waits is skipped, and the exit code is that of an interrupt", async () => {
    const { tool, ran } = actingTool();
    const { log } = await leftWaiting({ script: [calls("x")], tools: [tool] });
    const { askLine } = person(undefined);
    const { rubato } = staged({ log, script: [calls("y")], tools: [tool], io: { askLine } });
    const { code, err } = await rubato("approve", "r");
    expect(code).toBe(130);
    expect(err).toMatch(/act → skipped\nrubato: interrupted, /);
    expect(ran).toEqual([{ what: "x" }]);
  });
});

describe("limits", () => {
  it.each([
    [
      { kind: "max_steps", used: 1, max: 1 },
      "stopped at the limit of 1 step per turn (raise it with --max-steps)",
      undefined,
    ],
    [
      { kind: "output_tokens", used: 12, max: 10 },
      "stopped at the limit of 10 output tokens (12 used)",
      "outputTokens=24",
    ],
    [{ kind: "input_tokens", used: 1, max: 1 }, "stopped at the limit of 1 input token (1 used)", "inputTokens=2"],
    [{ kind: "tool_calls", used: 0, max: 0 }, "stopped at the limit of 0 tool calls (0 made)", "toolCalls=2"],
    [{ kind: "cost", used: 0.1234567, max: 0.1 }, "stopped at the limit of cost, 0.1 (0.123 spent)", "cost=0.25"],
    [
      { kind: "wall_time", used: 61_000, max: 60_000 },
      "stopped at the limit of 1:00 min of work (1:01 min worked)",
      "timeout=3m",
    ],
    [
      { kind: "repeats", used: 5, max: 5 },
      "stopped because it goes round in a circle: the same 5 times, with the same results",
      undefined,
    ],
    [{ kind: "of tomorrow\u0007", used: 1, max: 2 }, "stopped at the limit of tomorrow (1 of 2)", undefined],
  ])("%j", (limit, sentence, more) => {
    const data = { ...limit, raise: "" };
    expect(describeLimit(data)).toBe(sentence);
    expect(raiseOf(data)).toBe(more);
    if (more !== undefined)
      expect(readBudget([more])).toEqual({ [Object.keys(readBudget([more]))[0] ?? ""]: expect.any(Number) });
  });

  it.each([
    [["outputTokens=20000"], { outputTokens: 20_000 }],
    [["toolCalls=3,cost=0.5", "timeout=10m maxSteps=4"], { toolCalls: 3, cost: 0.5, wallMs: 600_000, maxSteps: 4 }],
    [[], undefined],
    [["tokens=3"], undefined],
    [["outputTokens=1.5"], undefined],
    [["outputTokens=-1"], undefined],
    [["maxSteps=0"], undefined],
    [["timeout=10"], undefined],
    [["__proto__=1"], undefined],
  ])("reads %j", (words, budget) => {
    const read = readBudget(words);
    if (budget === undefined) expect(read).toMatch(/^A budget is NAME=NUMBER with outputTokens/);
    else expect(read).toEqual(budget);
  });

  it("are told with what to type, and raised", async () => {
    const { tool, ran } = actingTool();
    const more = { budget: { toolCalls: 1 }, approval: "never" as const };
    const first = staged({ script: [calls("a"), calls("b")], tools: [tool], more });
    const agent = first.agent();
    expect((await agent.run("act", { runId: "r" }).settled()).status).toBe("interrupted");
    await agent.close();
    const { rubato } = staged({ log: first.log, script: [calls("b"), "Done."], tools: [tool], more });
    const sentence = "stopped at the limit of 1 tool call (1 made) (rubato resume r --budget toolCalls=2)";
    expect((await rubato("runs")).out).toContain(`  ${sentence}\n`);
    expect((await rubato("show", "r")).err).toBe(`${sentence}\n`);
    expect(await rubato("resume", "r")).toMatchObject({ code: 1, err: `rubato: Run r: ${sentence}.\n` });
    expect(await rubato("resume", "r", "--budget", "toolCalls=2")).toMatchObject({ code: 0, out: "Done.\n" });
    expect(ran).toEqual([{ what: "a" }, { what: "b" }]);
    expect((await rubato("show", "r", "--type", "resume")).out).toMatch(/partial keep, up to toolCalls 2\n$/);
  });
});

describe("a request that fails", () => {
  const endless = () => 0.999;
  const network = Object.assign(new Error("lost\u001b[2J"), { code: "ECONNRESET" });

  function talk(script: Script, models: readonly string[] = ["first"]) {
    const clock = manualClock();
    const scripted = scriptedModel(script);
    const named = models.map((name) => ({ name, stream: scripted.stream.bind(scripted) }));
    const agent = createAgent({
      name: "test",
      model: named,
      clock,
      random: endless,
      retry: { retries: 1, baseMs: 3_000 },
    });
    open.push(agent);
    const transcript = createTranscript(createTheme(false));
    const conversation = createConversation(transcript);
    const lines: string[] = [];
    agent.subscribe("*", (event) => {
      conversation.follow(event);
      if (event.type === "retry" || event.type === "retry_due") lines.push(describeEvent(event).slice(18));
    });
    return { agent, clock, conversation, lines, rows: () => transcript.take(200).finished.filter((row) => row !== "") };
  }

  it("counts down to the next attempt, and what the one before said is marked as such", async () => {
    const script: Script = [{ text: "Half an ans", error: network }, "All of it."];
    const { agent, clock, conversation, lines, rows } = talk(script);
    const run = agent.run("talk");
    await run.history();
    while (run.state.retry === undefined) await new Promise(setImmediate);
    const status = () =>
      statusLine(
        run.state,
        { elapsedMs: 0, progress: new Map(), retryFor: conversation.turn.retryFor, now: clock.now() },
        createTheme(false),
        100,
      );
    expect(status()).toContain("retry 2 in 3 s");
    clock.advance(1_500);
    expect(status()).toContain("retry 2 in 2 s");
    clock.advance(3_000);
    await run.settled();
    expect(rows()).toEqual([
      "› talk",
      "Half an ans",
      "(the answer broke off and begins again)",
      expect.stringMatching(/^\(asked again in 3\.0 s: .*lost.*\)$/),
      "All of it.",
    ]);
    expect(rows().join("")).not.toMatch(/[^\P{Cc}\n]/u);
    expect(lines.join("\n")).toMatch(
      /^.*asked again in 3\.0 s, attempt 2, 11 characters superseded: .*\n.*the wait is over, attempt 2 begins$/,
    );
  });

  it("for good goes to the next model, and says so", async () => {
    const { agent, lines, rows } = talk([{ error: "no such model" }, "From the second."], ["one", "two"]);
    await agent.run("talk").settled();
    expect(rows()).toEqual([
      "› talk",
      expect.stringMatching(/^model one failed \(.*no such model.*\): two is asked instead$/),
      "From the second.",
    ]);
    expect(lines[0]).toMatch(/another model is asked \(number 2 of the list\), attempt 2: /);
  });
});
