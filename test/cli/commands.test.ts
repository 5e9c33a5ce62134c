import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseEvent } from "rubato/machines";
import { bar, createProgress } from "../../runtime/cli/progress.ts";
import { durationOf } from "../../runtime/cli/duration.ts";
import { age } from "../../runtime/cli/format-runs.ts";
import { fileLog } from "../../runtime/log/file.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { pause } from "../../runtime/models/scripted.ts";
import { leftBehind } from "../support/left-behind.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { captured, slowTool, stage, type Stage, type StageOptions } from "./stage.ts";

const stages: Stage[] = [];
afterEach(async () => {
  for (const made of stages.splice(0)) await made.close();
});

function staged(options?: StageOptions): Stage {
  const made = stage(options);
  stages.push(made);
  return made;
}

/** A finished run and one that was left behind while it thought. */
async function twoRuns(): Promise<Stage> {
  const made = staged({ script: ["Paris is warm.", "Rome too."] });
  const agent = made.agent();
  await agent.run("How warm is Paris?", { runId: "run_11111111-a" }).settled();
  await agent.close();
  const [events = []] = await recordedLogs();
  const at = events.findIndex(({ type }) => type === "token_stream") + 1;
  const begun = events.slice(0, at).map((event) => ({ ...event, runId: "left" }));
  await made.log.append("left", { epoch: 1, events: begun });
  await made.log.release("left", 1);
  return made;
}

describe("runs", () => {
  it("lists them, the newest last, and says which are not running", async () => {
    const { rubato } = await twoRuns();
    const { code, out } = await rubato("runs");
    expect(code).toBe(0);
    const [head, first, second] = out.split("\n");
    expect(head).toMatch(/^RUN +STATUS +AGENT +EVENTS +AGE +TITLE$/);
    expect(first).toMatch(/^run_11111111 +done +rubato +\d+ +\d+ s +How warm is Paris\?$/);
    expect(second).toMatch(/^left +thinking, not running +recorded +\d+ +\d+ d +How is the weather\?$/);
  });

  it("narrows by status, and prints JSON", async () => {
    const { rubato } = await twoRuns();
    expect((await rubato("runs", "--status", "done", "--json")).out).toMatch(/^\{"runId":"run_11111111-a"[^\n]*\}\n$/);
    expect((await rubato("runs", "--status", "thinking")).out).toContain("left");
    expect((await rubato("runs", "--status", "not-running")).out.split("\n")).toHaveLength(3);
    expect((await rubato("runs", "--status", "failed")).err).toBe('No run is failed in "/home/ann/.rubato/runs".\n');
  });

  it("shows a damaged one with its problem", async () => {
    const { log } = await twoRuns();
    const damaged = {
      ...log,
      list: async () => (await log.list()).map((run) => ({ ...run, problem: "seq 3: its checksum is wrong" })),
    };
    const { rubato } = staged({ log: damaged });
    expect((await rubato("runs", "--status", "damaged")).out).toMatch(/left +damaged .*seq 3: its checksum is wrong/);
  });

  it("says so where there are none", async () => {
    const none = staged({ io: { openLog: () => undefined } });
    expect(await none.rubato("runs")).toEqual({
      code: 0,
      out: "",
      err: 'There are no runs in "/home/ann/.rubato/runs".\n',
    });
    expect(await none.rubato("show", "x")).toMatchObject({ code: 1, err: expect.stringContaining("does not exist") });
    expect(await none.rubato("resume", "--last")).toMatchObject({ code: 1, err: expect.stringContaining("no runs") });
  });

  it.each([
    [0, "0 s"],
    [59_000, "59 s"],
    [3_599_000, "59 min"],
    [172_799_000, "47 h"],
    [172_800_000, "2 d"],
  ])("an age of %d ms is %s", (ms, text) => {
    expect(age(ms)).toBe(text);
  });
});

