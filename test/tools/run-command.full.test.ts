import { getEventListeners } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { readdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { createAgent, scriptedModel } from "rubato";
import { z } from "zod";
import { runCommand, type RunCommandOptions } from "../../tools/index.ts";
import { source } from "../project/child.ts";
import { fakeContext, makeSandbox, type Sandbox } from "./fixture.ts";

let box: Sandbox;
beforeEach(async () => {
  box = await makeSandbox();
});
afterEach(() => box.remove());

const answerSchema = z.strictObject({
  exitCode: z.number().nullable(),
  signal: z.string().nullable(),
  stdout: z.string(),
  stderr: z.string(),
});

async function run(
  command: string,
  args: string[] = [],
  { ctx = fakeContext(), cwd = ".", ...options }: Partial<RunCommandOptions> & { ctx?: Context; cwd?: string } = {},
) {
  return answerSchema.parse(await runCommand({ root: box.root, ...options }).execute({ command, args, cwd }, ctx));
}
type Context = ReturnType<typeof fakeContext>;

/** Runs JavaScript in a Node of its own. */
const js = (code: string, options?: Parameters<typeof run>[2]) => run(process.execPath, ["-e", code], options);

/** Until it is so: the test's own time limit is the limit. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10);
}

/** False for a process that is gone, or dead with nobody who asks for its end. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** The pid that a process wrote into a file of the root. */
async function pidIn(file: string): Promise<number> {
  const path = join(box.root, file);
  await until(() => existsSync(path) && readFileSync(path, "utf8").endsWith("\n"));
  const pid = Number(readFileSync(path, "utf8"));
  onTestFinished(() => {
    if (lives(pid)) process.kill(pid, "SIGKILL");
  });
  expect(lives(pid)).toBe(true);
  return pid;
}

const ownPid = (file: string) => `require("fs").writeFileSync(${JSON.stringify(file)}, process.pid + "\\n");`;
const stay = "setInterval(() => {}, 1000);";
const deaf = 'process.on("SIGTERM", () => {});';
const exitOnGo = 'setInterval(() => { if (require("fs").existsSync("go")) process.exit(0) }, 10);';
/** A program that starts another one, which starts nothing: the grandchild of the tool. */
const parentOf = (grandchild: string, stdio: "inherit" | "ignore" = "inherit") =>
  `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(grandchild)}], { stdio: "${stdio}" });`;

test("answers how a program ended and what it wrote, to both streams", async () => {
  expect(await js('console.log("out"); console.error("err"); process.exitCode = 3')).toEqual({
    exitCode: 3,
    signal: null,
    stdout: "out\n",
    stderr: "err\n",
  });
  expect(await js('process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000)')).toMatchObject({
    exitCode: null,
    signal: "SIGKILL",
  });
});

describe("no shell reads the arguments, and nothing else of this process reaches the program", () => {
  test("what a shell would act on is text", async () => {
    const args = [
      "$(touch evil)",
      "; touch evil",
      "`touch evil`",
      "| touch evil",
      "> evil",
      "*",
      "$HOME",
      "a b",
      '"',
      "",
    ];
    const { stdout } = await run(process.execPath, [
      "-e",
      "console.log(JSON.stringify(process.argv.slice(1)))",
      "--",
      ...args,
    ]);
    expect(JSON.parse(stdout)).toEqual(args);
    expect(await readdir(box.root)).toEqual([]);
    await expect(run("touch evil; true")).rejects.toThrow('There is no program "touch evil; true".');
    await expect(run("echo $(touch evil)")).rejects.toThrow("there is no shell");
    expect(await readdir(box.root)).toEqual([]);
  });

  test("children get no credentials: only what is known to be harmless", async () => {
    const secrets = [
      ..."OPENAI_API_KEY ANTHROPIC_API_KEY MY_TOKEN MY_SECRET MY_KEY AWS_ACCESS_KEY_ID AWS_PROFILE".split(" "),
      ..."GITHUB_TOKEN GITHUB_ENV DATABASE_URL PGPASSWORD SSH_AUTH_SOCK NODE_OPTIONS LC_MY_TOKEN path_key".split(" "),
    ];
    const before = { ...process.env };
    onTestFinished(() => {
      for (const name of [...secrets, "LANG"]) delete process.env[name];
      Object.assign(process.env, before);
    });
    for (const name of secrets) process.env[name] = name === "NODE_OPTIONS" ? "--no-warnings" : "s3cret";
    process.env["LANG"] = "C.UTF-8";
    const { stdout } = await js("console.log(JSON.stringify(process.env))", { env: { MINE: "given" } });
    expect(stdout).not.toContain("s3cret");
    const env = z.record(z.string(), z.string()).parse(JSON.parse(stdout));
    for (const name of secrets) expect(env).not.toHaveProperty(name);
    expect(env).toMatchObject({ PATH: process.env["PATH"], LANG: "C.UTF-8", MINE: "given" });
  });

  test("its input is at its end, and it has no terminal", async () => {
    expect(await run("cat")).toMatchObject({ exitCode: 0, stdout: "" });
    const { stdout } = await js('try { require("fs").openSync("/dev/tty") } catch (e) { console.log(e.code) }');
    expect(stdout).toBe("ENXIO\n");
  });

  test("a NUL byte is refused before anybody is asked", async () => {
    const tool = runCommand({ root: box.root });
    for (const args of [{ command: "ls\0-la" }, { command: "ls", args: ["a", "b\0c"] }]) {
      expect(await tool.prepare(args)).toMatchObject({
        message: expect.stringContaining("A NUL byte cannot be passed"),
      });
    }
    await expect(run("ls", ["."], { cwd: "a\0b" })).rejects.toThrow("The path contains a NUL byte.");
  });
});

describe("the folder is inside the root, by real path", () => {
  test("a folder below is", async () => {
    await box.write("root/below/a.txt", "");
    expect(await run("ls", [], { cwd: "below" })).toMatchObject({ stdout: "a.txt\n" });
    expect(await run("pwd", [], {})).toMatchObject({ stdout: `${box.root}\n` });
  });

  test("what leads out is refused, and what is no folder", async () => {
    await box.write("root-evil/x", "");
    await box.write("root/file", "");
    await symlink("../root-evil", join(box.root, "link"));
    for (const cwd of ["..", "../root-evil", "link", "/", "/proc/self/cwd", `${box.root}-evil`]) {
      await expect(run("ls", [], { cwd })).rejects.toThrow(`"${cwd}" is outside of the folder`);
    }
    await expect(run("ls", [], { cwd: "file" })).rejects.toThrow('"file" is not a folder.');
    await expect(run("ls", [], { cwd: "missing" })).rejects.toThrow('"missing" does not exist.');
  });
});

describe("a program that cannot be started is one clear sentence", () => {
  test.each([
    ["no-such-program", [], /^There is no program "no-such-program"\. Name the program alone in command/],
    ["ls -la", [], /^There is no program "ls -la"\. .* each argument in args: there is no shell\.$/],
    ["./file", [], /^"\.\/file" may not be run: permission denied\./],
    ["true", ["x".repeat(3_000_000)], /^The arguments of "true" are too long for the system\./],
  ])("%s", async (command, args, sentence) => {
    await box.write("root/file", "");
    await expect(run(command, args)).rejects.toThrow(sentence);
  });
});

describe("what it writes is bounded", () => {
  test("beginning and end are kept, and how much was left out is said", async () => {
    const { stdout, stderr } = await js(
      'process.stdout.write("<" + "a".repeat(200_000) + ">"); process.stderr.write("[" + "b".repeat(65_534) + "]")',
    );
    expect(stdout).toBe(`<${"a".repeat(32_767)}\n[... 134466 bytes left out ...]\n${"a".repeat(32_767)}>`);
    expect(stderr).toBe(`[${"b".repeat(65_534)}]`);
  });

  test("characters that come in pieces are whole, at the cuts too, and what is no UTF-8 is replaced", async () => {
    const ctx = fakeContext();
    const { stdout } = await js(
      'const b = Buffer.from("三😀"); let i = 0; const t = setInterval(() => { if (i < b.length) process.stdout.write(b.subarray(i, ++i)); else clearInterval(t) }, 60)',
      { ctx },
    );
    expect(stdout).toBe("三😀");
    expect(JSON.stringify(ctx.reported)).not.toContain("\uFFFD");
    expect((await js("process.stdout.write(Buffer.from([0x61, 0xff, 0x62, 0xe4]))")).stdout).toBe("a\uFFFDb\uFFFD");
    for (const shift of ["", "x", "xx", "xxx"]) {
      const cut = await js(`process.stdout.write(${JSON.stringify(shift)} + "三😀".repeat(20_000))`);
      expect(cut.stdout).toMatch(/^x*(三😀)+三?\n\[\.\.\. \d+ bytes left out \.\.\.\]\n😀?(三😀)+$/u);
      const kept = Buffer.byteLength(cut.stdout.replace(/\n.*\n/, ""));
      expect(kept + Number(/\d+/.exec(cut.stdout)?.[0])).toBe(shift.length + 140_000);
    }
  });

  test("it is reported while the program runs, in few pieces and up to a bound", async () => {
    const ctx = fakeContext();
    const pieces = z.array(z.strictObject({ stream: z.enum(["stdout", "stderr"]), text: z.string() }));
    const running = js(
      `${ownPid("pid")} console.error("ready"); process.on("SIGTERM", () => process.exit(7)); ${stay}`,
      { ctx },
    );
    await until(() => ctx.reported.length > 0);
    expect(ctx.reported).toEqual([{ stream: "stderr", text: "ready\n" }]);
    process.kill(await pidIn("pid"), "SIGTERM");
    expect(await running).toMatchObject({ exitCode: 7, stderr: "ready\n" });

    const loud = fakeContext();
    await js('for (let i = 0; i < 100_000; i++) process.stdout.write("三\\n")', { ctx: loud });
    const reported = pieces.parse(loud.reported);
    const text = reported.map((piece) => piece.text).join("");
    expect(text).toBe(`${"三\n".repeat(32_768)}\n[more is not shown while it runs]\n`);
    expect(reported.length).toBeLessThan(1000);
  });

  test("a progress that fails ends the program and the call", async () => {
    const ctx = fakeContext();
    ctx.progress = () => {
      throw new Error("no progress here");
    };
    await expect(js(`${ownPid("pid")} console.log("x"); ${stay}`, { ctx })).rejects.toThrow("no progress here");
    expect(lives(Number(readFileSync(join(box.root, "pid"), "utf8")))).toBe(false);
  });
});

describe("P16 the program and all that it started die as a group", () => {
  /** A call that can be aborted; its group of three has begun. */
  async function started(grandchild: string, child = "") {
    await Promise.all(["child", "grandchild"].map((file) => rm(join(box.root, file), { force: true })));
    const controller = new AbortController();
    const ctx = fakeContext(controller.signal);
    const middle = `${parentOf(ownPid("grandchild") + grandchild)} ${ownPid("child")} ${child} ${stay}`;
    const running = js(middle, { ctx });
    const pids = [await pidIn("child"), await pidIn("grandchild")];
    return { controller, running, pids };
  }

  test.each([
    ["when they stop by SIGTERM", "", ""],
    ["when the grandchild ignores SIGTERM", deaf, ""],
    ["when both ignore SIGTERM", deaf, deaf],
  ])("on an abort, %s", async (_name, grandchild, child) => {
    const { controller, running, pids } = await started(grandchild + stay, child);
    controller.abort(new Error("enough"));
    await expect(running).rejects.toThrow("The program was stopped before its end.");
    expect(pids.map(lives)).toEqual([false, false]);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  test("an abort is told by SIGTERM first, so that a program may put its things in order", async () => {
    const tidy = 'process.on("SIGTERM", () => { require("fs").writeFileSync("tidy", ""); process.exit(0) });';
    const { controller, running } = await started(stay, tidy);
    controller.abort();
    await expect(running).rejects.toThrow("stopped before its end");
    expect(existsSync(join(box.root, "tidy"))).toBe(true);
  });

  test.each(["inherit", "ignore"] as const)(
    "when the program ends and leaves one running (with its output: %s)",
    async (stdio) => {
      const code = `${parentOf(ownPid("left") + deaf + stay, stdio)} ${exitOnGo}`;
      const running = js(code);
      const pid = await pidIn("left");
      await box.write("root/go", "");
      expect(await running).toMatchObject({ exitCode: 0 });
      expect(lives(pid)).toBe(false);
    },
  );

  test("what the program's children still write when it ends is answered", async () => {
    // The grandchild sees the end of its parent, and says so.
    const grandchild = `${ownPid("grandchild")} const parent = process.ppid;
      const t = setInterval(() => { if (process.ppid !== parent) { console.log("late"); clearInterval(t); } }, 1);`;
    const running = js(`${parentOf(grandchild)} ${exitOnGo}`);
    await pidIn("grandchild");
    await box.write("root/go", "");
    expect(await running).toMatchObject({ exitCode: 0, stdout: "late\n" });
  });

  test("one that left the group is not waited for, although it holds the output", async () => {
    const code = parentOf(ownPid("away") + stay).replace('stdio: "inherit"', 'stdio: "inherit", detached: true');
    const running = js(`${code}${exitOnGo}`);
    const pid = await pidIn("away");
    await box.write("root/go", "");
    expect(await running).toMatchObject({ exitCode: 0 });
    expect(lives(pid)).toBe(true);
  });

  test("an aborted call starts nothing", async () => {
    const ctx = fakeContext(AbortSignal.abort(new Error("enough")));
    await expect(run("touch", ["evil"], { ctx })).rejects.toThrow("enough");
    expect(await readdir(box.root)).toEqual([]);
  });

  test("when the process that called the tool exits", async () => {
    const code = parentOf(ownPid("grandchild") + deaf + stay) + deaf + stay;
    const host = source(fileURLToPath(new URL("command-host.ts", import.meta.url)), box.root, code);
    const pid = await pidIn("grandchild");
    await box.write("root/go", "");
    expect(await host).toMatchObject({ code: 5 });
    await until(() => !lives(pid));
  });

  test("nothing of a call is left in this process: no handle, no timer, no listener", async () => {
    await js("");
    const before = process.getActiveResourcesInfo().length;
    const listeners = process.listenerCount("exit");
    for (let round = 0; round < 5; round++) {
      const { controller, running } = await started(stay);
      controller.abort();
      await expect(running).rejects.toThrow();
      await expect(run("no-such-program")).rejects.toThrow();
      await Promise.all([js("console.log(1)"), js("console.log(2)")]);
    }
    expect(process.listenerCount("exit")).toBe(listeners);
    await until(() => process.getActiveResourcesInfo().length <= before);
  });
});

test("P16, P18 an interrupt now, at a real run: the group is dead when it is effective, and its output is in the log", async () => {
  const code = `${parentOf(ownPid("grandchild") + stay)} console.log("at work"); ${stay}`;
  const agent = createAgent({
    name: "runner",
    model: scriptedModel([
      { calls: [{ name: "run_command", args: { command: process.execPath, args: ["-e", code] } }] },
      "done",
    ]),
    tools: [runCommand({ root: box.root, approval: "never" })],
  });
  const run = agent.run("go");
  const pid = await pidIn("grandchild");
  while ((await run.history("tool_progress")).length === 0) await sleep(10);
  expect(await run.interrupt("enough", { mode: "now" })).toMatchObject({ accepted: true });
  expect(lives(pid)).toBe(false);
  expect(await run.history("tool_progress")).toMatchObject([
    { data: { value: { stream: "stdout", text: "at work\n" } } },
  ]);
  expect(await run.history("tool_result")).toMatchObject([
    { data: { outcome: "aborted", error: { message: "The program was stopped before its end." } } },
  ]);
  await agent.close();
});
