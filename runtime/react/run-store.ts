import type { Fault } from "../../machines/events.ts";
import { initialState, type AgentState } from "../../machines/state.ts";
import { systemClock } from "../clock.ts";
import type { Client } from "../client/client.ts";
import type { ClientConnection, ClientRun } from "../client/run.ts";
import { messageOf, RubatoError } from "../errors.ts";

/** What a component is drawn from: a value that changes as a whole. */
export interface RunSnapshot {
  readonly runId: string | undefined;
  readonly state: AgentState;
  readonly connection: ClientConnection;
  /** Of the connection, or of the last command that could not be answered. */
  readonly error: Fault | undefined;
}

/** A run as a store for `useSyncExternalStore`. */
export interface RunStore {
  readonly subscribe: (onChange: () => void) => () => void;
  readonly snapshot: () => RunSnapshot;
  readonly run: () => ClientRun | undefined;
  /** Another run from now on. */
  readonly show: (run: ClientRun) => void;
  readonly fail: (error: unknown) => void;
  /** A command was answered: what an earlier one failed with is over. */
  readonly recover: () => void;
}

/** The shortest time between two drawings, ms: a frame. Not `requestAnimationFrame`, which rests while the page is hidden. */
const FRAME_MS = 16;

const NO_CONNECTION: ClientConnection = {
  status: "idle",
  attempt: 0,
  lagMs: 0,
  behind: 0,
  transport: "sse",
  error: undefined,
};
export const NOTHING: RunSnapshot = {
  runId: undefined,
  state: initialState(),
  connection: NO_CONNECTION,
  error: undefined,
};

/**
 * V1 A snapshot is the same object until something changed, and is replaced once per frame at most, however many tokens come.
 * V2 The run is followed while somebody is subscribed, and no longer: then it holds no connection, no timer and no listener. What it had come to stays.
 */
export function createRunStore(client: Client, runId: string | undefined, clock = systemClock): RunStore {
  let run = runId === undefined ? undefined : client.attach(runId);
  let current: RunSnapshot = runId === undefined ? NOTHING : { ...NOTHING, runId };
  let failure: Fault | undefined;
  const subscribers = new Set<() => void>();
  let unfollow: (() => void) | undefined;
  let stopTimer: (() => void) | undefined;
  let drawnAt = Number.NEGATIVE_INFINITY;

  function draw(): void {
    stopTimer?.();
    stopTimer = undefined;
    drawnAt = clock.monotonic();
    const { state = NOTHING.state, connection = NO_CONNECTION } = run ?? {};
    const { error } = connection;
    const told = failure ?? (error === undefined ? undefined : { code: error.code, message: error.message });
    current = { runId: run?.id, state, connection: sameOr(current.connection, connection), error: told };
    for (const told of subscribers) told();
  }

  function changed(): void {
    if (stopTimer !== undefined) return;
    const wait = drawnAt + FRAME_MS - clock.monotonic();
    if (wait <= 0) draw();
    else stopTimer = clock.timer(wait, draw);
  }

  function follow(): void {
    unfollow?.();
    unfollow = undefined;
    if (run === undefined || subscribers.size === 0) return;
    try {
      unfollow = run.onChange(changed);
    } catch (error) {
      // Its client was closed.
      fail(error);
    }
  }

  function fail(error: unknown): void {
    failure =
      error instanceof RubatoError
        ? { code: error.code, message: error.message }
        : { code: "internal", message: messageOf(error) };
    if (subscribers.size > 0) draw();
  }

  return {
    subscribe(onChange) {
      // Each call is a subscriber of its own, also of the same function.
      const own = (): void => {
        onChange();
      };
      subscribers.add(own);
      if (subscribers.size === 1) follow();
      return () => {
        subscribers.delete(own);
        if (subscribers.size > 0) return;
        stopTimer?.();
        stopTimer = undefined;
        unfollow?.();
        unfollow = undefined;
      };
    },
    snapshot: () => current,
    run: () => run,
    show(next) {
      run = next;
      failure = undefined;
      follow();
      if (subscribers.size > 0) draw();
    },
    fail,
    recover() {
      if (failure === undefined) return;
      failure = undefined;
      if (subscribers.size > 0) draw();
    },
  };
}

/** The older one where nothing changed but figures that nobody draws every frame for. */
function sameOr(before: ClientConnection, after: ClientConnection): ClientConnection {
  const same =
    before.status === after.status &&
    before.attempt === after.attempt &&
    before.lagMs === after.lagMs &&
    before.behind === after.behind &&
    before.transport === after.transport &&
    before.error === after.error;
  return same ? before : after;
}