describe("runs prune", () => {
  it("asks for --yes where nobody is there, and drops deltas with it", async () => {
    const { rubato, log } = await twoRuns();
    const before = await log.read("run_11111111-a", { after: 0, limit: 1_000 });
    const asked = await rubato("runs", "prune");
    expect(asked).toMatchObject({ code: 2, out: "", err: expect.stringMatching(/in 2 runs[\s\S]*--yes/) });
    expect(await log.read("run_11111111-a", { after: 0, limit: 1_000 })).toEqual(before);
    const done = await rubato("runs", "prune", "run_11111111-a", "--yes");
    expect(done).toMatchObject({ code: 0, out: "3 deltas dropped.\n" });
    expect((await rubato("show", "run_11", "--type", "gap")).out).toContain("3 deltas dropped, from seq 5");
  });

  it("deletes what is at rest and old, and nothing that could go on", async () => {
    const { rubato, log } = await twoRuns();
    const later = staged({
      log,
      io: { now: () => Date.now() + 8 * 86_400_000, keyboard: true, confirm: async () => true },
    });
    expect((await rubato("runs", "prune", "--older-than", "7d", "--yes")).err).toContain("Nothing to do");
    const { out, err } = await later.rubato("runs", "prune", "--older-than", "7d");
    expect(err).toContain("Deletes 1 run at rest for 7 d or longer, for good: run_11111111 (How warm is Paris?).");
    expect(out).toBe("1 run deleted.\n");
    expect((await log.list()).map(({ runId }) => runId)).toEqual(["left"]);
  });

  it("does nothing without a yes", async () => {
    const { log } = await twoRuns();
    const { rubato } = staged({ log, io: { keyboard: true } });
    expect(await rubato("runs", "prune")).toMatchObject({
      code: 0,
      out: "",
      err: expect.stringContaining("Nothing was done"),
    });
  });

  it.each([
    ["7d", 604_800_000],
    ["90s", 90_000],
    ["7", undefined],
    ["-1d", undefined],
    ["d", undefined],
  ])("reads %j", (text, ms) => {
    expect(durationOf(text)).toBe(ms);
  });
});

