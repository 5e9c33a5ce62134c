import { closeSync, fdatasync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgent, fileLog, type ChatModel, type Event, type EventLog } from "rubato";
import { openFileLog } from "../../../runtime/log/file.ts";
import { systemDisk } from "../../../runtime/log/file/writer.ts";
import { us } from "../support/format.ts";
import { handWrittenLoop } from "../support/hand-written.ts";
import { compare, interleave, timed } from "../support/interleave.ts";
import { steppingModel } from "../support/models.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { weatherTool } from "../support/weather.ts";

const STEPS = 200;

/** What one commit stored: its events, and the bytes that they took. */
interface Commit {
  readonly events: readonly Event[];
  readonly bytes: number;
}

/**
 * A run on disk against the hand-written loop that keeps the same record: a folder and a file of its own per run, and in as many commits, spread over
 * its steps, the same events as JSON lines (a token as no more than its time and text) in as many bytes.
 */
export const fileSteps: Row = {
  name: "file-steps",
  title: "one step with the file log",
  async measure({ quick }) {
    const lines: Line[] = [];
    const folder = mkdtempSync(join(tmpdir(), "rubato-bench-"));
    try {
      for (const durability of ["process", "power"] as const) {
        const commits = await record(join(folder, `recorded-${durability}`), durability);
        const log = fileLog(join(folder, durability), { durability });
        let runs = 0;
        const slow = durability === "power";
        const { loop, rubato, ratio } = compare(
          await interleave(
            quick ? { rounds: 3, warmup: 1 } : { rounds: slow ? 20 : 60, warmup: slow ? 3 : 15 },
            () => timed(() => loopOnce(join(folder, `loop-${durability}-${runs++}`), commits, slow)),
            () => timed(() => runOnce(log)),
          ),
        );
        await log.close?.();
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

async function record(folder: string, durability: "process" | "power"): Promise<Commit[]> {
  const commits: Commit[] = [];
  let bytes = 0;
  const disk = {
    ...systemDisk,
    write(fd: number, from: Uint8Array, at: number, length: number, position: number): number {
      bytes += length;
      return systemDisk.write(fd, from, at, length, position);
    },
  };
  const log = openFileLog(folder, { durability }, { disk });
  await runOnce({
    ...log,
    async append(runId, batch) {
      // A copy: events of the run that live on would teach the engine to make all events that follow, on one side alone, as long-lived objects.
      const events = structuredClone(batch.events);
      await log.append(runId, batch);
      commits.push({ events, bytes });
      bytes = 0;
      return undefined;
    },
  });
  await log.close?.();
  return commits;
}

async function runOnce(log: EventLog): Promise<void> {
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

async function loopOnce(folder: string, commits: readonly Commit[], sync: boolean): Promise<void> {
  mkdirSync(folder);
  const fd = openSync(join(folder, "run.jsonl"), "a");
  const perStep = commits.length / (STEPS + 1);
  const scratch = Buffer.alloc(65_536, " ");
  let done = 0;
  let due = 0;
  const commit = async (): Promise<void> => {
    for (due += perStep; done < due && done < commits.length; done++) {
      const { events, bytes } = commits[done] ?? { events: [], bytes: 0 };
      scratch.write(events.map(lineOf).join(""));
      writeSync(fd, scratch, 0, bytes);
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
  closeSync(fd);
  expect(messages.length === 2 * STEPS + 2, `the loop made ${messages.length} messages`);
}

function lineOf(event: Event): string {
  return `${JSON.stringify(event.type === "token_stream" ? [event.timestamp, event.data.text] : event)}\n`;
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
