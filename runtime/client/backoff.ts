import type { Clock } from "../clock.ts";
import { RubatoError } from "../errors.ts";

export interface Reconnect {
  /** How often in a row it is tried again, from 0. Default 5. An event or a heartbeat that comes makes it 0 again. */
  readonly attempts: number;
  /** The shortest wait before the next one, ms. Default 1,000. */
  readonly minMs: number;
  /** The longest, ms. Default 30,000. */
  readonly maxMs: number;
}

/** Full jitter: anywhere from the shortest wait to a bound that doubles with each attempt (from 1). */
export function backoffMs({ minMs, maxMs }: Reconnect, attempt: number, random: () => number): number {
  const bound = Math.min(maxMs, minMs * 2 ** attempt);
  return Math.round(minMs + random() * Math.max(0, bound - minMs));
}

/** Resolves after a time, and rejects with `aborted` as soon as the signal says so. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      stop();
      reject(abortedBy(signal));
    };
    const stop = clock.timer(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

export function abortedBy(signal: AbortSignal): RubatoError {
  const reason: unknown = signal.reason;
  if (reason instanceof RubatoError) return reason;
  return new RubatoError("aborted", "It was aborted by its signal. What the server already has goes on.", {
    cause: reason,
  });
}

/** Aborts a controller with a signal. Answers the undo. */
export function link(signal: AbortSignal | undefined, controller: AbortController): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    controller.abort(signal.reason);
    return () => {};
  }
  const onAbort = (): void => {
    controller.abort(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return () => {
    signal.removeEventListener("abort", onAbort);
  };
}
