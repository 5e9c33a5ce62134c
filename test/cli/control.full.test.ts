import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { deltaFrame, faultServer, type TestServer } from "../support/fault-server.ts";
import { start } from "./child.ts";
import { openPane, type Pane } from "./tmux.ts";

/** Approvals, retries and limits in a real terminal, as a person meets them. Needs tmux: without it these tests fail. */

const panes: Pane[] = [];
const servers: TestServer[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const pane of panes.splice(0)) await pane.close();
  for (const server of servers.splice(0)) await server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "rubato-control-"));
  folders.push(folder);
  return folder;
}

async function chat(args: readonly string[], log = "none", size: readonly [number, number] = [100, 45]): Promise<Pane> {
  const pane = await openPane(args, ...size, log);
  panes.push(pane);
  await pane.until(/IDLE|waits for your answer/);
  return pane;
}

/** A frame in which the model asks for a call. */
function callFrame(name: string, args: object) {
  const call = { index: 0, id: "c1", type: "function", function: { name, arguments: JSON.stringify(args) } };
  return deltaFrame({ tool_calls: [call] });
}

describe("a call that waits", { timeout: 600_000 }, () => {
  it("is approved, edited with a difference, rejected, one after the other", async () => {
    const root = tempFolder();
    const pane = await chat(["--root", root]);
    await pane.keys("write 'one' to a.txt and write 'two' to b.txt and run date", "Enter");
    const asked = await pane.until(
      /\? write_file \(call 1\.0\) wants to run\n {2}path: "a\.txt"\n {2}content: "one"\n/,
    );
    expect(asked).toMatch(/↳ also waits: 1\.1 write_file[^\n]*\n↳ also waits: 1\.2 run_command/);
    expect(asked).toMatch(/ACTING {3}step 1 · waits for you: write_file, write_file, run_command/);
    expect(asked).toContain("› y approves, n [reason] rejects, e edits, a approves write_file from now on");
    await pane.keys("y", "Enter");
    await pane.until(/\? write_file \(call 1\.1\) wants to run/);
    await pane.keys("e", "Enter");
    await pane.until(/Enter compares, Esc leaves it as it was[\s\S]*› \{"path":"b\.txt","content":"two"\}/);
    await pane.keys("C-u", '{"path":"b.txt","content":"three"}', "Enter");
    await pane.until(/with this instead\n[\s\S]*- {3}"content": "two"\n\+ {3}"content": "three"\n/);
    await pane.keys("y", "Enter");
    await pane.until(/\? run_command \(call 1\.2\) wants to run/);
    await pane.keys("n no clocks", "Enter");
    await pane.until(/\(run_command is not allowed: no clocks\)[\s\S]*You\s+said: "no clocks"[\s\S]*DONE/);
    expect(readFileSync(join(root, "a.txt"), "utf8")).toBe("one");
    expect(readFileSync(join(root, "b.txt"), "utf8")).toBe("three");
  });

  it("is allowed for the rest of the run, answered in words, and skipped by Esc", async () => {
    const pane = await chat([]);
    await pane.keys("run uname", "Enter");
    await pane.until(/wants to run/);
    await pane.keys("a", "Enter");
    await pane.until(/for the rest of the run\)[\s\S]*Linux[\s\S]*DONE/);
    await pane.keys("run uname -s and ask me which city: Paris, Rome or Oslo", "Enter");
    const asked = await pane.until(/\? Which city: [^\n]*\n {2}1\. Paris\n {2}2\. Rome\n {2}3\. Oslo/);
    expect(asked.match(/wants to run/g)).toHaveLength(1);
    await pane.keys("2", "Enter");
    await pane.until(/› Rome\n[\s\S]*You said: Rome[\s\S]*DONE/);
    await pane.keys("write 'x' to never.txt", "Enter");
    await pane.until(/write_file \(call \d\.0\) wants to run/);
    await pane.keys("Escape");
    await pane.until(/→ skipped[\s\S]*interrupted, step \d, before a tool ran, 1 call skipped[\s\S]*INTERRUPTED/);
  });

  it("is answered by another process, and by the next one after a kill", async () => {
    const log = join(tempFolder(), "runs");
    const pane = await chat([], log);
    await pane.keys("run uname", "Enter");
    await pane.until(/wants to run/);
    const listed = await start(["runs"], "", { RUBATO_LOG: log }).ended;
    const [, run = ""] = /waits: 1\.0 run_command [^\n]*reject (run_\w+) 1\.0\)/.exec(listed.out) ?? [];
    const approved = await start(["approve", run], "", { RUBATO_LOG: log }).ended;
    expect(approved).toMatchObject({ code: 0, out: expect.stringMatching(/^recorded at seq \d+\n$/) });
    await pane.until(/\(run_command is allowed\)[\s\S]*Linux[\s\S]*DONE/);
    await pane.keys("run uname -s", "Enter");
    await pane.until(/\(call 3\.0\) wants to run/);
    await pane.kill();
    await pane.until(/code 137/);
    const again = await chat(["--resume"], log);
    await again.until(/it waits for your answer\.[\s\S]*\(call 3\.0\) wants to run/);
    await again.keys("y", "Enter");
    await again.until(/\(run_command is allowed\)[\s\S]*DONE/);
  });

  it("shows hostile arguments as they are, and none of it reaches the terminal", async () => {
    const hostile = `safe\u001b]2;title\u0007\u001b]52;c;ZXZpbA==\u0007\u202egnp.exe\u009b31m${"\u200b x".repeat(200)} end`;
    const server = await faultServer([
      {
        frames: [callFrame("run_command", { command: "echo", args: [hostile] }), deltaFrame({}, "tool_calls")],
        end: "done",
      },
      { frames: [deltaFrame({ content: "Well." }), deltaFrame({}, "stop")], end: "done" },
    ]);
    servers.push(server);
    const pane = await chat(["--base-url", server.baseURL, "--model", "m"]);
    await pane.keys("hi", "Enter");
    await pane.until(/waits for you: run_command/);
    const shown = (await pane.history()).replaceAll(/\s+/g, " ");
    expect(shown).toContain(
      String.raw`safe\u001b]2;title\u0007\u001b]52;c;ZXZpbA==\u0007\u202egnp.exe\u009b31m\u200b x`,
    );
    expect(shown.match(/\\u200b x/g)?.length).toBeGreaterThanOrEqual(200);
    expect(shown).toContain("end");
    expect(shown).not.toMatch(/\p{Cf}/u);
    expect(await pane.read("pane_title")).not.toBe("title");
    await pane.keys("e", "Enter");
    await pane.until(/Enter compares/);
    expect(await pane.history()).not.toMatch(/\p{Cf}/u);
    await pane.keys("Escape");
    await pane.until(/y approves/);
    await pane.keys("n", "Enter");
    await pane.until(/Well\.[\s\S]*DONE/);
  });
});