describe("show and export", () => {
  it("shows events, from a seq, of some types, for people and for programs", async () => {
    const { rubato } = await twoRuns();
    const { out } = await rubato("show", "run_1111");
    expect(out).toMatch(/^ +1 [\d:.]{12} run_start +rubato, model scripted\n/);
    expect(out.trimEnd().split("\n").at(-1)).toMatch(/done +1 steps, 14 characters$/);
    const json = (await rubato("show", "11111111", "--json", "--from", "3")).out.trimEnd().split("\n");
    expect(json.map((line) => parseEvent(JSON.parse(line)).seq)[0]).toBe(3);
    const some = (await rubato("show", "left", "--type", "tool_*,thinking")).out;
    expect(some).toMatch(/thinking/);
    expect(some).not.toMatch(/token_stream|message/);
  });

  it("shows the log of a newer version as it stands", async () => {
    const log = memoryLog();
    const [events = []] = await recordedLogs();
    const [start, ...rest] = events;
    if (start?.type !== "run_start") throw new Error("no start");
    const newer = { ...start, data: { ...start.data, schema: 2 } };
    await log.append("r", { epoch: 1, events: [newer, ...rest] });
    await log.release("r", 1);
    const { rubato } = staged({ log });
    expect((await rubato("show", "r")).out.trimEnd().split("\n")).toHaveLength(events.length);
    expect(await rubato("resume", "r")).toMatchObject({ code: 1, err: expect.stringMatching(/newer rubato[^\n]*\n$/) });
    expect(await rubato("verify", "r")).toMatchObject({ code: 1, err: expect.stringContaining("schema 2") });
  });

  it("exports lines of JSON, and never over a file", async () => {
    const { rubato, log } = await twoRuns();
    const folder = mkdtempSync(join(tmpdir(), "rubato-export-"));
    const file = join(folder, "run.jsonl");
    try {
      expect((await rubato("export", "left", "--out", file)).code).toBe(0);
      const stored = await log.read("left", { after: 0, limit: 1_000 });
      expect(
        readFileSync(file, "utf8")
          .trimEnd()
          .split("\n")
          .map((line) => parseEvent(JSON.parse(line))),
      ).toEqual(stored);
      expect((await rubato("export", "left", "--out", file)).err).toContain("exists already");
      expect((await rubato("export", "left", "--out", join(file, "x"))).err).toContain("cannot be written");
      expect((await rubato("export", "left")).out).toBe(readFileSync(file, "utf8"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("verify", () => {
  it("says ok with counts, or the first bad seq", async () => {
    const { rubato, log } = await twoRuns();
    expect((await rubato("verify", "left")).out).toMatch(/^left: ok, \d+ events, seq 1 to \d+\n$/);
    const { code, err } = await rubato("verify", "--all");
    expect([code, err]).toEqual([0, "2 runs, all ok.\n"]);
    const events = await log.read("left", { after: 0, limit: 1_000 });
    const [third] = events.slice(2);
    if (third === undefined) throw new Error("too short");
    await log.append("bad", {
      epoch: 1,
      events: [...events.slice(0, 2), { ...third, timestamp: 0 }].map((event) => ({
        ...event,
        runId: event.seq === 3 ? "x" : "bad",
      })),
    });
    await log.release("bad", 1);
    const all = await rubato("verify", "--all");
    expect(all).toMatchObject({ code: 1, err: "3 runs, 1 with a problem.\n" });
    expect(all.out).toMatch(/^bad: seq 3: /m);
    expect((await rubato("verify", "bad")).code).toBe(1);
  });
});

describe("a damaged log", () => {
  it("is one sentence with the seq, whatever is asked of it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-damaged-"));
    try {
      const made = staged({ log: fileLog(folder), script: ["Paris is warm."] });
      const agent = made.agent();
      await agent.run("hello", { runId: "r" }).settled();
      await agent.close();
      const [segment = ""] = readdirSync(join(folder, "r")).filter((name) => name.endsWith(".jsonl"));
      const path = join(folder, "r", segment);
      writeFileSync(path, readFileSync(path, "utf8").replace("hello", "HELLO"));
      const { rubato } = staged({ log: fileLog(folder) });
      const asked = [
        ["show"],
        ["replay"],
        ["resume"],
        ["export"],
        ["verify"],
        ["send", "hi"],
        ["interrupt"],
        ["fork", "--at", "3"],
      ];
      for (const [name = "", ...rest] of asked) {
        const { code, out, err } = await rubato(name, "r", ...rest);
        expect([name, code]).toEqual([name, 1]);
        const said = name === "verify" ? out : err;
        expect(said, name).toMatch(/seq 2\b/);
        expect(
          said
            .trimEnd()
            .split("\n")
            .filter((line) => !line.includes("run_start")),
          name,
        ).toHaveLength(1);
      }
      expect((await rubato("runs")).out).toMatch(/^r +damaged .*seq 2/m);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("chart", () => {
  it("prints a chart as Mermaid or as JSON", async () => {
    const { rubato } = staged();
    expect((await rubato("chart")).out).toMatch(/^stateDiagram-v2[\s\S]*thinking --> failed/);
    expect(JSON.parse((await rubato("chart", "--json")).out)).toMatchObject({ id: "agent", initial: "idle" });
    expect((await rubato("chart", "tool-call", "--mermaid")).out).toContain("awaiting_approval");
  });
});

describe("a run that works", () => {
  it("is interrupted, told why not, resumed and cancelled by commands", async () => {
    const gate = pause();
    const { rubato, agent } = staged({
      script: [{ calls: [{ name: "slow", args: {} }] }, "It slept.", "Bye."],
      tools: [slowTool(gate)],
    });
    const run = agent().run("sleep", { runId: "r" });
    for await (const event of run) if (event.type === "tool_start") break;
    const said = await rubato("send", "r", "and then wake up", "--done");
    expect(said).toMatchObject({ code: 0, out: expect.stringMatching(/^sent at seq \d+, heard after its answer\n$/) });
    expect(await rubato("resume", "r")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/another process has it[^\n]*\n$/),
    });
    const stopped = await rubato("interrupt", "r", "too", "slow", "--now", "--grace", "100");
    expect(stopped).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^interrupted, step 1, during slow \(aborted\), [\d.]+ ms\n$/),
    });
    expect(await rubato("interrupt", "r")).toMatchObject({ code: 1, err: "rubato: Run r: it is stopped already.\n" });
    expect((await rubato("cancel", "r", "enough")).out).toMatch(/^cancelled at seq \d+\n$/);
    expect(await rubato("send", "r", "hello?")).toMatchObject({ code: 1, err: expect.stringContaining("final") });
    expect(await rubato("resume", "r")).toMatchObject({ code: 1, err: expect.stringContaining("final") });
  });

  it("that nobody has goes on here: by send, and by resume until it rests", async () => {
    const { rubato } = await twoRuns();
    const sent = await rubato("send", "run_1", "And Rome?");
    expect(sent).toMatchObject({ code: 0, out: "Rome too.\n" });
    expect(await rubato("interrupt", "run_1")).toMatchObject({
      code: 1,
      err: expect.stringContaining("nothing is under way"),
    });
    expect(await rubato("resume", "run_1", "hm")).toMatchObject({
      code: 1,
      err: expect.stringContaining("rubato send run_1"),
    });
    expect(await rubato("resume", "--last")).toMatchObject({ code: 1 });
  });

  it("resume names what differs, goes on with --allow-changed, and says how to go on after a stop", async () => {
    const [events = []] = await recordedLogs();
    const begun = events.slice(0, events.findIndex(({ type }) => type === "tool_start") + 1);
    const log = await leftBehind(begun);
    const other = staged({ log, script: ["Whatever."] });
    expect(await other.rubato("resume", "r")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/begun by agent "recorded"[^\n]*\n$/),
    });
    expect(await other.rubato("interrupt", "r")).toMatchObject({
      code: 1,
      err: expect.stringContaining("--allow-changed"),
    });
  });

  it("resume says which call has no known outcome, and how to go on", async () => {
    const tools = [slowTool(pause())];
    const before = staged({ script: [{ calls: [{ name: "slow", args: {} }] }], tools });
    const run = before.agent().run("sleep", { runId: "r" });
    for await (const event of run) if (event.type === "tool_start") break;
    const begun = await before.log.read("r", { after: 0, limit: 1_000 });
    const { rubato } = staged({ log: await leftBehind(begun), tools });
    const { code, err } = await rubato("resume", "r");
    expect(code).toBe(130);
    expect(err).toMatch(
      /call 1\.0 of slow has no known outcome[^\n]*\nrubato: to go on: rubato resume r \["instruction"\]\n$/,
    );
  });
});

describe("fork and diff", () => {
  it("copies a run, goes on with it, and says where the two part", async () => {
    const { rubato, log } = await twoRuns();
    const at = (await log.read("run_11111111-a", { after: 0, limit: 1_000 })).findIndex(
      ({ type }) => type === "token_stream",
    );
    const { code, out, err } = await rubato("fork", "run_1", "--at", String(at));
    expect(code).toBe(0);
    const id = out.trim();
    expect(err).toBe(
      `fork of run_11111111 at seq ${at}: ${id}\nto go on: rubato resume ${id.slice(0, 12)} ["instruction"]\n`,
    );
    expect(await rubato("diff", "run_1111", id)).toMatchObject({
      code: 0,
      out: expect.stringContaining(`the same up to seq ${at}`),
    });
    const gone = await rubato("fork", "run_11111111-a", "--at", String(at), "Say it shorter.");
    expect(gone).toMatchObject({ code: 0, out: "Rome too.\n" });
    const [, , , last] = await log.list();
    const diff = (await rubato("diff", "run_11111111-a", last?.runId ?? "")).out;
    expect(diff).toMatch(/^- Paris is warm\.\n(\+ .*\n)*\+ Rome too\.$/m);
    expect(diff).toMatch(/^cost\n- 0 steps, .*\n\+ 1 step, /m);
    expect((await rubato("diff", id, id)).out).toContain("the same in all");
    expect(JSON.parse((await rubato("diff", "left", id, "--json")).out)).toMatchObject({ same: false });
  });

  it("takes another result for a call", async () => {
    const gate = pause();
    gate.open();
    const { rubato, agent, log } = staged({
      script: [{ calls: [{ name: "slow", args: {} }] }, "Fine.", "Odd."],
      tools: [slowTool(gate)],
    });
    await agent().run("sleep", { runId: "r" }).settled();
    const events = await log.read("r", { after: 0, limit: 1_000 });
    const at = events.findIndex(({ type }) => type === "tool_result") + 1;
    const { code, out, err } = await rubato("fork", "r", "--at", String(at), "--result", "1.0=42", "And now?");
    expect({ code, out }).toEqual({ code: 0, out: "Odd.\n" });
    expect(err).toContain("with other results of 1.0");
    const refused = await rubato("fork", "r", "--at", "9999");
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining(`a seq from 1 to ${events.length}`) });
  });
});

