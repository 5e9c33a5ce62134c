import { checkOption } from "./checks.ts";

/**
 * How many retries a process may make, all of its runs together: an endpoint that is down is not stormed by those who wait for it. It begins full, each
 * retry takes one, and time gives them back.
 */
export interface RetryBucket {
  /** Takes one. False when there is none. `now` is monotonic, ms. */
  take(now: number): boolean;
  /** How many there are. */
  available(now: number): number;
}

export interface RetryBucketOptions {
  /** The most that it holds, from 1. Default 100. */
  readonly capacity?: number;
  /** How many come back in a second. Default 1. */
  readonly refillPerSecond?: number;
}

/** Makes a bucket to share between agents. Without one all agents of the process share one of 100 that refills by 1 a second. */
export function retryBucket({ capacity = 100, refillPerSecond = 1 }: RetryBucketOptions = {}): RetryBucket {
  checkOption("capacity", capacity, Number.isFinite(capacity) && capacity >= 1, "a number from 1");
  checkOption(
    "refillPerSecond",
    refillPerSecond,
    Number.isFinite(refillPerSecond) && refillPerSecond >= 0,
    "0 or more",
  );
  let tokens = capacity;
  let at: number | undefined;

  function refill(now: number): void {
    // Clocks of several agents need not agree: what seems to lie before the last look gives nothing and takes nothing.
    if (at !== undefined && now > at) tokens = Math.min(capacity, tokens + ((now - at) / 1_000) * refillPerSecond);
    if (at === undefined || now > at) at = now;
  }

  return {
    take(now) {
      refill(now);
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    available(now) {
      refill(now);
      return tokens;
    },
  };
}

/** Of this process. */
export const sharedBucket: RetryBucket = retryBucket();
