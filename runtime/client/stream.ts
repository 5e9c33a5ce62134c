import { firstSeq, type Event } from "../../machines/events.ts";
import { RubatoError } from "../errors.ts";
import { backoffMs } from "./backoff.ts";
import type { Connection, ConnectionEnd, ConnectionEvents } from "./connection.ts";
import type { Settings } from "./options.ts";
import { openSocket } from "./socket.ts";
import { openSse } from "./sse.ts";

/**
 * `idle`: nobody follows the run. `reconnecting`: it waits for the next attempt. `closed`: by `close()`, or the run was cancelled and all of it is here.
 * `failed`: see `error`; it is tried anew when somebody follows the run again.
 */
export type ConnectionStatus = "idle" | "connecting" | "open" | "reconnecting" | "closed" | "failed";

export interface StreamEvents {
  /** Events that follow each other and the cursor. Throws {@link RubatoError} for what cannot be taken in. */
  readonly onEvents: (events: readonly Event[]) => void;
  /** Status, attempt or transport changed, or the server gave a sign of life. */
  readonly onChange: () => void;
  /** Nothing will come any more, or (with an error) not until it is opened again. */
  readonly onEnd: (error: RubatoError | undefined) => void;
}

/**
 * The events of a run from a cursor on, over as many connections as it takes.
 *
 * E1 Every event once, in order, without a hole (P26): what came before is dropped, what does not follow is a broken line, and the cursor moves with
 *    what was handed on. Each connection begins behind it.
 * E2 One connection or one timer at a time. What an older connection still tells is not heard.
 * E3 `attempts` in a row without a sign of life end it, with an error. So does whatever would be answered the same way again.
 */
export class EventStream {
  cursor = 0;
  status: ConnectionStatus = "idle";
  /** Attempts in a row that brought nothing. */
  attempt = 0;
  transport: "sse" | "websocket";
  private readonly settings: Settings;
  private readonly runId: string;
  private readonly name: string;
  private readonly events: StreamEvents;
  private connection: Connection | undefined;
  private generation = 0;
  private stopTimer: () => void = () => {};
  private paused = false;
  /** The connection brought an event. */
  private brought = false;
  private openedAt = 0;
  private noSocket = false;
  private noSse = false;
  /** Sockets can be opened here: one that is not now was refused, or its server is away. */
  private hadSocket = false;

  constructor(settings: Settings, runId: string, name: string, events: StreamEvents) {
    this.settings = settings;
    this.runId = runId;
    this.name = name;
    this.events = events;
    this.transport = settings.transport === "websocket" && settings.socket !== undefined ? "websocket" : "sse";
  }

  get isUp(): boolean {
    return this.status === "connecting" || this.status === "open" || this.status === "reconnecting";
  }

  /** For a command, where the line that is open takes some. */
  get command(): Connection["command"] {
    return this.status === "open" ? this.connection?.command : undefined;
  }

  /** Connects, unless it does or there is nothing more to come. */
  open(): void {
    if (this.isUp || this.status === "closed") return;
    this.attempt = 0;
    this.connect();
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.connection?.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.connection?.resume();
  }

  /** Lets the line go. The cursor stays, for the next `open()`. */
  stop(status: "idle" | "closed" | "failed"): void {
    this.generation++;
    this.stopTimer();
    this.connection?.close();
    this.connection = undefined;
    this.paused = false;
    this.status = status;
  }

  private connect(): void {
    const generation = ++this.generation;
    this.brought = false;
    this.status = "connecting";
    const mine = (does: () => void): void => {
      if (generation === this.generation) does();
    };
    const events: ConnectionEvents = {
      onOpen: () => {
        mine(() => {
          this.hadSocket ||= this.transport === "websocket";
          this.openedAt = this.settings.clock.monotonic();
          this.status = "open";
          this.events.onChange();
        });
      },
      onBeat: () => {
        mine(() => {
          this.prove();
          this.events.onChange();
        });
      },
      onEvents: (events) => {
        mine(() => {
          this.take(events);
        });
      },
      onEnd: (end) => {
        mine(() => {
          this.ended(end);
        });
      },
    };
    this.connection = this.makeConnection(events);
    if (this.paused) this.connection.pause();
    this.events.onChange();
  }

