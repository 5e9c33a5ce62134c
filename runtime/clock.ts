/** Time, injected: a program in production uses {@link systemClock}, a test a clock that it moves by hand. */
export interface Clock {
  /** Milliseconds since 1970. May jump when the system's time is set; only for timestamps. */
  now(): number;
  /** Milliseconds from some fixed moment, never backwards, with fractions. For durations. */
  monotonic(): number;
  /**
   * Calls back once after `ms` milliseconds. Answers the function that cancels it; cancelling twice is fine. A `quiet` timer does not keep the
   * process alive: where there is nothing else to do, it never rings.
   */
  timer(ms: number, callback: () => void, quiet?: boolean): () => void;
}

/** The longest wait that a timer of Node or of a browser can have, in milliseconds: a longer one would ring at once. */
export const LONGEST_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer(ms, callback, quiet = false) {
    const handle = setTimeout(callback, ms);
    if (quiet) handle.unref();
    return () => {
      clearTimeout(handle);
    };
  },
};

/** A duration to the microsecond: what lies below is noise, and would fill the log with digits. */
export function milliseconds(duration: number): number {
  return Math.round(duration * 1_000) / 1_000;
}
