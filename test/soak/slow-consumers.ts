import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import { parseArgs } from "node:util";
import { createAgent, openaiModel } from "rubato";
import { serve } from "rubato/server";
import { talkingModel } from "../bench/support/models.ts";
import { programBeside } from "../bench/support/program.ts";
import { median } from "../bench/support/stats.ts";
import { startStreamClients } from "../bench/support/stream-clients.ts";
import type { SlowReport } from "./slow-child.ts";

// `npm run slow`, `npm run slow -- --rounds 3 --tokens 200000`: what readers that stall or crawl do to a run, to its other readers, and to the
// memory of its process (P27, P28).

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, tokens: { type: "string", default: "1000000" } },
});
const MIB = 1_048_576;
const HEALTHY = 50;
const TOKENS = 100_000;
const WAYS = ["catch-up", "coalesce", "drop-oldest", "drop-newest", "disconnect", "block", "sse", "socket"] as const;
let ok = true;

function tell(what: string, figure: string, met: boolean): void {
  ok &&= met;
  console.log(`  ${met ? "ok     " : "NOT ok "} ${what}: ${figure}`);
}

/** Of a run from its begin until every healthy reader has all of it: ms. With one that stalls and reads on later: what it cost meanwhile. */
async function fanOut(stalled: boolean): Promise<{ readonly ms: number; readonly costMiB: number }> {
  const agent = createAgent({ name: "slow", model: talkingModel(TOKENS) });
  const server = await serve({ agents: agent, port: 0 });
  const clients = await startStreamClients();
  const url = `${server.url}/runs/r1/events?follow=false`;
  globalThis.gc?.();
  const began = performance.now();
  const run = agent.run("talk", { runId: "r1" });
  for await (const event of run) if (event.type === "token_stream") break;
  const stall = stalled ? await open(url) : undefined;
  const answer = await clients.order({ type: "read", url, clients: HEALTHY });
  const ms = performance.now() - began;
  const whole = answer.type === "read" ? (answer.bytes[0] ?? 0) : 0;
  if (answer.type !== "read" || answer.bytes.some((bytes) => bytes !== whole))
    throw new Error("A reader missed bytes.");
  let costMiB = 0;
  if (stall !== undefined) {
    // What readers at the same place shared is kept for a second.
    const held = await live(1_500);
    const late = await readAll(stall);
    if (late !== whole) throw new Error(`The stalled reader got ${late} of ${whole} bytes.`);
    costMiB = held - (await live(1_500));
  }
  clients.stop();
  await server.close();
  await agent.close();
  return { ms, costMiB };
}

/** What is alive after so many ms, MiB. */
async function live(afterMs: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MIB;
}

/** A reader that reads nothing before it is told to. */
function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, resolve).on("error", reject);
  });
}

async function readAll(response: IncomingMessage): Promise<number> {
  let bytes = 0;
  response.on("data", (piece: Buffer) => {
    bytes += piece.length;
  });
  await once(response, "end");
  return bytes;
}

async function stalledAmongHealthy(): Promise<void> {
  const rounds = Number(values.rounds);
  const without: number[] = [];
  const with1: number[] = [];
  const costs: number[] = [];
  for (let round = -1; round < rounds; round++) {
    for (const stalled of round % 2 === 0 ? [false, true] : [true, false]) {
      const { ms, costMiB } = await fanOut(stalled);
      if (round < 0) continue;
      (stalled ? with1 : without).push(ms);
      if (stalled) costs.push(costMiB);
    }
  }
  const share = median(without) / median(with1);
  const more = Math.max(...costs);
  console.log(`${HEALTHY} SSE readers and one that stalls, a run of ${TOKENS} tokens, median of ${rounds}:`);
  tell("their throughput, of that without it", `${(share * 100).toFixed(1)} % (>= 95)`, share >= 0.95);
  tell("memory that it costs at worst", `${more.toFixed(2)} MiB (<= 1)`, more <= 1);
  tell("the stalled one, later", "got all of it", true);
}

/** In a process of its own each: a run without readers warms it up, then the same with a reader of at most 1 % of its speed. */
async function crawlers(): Promise<void> {
  console.log(`A reader at less than 1 % of the speed of a run of ${values.tokens} tokens, growth of the process:`);
  for (const way of WAYS) {
    const child = fork(programBeside(import.meta.url, "./slow-child"), [way, values.tokens], {
      execArgv: [...process.execArgv, "--expose-gc"],
    });
    const report = await reportOf(child);
    const share = (report.delivered / Number(values.tokens)) * 100;
    tell(
      way,
      `${report.growthMiB.toFixed(1)} MiB (<= 32), ${report.ms.toFixed(0)} ms, it had ${share.toFixed(2)} % then`,
      report.growthMiB <= 32,
    );
  }
}

function reportOf(child: ChildProcess): Promise<SlowReport> {
  return new Promise((resolve, reject) => {
    child.once("message", (report: SlowReport) => {
      resolve(report);
    });
    child.once("exit", (code) => {
      reject(new Error(`The process with the slow reader ended with ${code}.`));
    });
  });
}

/** An endpoint that sends as fast as it is let. From a queue at its upper mark until no token comes in and nothing more flows out of the endpoint. */
async function pausedProducer(): Promise<void> {
  let lastWrite = 0;
  const chunk = { id: "c", object: "chat.completion.chunk", created: 0, model: "fast" };
  const frame = `data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta: { content: "token " } }] })}\n\n`;
  const upstream = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/event-stream" });
    const more = (): void => {
      while (!response.destroyed) {
        lastWrite = performance.now();
        if (!response.write(frame)) return;
      }
    };
    response.on("drain", more);
    more();
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const address = upstream.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const took: number[] = [];
  for (let round = 0; round < 20; round++) {
    const model = openaiModel({ model: "fast", baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "none" });
    const run = createAgent({ name: "slow", model }).run("talk");
    let fullAt = 0;
    run.subscribe("*", () => new Promise(() => {}), {
      overflow: "block",
      blockTimeoutMs: 600_000,
      onLevel(level) {
        if (level === "red") fullAt = performance.now();
      },
    });
    let lastToken = 0;
    run.subscribe("token_stream", () => {
      lastToken = performance.now();
    });
    do await new Promise((resolve) => setTimeout(resolve, 50));
    while (fullAt === 0 || performance.now() - Math.max(lastWrite, lastToken) < 150);
    took.push(Math.max(lastWrite, lastToken) - fullAt);
    await run.interrupt("measured", { mode: "now" });
  }
  upstream.closeAllConnections();
  upstream.close();
  const worst = Math.max(...took);
  console.log("The policy `block` and an endpoint that sends as fast as it can, 20 runs:");
  const figure = `${median(took).toFixed(1)} ms, at worst ${worst.toFixed(1)} ms (< 100)`;
  tell("from a queue that is 70 % full until no token comes in and none is sent", figure, worst < 100);
}

await pausedProducer();
await stalledAmongHealthy();
await crawlers();
if (globalThis.gc === undefined) console.warn("Without --expose-gc the figures for memory mean little.");
process.exitCode = ok ? 0 : 1;