  private makeConnection(events: ConnectionEvents): Connection {
    const { settings, runId, name, cursor } = this;
    const query = `after=${cursor}&client=${encodeURIComponent(name)}`;
    const url = `${settings.url}/runs/${encodeURIComponent(runId)}`;
    const { socket: Socket } = settings;
    if (this.transport === "websocket" && Socket !== undefined) {
      const request = { Socket, url: `${url.replace(/^http/, "ws")}/socket?${query}`, cursor: () => this.cursor };
      return openSocket(settings, request, events);
    }
    return openSse(settings, `${url}/events?${query}`, events);
  }

  private prove(): void {
    this.attempt = 0;
  }

  private take(came: readonly Event[]): void {
    const fresh: Event[] = [];
    let { cursor } = this;
    let broken: RubatoError | undefined;
    for (const event of came) {
      if (event.runId !== this.runId) broken = new RubatoError("protocol", "The server sent an event of another run.");
      else if (event.seq > cursor) {
        const next = firstSeq(event) <= cursor ? tailOf(event, cursor) : event;
        if (firstSeq(next) === cursor + 1) {
          fresh.push(next);
          cursor = next.seq;
          continue;
        }
        broken = new RubatoError("protocol", `The server sent seq ${event.seq} where seq ${cursor + 1} comes next.`);
      }
      if (broken !== undefined) break;
    }
    const { generation } = this;
    if (fresh.length > 0) {
      this.cursor = cursor;
      this.brought = true;
      this.prove();
      try {
        this.events.onEvents(fresh);
      } catch (error) {
        broken = undefined;
        this.fail(
          error instanceof RubatoError
            ? error
            : new RubatoError("internal", "An event could not be taken in.", { cause: error }),
        );
      }
    }
    if (broken === undefined || generation !== this.generation) return;
    this.ended({ kind: "cut", error: broken });
  }

  private ended(end: ConnectionEnd): void {
    switch (end.kind) {
      case "over":
        this.stop("closed");
        this.events.onEnd(undefined);
        return;
      case "fatal":
        this.fail(end.error);
        return;
      case "unopened":
        this.tryOther(end.error);
        return;
      case "cut":
        this.again(end);
    }
  }

  /** The other way, at once: it works, or it says why not. */
  private tryOther(error: RubatoError): void {
    if (this.transport === "websocket") this.noSocket = true;
    else this.noSse = true;
    const { transport, socket } = this.settings;
    if (this.transport === "websocket" && !this.noSse) this.transport = "sse";
    else if (transport !== "sse" && socket !== undefined && !this.noSocket) this.transport = "websocket";
    else if (this.noSse) {
      this.fail(error);
      return;
    }
    this.drop();
    this.connect();
  }

  private again({
    error,
    orderly = false,
    atOnce = false,
    retryAfterMs,
  }: Extract<ConnectionEnd, { kind: "cut" }>): void {
    const { reconnect, clock, random } = this.settings;
    const lived = this.status === "open" && clock.monotonic() - this.openedAt >= 1_000;
    this.drop();
    if (this.hadSocket) {
      this.transport = "websocket";
      this.noSocket = false;
    }
    if (orderly) this.attempt = 0;
    this.attempt++;
    if (this.attempt > reconnect.attempts) {
      this.fail(gaveUp(error, reconnect.attempts));
      return;
    }
    this.status = "reconnecting";
    // A server that ends every connection at once is not asked without a pause.
    const wait = atOnce && (lived || this.brought) ? 0 : (retryAfterMs ?? backoffMs(reconnect, this.attempt, random));
    this.stopTimer = clock.timer(wait, () => {
      this.connect();
    });
    this.events.onChange();
  }

  private drop(): void {
    this.generation++;
    this.connection?.close();
    this.connection = undefined;
  }

  private fail(error: RubatoError): void {
    this.stop("failed");
    this.events.onEnd(error);
  }
}

/** Deltas that we have were pruned meanwhile, with others that we have not. */
function tailOf(event: Event, cursor: number): Event {
  if (event.type !== "gap") return event;
  return { ...event, data: { from: cursor + 1, to: event.data.to, digest: "" } };
}

function gaveUp(error: RubatoError, attempts: number): RubatoError {
  const message = `The run cannot be followed: ${attempts} attempts in a row failed. The last one: ${error.message}`;
  return new RubatoError("disconnected", message, { cause: error });
}