describe("one task in a terminal", { timeout: 600_000 }, () => {
  it("asks line by line, and Ctrl-C leaves with 130", async () => {
    const root = tempFolder();
    const pane = await openPane(['write "hello" to notes.txt', "--root", root], 100, 30);
    panes.push(pane);
    await pane.until(
      /\? write_file \(call 1\.0\) wants to run\n {2}path: "notes\.txt"\n[\s\S]*a\(lways in this run\) >/,
    );
    await pane.keys("y", "Enter");
    await pane.until(/I wrote notes\.txt, 5 bytes\.\ncode 0/);
    expect(readFileSync(join(root, "notes.txt"), "utf8")).toBe("hello");
    const other = await openPane(["run uname"], 100, 30);
    panes.push(other);
    await other.until(/lways in this run\) >/);
    await other.keys("C-c");
    await other.until(/run_command → skipped\n[\s\S]*code 130/);
  });
});

describe("what goes wrong", { timeout: 600_000 }, () => {
  it("counts down to a retry, marks what was superseded, and names the model that goes on", async () => {
    const server = await faultServer([
      { frames: [deltaFrame({ content: "Half an ans" })], end: "close" },
      { status: 429, headers: { "retry-after": "6" }, body: { error: { message: "slow down" } } },
      { frames: [deltaFrame({ content: "All of it." }), deltaFrame({}, "stop")], end: "done" },
      { status: 401, body: { error: { message: "bad key" } } },
      { frames: [deltaFrame({ content: "From the other." }), deltaFrame({}, "stop")], end: "done" },
    ]);
    servers.push(server);
    const pane = await chat(["--base-url", server.baseURL, "--model", "one,two"]);
    await pane.keys("hi", "Enter");
    await pane.until(
      /Half an ans\n\n\(the answer broke off and begins again\)\n\(asked again in [\s\S]*THINKING[^\n]*retry 3 in 6 s: rate_limit/,
    );
    await pane.until(/retry 3 in [1-4] s: rate_limit/);
    await pane.until(/\(asked again in 6\.0 s: [\s\S]*All of it\.[\s\S]*DONE/);
    await pane.keys("more", "Enter");
    await pane.until(/model one failed \([\s\S]*\): two is asked\s+instead\n\nFrom the other\.[\s\S]*DONE/);
  });

  it("rests at a limit, says what to raise, and goes on with it", async () => {
    const pane = await chat(["--max-tokens", "1"]);
    await pane.keys("what is 2+2", "Enter");
    const stopped = await pane.until(
      /stopped at the limit of 1 output token \(\d+ used\)\n\/budget outputTokens=\d+ goes on/,
    );
    expect(stopped).toContain("INTERRUPTED");
    await pane.keys("Enter");
    await pane.until(/Not now: a budget is used up/);
    await pane.keys("/budget outputTokens=5000", "Enter");
    await pane.until(/\(goes on\)[\s\S]*2\+2 = 4\.[\s\S]*DONE/);
  });
});
