import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { WebSocketServer, type WebSocket } from "ws";
import { createAgent, type ChatModel, type Event } from "rubato";
import { serve, type RubatoServer } from "rubato/server";
import { ms, rate } from "../support/format.ts";
import { collectGarbage, compare, interleave, timed, turn } from "../support/interleave.ts";
import { talkingModel } from "../support/models.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { percentile } from "../support/stats.ts";
import { startStreamClients, type FromClients, type StreamClients } from "../support/stream-clients.ts";

const TOKENS = 10_000;
const IDLE = 1_000;
const LATENCIES = 500;
/** Between two tokens of which each is a first one, ms. */
const TOKEN_EVERY_MS = 2;

/**
 * The server against what is written by hand with the same parts: `node:http` that writes the same frames, a `ws` server that sends them. Both write
 * frame by frame, as a loop over events does, and wait where a client does not keep up; their frames were made beforehand.
 */
export const serverRow: Row = {
  name: "server",
  title: "the server, SSE and WebSocket",
  async measure({ quick }) {
    const agent = createAgent({ name: "bench", model: talkingModel(TOKENS) });
    await agent.run("task", { runId: "r1" }).settled();
    const events = await agent.log.read("r1", { after: 0, limit: TOKENS * 2 });
    const server = await serve({ agents: agent, port: 0, limits: { connections: 5_000, connectionsPerRun: 5_000 } });
    const clients = await startStreamClients();
    const loop = await handWritten(events);
    try {
      return [
        ...(await fanOut(clients, server, loop, events, quick)),
        ...(await sockets(clients, server, loop, events, quick)),
        await idle(clients, server, loop),
        await firstToken(clients, quick),
      ];
    } finally {
      clients.stop();
      loop.stop();
      await server.close();
    }
  },
};

async function fanOut(
  clients: StreamClients,
  server: RubatoServer,
  loop: HandWritten,
  events: readonly Event[],
  quick: boolean,
): Promise<Line[]> {
  const lines: Line[] = [];
  for (const count of [1, 10, 100]) {
    const rounds = quick ? 3 : count === 100 ? 6 : 20;
    const both = compare(
      await interleave(
        { rounds, warmup: quick ? 1 : 4 },
        () => timed(() => readAll(clients, `${loop.url}/events`, count, loop.sseBytes)),
        () => timed(() => readAll(clients, `${server.url}/runs/r1/events?follow=false`, count, loop.sseBytes)),
      ),
    );
    lines.push(speed(`SSE, 1 run to ${count} client${count === 1 ? "" : "s"}, events`, both, events.length * count));
  }
  return lines;
}

async function readAll(clients: StreamClients, url: string, count: number, atLeast: number): Promise<void> {
  const answer = await clients.order({ type: "read", url, clients: count });
  expect(answer.type === "read" && answer.bytes.length === count, "not every client read");
  expect(answer.type === "read" && answer.bytes.every((bytes) => bytes >= atLeast), "a client missed bytes");
}

async function sockets(
  clients: StreamClients,
  server: RubatoServer,
  loop: HandWritten,
  events: readonly Event[],
  quick: boolean,
): Promise<Line[]> {
  const lines: Line[] = [];
  const read = async (url: string, count: number): Promise<void> => {
    const order = { type: "sockets", url: url.replace("http", "ws"), clients: count, bytes: loop.jsonBytes } as const;
    expect((await clients.order(order)).type === "read", "not every socket read");
  };
  for (const count of [1, 10]) {
    const both = compare(
      await interleave(
        { rounds: quick ? 3 : 20, warmup: quick ? 1 : 4 },
        () => timed(() => read(`${loop.url}/socket`, count)),
        () => timed(() => read(`${server.url}/runs/r1/socket`, count)),
      ),
    );
    lines.push(
      speed(`WebSocket, 1 run to ${count} client${count === 1 ? "" : "s"}, events`, both, events.length * count),
    );
  }
  return lines;
}

/** As a share of the events per second that the loop reaches. */
function speed(what: string, { loop, rubato }: { loop: number; rubato: number }, events: number): Line {
  const ratio = loop / rubato;
  return {
    what,
    loop: rate((events / loop) * 1_000),
    rubato: rate((events / rubato) * 1_000),
    ratio,
    target: ">= 0.7 x",
    met: ratio >= 0.7,
  };
}

