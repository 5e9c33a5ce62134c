import type { InspectionEvent } from "xstate";
import type WebSocket from "ws";
import { systemClock, type Clock } from "../clock.ts";
import { checkKeys, checkOption } from "../checks.ts";
import { isRecord } from "../is-record.ts";

/** The version of Stately's inspection protocol that is spoken: that of `@statelyai/inspect`. */
const VERSION = "0.7.2";
/** Between two attempts to connect, ms. */
const AGAIN_MS = 2_000;
/** How long the other side may take to say that it is there, ms. */
const HELLO_MS = 5_000;
/** What may wait for a reader that is connected and does not read, bytes. */
const MOST_UNREAD = 4_194_304;
/** Actors that somebody who connects later is told of. */
const MOST_ACTORS = 200;

export interface WebSocketInspectorOptions {
  /** Where somebody listens, such as `createInspectorServer` of `@statelyai/inspect/server`. Default `ws://localhost:8080`. */
  readonly url?: string;
  /** Messages that wait while nobody is connected; the oldest go. From 1, default 1,000. */
  readonly maxWaiting?: number;
  readonly clock?: Clock;
}

/** An XState inspector at the other end of a WebSocket. */
export interface WebSocketInspector {
  /** For `createAgent({ inspect })`, or `createActor(machine, { inspect })`. */
  readonly inspect: (event: InspectionEvent) => void;
  readonly connected: boolean;
  /** Messages that nobody was there for. */
  readonly dropped: number;
  /** Sends what waits, where somebody is connected, and ends. */
  close(): Promise<void>;
}

/**
 * Sends what an XState actor does to an inspector, in Stately's WebSocket protocol: one JSON object per message. It connects by itself, and again
 * when the other side goes away; who comes later is told of the actors that there are.
 *
 * Q1 What waits is bounded. It keeps no process alive, and `close` ends every timer and the socket.
 */
export function webSocketInspector(options: WebSocketInspectorOptions = {}): WebSocketInspector {
  checkKeys("webSocketInspector", options, ["url", "maxWaiting", "clock"]);
  const { url = "ws://localhost:8080", maxWaiting = 1_000, clock = systemClock } = options;
  checkOption(
    "url",
    url,
    URL.canParse(url) && /^wss?:$/.test(new URL(url).protocol) && !url.includes("#"),
    "a URL such as ws://localhost:8080, without a fragment",
  );
  checkOption("maxWaiting", maxWaiting, Number.isInteger(maxWaiting) && maxWaiting > 0, "a whole number from 1");
  return new Sender(url, maxWaiting, clock);
}

interface Message {
  readonly type: "@xstate.actor" | "@xstate.event" | "@xstate.snapshot";
  readonly sessionId: string;
  readonly [key: string]: unknown;
}

class Sender implements WebSocketInspector {
  dropped = 0;
  private readonly url: string;
  private readonly maxWaiting: number;
  private readonly clock: Clock;
  private socket: WebSocket | undefined;
  private open = false;
  private closed = false;
  private overflowed = false;
  /** The other side is connected and did not read: it missed something. */
  private behind = false;
  private waiting: string[] = [];
  /** By session: how it was registered, with its last snapshot. */
  private readonly actors = new Map<string, Message>();
  private cancelAgain: (() => void) | undefined;
  private connecting: Promise<void>;

  constructor(url: string, maxWaiting: number, clock: Clock) {
    this.url = url;
    this.maxWaiting = maxWaiting;
    this.clock = clock;
    this.connecting = this.connect();
  }

  get connected(): boolean {
    return this.open;
  }

  readonly inspect = (event: InspectionEvent): void => {
    if (this.closed) return;
    let text: string;
    try {
      const message = messageOf(event, this.clock.now());
      if (message === undefined) return;
      text = JSON.stringify(message);
      this.remember(message);
    } catch {
      // What is no JSON cannot be shown; an actor whose inspector throws would never do anything again.
      this.dropped++;
      return;
    }
    if (this.open && this.socket !== undefined) {
      this.say(this.socket, text);
      return;
    }
    this.waiting.push(text);
    if (this.waiting.length <= this.maxWaiting) return;
    this.waiting.shift();
    this.overflowed = true;
    this.dropped++;
  };

  private say(socket: WebSocket, text: string): void {
    if (socket.bufferedAmount > MOST_UNREAD) {
      this.dropped++;
      this.behind = true;
      return;
    }
    if (this.behind) this.introduce(socket);
    this.behind = false;
    socket.send(text);
  }

  /** Tells who is there. Nobody could catch what this throws: a context may have become what no JSON is. */
  private introduce(socket: WebSocket): void {
    for (const actor of this.actors.values()) {
      try {
        socket.send(JSON.stringify(actor));
      } catch {
        this.dropped++;
      }
    }
  }

