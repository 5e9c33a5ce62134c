import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { createAgent, fileLog, type Overflow, type Run } from "rubato";
import { serve } from "rubato/server";
import { talkingModel } from "../bench/support/models.ts";

/** What one slow reader did to the process that it read from. */
export interface SlowReport {
  /** The most resident memory while the run worked, above what the process had before. */
  readonly growthMiB: number;
  /** Of the run. */
  readonly ms: number;
  /** Events, for a client on the line an estimate from its bytes, that the reader had at the end of the run. */
  readonly delivered: number;
}

/** The reader takes so many events, and then waits a millisecond: 5,000 a second at most, where a run makes half a million. */
const PACE = 5;
/** Of a token as it comes over the line, about. */
const EVENT_BYTES = 180;

const [way = "", tokens = ""] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "rubato-slow-"));
const agent = createAgent({ name: "slow", model: talkingModel(Number(tokens)), log: fileLog(folder) });
const server = await serve({ agents: agent, port: 0 });
try {
  await agent.run("talk", { runId: "warm" }).settled();
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 20);
  const began = performance.now();
  const run = agent.run("talk", { runId: "r" });
  for await (const event of run) if (event.seq > 2) break;
  const reader = read(run);
  await run.settled();
  const ms = performance.now() - began;
  // The reader crawls on for a while: it must not pile up anything then either.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  clearInterval(watch);
  const report: SlowReport = { growthMiB: (peak - before) / 1_048_576, ms, delivered: reader.delivered() };
  reader.stop();
  await new Promise((resolve) => process.send?.(report, resolve));
} finally {
  await server.close();
  await agent.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);

interface Reader {
  delivered(): number;
  stop(): void;
}

function read(run: Run): Reader {
  if (way === "sse") return readSse();
  if (way === "socket") return readSocket();
  let delivered = 0;
  let timer: NodeJS.Timeout | undefined;
  const undo = run.subscribe(
    "*",
    () => {
      delivered++;
      if (delivered % PACE !== 0) return undefined;
      return new Promise((resolve) => {
        timer = setTimeout(resolve, 1);
      });
    },
    { overflow: overflowOf(way) },
  );
  return {
    delivered: () => delivered,
    stop() {
      undo();
      clearTimeout(timer);
    },
  };
}

function overflowOf(said: string): Overflow {
  switch (said) {
    case "catch-up":
    case "coalesce":
    case "drop-oldest":
    case "drop-newest":
    case "disconnect":
    case "block":
      return said;
    default:
      throw new Error(`There is no policy "${said}".`);
  }
}

/** Takes a kilobyte, and waits. */
function readSse(): Reader {
  let bytes = 0;
  const request = get(`${server.url}/runs/r/events`, { agent: false }, (response) => {
    response.on("data", (piece: Buffer) => {
      bytes += piece.length;
      response.pause();
      setTimeout(() => response.resume(), piece.length / EVENT_BYTES / PACE);
    });
    response.on("error", () => {});
  });
  request.on("error", () => {});
  return {
    delivered: () => bytes / EVENT_BYTES,
    stop() {
      request.destroy();
    },
  };
}

function readSocket(): Reader {
  let events = 0;
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/runs/r/socket`);
  socket.on("error", () => {});
  socket.on("message", (data: Buffer) => {
    const count = data.length / EVENT_BYTES;
    events += count;
    socket.pause();
    setTimeout(() => {
      socket.resume();
    }, count / PACE);
  });
  return {
    delivered: () => events,
    stop() {
      socket.terminate();
    },
  };
}
