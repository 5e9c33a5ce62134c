import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgent, type ChatModel } from "rubato";
import { openFileLog } from "../../../runtime/log/file.ts";
import { systemDisk } from "../../../runtime/log/file/writer.ts";
import { us } from "../support/format.ts";
import { handWrittenLoop } from "../support/hand-written.ts";
import { compare, interleave, timed } from "../support/interleave.ts";
import { steppingModel } from "../support/models.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { weatherTool } from "../support/weather.ts";

const STEPS = 100;

/** A run on disk against the hand-written loop that writes the same bytes, in as many commits, spread over its steps. */
export const fileSteps: Row = {
  name: "file-steps",
  title: "one step with the file log",
  async measure({ quick }) {
    const lines: Line[] = [];
    const folder = mkdtempSync(join(tmpdir(), "rubato-bench-"));
    try {
      for (const durability of ["process", "power"] as const) {
        const commits: number[] = [];
        const disk = {
          ...systemDisk,
          write(fd: number, bytes: Uint8Array, from: number, length: number, position: number): number {
            commits.push(length);
            return systemDisk.write(fd, bytes, from, length, position);
          },
        };
        const recorded = openFileLog(join(folder, `recorded-${durability}`), { durability }, { disk });
        await runOnce(recorded);
        const log = openFileLog(join(folder, durability), { durability });
        const fd = openSync(join(folder, `loop-${durability}`), "a");
        const slow = durability === "power";
        const { loop, rubato, ratio } = compare(
          await interleave(
            quick ? { rounds: 3, warmup: 1 } : { rounds: slow ? 20 : 60, warmup: slow ? 3 : 15 },
            () => timed(() => loopOnce(fd, commits, slow)),
            () => timed(() => runOnce(log)),
          ),
        );
        closeSync(fd);
        await log.close?.();
        await recorded.close?.();
        lines.push({
          what: `one step on disk, durability ${durability} (${(commits.length / STEPS).toFixed(1)} commits per step)`,
          loop: us(loop / STEPS),
          rubato: us(rubato / STEPS),
          ratio,
          target: "<= 2 x",
          met: ratio <= 2,
        });
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return lines;
  },
};

async function runOnce(log: ReturnType<typeof openFileLog>): Promise<void> {
  const agent = createAgent({
    name: "bench",
    model: steppingModel(STEPS),
    tools: [weatherTool],
    maxSteps: STEPS + 1,
    log,
  });
  const { status, steps } = await agent.run("task").settled();
  expect(status === "done" && steps === STEPS + 1, `a run on disk ended as ${status} after ${steps} steps`);
  await agent.close();
}

async function loopOnce(fd: number, commits: readonly number[], sync: boolean): Promise<void> {
  const bytes = Buffer.alloc(Math.max(...commits), "x");
  const perStep = commits.length / (STEPS + 1);
  let done = 0;
  let due = 0;
  const commit = async (): Promise<void> => {
    for (due += perStep; done < due && done < commits.length; done++) {
      writeSync(fd, bytes, 0, commits[done] ?? 0);
      if (sync) await synced(fd);
    }
  };
  const inner = steppingModel(STEPS);
  const model: ChatModel = {
    name: "bench",
    async *stream(request, options) {
      yield* inner.stream(request, options);
      await commit();
    },
  };
  const messages = await handWrittenLoop(model, "task");
  expect(messages.length === 2 * STEPS + 2, `the loop made ${messages.length} messages`);
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