  private remember(message: Message): void {
    const { type, sessionId, snapshot } = message;
    if (type === "@xstate.actor") this.actors.set(sessionId, message);
    const known = this.actors.get(sessionId);
    if (type === "@xstate.snapshot" && known !== undefined) this.actors.set(sessionId, { ...known, snapshot });
    if (this.actors.size <= MOST_ACTORS) return;
    // Of those that have ended the oldest: a run has many calls, and goes on.
    const ended = [...this.actors].find(([, { snapshot: last }]) => isOver(last))?.[0];
    const [oldest = ""] = this.actors.keys();
    this.actors.delete(ended ?? oldest);
  }

  private async connect(again = false): Promise<void> {
    // Loaded here: who traces needs no socket.
    const { WebSocket: Socket } = await import("ws");
    if (this.closed) return;
    const socket = new Socket(this.url, {
      handshakeTimeout: HELLO_MS,
      // From its first moment on: who never answers would keep the process alive as well.
      finishRequest(request) {
        request.on("socket", (line) => {
          line.unref();
        });
        request.end();
      },
    });
    this.socket = socket;
    socket.on("open", () => {
      this.open = true;
      this.behind = false;
      // Whoever is there now does not know them: not from before, and not where what told of them had to go.
      if (again || this.overflowed) this.introduce(socket);
      for (const text of this.waiting.splice(0)) socket.send(text);
    });
    // What comes from there is nothing that concerns a run.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.open = false;
      if (this.closed) return;
      this.cancelAgain = this.clock.timer(
        AGAIN_MS,
        () => {
          this.connecting = this.connect(true);
        },
        true,
      );
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    this.cancelAgain?.();
    this.waiting = [];
    await this.connecting.catch(() => {});
    const { socket } = this;
    if (socket === undefined || socket.readyState === socket.CLOSED) return;
    await new Promise<void>((resolve) => {
      const cancel = this.clock.timer(AGAIN_MS, () => {
        socket.terminate();
      });
      socket.on("close", () => {
        cancel();
        resolve();
      });
      socket.close();
    });
  }
}

/** What goes over the wire; undefined for what Stately's protocol has no word for. */
function messageOf(event: InspectionEvent, now: number): Message | undefined {
  const { actorRef } = event;
  const base = {
    rootId: event.rootId,
    sessionId: actorRef.sessionId,
    createdAt: String(now),
    id: null,
    _version: VERSION,
  };
  switch (event.type) {
    case "@xstate.actor": {
      const config = configOf(actorRef);
      const id = "id" in actorRef ? String(actorRef.id) : actorRef.sessionId;
      const name = id === actorRef.sessionId && config?.id !== undefined ? config.id : id;
      return {
        ...base,
        type: event.type,
        name,
        parentId: parentOf(actorRef),
        definition: JSON.stringify(config ?? { id: name }),
        snapshot: firstSnapshot(actorRef),
      };
    }
    case "@xstate.event":
      return { ...base, type: event.type, event: event.event, sourceId: event.sourceRef?.sessionId };
    case "@xstate.snapshot":
      return { ...base, type: event.type, event: event.event, snapshot: plainSnapshot(event.snapshot) };
    default:
      return undefined;
  }
}

function isOver(snapshot: unknown): boolean {
  return isRecord(snapshot) && snapshot["status"] !== "active";
}

type ActorRef = InspectionEvent["actorRef"];

function configOf(actorRef: ActorRef): { readonly id?: string } | undefined {
  if (!("logic" in actorRef)) return undefined;
  const { logic } = actorRef;
  if (typeof logic !== "object" || logic === null || !("config" in logic)) return undefined;
  const { config } = logic;
  return typeof config === "object" && config !== null ? config : undefined;
}

function parentOf(actorRef: ActorRef): string | undefined {
  if (!("_parent" in actorRef)) return undefined;
  const { _parent: parent } = actorRef;
  return typeof parent === "object" && parent !== null && "sessionId" in parent ? String(parent.sessionId) : undefined;
}

/** An actor tells of itself before it has a snapshot, which it refuses to be asked for then. The next message brings it. */
function firstSnapshot(actorRef: ActorRef): Readonly<Record<string, unknown>> {
  try {
    return { status: "active", ...plainSnapshot(actorRef.getSnapshot()) };
  } catch {
    return { status: "active" };
  }
}

/** What an inspector reads of a snapshot: it names its machine as well, which is no JSON. */
function plainSnapshot(snapshot: unknown): Readonly<Record<string, unknown>> {
  if (typeof snapshot !== "object" || snapshot === null) return {};
  const keys = ["status", "value", "context", "output", "error"];
  return Object.fromEntries(Object.entries(snapshot).filter(([key]) => keys.includes(key)));
}
