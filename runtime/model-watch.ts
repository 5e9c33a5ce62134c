import type { Clock } from "./clock.ts";
import { RubatoError } from "./errors.ts";

/** How long a model request may take, ms on the monotonic clock. Waiting for a slow log or a subscriber that blocks does not count as idle. */
export interface ModelTimeouts {
  /** Until the first piece of the answer. Default 120,000. */
  readonly firstByteMs: number;
  /** Between two pieces: it is noticed at the latest half as long again after the last one. Default 60,000. */
  readonly idleMs: number;
  /** For the whole answer. Default 1,800,000. */
  readonly totalMs: number;
}

/** A request that is out. */
export interface Watched {
  /** Grows with every piece of the answer, and where the next piece is waited for again after a pause. 0 before the first. */
  readonly signs: number;
  /** Nobody waits for the next piece at the moment. */
  readonly paused: boolean;
  /** It took too long: ends it. */
  expire(error: RubatoError): void;
}

/**
 * Watches the one request that a run has out (P31).
 *
 * W1 One timer for all requests of a run: it is not moved when a piece comes or a request ends, it looks when it rings. A piece costs nothing.
 * W2 It ends when the run rests.
 */
export class ModelWatch {
  private readonly clock: Clock;
  private readonly timeouts: ModelTimeouts;
  private request: Watched | undefined;
  private beganAt = 0;
  private seen = 0;
  private seenAt = 0;
  private ring: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(clock: Clock, timeouts: ModelTimeouts) {
    this.clock = clock;
    this.timeouts = timeouts;
  }

  begin(request: Watched): void {
    const now = this.clock.monotonic();
    this.request = request;
    this.beganAt = now;
    this.seen = 0;
    this.seenAt = now;
    this.arm(now);
  }

  /** The request is over, however it ended. */
  end(request: Watched): void {
    if (this.request === request) this.request = undefined;
  }

  rest(): void {
    this.ring?.cancel();
    this.ring = undefined;
  }

  private arm(now: number): void {
    const { firstByteMs, idleMs, totalMs } = this.timeouts;
    const due = Math.min(
      this.beganAt + totalMs,
      this.seen === 0 ? this.beganAt + firstByteMs : Number.POSITIVE_INFINITY,
      now + idleMs / 4,
    );
    if (this.ring !== undefined && this.ring.at <= due) return;
    this.ring?.cancel();
    this.ring = {
      at: due,
      cancel: this.clock.timer(Math.max(1, due - now), () => {
        this.ring = undefined;
        this.look();
      }),
    };
  }

  private look(): void {
    const { request } = this;
    if (request === undefined) return;
    const now = this.clock.monotonic();
    if (request.signs !== this.seen || request.paused) {
      this.seen = request.signs;
      this.seenAt = now;
    }
    const error = this.expired(now);
    if (error === undefined) this.arm(now);
    else request.expire(error);
  }

  private expired(now: number): RubatoError | undefined {
    const { firstByteMs, idleMs, totalMs } = this.timeouts;
    if (now - this.beganAt >= totalMs) {
      return new RubatoError(
        "total_timeout",
        `The answer of the model took longer than ${totalMs} ms. Raise timeouts.totalMs if it may.`,
      );
    }
    if (this.seen === 0 && now - this.beganAt >= firstByteMs) {
      return new RubatoError(
        "first_byte_timeout",
        `The model did not begin to answer within ${firstByteMs} ms. Check that it works, or raise timeouts.firstByteMs.`,
      );
    }
    if (this.seen > 0 && now - this.seenAt >= idleMs) {
      return new RubatoError(
        "idle_timeout",
        `The model said nothing for ${idleMs} ms in the middle of its answer. Raise timeouts.idleMs if it needs longer.`,
      );
    }
    return undefined;
  }
}
