import type { ServerResponse } from "node:http";
import type { Chunk } from "./encode.ts";
import { deflateBlock } from "./encode.ts";
import { GzipStream } from "./gzip-stream.ts";
import type { EndReason } from "./protocol.ts";
import type { Sink } from "./subscription.ts";

/** What a response tells about its client. */
export interface SinkEvents {
  readonly onDrained: () => void;
  /** The client is gone, or the response ended. */
  readonly onClosed: () => void;
}

/** A response body, however it gets to the client. */
interface Pipe {
  /** False: no more until it drains. */
  write(bytes: Buffer): boolean;
  /** True: the line is open until its client has taken everything. */
  end(): boolean;
  destroy(): void;
}

/** The last words of a stream that ends for a reason. */
export type Farewell = (reason: EndReason) => string;

/** How a stream is written. */
export interface StreamForm {
  readonly format: "sse" | "ndjson";
  /** Compressed: its client reads that. */
  readonly gzip: boolean;
  /** Default: a comment, where the format has them. */
  readonly farewell?: Farewell | undefined;
}

export function commentOf(reason: EndReason): string {
  return `: end ${reason}\n\n`;
}

/** SSE or NDJSON into a pipe, compressed where the client reads that. */
class StreamSink implements Sink {
  private readonly pipe: Pipe;
  private readonly format: StreamForm["format"];
  private readonly gzip: GzipStream | undefined;
  private readonly farewell: Farewell;

  constructor(pipe: Pipe, { format, gzip, farewell }: StreamForm) {
    this.pipe = pipe;
    this.format = format;
    this.farewell = farewell ?? (format === "sse" ? commentOf : () => "");
    if (gzip) {
      this.gzip = new GzipStream();
      pipe.write(GzipStream.head);
    }
    // What a browser waits before it comes again, ms: its own default is several seconds.
    if (format === "sse") this.say("retry: 1000\n\n");
  }

  write(chunk: Chunk): boolean {
    if (this.gzip === undefined) return this.pipe.write(chunk.bytes);
    this.gzip.take(chunk.bytes);
    return this.pipe.write(chunk.deflated());
  }

  private say(text: string): void {
    const bytes = Buffer.from(text);
    this.gzip?.take(bytes);
    this.pipe.write(this.gzip === undefined ? bytes : deflateBlock(bytes));
  }

  beat(): boolean {
    this.say(this.format === "sse" ? ":\n\n" : "\n");
    return true;
  }

  end(reason: EndReason): boolean {
    const last = this.farewell(reason);
    if (last !== "") this.say(last);
    if (this.gzip !== undefined) this.pipe.write(this.gzip.end());
    return this.pipe.end();
  }

  destroy(): void {
    this.pipe.destroy();
  }
}

/** How long a silent peer is left alone before the system asks whether it lives, ms: ten questions, one a second, are over before a heartbeat. */
const KEEP_ALIVE_MS = 4_000;

/** Bytes that wait in a response before its client is waited for: a few chunks. */
const NODE_HIGH_WATER = 262_144;

/** Straight into node's own response: a stream in between costs memory for each of a thousand silent clients. */
export function nodeSink(
  outgoing: ServerResponse,
  headers: Readonly<Record<string, string>>,
  form: StreamForm,
  events: SinkEvents,
): Sink {
  const { socket } = outgoing;
  socket?.setNoDelay(true);
  socket?.setTimeout(0);
  socket?.setKeepAlive(true, KEEP_ALIVE_MS);
  // Nobody asks for more on the line of a stream that ended, and a shutdown does not wait for it.
  outgoing.shouldKeepAlive = false;
  outgoing.writeHead(200, headers);
  outgoing.flushHeaders();
  outgoing.on("drain", events.onDrained);
  outgoing.on("close", events.onClosed);
  outgoing.on("error", events.onClosed);
  const pipe: Pipe = {
    // Node asks to wait at once at this size of chunk; with the next one at hand the line is never idle. It says when all of it went out.
    write: (bytes) => outgoing.write(bytes) || outgoing.writableLength < NODE_HIGH_WATER,
    end() {
      outgoing.end();
      return !outgoing.closed;
    },
    destroy() {
      outgoing.destroy();
    },
  };
  return new StreamSink(pipe, form);
}

/** Bytes that wait in a stream before its reader is waited for. */
const HIGH_WATER = 65_536;

/** The body of a `Response`, for a handler that is mounted elsewhere. */
export function fetchSink(
  form: StreamForm,
  events: SinkEvents,
): { readonly sink: Sink; readonly body: ReadableStream<Uint8Array> } {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let over = false;
  const body = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given;
      },
      pull() {
        events.onDrained();
      },
      cancel() {
        over = true;
        events.onClosed();
      },
    },
    { highWaterMark: HIGH_WATER, size: (bytes) => bytes.byteLength },
  );
  const pipe: Pipe = {
    write(bytes) {
      if (over) return false;
      // A chunk is shared among clients, and whoever reads this stream may take its bytes for his own.
      controller?.enqueue(Uint8Array.from(bytes));
      return (controller?.desiredSize ?? 0) > 0;
    },
    end() {
      if (!over) controller?.close();
      over = true;
      // What nobody reads goes with its stream.
      return false;
    },
    destroy() {
      if (!over) controller?.error(new DOMException("The stream was cut.", "AbortError"));
      over = true;
    },
  };
  return { sink: new StreamSink(pipe, form), body };
}
