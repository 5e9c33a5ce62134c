import type { SetTimer } from "../../runtime/models/openai-watchdog.ts";

/** Timers that run out when the test says so. */
export interface HandTimers {
  readonly setTimer: SetTimer;
  /** Milliseconds of every timer that was started and not cancelled. */
  active(): number[];
  /** Resolves when a timer of this length has been started. */
  started(ms: number): Promise<void>;
  /** Lets the time of every active timer of this length run out. */
  runOut(ms: number): void;
  /** How many timers of this length there have been. */
  count(ms: number): number;
  /** How often timers of this length were started again. */
  refreshed(ms: number): number;
}

export function handTimers(): HandTimers {
  const timers: { readonly ms: number; readonly callback: () => void; live: boolean; refreshes: number }[] = [];
  const waiting: { readonly ms: number; readonly resolve: () => void }[] = [];
  return {
    setTimer(callback, ms) {
      const timer = { ms, callback, live: true, refreshes: 0 };
      timers.push(timer);
      for (const one of waiting) if (one.ms === ms) one.resolve();
      return {
        refresh() {
          timer.refreshes += 1;
        },
        cancel() {
          timer.live = false;
        },
      };
    },
    active: () => timers.filter(({ live }) => live).map(({ ms }) => ms),
    started(ms) {
      if (timers.some((timer) => timer.ms === ms)) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ ms, resolve }));
    },
    runOut(ms) {
      for (const timer of timers) if (timer.live && timer.ms === ms) timer.callback();
    },
    count: (ms) => timers.filter((timer) => timer.ms === ms).length,
    refreshed: (ms) => timers.filter((timer) => timer.ms === ms).reduce((sum, { refreshes }) => sum + refreshes, 0),
  };
}
