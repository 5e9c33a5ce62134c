/** Runs a job when it is asked for, at most once per interval, and never after `stop()`. Owns its timers. */
export interface Pacer {
  /** Asks for the job: now where the interval is over, else at its end. */
  request(): void;
  /** While on, asks for the job every `tickMs`. */
  ticking(on: boolean): void;
  stop(): void;
}

export function createPacer(job: () => void, intervalMs: number, tickMs: number): Pacer {
  let timer: NodeJS.Timeout | undefined;
  let ticker: NodeJS.Timeout | undefined;
  let last = -intervalMs;
  let stopped = false;

  function request(): void {
    if (stopped || timer !== undefined) return;
    timer = setTimeout(
      () => {
        timer = undefined;
        last = performance.now();
        job();
      },
      Math.max(0, last + intervalMs - performance.now()),
    );
  }

  return {
    request,
    ticking(on) {
      if (on && !stopped) ticker ??= setInterval(request, tickMs);
      else {
        clearInterval(ticker);
        ticker = undefined;
      }
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      clearInterval(ticker);
      ticker = undefined;
    },
  };
}
