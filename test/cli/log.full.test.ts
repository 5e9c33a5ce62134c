import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { rubato } from "./child.ts";
import { openPane, type Pane } from "./tmux.ts";

/** Conversations that outlive their process, in a real terminal. Needs tmux. */

const panes: Pane[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const pane of panes.splice(0)) await pane.close();
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newLog(): string {
  const folder = mkdtempSync(join(tmpdir(), "rubato-log-"));
  folders.push(folder);
  return join(folder, "runs");
}

async function open(log: string, args: readonly string[] = [], rows = 40): Promise<Pane> {
  const pane = await openPane(args, 100, rows, log);
  panes.push(pane);
  return pane;
}

const inLog = (log: string, ...argv: string[]): ReturnType<typeof rubato> => rubato(argv, "", { RUBATO_LOG: log });

describe("a conversation in the file log", { timeout: 600_000 }, () => {
  it("is stopped, left, and picked up where it was", async () => {
    const log = newLog();
    const first = await open(log);
    await first.until(/IDLE/);
    await first.keys("write a long answer about tides", "Enter");
    await first.until(/longer text about tides/);
    await first.keys("Escape");
    await first.until(/interrupted, step 1/);
    await first.keys("C-d");
    await first.until(/To go on: rubato --resume run_[\da-f]{8}\ncode 0/);
    const second = await open(log, ["--resume"]);
    const shown = await second.until(/interrupted, step 1, [\s\S]*: interrupted\. Enter goes on[\s\S]*INTERRUPTED/);
    expect(shown).toContain("› write a long answer about tides");
    expect(shown).toContain("longer text about tides");
    await second.keys("what is 17*23?", "Enter");
    await second.until(/17\*23 = 391\.[\s\S]*DONE/);
    const { out } = await inLog(log, "runs");
    expect(out.trimEnd().split("\n")).toHaveLength(2);
  });

  it("outlives kill -9, and is stopped from another process", async () => {
    const log = newLog();
    const first = await open(log);
    await first.until(/IDLE/);
    await first.keys("write a long answer about tides", "Enter");
    await first.until(/longer text about tides/);
    await first.kill();
    await first.until(/code 137/);
    expect((await inLog(log, "runs")).out).toContain("thinking, not running");
    const second = await open(log, ["--resume"]);
    await second.until(/its process ended in the middle of an answer \(step 1\)[\s\S]*INTERRUPTED/);
    await second.keys("Enter");
    await second.until(/\(goes on\)[\s\S]*longer text[\s\S]*THINKING/);
    const stopped = await inLog(log, "interrupt", "run_", "from elsewhere", "--now");
    expect(stopped.out).toMatch(/^interrupted, step 1, /);
    await second.until(/INTERRUPTED/);
  });

  it("is scrubbed by /log, forked by /fork", async () => {
    const pane = await open(newLog());
    await pane.until(/IDLE/);
    await pane.keys("list files in tools", "Enter");
    await pane.until(/DONE/);
    await pane.keys("/log", "Enter");
    await pane.until(/log (\d+)\/\1\n[^\n]* done [\s\S]*DONE · turn 1[\s\S]*q back/);
    await pane.keys("[");
    await pane.until(/thinking +step 2[\s\S]*THINKING\.REQUESTING · turn 1 · step 2/);
    await pane.keys("Left");
    await pane.until(/tool_result +1\.0 ok[\s\S]*THINKING\.PREPARING/);
    await pane.keys("Home");
    await pane.until(/log 1\/\d+\n[^\n]* run_start/);
    await pane.keys("Right", "Right");
    await pane.until(/log 3\/\d+\n/);
    await pane.keys("End");
    await pane.until(/log (\d+)\/\1\n/);
    await pane.keys("q");
    await pane.until(/› Go on/);
    await pane.keys("/fork 3", "Enter");
    await pane.until(/a copy of run_[\da-f]{8} up to seq 3[\s\S]*INTERRUPTED/);
    await pane.keys("/exit", "Enter");
    await pane.until(/code 0/);
  });
});

describe("replay in a terminal", { timeout: 600_000 }, () => {
  it("steps through a run and shows what the chart asked", async () => {
    const log = newLog();
    await inLog(log, "list files in tools");
    const pane = await open(log, ["replay", "run_", "--step"]);
    await pane.until(/seq 0\/\d+ \[-+\] +0 % +space\/→ event/);
    await pane.keys("Space", "Right");
    await pane.until(/THINKING[\s\S]*user_input[^\n]*\nseq 2\//);
    await pane.keys("Enter");
    await pane.until(/maySend yes → thinking\.requesting/);
    await pane.keys("Enter");
    await pane.until(/answerWantsTools yes → acting\.executing[\s\S]*settlesLast yes → thinking\.preparing/);
    await pane.keys("p");
    await pane.until(/standard\.ts[\s\S]*seq (\d+) of \1: done\ncode 0/);
  });

  it("is ended by q while it plays at its pace", async () => {
    const log = newLog();
    await inLog(log, "wait 2 seconds");
    const pane = await open(log, ["replay", "run_"]);
    await pane.until(/ACTING {3}step 1 · wait [\s\S]*space stops/);
    await pane.keys("q");
    await pane.until(/seq \d+ of \d+: acting\.executing\ncode 0/);
  });
});

describe("what is asked on a terminal", { timeout: 600_000 }, () => {
  it("prunes after a yes", async () => {
    const log = newLog();
    await inLog(log, "list files in tools");
    const pane = await open(log, ["runs", "prune"]);
    await pane.until(/Drops the deltas[\s\S]*Go on\? \[y\/N\]/);
    await pane.keys("y", "Enter");
    await pane.until(/\d+ deltas dropped\.\ncode 0/);
  });
});
