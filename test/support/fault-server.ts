import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Gate } from "../../runtime/models/scripted.ts";

/** A request as a server saw it. */
export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  /** Parsed JSON, or undefined. */
  readonly body: unknown;
  /** Resolves when the answer is over: "complete" when it was sent whole, "closed" when the client went away before. */
  readonly over: Promise<"complete" | "closed">;
}

/** A server on 127.0.0.1 that remembers what it was asked. */
export interface TestServer {
  /** With `/v1`, as a client wants it. */
  readonly baseURL: string;
  readonly requests: readonly SeenRequest[];
  /** The request of this number (from 0), as soon as it has come. */
  request(index: number): Promise<SeenRequest>;
  /** Cuts every connection. */
  close(): Promise<void>;
}

export type Handler = (
  request: SeenRequest,
  response: ServerResponse,
  index: number,
  gone: AbortSignal,
) => Promise<void> | void;

/** One line of data in a stream: an object is sent as JSON, a string as it is. A gate waits for the test. */
export type Frame = string | Readonly<Record<string, unknown>> | Gate;

/** What the server does with one request. */
export type Fault =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly silent: true }
  | {
      readonly frames: readonly Frame[];
      readonly contentType?: string;
      /**
       * `done`: `[DONE]` and a clean end. `close`: a clean end without it. `stall`: nothing more, the connection stays. `cut`: the connection ends
       * in the middle. `reset`: it is reset; put a gate before it, since a reset may overtake data that was not read yet.
       */
      readonly end: "done" | "close" | "stall" | "cut" | "reset";
    };

export interface FaultServerOptions {
  /** What `GET /models` answers; 404 without. Such requests do not count. */
  readonly models?: readonly string[];
  /** Holds the answer to `GET /models` back. */
  readonly modelsGate?: Gate;
}

/** An endpoint that answers the n-th request with the n-th fault, and 500 after the last. */
export async function faultServer(faults: readonly Fault[], options: FaultServerOptions = {}): Promise<TestServer> {
  return listen(async (_request, response, index, gone) => {
    const fault = faults[index] ?? {
      status: 500,
      body: { error: { message: "the script of the fault server is over" } },
    };
    if ("silent" in fault) return;
    if ("status" in fault) {
      response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      response.end(typeof fault.body === "string" ? fault.body : JSON.stringify(fault.body ?? {}));
      return;
    }
    response.writeHead(200, { "content-type": fault.contentType ?? "text/event-stream" });
    response.flushHeaders();
    for (const frame of fault.frames) {
      if (isGate(frame)) await frame.pass(gone);
      else response.write(`data: ${typeof frame === "string" ? frame : JSON.stringify(frame)}\n\n`);
    }
    switch (fault.end) {
      case "done":
        response.end("data: [DONE]\n\n");
        break;
      case "close":
        response.end();
        break;
      case "stall":
        break;
      case "cut":
        response.socket?.end();
        break;
      case "reset":
        response.socket?.resetAndDestroy();
        break;
    }
  }, options);
}

/** Starts a server that records requests; `GET /models` is answered here, everything else goes to the handler. */
export async function listen(handler: Handler, { models, modelsGate }: FaultServerOptions = {}): Promise<TestServer> {
  const requests: SeenRequest[] = [];
  const waiting: { readonly index: number; readonly resolve: (request: SeenRequest) => void }[] = [];
  const sockets = new Set<Socket>();
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = incoming.url ?? "";
    const text = await textOf(incoming);
    if (incoming.method === "GET" && path.endsWith("/models")) {
      await modelsGate?.pass(new AbortController().signal);
      response.writeHead(models === undefined ? 404 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify({ object: "list", data: (models ?? []).map((id) => ({ id, object: "model" })) }));
      return;
    }
    const gone = new AbortController();
    const over = new Promise<"complete" | "closed">((resolve) => {
      response.once("close", () => {
        gone.abort();
        resolve(response.writableFinished ? "complete" : "closed");
      });
    });
    const seen: SeenRequest = { path, headers: incoming.headers, body: parsed(text), over };
    const index = requests.push(seen) - 1;
    for (const one of waiting) if (one.index === index) one.resolve(seen);
    await handler(seen, response, index, gone.signal);
  };
  const server = createServer((incoming, response) => {
    answer(incoming, response).catch(() => response.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    baseURL: `http://127.0.0.1:${address.port}/v1`,
    requests,
    request(index) {
      const seen = requests[index];
      return seen === undefined ? new Promise((resolve) => waiting.push({ index, resolve })) : Promise.resolve(seen);
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** A frame of the Chat Completions API with this delta. */
export function deltaFrame(delta: Readonly<Record<string, unknown>>, finishReason: string | null = null) {
  return {
    id: "chatcmpl-test",
    object: "chat.completion.chunk",
    created: 0,
    model: "test",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  };
}

/** The frame that follows the answer when usage was asked for. */
export function usageFrame(inputTokens: number, outputTokens: number) {
  return {
    id: "chatcmpl-test",
    object: "chat.completion.chunk",
    created: 0,
    model: "test",
    choices: [],
    usage: { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens },
  };
}

function isGate(frame: Frame): frame is Gate {
  return typeof frame === "object" && "pass" in frame && typeof frame.pass === "function";
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = "";
  incoming.setEncoding("utf8");
  for await (const piece of incoming) text += String(piece);
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
