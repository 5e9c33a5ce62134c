import { get, type IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import type { ClientOrder, FromClients } from "./stream-clients.ts";

// The clients of the benchmarks of the server, in a process of their own: what they cost is not billed to it. They read and count; the frames of
// first tokens are looked into.

const open = new Set<IncomingMessage | WebSocket>();

process.on("message", (order: ClientOrder) => {
  switch (order.type) {
    case "read":
      Promise.all(Array.from({ length: order.clients }, () => read(order.url))).then(
        (bytes) => tell({ type: "read", bytes }),
        fail,
      );
      return;
    case "sockets":
      Promise.all(Array.from({ length: order.clients }, () => readSocket(order.url, order.bytes))).then(
        (bytes) => tell({ type: "read", bytes }),
        fail,
      );
      return;
    case "idle":
      Promise.all(Array.from({ length: order.clients }, () => hold(order.url))).then(
        () => tell({ type: "held" }),
        fail,
      );
      return;
    case "latency":
      latencies(order.url, order.tokens).then((ns) => tell({ type: "latency", ns }), fail);
      return;
    case "leave":
      for (const one of open)
        if ("terminate" in one) one.terminate();
        else one.destroy();
      open.clear();
      tell({ type: "left" });
  }
});
process.once("disconnect", () => process.exit(0));
tell({ type: "ready" });

function tell(message: FromClients): void {
  process.send?.(message);
}

function fail(error: unknown): void {
  tell({ type: "failed", message: String(error) });
}

function request(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`status ${response.statusCode}`));
    }).on("error", reject);
  });
}

async function read(url: string): Promise<number> {
  const response = await request(url);
  let bytes = 0;
  response.on("data", (piece: Buffer) => {
    bytes += piece.length;
  });
  return new Promise((resolve, reject) => {
    response.on("end", () => {
      resolve(bytes);
    });
    response.on("error", reject);
  });
}

/** Until this many bytes of frames have come. */
function readSocket(url: string, wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    let bytes = 0;
    socket.on("message", (data: Buffer) => {
      bytes += data.length;
      if (bytes < wanted) return;
      socket.terminate();
      resolve(bytes);
    });
    socket.on("error", reject);
    socket.on("close", () => {
      reject(new Error(`the socket closed after ${bytes} of ${wanted} bytes`));
    });
  });
}

async function hold(url: string): Promise<void> {
  const response = await request(url);
  open.add(response);
  response.on("error", () => {});
  // Whatever there is to read has come.
  await new Promise((resolve) => response.once("data", resolve));
  response.resume();
}

/** Tokens carry the moment when the model made them, on the clock that all processes share. */
async function latencies(url: string, tokens: number): Promise<number[]> {
  const response = await request(url);
  const ns: number[] = [];
  let text = "";
  return new Promise((resolve, reject) => {
    response.setEncoding("utf8").on("data", (piece: string) => {
      const now = process.hrtime.bigint();
      text += piece;
      for (const [, at = "0"] of text.matchAll(/"text":"(\d{6,}) "/g)) ns.push(Number(now - BigInt(at)));
      text = text.slice(text.lastIndexOf("\n\n"));
      if (ns.length < tokens) return;
      response.destroy();
      resolve(ns);
    });
    response.on("error", reject);
    response.on("end", () => {
      reject(new Error(`the stream ended after ${ns.length} tokens`));
    });
  });
}