/** What a silent stream keeps alive in this process: heap, and buffers outside it. */
async function idle(clients: StreamClients, server: RubatoServer, loop: HandWritten): Promise<Line> {
  const size = async (url: string): Promise<number> => {
    // The first ones also pay for what all share.
    await held(clients, url, 50);
    const before = await live();
    expect((await clients.order({ type: "idle", url, clients: IDLE })).type === "held", "not every client was held");
    const after = await live();
    expect((await clients.order({ type: "leave" })).type === "left", "clients stayed");
    return (after - before) / IDLE;
  };
  const byHand = await size(`${loop.url}/idle`);
  const ours = await size(`${server.url}/runs/r1/events?after=${TOKENS}`);
  return {
    what: `SSE, each of ${IDLE.toLocaleString("en")} silent connections`,
    loop: `${(byHand / 1_024).toFixed(1)} KiB`,
    rubato: `${(ours / 1_024).toFixed(1)} KiB`,
    ratio: ours / byHand,
    target: "<= 20 KiB",
    met: ours <= 20 * 1_024,
  };
}

async function held(clients: StreamClients, url: string, count: number): Promise<void> {
  await clients.order({ type: "idle", url, clients: count });
  await clients.order({ type: "leave" });
}

async function live(): Promise<number> {
  for (let round = 0; round < 5; round++) {
    await turn();
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** From the moment when the model has a token until the client has it; and what of that is not the line's. The medians of several p99. */
async function firstToken(clients: StreamClients, quick: boolean): Promise<Line> {
  const tokens = quick ? 100 : LATENCIES;
  const bare = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    stamp(response, tokens + 20).catch(console.error);
  });
  bare.listen(0, "127.0.0.1");
  await once(bare, "listening");
  const p99 = (answer: FromClients): number => (answer.type === "latency" ? percentile(answer.ns, 0.99) / 1e6 : 0);
  const both = compare(
    await interleave(
      { rounds: quick ? 2 : 8, warmup: 1 },
      async () => p99(await clients.order({ type: "latency", url: `http://127.0.0.1:${portOf(bare)}`, tokens })),
      async () => {
        const agent = createAgent({ name: "bench", model: clockModel(tokens + 20) });
        const server = await serve({ agents: agent, port: 0 });
        agent.run("task", { runId: "r1" });
        const answer = await clients.order({ type: "latency", url: `${server.url}/runs/r1/events`, tokens });
        await server.close();
        return p99(answer);
      },
    ),
  );
  bare.closeAllConnections();
  bare.close();
  expect(both.loop > 0 && both.rubato > 0, "a token did not come");
  return {
    what: "a token from the model to a client over SSE, p99",
    loop: ms(both.loop),
    rubato: ms(both.rubato),
    target: "<= 2 ms more",
    met: both.rubato - both.loop <= 2,
  };
}

/** Every token says when it was made. */
function clockModel(tokens: number): ChatModel {
  return {
    name: "clock",
    async *stream(_request, { signal }) {
      for (let token = 0; token < tokens && !signal.aborted; token++) {
        await new Promise((resolve) => setTimeout(resolve, TOKEN_EVERY_MS));
        yield { type: "text", text: `${process.hrtime.bigint()} ` };
      }
      yield { type: "finish", finish: "stop" };
    },
  };
}

async function stamp(response: ServerResponse, tokens: number): Promise<void> {
  for (let token = 0; token < tokens && !response.destroyed; token++) {
    await new Promise((resolve) => setTimeout(resolve, TOKEN_EVERY_MS));
    response.write(
      `id: ${token}\nevent: token_stream\ndata: ${JSON.stringify({ text: `${process.hrtime.bigint()} ` })}\n\n`,
    );
  }
}

interface HandWritten {
  readonly url: string;
  /** Of all events as SSE, and as JSON alone. */
  readonly sseBytes: number;
  readonly jsonBytes: number;
  stop(): void;
}

async function handWritten(events: readonly Event[]): Promise<HandWritten> {
  const texts = events.map((event) => Buffer.from(JSON.stringify(event)));
  const frames = events.map((event) => Buffer.from(frameOf(event)));
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (request.url === "/idle") response.write(":\n\n");
    else writeAll(response, frames).catch(console.error);
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on("connection", (socket) => {
    sendAll(socket, texts).catch(console.error);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    sseBytes: frames.reduce((sum, { length }) => sum + length, 0),
    jsonBytes: texts.reduce((sum, { length }) => sum + length, 0),
    stop() {
      sockets.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

function frameOf(event: Event): string {
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

async function writeAll(response: ServerResponse, frames: readonly Buffer[]): Promise<void> {
  for (const frame of frames) if (!response.write(frame)) await once(response, "drain");
  response.end();
}

async function sendAll(socket: WebSocket, texts: readonly Buffer[]): Promise<void> {
  for (const text of texts) {
    if (socket.bufferedAmount < 65_536) socket.send(text, { binary: false });
    else await new Promise((resolve) => socket.send(text, { binary: false }, resolve));
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
