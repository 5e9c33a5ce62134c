import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { connect, createServer, type AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A response as it comes, byte by byte. */
export interface Stream {
  readonly response: IncomingMessage;
  readonly request: ClientRequest;
  /** Everything so far. */
  text(): string;
  /** Resolves when what came so far is as wanted, or rejects when the stream ends before. */
  until(holds: (text: string) => boolean): Promise<string>;
  /** Resolves when it ends, however it ends. */
  readonly ended: Promise<string>;
  cut(): void;
}

export function open(url: string, headers: Record<string, string> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers, agent: false }, (response) => {
      let text = "";
      let over = false;
      const waiting = new Set<() => void>();
      const look = (): void => {
        for (const check of waiting) check();
      };
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
        look();
      });
      response.on("error", () => {});
      const ended = new Promise<string>((end) => {
        response.on("close", () => {
          over = true;
          look();
          end(text);
        });
      });
      resolve({
        response,
        request,
        ended,
        text: () => text,
        until: (holds) =>
          new Promise((yes, no) => {
            const check = (): void => {
              if (holds(text)) yes(text);
              else if (over) no(new Error(`the stream ended before: ${text.slice(-500)}`));
              else return;
              waiting.delete(check);
            };
            waiting.add(check);
            check();
          }),
        cut() {
          request.destroy();
        },
      });
    });
    request.on("error", reject);
    request.end();
  });
}

/** What stands between a client and the server, and cuts the line. */
export interface CuttingProxy {
  readonly port: number;
  /** Bytes from the server that the next connections let through; then the line is cut, also inside a frame. */
  cutAfter(bytes: number): void;
}

export async function cuttingProxy(port: number): Promise<CuttingProxy> {
  let budget = Number.POSITIVE_INFINITY;
  const server = createServer((client) => {
    let left = budget;
    const upstream = connect(port, "127.0.0.1");
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
    client.pipe(upstream);
    upstream.on("data", (piece: Buffer) => {
      const passed = piece.subarray(0, left);
      left -= passed.length;
      // What was let through arrives; the line dies right behind it.
      if (left > 0) client.write(passed);
      else client.end(passed, () => upstream.destroy());
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  if (!isAddress(address)) throw new Error("a proxy without an address");
  return {
    port: address.port,
    cutAfter(bytes) {
      budget = bytes;
    },
  };
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}
