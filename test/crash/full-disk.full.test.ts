import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, type TestContext } from "vitest";
import { z } from "zod";
import { createAgent, defineTool, fileLog, verify, type Agent, type EventLog } from "rubato";
import { openFileLog } from "../../runtime/log/file.ts";
import { systemDisk } from "../../runtime/log/file/writer.ts";
import { scriptedModel } from "../../runtime/models/scripted.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { inFolder } from "./recover.ts";

/** Writes long results until the log refuses; then, with room again, answers. */
function agentOn(log: EventLog, started: string[], enough: () => boolean): Agent {
  return createAgent({
    name: "full",
    maxSteps: 10_000,
    maxRepeats: 0,
    model: scriptedModel(() => (enough() ? ["The answer."] : { calls: [{ name: "fill", args: {} }] })),
    tools: [
      defineTool({
        name: "fill",
        description: "",
        input: z.object({}),
        idempotent: true,
        execute(_input, { callId, attempt }) {
          started.push(`${callId}/${attempt}`);
          return "x".repeat(20_000);
        },
      }),
    ],
    log,
  });
}

/** A small disk of its own, or the word that this was left out. */
async function onSmallDisk(test: TestContext, options: string, work: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (outer) => {
    const folder = join(outer, "small");
    mkdirSync(folder);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]).status !== 0) {
      console.warn("\nLeft out: a run on a disk that is really full or read-only (a tmpfs needs root).\n");
      test.skip();
    }
    try {
      await work(folder);
    } finally {
      spawnSync("umount", [folder]);
    }
  });
}

/** P1, P4: what ran had its licence on the disk, the log is whole, and the run goes on later. */
async function checkStopped(folder: string, started: readonly string[]): Promise<void> {
  const log = fileLog(folder);
  const events = await stored(log, "r");
  checkLog(events);
  expect(await verify(log, "r")).toMatchObject({ ok: true });
  const licences = events.flatMap((event) =>
    event.type === "tool_start" ? [`${event.data.callId}/${event.data.attempt}`] : [],
  );
  for (const execution of started) expect(licences, `P1 ${execution}`).toContain(execution);
}

async function goOn(folder: string, started: string[]): Promise<void> {
  const again = agentOn(fileLog(folder), started, () => true);
  const answer = await again.resume("r");
  if (!answer.accepted) throw new Error(answer.reason);
  expect(await answer.run.settled()).toMatchObject({ status: "done", output: "The answer." });
  await again.close();
  await checkStopped(folder, started);
}

it("P4 a full disk: one sentence, no effect without its licence, and it goes on when there is room", async (test) => {
  await onSmallDisk(test, "size=1m", async (disk) => {
    const folder = join(disk, "runs");
    writeFileSync(join(disk, "ballast"), "x".repeat(500_000));
    const started: string[] = [];
    const agent = agentOn(fileLog(folder), started, () => false);
    const outcome = await agent.run("fill it", { runId: "r" }).settled();
    expect(outcome).toMatchObject({ status: "failed", error: { code: "log" } });
    expect(outcome.error?.message).toMatch(/The disk is full/);
    await agent.close();
    await checkStopped(folder, started);
    expect(started.length).toBeGreaterThan(3);
    rmSync(join(disk, "ballast"));
    await goOn(folder, started);
  });
});

it("P4 a disk that becomes read-only: one sentence, nothing lost, and it goes on later", async (test) => {
  await onSmallDisk(test, "size=4m", async (disk) => {
    const folder = join(disk, "runs");
    const started: string[] = [];
    const first = agentOn(fileLog(folder), started, () => started.length >= 2);
    const run = first.run("fill it", { runId: "r" });
    expect((await run.settled()).status).toBe("done");
    await first.close();
    expect(spawnSync("mount", ["-o", "remount,ro", disk]).status).toBe(0);
    expect(() => fileLog(folder)).toThrow(/read-only/);
    expect(spawnSync("mount", ["-o", "remount,rw", disk]).status).toBe(0);
    const second = agentOn(fileLog(folder), started, () => true);
    const opened = await second.open("r");
    expect(await opened.send("again")).toMatchObject({ accepted: true });
    expect(await opened.settled()).toMatchObject({ status: "done", output: "The answer." });
    await second.close();
    await checkStopped(folder, started);
  });
});

it("P4 a failed fsync ends that writer: no effect starts, and another one verifies what is there", async () => {
  await inFolder(async (outer) => {
    const folder = join(outer, "runs");
    const started: string[] = [];
    let syncs = 0;
    const disk = {
      ...systemDisk,
      sync: async (fd: number): Promise<void> => {
        if (++syncs === 12) throw Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
        await systemDisk.sync(fd);
      },
    };
    const agent = agentOn(openFileLog(folder, { durability: "power" }, { disk }), started, () => false);
    const outcome = await agent.run("fill it", { runId: "r" }).settled();
    expect(outcome).toMatchObject({ status: "failed", error: { code: "log" } });
    await agent.close();
    expect(syncs, "a failed fsync is not tried again").toBe(12);
    await checkStopped(folder, started);
    await goOn(folder, started);
  });
});
