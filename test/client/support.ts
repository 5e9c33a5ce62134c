import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Event } from "rubato";
import { createClient, type Client, type ClientOptions } from "rubato/client";

export const TRANSPORTS = ["sse", "websocket"] as const;

/** A client that comes again at once, closed when the test ends. */
export function clientTo(url: string, options: Partial<ClientOptions> = {}): Client {
  const client = createClient({ url, WebSocket, reconnect: { minMs: 0, maxMs: 0 }, ...options });
  onTestFinished(() => {
    client.close();
  });
  return client;
}

/** Not compressed: what is said many times would fit into a few bytes. */
export const plainFetch: typeof fetch = (input, init) => {
  const headers = new Headers(init?.headers);
  headers.set("Accept-Encoding", "identity");
  return fetch(input, { ...init, headers });
};

export function addressOf(input: Parameters<typeof fetch>[0]): string {
  if (typeof input === "string") return input;
  return input instanceof URL ? input.href : input.url;
}

export async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** A line of TCP between a client and the server. */
export interface Line {
  readonly url: string;
  /** Connections so far. */
  readonly count: () => number;
  readonly open: () => number;
  /** Bytes from the server that were let through so far. */
  readonly passed: () => number;
  /** Cuts everything that is open. */
  cut(): void;
  /** Lets nothing more through, in both directions, without a word. */
  freeze(): void;
}

/**
 * `budget`: how many bytes from the server the n-th connection (from 1) lets through before it dies, also inside a frame; or whether it is refused at
 * once (0).
 */
export async function line(port: number, budget: (connection: number) => number = () => Infinity): Promise<Line> {
  let count = 0;
  let passedBytes = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    count++;
    let left = budget(count);
    if (left <= 0) {
      client.destroy();
      return;
    }
    const upstream = connect(port, "127.0.0.1");
    sockets.add(client);
    const end = (): void => {
      sockets.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
    client.pipe(upstream);
    upstream.on("data", (piece: Buffer) => {
      const part = piece.subarray(0, left);
      left -= part.length;
      passedBytes += part.length;
      if (left > 0) {
        // So that a client that does not read holds the server back.
        if (!client.write(part)) upstream.pause();
      } else client.end(part, () => upstream.destroy());
    });
    client.on("drain", () => {
      upstream.resume();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${portOf(server.address())}`,
    count: () => count,
    open: () => sockets.size,
    passed: () => passedBytes,
    cut,
    freeze() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.write = () => true;
      }
    },
  };
}

function portOf(address: AddressInfo | string | null): number {
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return address.port;
}