describe("wrong usage", () => {
  it.each([
    [["show"], /needs a run/],
    [["show", "a", "b"], /takes one run/],
    [["show", "a", "--speed", "2"], /has no option --speed/],
    [["show", "a", "--from", "x"], /--from must be/],
    [["show", "a", "--type", "nonsense"], /there are no events "nonsense"/],
    [["runs", "nonsense"], /knows "prune" only/],
    [["runs", "--status", "nonsense"], /--status must be/],
    [["runs", "--yes"], /for "runs prune"/],
    [["runs", "prune", "--older-than", "soon"], /--older-than must be/],
    [["runs", "prune", "a", "b"], /takes one run/],
    [["resume"], /needs a run/],
    [["send", "a"], /needs a text/],
    [["send", "a", "b", "--now", "--done"], /exclude each other/],
    [["interrupt"], /needs a run/],
    [["interrupt", "a", "--grace", "soon"], /--grace must be/],
    [["cancel"], /needs a run/],
    [["fork", "a"], /needs --at SEQ/],
    [["fork", "a", "--at", "1", "--result", "1.0"], /must be CALL=JSON/],
    [["fork", "a", "--at", "1", "--result", "1.0={"], /must be CALL=JSON/],
    [["diff", "a"], /needs two runs/],
    [["verify"], /--all/],
    [["verify", "a", "--all"], /exclude each other/],
    [["export", "a", "--out", ""], /name a file/],
    [["chart", "nonsense"], /two charts/],
    [["chart", "--json", "--mermaid"], /exclude each other/],
    [["chart", "--json", "--svg"], /exclude each other/],
    [["--log", "", "runs"], /--log must name/],
  ])("%j", async (argv, sentence) => {
    const { code, err } = await staged().rubato(...argv);
    expect(code).toBe(2);
    expect(err).toMatch(sentence);
  });

  it.each(["../x", "a/b", ".hidden", "x".repeat(129)])("%j is no run id", async (id) => {
    expect((await staged().rubato("show", id)).err).toContain("is no run id");
  });

  it("an id that is none, or may be several", async () => {
    const { rubato } = await twoRuns();
    expect((await rubato("show", "nope")).err).toBe(
      'There is no run "nope" in "/home/ann/.rubato/runs": rubato runs lists them.',
    );
    const agent = staged({ log: memoryLog(), script: ["a", "b"] });
    for (const runId of ["run_ab1", "run_ab2"]) await agent.agent().run("x", { runId }).settled();
    expect((await agent.rubato("show", "run_ab")).err).toBe('"run_ab" may be several runs: run_ab1, run_ab2.');
    expect((await agent.rubato("show", "ab1")).code).toBe(0);
  });
});

describe("the progress bar", () => {
  it("is drawn on a terminal only, after a while, and taken away", async () => {
    const err = captured();
    let at = 0;
    const io = { err, now: () => at, errColumns: 80 };
    const progress = createProgress(io, "verifying", 4);
    await progress.show(1);
    expect(err.text).toBe("");
    at = 400;
    await progress.show(2);
    expect(err.text).toContain(bar("verifying", 2, 4));
    await progress.end();
    expect(err.text.endsWith("\r\u001b[2K")).toBe(true);
    expect(bar("verifying", 1, 4)).toBe("verifying [######------------------]  25 %");
    const quiet = captured();
    const none = createProgress({ err: quiet, now: () => (at += 1_000), errColumns: undefined }, "verifying", 4);
    await none.show(3);
    await none.end();
    expect(quiet.text).toBe("");
  });
});
