import type { Clock } from "../../runtime/clock.ts";

/** A clock that only the test moves. */
export interface ManualClock extends Clock {
  /** Moves time forward and calls what is due, in order of time. */
  advance(ms: number): void;
  /** Timers that were set and neither fired nor were cancelled. */
  readonly pending: number;
}

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

export function manualClock(start = 1_700_000_000_000): ManualClock {
  let elapsed = 0;
  const timers = new Set<Timer>();
  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    timer(ms, callback) {
      const timer = { at: elapsed + ms, callback };
      timers.add(timer);
      return () => {
        timers.delete(timer);
      };
    },
    advance(ms) {
      const until = elapsed + ms;
      for (;;) {
        const [next] = [...timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        elapsed = Math.max(elapsed, next.at);
        timers.delete(next);
        next.callback();
      }
      elapsed = until;
    },
    get pending() {
      return timers.size;
    },
  };
}
