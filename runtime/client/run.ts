import type { Event, EventType } from "../../machines/events.ts";
import { isAtRest, type AgentState } from "../../machines/state.ts";
import { checkKeys, checkOption } from "../checks.ts";
import { RubatoError } from "../errors.ts";
import { notRunning, outcomeOf, type Outcome } from "../outcome.ts";
import { typesOf, type EventPattern } from "../pattern.ts";
import { commandsOf, type RunCommands } from "./commands.ts";
import { Follower, type Head } from "./follower.ts";
import { ask } from "./http.ts";
import { streamName, type Settings } from "./options.ts";
import { Reader } from "./reader.ts";
import type { ConnectionStatus } from "./stream.ts";
import { isRecord } from "../is-record.ts";

/** The line to the server, as it is now. */
export interface ClientConnection {
  readonly status: ConnectionStatus;
  /** Attempts in a row that brought nothing. 0 while all is well. */
  readonly attempt: number;
  /** Of the newest event: from its time on the server to when it came here, by both clocks, ms. */
  readonly lagMs: number;
  /** Events that came and wait for the slowest loop to read them. */
  readonly behind: number;
  readonly transport: "sse" | "websocket";
  /** Why it failed, until it is tried anew. */
  readonly error: RubatoError | undefined;
}

export interface AttachOptions {
  /** Exclusive cursor: iterating gives events with a greater seq. Default 0, from the start. */
  readonly after?: number;
  /** What iterating gives: types, and prefixes such as `tool_*`. Default all. */
  readonly types?: EventPattern | readonly EventPattern[];
  /** Closes the run here, as `close()` does. */
  readonly signal?: AbortSignal;
}

export interface ClientReadOptions {
  /** Exclusive cursor. Default 0, from the start. */
  readonly from?: number;
  readonly types?: EventPattern | readonly EventPattern[];
  /** Also while the run rests, until it is cancelled. End it by leaving the loop. Default false. */
  readonly follow?: boolean;
  /** Ends the loop. */
  readonly signal?: AbortSignal;
}

/**
 * A run on a server. Iterating gives every event from the cursor on, once and in order, over as many connections as it takes, and ends at the run's rest.
 *
 * It is connected while somebody follows: a loop, a listener, `settled()`. Leaving all of them lets the connection go and stops nothing (a disconnect
 * is not a stop); whoever follows again goes on behind the last event. A loop rejects with {@link RubatoError}: `disconnected` when the attempts are
 * used up, `superseded`, and what the server says.
 */
export interface ClientRun extends AsyncIterable<Event>, RunCommands {
  readonly id: string;
  /** Folded from the events that came, by the same reducer as on the server. It moves while somebody follows. */
  readonly state: AgentState;
  readonly connection: ClientConnection;
  events(options?: ClientReadOptions): AsyncIterableIterator<Event>;
  /** Calls back after events and after changes of the connection, once for what came together. Answers its undo. */
  onChange(listener: () => void): () => void;
  /** Resolves when the run is at rest, with how it stands. Rejects as a loop does, and with `closed`. */
  settled(): Promise<Outcome>;
  /** Ends every loop, listener and connection of this object, and what waits for a receipt. The run goes on. */
  close(): void;
}

export interface RunHost {
  readonly settings: Settings;
  /** Of the client, when it is closed. */
  readonly signal: AbortSignal;
  /** Kept as long as the run holds anything. */
  readonly held: Set<{ close(): void }>;
}

