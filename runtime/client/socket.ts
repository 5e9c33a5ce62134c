import type { Event } from "../../machines/events.ts";
import { RubatoError } from "../errors.ts";
import { PROTOCOL, type ClientFrame, type CommandReceipt, type CommandRequest } from "../server/protocol.ts";
import { LineCut, type Connection, type ConnectionEnd, type ConnectionEvents } from "./connection.ts";
import { eventOf, isReceipt, parseJson } from "./decode.ts";
import { isWireError, serverError } from "./failure.ts";
import { socketProtocols, type ClientSocket, type ClientSocketConstructor, type Settings } from "./options.ts";
import { Silence } from "./silence.ts";
import { endFor } from "./sse.ts";
import { isRecord } from "../is-record.ts";

export interface SocketRequest {
  readonly Socket: ClientSocketConstructor;
  /** With `ws:` or `wss:`; names the run, the cursor and the client. */
  readonly url: string;
  /** The seq of the last event that was taken in. */
  readonly cursor: () => number;
}

interface Waiting {
  readonly resolve: (receipt: CommandReceipt) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Events and commands over a socket.
 *
 * W1 A page cannot stop reading a socket. To pause it asks for a type of event that cannot come any more, and to go on for everything behind its
 *    cursor; what is still under way is dropped, as the log has it. So the line stays open for commands, and nothing waits in memory.
 * W2 One question at a time: the next one goes out when the server has answered the one before, so that they cannot overtake each other.
 */
export function openSocket(
  settings: Settings,
  { Socket, url, cursor }: SocketRequest,
  events: ConnectionEvents,
): Connection {
  const { clock, heartbeatMs, connectMs, secrets } = settings;
  const waiting = new Map<string, Waiting>();
  let over = false;
  let opened = false;
  let paused = false;
  /** What the server sends now: events behind our cursor, or nothing. */
  let flowing = true;
  /** The question that is not answered yet, and whether it asks for events. */
  let asking: { readonly id: string; readonly flow: boolean } | undefined;
  let count = 0;
  let silence: Silence | undefined;
  let said: { readonly reason: string; readonly after: number } | undefined;
  const stopConnect = clock.timer(connectMs, () => {
    end({ kind: "unopened", error: new RubatoError("disconnected", `No socket within ${connectMs} ms.`) });
  });
  const socket = create(Socket, url, socketProtocols(settings, PROTOCOL));

  function close(): void {
    if (over) return;
    over = true;
    stopConnect();
    silence?.stop();
    for (const { reject } of waiting.values()) reject(new LineCut());
    waiting.clear();
    // Its listeners stay: a socket of `ws` that is closed while it connects has an error to tell.
    socket?.close(1000);
  }

  function end(how: ConnectionEnd): void {
    if (over) return;
    close();
    events.onEnd(how);
  }

  function broke(error: RubatoError): void {
    end({ kind: "cut", error });
  }

  function say(frame: ClientFrame): void {
    socket?.send(JSON.stringify(frame));
  }

  /** Asks for what is wanted now, if that is not what the server does. */
  function ask(): void {
    if (asking !== undefined || over || !opened || flowing === !paused) return;
    asking = { id: `s${++count}`, flow: !paused };
    say({ type: "subscribe", id: asking.id, after: cursor(), ...(paused ? { types: ["run_start"] } : {}) });
    if (paused) flowing = false;
  }

  function hear(data: unknown): void {
    if (typeof data !== "string") throw new RubatoError("protocol", "The server sent a frame that is no text.");
    const frame = parseJson(data);
    if (!isRecord(frame)) throw new RubatoError("protocol", "The server sent a frame that is no object.");
    const { type, id } = frame;
    switch (type) {
      case "events":
        if (flowing && !paused) take(frame["events"]);
        return;
      case "receipt":
        if (typeof id === "string") answer(id, frame["receipt"]);
        return;
      case "subscribed":
        if (id !== asking?.id) return;
        flowing = asking?.flow ?? flowing;
        asking = undefined;
        ask();
        return;
      case "pong":
        events.onBeat();
        return;
      case "error":
        complain(frame["error"], id);
        return;
      case "end":
        said = { reason: String(frame["reason"]), after: Number(frame["after"]) };
        return;
      default:
        // Of a newer server.
        return;
    }
  }

  function take(list: unknown): void {
    if (!Array.isArray(list)) throw new RubatoError("protocol", "The server sent a frame of events without events.");
    const values: readonly unknown[] = list;
    const batch: Event[] = [];
    try {
      for (const value of values) batch.push(eventOf(value));
    } finally {
      if (batch.length > 0) events.onEvents(batch);
    }
  }

  function answer(id: string, receipt: unknown): void {
    const command = waiting.get(id);
    waiting.delete(id);
    if (isReceipt(receipt)) command?.resolve(receipt);
    else command?.reject(new RubatoError("protocol", "The server sent a receipt that is none."));
  }

  function complain(said: unknown, id: unknown): void {
    const error = isWireError(said)
      ? serverError(said, secrets)
      : new RubatoError("protocol", "The server sent an error that is none.");
    const command = typeof id === "string" ? waiting.get(id) : undefined;
    if (typeof id === "string") waiting.delete(id);
    if (command !== undefined) command.reject(error);
    else if (PASSING.has(error.code)) broke(error);
    else end({ kind: "fatal", error });
  }

  function closed(code: number): void {
    if (!opened) {
      end({ kind: "unopened", error: new RubatoError("disconnected", "The socket could not be opened.") });
      return;
    }
    if (said !== undefined) {
      // While it was paused, or asked from elsewhere, the end came before the events did.
      const early = said.reason === "cancelled" && said.after > cursor();
      end(early || (said.reason === "cancelled" && !flowing) ? { ...endFor("max_connection") } : endFor(said.reason));
      return;
    }
    if (code === 4000) end(endFor("superseded"));
    else broke(new RubatoError("disconnected", `The socket was closed (${code}).`));
  }

  if (socket === undefined) {
    // Told when the caller has what it called for.
    Promise.resolve().then(
      () => {
        end({ kind: "unopened", error: new RubatoError("protocol", "This WebSocket cannot be made.") });
      },
      () => {},
    );
  }
  socket?.addEventListener("open", () => {
    if (over) return;
    opened = true;
    stopConnect();
    silence = new Silence({
      clock,
      heartbeatMs,
      // Pings of the protocol itself are not shown to a page.
      onQuiet() {
        say({ type: "ping" });
      },
      onDead() {
        broke(new RubatoError("disconnected", "The server fell silent."));
      },
    });
    events.onOpen();
    ask();
  });
  socket?.addEventListener("message", ({ data }) => {
    if (over) return;
    silence?.alive();
    try {
      hear(data);
    } catch (error) {
      broke(
        error instanceof RubatoError
          ? error
          : new RubatoError("internal", "A frame could not be taken in.", { cause: error }),
      );
    }
  });
  socket?.addEventListener("close", ({ code }) => {
    closed(code);
  });
  // `close` follows, and a page is told nothing of why.
  socket?.addEventListener("error", () => {});

  return {
    pause() {
      paused = true;
      ask();
    },
    resume() {
      paused = false;
      ask();
    },
    close,
    command(command: CommandRequest) {
      if (over || !opened) return Promise.reject(new LineCut());
      const id = `c${++count}`;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        say({ type: "command", id, command });
      });
    },
  };
}

/** What the server says of itself, not of what it was asked: another line may fare better. */
const PASSING: ReadonlySet<string> = new Set(["log", "internal", "closing", "too_many_commands"]);

/** What a constructor throws may show the protocols, and the token in them. */
function create(Socket: ClientSocketConstructor, url: string, protocols: string[]): ClientSocket | undefined {
  try {
    return new Socket(url, protocols);
  } catch {
    return undefined;
  }
}
