import { createReadStream, statSync } from "node:fs";
import { basename } from "node:path";
import type { UnderlyingSource } from "node:stream/web";
import { serve as listen } from "@hono/node-server";
import { systemClock } from "../clock.ts";
import { messageOf, RubatoError } from "../errors.ts";
import { createGuard } from "../server/guard.ts";
import { refuse, type Refusal } from "../server/refusal.ts";
import { refused, SAFE_HEADERS, text } from "../server/reply.ts";
import { PAGE_POLICY, pageFiles } from "./page-files.ts";

export interface FileServer {
  /** With the token in its fragment, which no browser sends anywhere. */
  readonly url: string;
  close(): Promise<void>;
}

/** Shows one log file in the page, on this machine, to whoever has the token. Rejects with {@link RubatoError} `invalid_option` where it cannot listen. */
export async function serveFile(options: {
  readonly file: string;
  readonly port: number;
  readonly token: string;
}): Promise<FileServer> {
  const { file, port, token } = options;
  const guard = createGuard({
    token,
    hosts: new Set(["localhost", "127.0.0.1"]),
    anyAddress: false,
    origins: new Set(),
    ticketMs: 1,
    clock: systemClock,
  });
  const pages = await pageFiles();

  function answer(request: Request): Response | Refusal {
    const refusal = guard.admitPage(request);
    if (refusal !== undefined) return refusal;
    if (request.method !== "GET") return refuse(405, "method_not_allowed", "Here is GET only.", { Allow: "GET" });
    const { pathname } = new URL(request.url);
    if (pathname === "/inspect/log") return guard.admit(request) ?? contentOf(file);
    const page = pages.get(pathname === "/inspect" ? "index.html" : pathname.slice(1));
    if (page === undefined) return refuse(404, "not_found", "There is nothing here. See /inspect.");
    return text(request, page.text, page.type, 200, { "Content-Security-Policy": PAGE_POLICY });
  }

  return new Promise((resolve, reject) => {
    const server = listen(
      {
        hostname: "127.0.0.1",
        port,
        overrideGlobalObjects: false,
        fetch(request) {
          const answered = answer(request);
          return answered instanceof Response ? answered : refused(request, answered);
        },
      },
      (address) => {
        const place = new URLSearchParams({ file: basename(file), token });
        resolve({
          url: `http://127.0.0.1:${address.port}/inspect#${place.toString()}`,
          close: () =>
            new Promise((closed) => {
              server.close(() => {
                closed();
              });
              if ("closeAllConnections" in server) server.closeAllConnections();
            }),
        });
      },
    );
    server.once("error", (error) => {
      const message = `Cannot listen on port ${port}: ${messageOf(error)}. Choose another with --port.`;
      reject(new RubatoError("invalid_option", message, { cause: error }));
    });
  });
}

/** Read as the page reads it: a file of any size is never in memory. As much as it holds now, and so much is said: the page shows how far it is. */
function contentOf(file: string): Response | Refusal {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return refuse(404, "not_found", "The file is not there any more.");
  const body = new ReadableStream<Uint8Array>(sourceOf(file, size));
  const headers = { ...SAFE_HEADERS, "Content-Type": "application/x-ndjson", "Content-Length": String(size) };
  return new Response(size === 0 ? null : body, { status: 200, headers });
}

function sourceOf(file: string, size: number): UnderlyingSource<Uint8Array> {
  const chunks = createReadStream(file, { end: size - 1 })[Symbol.asyncIterator]();
  return {
    async pull(controller: ReadableStreamDefaultController<Uint8Array>) {
      const next: IteratorResult<unknown> = await chunks.next();
      if (next.done === true) controller.close();
      else if (next.value instanceof Uint8Array) controller.enqueue(next.value);
    },
    async cancel() {
      await chunks.return?.();
    },
  };
}