export function clientRun(host: RunHost, runId: string, options: AttachOptions): ClientRun {
  const { settings } = host;
  checkKeys("attach", options, ["after", "types", "signal"]);
  const { after = 0, signal } = options;
  const types = wantedOf(options.types);
  checkCursor("after", after);
  const listeners = new Set<() => void>();
  const readers = new Set<Reader>();
  const closing = new AbortController();
  let closed = false;

  const follower = makeFollower(true, changed);
  const commands = commandsOf({
    settings,
    runId,
    line: () => follower.stream.command,
    signals: [closing.signal, host.signal],
    onAccepted(seq) {
      follower.expect(seq);
    },
  });

  function makeFollower(isMain: boolean, onChange: () => void): Follower {
    return new Follower({ settings, runId, name: streamName(settings, isMain), head, onChange });
  }

  async function head(asking: AbortSignal): Promise<Head> {
    const { value } = await ask(settings, {
      method: "GET",
      path: `/runs/${encodeURIComponent(runId)}`,
      signal: asking,
      timeoutMs: settings.connectMs,
      repeatable: true,
      once: true,
      what: "a look at the run",
    });
    if (isRecord(value)) {
      const { seq, owned } = value;
      if (typeof seq === "number" && typeof owned === "boolean") return { seq, owned };
    }
    throw new RubatoError("protocol", "The server answered with something that is no run.");
  }

  function changed(): void {
    // One that is added meanwhile is not told of what was before it.
    const told = [...listeners];
    for (const listener of told) {
      try {
        listener();
      } catch (error) {
        settings.onError(error);
      }
    }
  }

  function hold(): void {
    if (closed) return;
    if (readers.size > 0 || listeners.size > 0) host.held.add(run);
    else host.held.delete(run);
  }

  function mustBeOpen(): void {
    if (closed || host.signal.aborted) throw new RubatoError("closed", "This run was closed here. Attach to it again.");
  }

  function read(
    from: number,
    wanted: ReadonlySet<EventType> | undefined,
    follow: boolean,
    abort: AbortSignal | undefined,
  ): Reader {
    mustBeOpen();
    // What is behind the shared stream comes by one of its own.
    const own = from < follower.state.seq;
    let unlink = (): void => {};
    const reader = new Reader({
      from,
      types: wanted,
      follow,
      limits: settings.queue,
      follower: own ? makeFollower(false, () => {}) : follower,
      own: () => makeFollower(false, () => {}),
      onEnd(ended) {
        unlink();
        readers.delete(ended);
        hold();
      },
    });
    if (reader.isOver) return reader;
    readers.add(reader);
    hold();
    if (abort !== undefined) {
      const onAbort = (): void => {
        reader.drop();
      };
      unlink = () => {
        abort.removeEventListener("abort", onAbort);
      };
      if (abort.aborted) onAbort();
      else abort.addEventListener("abort", onAbort, { once: true });
    }
    return reader;
  }

  function close(): void {
    if (closed) return;
    closed = true;
    signal?.removeEventListener("abort", close);
    host.held.delete(run);
    closing.abort(
      new RubatoError("closed", "The run was closed here while it was asked. What the server already has goes on."),
    );
    for (const reader of readers) reader.drop();
    follower.close();
    changed();
    listeners.clear();
  }

  const run: ClientRun = {
    ...commands,
    id: runId,
    get state() {
      return follower.state;
    },
    get connection() {
      const { stream, lagMs, error } = follower;
      const { status, attempt, transport } = stream;
      let behind = 0;
      for (const reader of readers) behind = Math.max(behind, reader.waiting);
      return { status, attempt, lagMs, behind, transport, error };
    },
    [Symbol.asyncIterator]: () => read(after, types, false, undefined),
    events(options = {}) {
      checkKeys("events", options, ["from", "types", "follow", "signal"]);
      const { from = 0, follow = false, signal: abort } = options;
      checkCursor("from", from);
      return read(from, wantedOf(options.types), follow, abort);
    },
    onChange(listener) {
      mustBeOpen();
      // Each call is a listener of its own, also of the same function.
      const own = (): void => {
        listener();
      };
      listeners.add(own);
      hold();
      const stop = follower.watch();
      return () => {
        if (!listeners.delete(own)) return;
        stop();
        hold();
      };
    },
    async settled() {
      const reader = read(follower.state.seq, new Set(), false, undefined);
      for await (const _event of reader);
      if (closed) throw new RubatoError("closed", "The run was closed here before it came to rest. It goes on.");
      const { state } = follower;
      return isAtRest(state) ? outcomeOf(state, undefined, state.seq) : notRunning(state);
    },
    close,
  };
  if (signal?.aborted === true) close();
  else signal?.addEventListener("abort", close, { once: true });
  return run;
}

function checkCursor(name: string, value: number): void {
  checkOption(name, value, Number.isInteger(value) && value >= 0, "a whole number from 0");
}

function wantedOf(patterns: AttachOptions["types"]): ReadonlySet<EventType> | undefined {
  if (patterns === undefined) return undefined;
  const types = new Set<EventType>();
  for (const pattern of typeof patterns === "string" ? [patterns] : patterns) {
    const named = typesOf(pattern);
    checkOption("types", pattern, named.length > 0, 'event types, prefixes such as "tool_*", or "*"');
    for (const type of named) types.add(type);
  }
  return types;
}
