/** A timer that can be pushed back. Cheaper than a new timer per token, and it can be driven by hand in tests. */
export interface Timer {
  /** Starts the full time again, also after it has run out. */
  refresh(): void;
  cancel(): void;
}

export type SetTimer = (callback: () => void, ms: number) => Timer;

export const setNodeTimer: SetTimer = (callback, ms) => {
  const timer = setTimeout(callback, ms);
  return { refresh: () => timer.refresh(), cancel: () => clearTimeout(timer) };
};

export type Phase = "connect" | "headers" | "data" | "tail" | "list" | "total";

/** Watches one wait after the other. Only time spent waiting counts: a consumer may take as long as it likes between two chunks. */
export interface Watchdog {
  /** Begins a wait of a new kind. */
  start(phase: Phase, ms: number): void;
  /** What was waited for has come. */
  rest(): void;
  /** Waits for the next piece of the same kind. */
  wait(): void;
  /** A limit beside these waits, whoever waits for what. Answers its undo. */
  limit(phase: Phase, ms: number): () => void;
  /** Ends the watch for good. */
  stop(): void;
  /** The wait that took too long. */
  readonly expired: Phase | undefined;
}

export function watchdog(setTimer: SetTimer, onExpired: () => void): Watchdog {
  let timer: Timer | undefined;
  let waiting: Phase | undefined;
  let phase: Phase = "headers";
  const limits: Timer[] = [];
  const expire = (what: Phase): void => {
    if (dog.expired !== undefined) return;
    dog.expired = what;
    onExpired();
  };
  // A field, not a getter: see the bus.
  const dog: Watchdog & { expired: Phase | undefined } = {
    expired: undefined,
    start(next, ms) {
      timer?.cancel();
      phase = next;
      waiting = next;
      timer = setTimer(() => {
        // Runs out unnoticed while nobody waits; the next wait starts the full time again.
        if (waiting !== undefined) expire(waiting);
      }, ms);
    },
    rest() {
      waiting = undefined;
    },
    wait() {
      waiting = phase;
      timer?.refresh();
    },
    limit(what, ms) {
      const own = setTimer(() => {
        expire(what);
      }, ms);
      limits.push(own);
      return () => {
        own.cancel();
      };
    },
    stop() {
      waiting = undefined;
      timer?.cancel();
      timer = undefined;
      for (const own of limits) own.cancel();
    },
  };
  return dog;
}
