import { setPriority } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { verify } from "rubato";
import { fileLog } from "../../runtime/log/file.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { checkLedger, inFolder, readLedger, recover, runChild, startChild } from "./recover.ts";
import { RUN_ID, type Scenario } from "./scenarios.ts";

/**
 * P21, I16: this many processes resume one run at once, and every third of them is stopped (SIGSTOP) in the middle of it for a while. One wins, the
 * others do nothing.
 */
export async function resumeAtOnce(count: number): Promise<void> {
  await inFolder(async (folder) => {
    const killed = await runChild(folder, "one_tool", ["effect", "1.0"]);
    expect(killed.signal).toBe("SIGKILL");
    const children = Array.from({ length: count }, () => startChild(folder, "one_tool", ["resume", "30"]));
    // Behind the test that runs beside this one: so many that start at once would starve it.
    if (count > 4) for (const { pid } of children) if (pid !== undefined) setPriority(pid, 10);
    await Promise.all(children.map((child) => child.says("ready")));
    const stopped = children.filter((_child, index) => index % 3 === 1);
    for (const child of children) child.go();
    for (const child of stopped) child.kill("SIGSTOP");
    // Those that were not stopped come to their end, whoever has the run; the winner may be among the stopped.
    await Promise.all(children.filter((child) => !stopped.includes(child)).map((child) => child.ended));
    for (const child of stopped) child.kill("SIGCONT");
    const ran = await Promise.all(children.map((child) => child.ended));
    const answers = ran.map(({ out, err }) => /ready\n(\w+)/.exec(out)?.[1] ?? err);
    expect(
      answers.filter((answer) => answer === "accepted"),
      answers.join(),
    ).toHaveLength(1);
    // One that looked when all was over was told so.
    for (const answer of answers) expect(["accepted", "owned", "done"]).toContain(answer);
    await checkAll(folder, "one_tool", `${count} resumers`);
  });
}

/** I16: an owner that is stopped, loses its run to another process, and goes on: nothing of its epoch enters the log, and nothing starts twice. */
export async function takeOverFromStopped(): Promise<void> {
  await inFolder(async (folder) => {
    // Long enough to be stopped in the middle of it, also by a process that gets no time for a while.
    const first = startChild(folder, "parallel", ["pace", "2000"]);
    await first.says("ready");
    // Until its tools run. What it began it can only end when they do.
    while (readLedger(folder).length === 0) await new Promise((resolve) => setImmediate(resolve));
    first.kill("SIGSTOP");
    expect(await fileLog(join(folder, "runs")).head(RUN_ID), "its tools were over before it was stopped").toMatchObject(
      {
        owned: true,
      },
    );
    const polite = startChild(folder, "parallel", ["resume", "1"]);
    await polite.says("ready");
    polite.go();
    expect((await polite.ended).out).toContain("owned");
    const second = startChild(folder, "parallel", ["takeover", "1"]);
    await second.says("ready");
    second.go();
    expect((await second.ended).out).toContain("accepted");
    const before = await stored(fileLog(join(folder, "runs")), RUN_ID);
    first.kill("SIGCONT");
    await first.ended;
    const after = await stored(fileLog(join(folder, "runs")), RUN_ID);
    expect(after).toEqual(before);
    await checkAll(folder, "parallel", "takeover");
  });
}

async function checkAll(folder: string, scenario: Scenario, where: string): Promise<void> {
  const log = fileLog(join(folder, "runs"));
  const events = await stored(log, RUN_ID);
  checkLog(events);
  expect(await verify(log, RUN_ID)).toMatchObject({ ok: true });
  // What is left to be done, the answer of a person about a call included, still can be.
  await recover(folder, scenario, where);
  checkLedger(await stored(log, RUN_ID), readLedger(folder), where);
}
