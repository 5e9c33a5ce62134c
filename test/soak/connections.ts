import { get } from "node:http";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { createAgent, pause, scriptedModel } from "rubato";
import { serve } from "rubato/server";
import { talkingModel } from "../bench/support/models.ts";

// `npm run soak`, `npm run soak -- --cycles 10000`: clients that come to a run that works, or begin one, and go, one after the other and in every way, and what
// they leave behind (P33): heap, handles, listeners, and how long a client waits for its first event early and late.

const { values } = parseArgs({ options: { cycles: { type: "string", default: "2000" } } });
const cycles = Number(values.cycles);
/** Until the code is compiled, which is memory as well: 20,000 cycles after 300 cost hardly more than 5,000. */
const WARMUP = 3_000;

const agent = createAgent({ name: "soak", model: scriptedModel([["some words ", pause()]]) });
// For those who begin a run of their own and hang up on it. Not a scripted model: it keeps every request.
const brief = createAgent({ name: "brief", model: talkingModel(4) });
const server = await serve({ agents: [agent, brief], port: 0 });
const run = agent.run("talk", { runId: "r1" });
for await (const event of run) if (event.type === "token_stream") break;

interface Snapshot {
  readonly heap: number;
  readonly handles: number;
  readonly listeners: number;
  readonly tasks: number;
}

async function snapshot(): Promise<Snapshot> {
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    globalThis.gc?.();
  }
  return {
    heap: process.memoryUsage().heapUsed,
    handles: process.getActiveResourcesInfo().length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    tasks: run.stats().tasks,
  };
}

/** Comes, reads its first bytes, goes. Answers the ms until they came. */
async function cycle(at: number): Promise<number> {
  const began = performance.now();
  if (at % 4 === 3) return begin();
  if (at % 4 === 2) {
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/runs/r1/socket`);
    await new Promise((resolve, reject) => {
      socket.on("message", resolve);
      socket.on("error", reject);
    });
    const took = performance.now() - began;
    await new Promise((resolve) => {
      socket.on("close", resolve);
      if (at % 8 === 2) socket.terminate();
      else socket.close();
    });
    return took;
  }
  return new Promise((resolve, reject) => {
    const headers = {
      accept: at % 4 === 0 ? "text/event-stream" : "application/x-ndjson",
      "accept-encoding": at % 8 < 4 ? "gzip" : "identity",
    };
    const request = get(`${server.url}/runs/r1/events`, { headers, agent: false }, (response) => {
      response.once("data", () => {
        const took = performance.now() - began;
        request.destroy();
        response.on("close", () => {
          resolve(took);
        });
      });
      response.on("error", () => {});
    });
    request.on("error", reject);
  });
}

/** Begins a run, reads its first bytes, hangs up. The run goes on to its end (P24), and is deleted: what is measured is not what a log keeps. */
async function begin(): Promise<number> {
  const began = performance.now();
  const stop = new AbortController();
  const response = await fetch(`${server.url}/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ agent: "brief", task: "talk" }),
    signal: stop.signal,
  });
  await response.body?.getReader().read();
  const took = performance.now() - began;
  stop.abort();
  const runId = response.headers.get("x-run-id") ?? "";
  const { status } = await (await brief.open(runId)).settled();
  if (status !== "done") throw new Error(`The run of a client that hung up is ${status}.`);
  await brief.log.delete(runId);
  return took;
}

async function cyclesFrom(from: number, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let at = from; at < from + count; at++) took.push(await cycle(at));
  return took;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
}

await cyclesFrom(0, WARMUP);
const before = await snapshot();
const took = await cyclesFrom(WARMUP, cycles);
const after = await snapshot();
const tenth = Math.max(1, Math.floor(cycles / 10));
const [early, late] = [median(took.slice(0, tenth)), median(took.slice(-tenth))];
const metrics = await (await fetch(`${server.url}/metrics`)).text();
const open = [...metrics.matchAll(/connections_open\{.*\} (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);

const lines: readonly (readonly [what: string, figure: string, ok: boolean])[] = [
  [
    "heap",
    `${((after.heap - before.heap) / 1_048_576).toFixed(2)} MiB more (<= 2)`,
    after.heap - before.heap <= 2 * 1_048_576,
  ],
  ["handles", `${after.handles - before.handles} more`, after.handles <= before.handles],
  ["listeners of the process", `${after.listeners - before.listeners} more`, after.listeners <= before.listeners],
  ["connections open", String(open), open === 0],
  ["tasks of the run", `${after.tasks - before.tasks} more`, after.tasks <= before.tasks],
  ["subscribers of the run", String(run.stats().subscribers.length), run.stats().subscribers.length === 0],
  [
    "first event, late to early",
    `${(late / early).toFixed(2)} x (${early.toFixed(2)} ms, ${late.toFixed(2)} ms; <= 1.2)`,
    late <= early * 1.2,
  ],
];
console.log(`${cycles} clients came and went, after ${WARMUP} that do not count:`);
for (const [what, figure, ok] of lines) console.log(`  ${ok ? "ok     " : "NOT ok "} ${what}: ${figure}`);
await run.interrupt("", { mode: "now" });
await server.close();
if (globalThis.gc === undefined) console.warn("Without --expose-gc the figure for the heap means little.");
process.exitCode = lines.every(([, , ok]) => ok) ? 0 : 1;
