import type { RawData, WebSocket } from "ws";
import { performFor } from "./perform-for.ts";
import type { Core } from "./core.ts";
import { beyondHead, filterOf, type Wanted } from "./cursor.ts";
import type { Chunk } from "./encode.ts";
import { frameSchema, type EndReason, type ServerFrame } from "./protocol.ts";
import { isRefusal, issueOf, refusalOf, refuse, type Refusal } from "./refusal.ts";
import { isCancelled, type ServedRun } from "./served-runs.ts";
import { Subscription, type Sink } from "./subscription.ts";
import type { z } from "zod";

type ClientFrame = z.output<typeof frameSchema>;

const CLOSE_CODE: Readonly<Record<EndReason, number>> = {
  cancelled: 1000,
  rest: 1000,
  shutdown: 1001,
  max_connection: 1001,
  log: 1011,
  superseded: 4000,
};
const NOT_TEXT = 1003;
const TOO_MUCH_UNREAD = 4008;
/** What waits in the socket before its client is waited for, bytes. */
const HIGH_WATER = 65_536;

export interface SocketRequest {
  readonly core: Core;
  readonly socket: WebSocket;
  /** The upgrade, which every command is authorized with. */
  readonly request: Request;
  readonly served: ServedRun;
  readonly wanted: Wanted;
  readonly cancelled: boolean;
  readonly client: string | undefined;
}

/**
 * One socket on one run.
 *
 * S1 Events go out as on every stream: in order of the log, at the client's pace. Receipts and answers go between them.
 * S2 What waits for the client to read is bounded: events by its pace, answers by `queueBytes`, commands and subscriptions by `commandsPerSocket`.
 * S3 A ping goes out with every heartbeat; a client that has not answered the one before is gone.
 */
export function openSocket({ core, socket, request, served, wanted, cancelled, client }: SocketRequest): void {
  const { clock, heartbeatMs, maxConnectionMs, limits } = core.settings;
  const feed = core.feed(served);
  let alive = true;
  /** Frames that are not answered yet. Of each kind for itself: a client that waits for receipts may still stop the events. */
  const unanswered = { command: 0, subscribe: 0 };
  let leave = (): void => {};

  const sink: Sink = {
    write(chunk: Chunk): boolean {
      const { bytes } = chunk;
      socket.send(bytes, { binary: false }, (error) => {
        if (error !== undefined && error !== null) subscription.dispose();
        // Each frame is answered, many at once: more for every answer would be more under way with each round.
        else if (socket.bufferedAmount < HIGH_WATER) subscription.drained();
      });
      return socket.bufferedAmount < HIGH_WATER;
    },
    beat() {
      if (!alive) return false;
      alive = false;
      socket.ping();
      return true;
    },
    end(reason, after) {
      say({ type: "end", reason, after });
      socket.close(CLOSE_CODE[reason], reason);
      return socket.readyState !== socket.CLOSED;
    },
    destroy() {
      socket.terminate();
    },
  };
  const subscription = new Subscription({
    kind: "socket",
    feed,
    view: feed.view("socket", wanted.types),
    cursor: wanted.after,
    sink,
    clock,
    heartbeatMs,
    beatsAlways: true,
    maxConnectionMs,
    cancelled,
    onDispose() {
      leave();
    },
    onError(error) {
      core.report(error);
    },
    onDelivered(events, bytes) {
      core.metrics.delivered(events, bytes);
    },
  });
  leave = core.connections.enter(subscription, client);
  core.metrics.connection("socket");

  function say(frame: ServerFrame): void {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > limits.queueBytes) {
      // A client that asks and does not read.
      subscription.dispose();
      socket.close(TOO_MUCH_UNREAD, "too much unread");
      socket.terminate();
      return;
    }
    socket.send(JSON.stringify(frame));
  }

  function complain(refusal: Refusal, id?: string): void {
    const { code, message } = refusal;
    say({ type: "error", ...(id === undefined ? {} : { id }), error: { code, message } });
  }

  function hear(data: RawData, isBinary: boolean): void {
    if (subscription.closed) return;
    if (isBinary) {
      subscription.dispose();
      socket.close(NOT_TEXT, "frames are text");
      return;
    }
    const frame = frameOf(data);
    if (isRefusal(frame)) complain(frame);
    else if (frame.type === "ping") say({ type: "pong", ...(frame.id === undefined ? {} : { id: frame.id }) });
    else core.tasks.adopt("a frame of a socket", answer(frame));
  }

  async function answer(frame: Exclude<ClientFrame, { type: "ping" }>): Promise<void> {
    const { id, type } = frame;
    if (unanswered[type] >= limits.commandsPerSocket) {
      const message = `${limits.commandsPerSocket} frames of this socket (${type}) wait for their answers. Send this one again later.`;
      complain(refuse(429, "too_many_commands", message), id);
      return;
    }
    unanswered[type]++;
    try {
      await (frame.type === "command" ? command(frame) : subscribe(frame));
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal.status >= 500) core.report(error);
      complain(refusal, id);
    } finally {
      unanswered[type]--;
    }
  }

  async function command({ id, command: asked }: Extract<ClientFrame, { type: "command" }>): Promise<void> {
    const receipt = await performFor(core, request, served.runId, asked, undefined);
    if (isRefusal(receipt)) complain(receipt, id);
    else say({ type: "receipt", id, receipt });
  }

  async function subscribe({ id, after = 0, types }: Extract<ClientFrame, { type: "subscribe" }>): Promise<void> {
    const filter = filterOf(types ?? []);
    if (isRefusal(filter)) {
      complain(filter, id);
      return;
    }
    const { seq } = await served.log.head(served.runId);
    if (after > seq) {
      complain(beyondHead(after, served.runId, seq), id);
      return;
    }
    const over = await isCancelled(served.log, served.runId, seq);
    if (subscription.closed) return;
    say({ type: "subscribed", ...(id === undefined ? {} : { id }), after });
    subscription.move(feed.view("socket", filter), after, over);
  }

  socket.on("message", hear);
  socket.on("pong", () => {
    alive = true;
  });
  socket.on("close", () => {
    subscription.dispose();
  });
  // A frame above the limit, a broken one, a reset: ws closes with the right code, and `close` follows.
  socket.on("error", () => {
    subscription.dispose();
  });
  subscription.pump();
}

function frameOf(data: RawData): ClientFrame | Refusal {
  let value: unknown;
  try {
    // Of a text frame ws hands over one buffer.
    value = JSON.parse(Buffer.isBuffer(data) ? data.toString() : "");
  } catch {
    return refuse(400, "invalid_json", "The frame is not JSON.");
  }
  const parsed = frameSchema.safeParse(value);
  return parsed.success ? parsed.data : refuse(400, "invalid_request", issueOf(parsed.error));
}
