import type { Clock } from "../clock.ts";

/** Timers that ring this much too late say that the page or the machine slept: what has come meanwhile was not read yet. */
const LATE_MS = 1_000;

export interface SilenceOptions {
  readonly clock: Clock;
  /** How often the other side gives a sign of life, ms. */
  readonly heartbeatMs: number;
  /** Called after each heartbeat without a sign. */
  readonly onQuiet?: () => void;
  /** Called once, after two. */
  readonly onDead: () => void;
}

/** Notices when the other side falls silent. One timer, which is set when it rings and not at every byte. */
export class Silence {
  private readonly options: SilenceOptions;
  private lastAt: number;
  private dueAt = 0;
  /** A timer rang too late, and nothing has come since. */
  private forgiven = false;
  private stopTimer: (() => void) | undefined;

  constructor(options: SilenceOptions) {
    this.options = options;
    this.lastAt = options.clock.monotonic();
    this.arm();
  }

  /** Something came. */
  alive(): void {
    this.lastAt = this.options.clock.monotonic();
    this.forgiven = false;
  }

  /** Nobody reads, so nothing can come. */
  hold(): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
  }

  goOn(): void {
    if (this.stopTimer !== undefined) return;
    this.alive();
    this.arm();
  }

  stop(): void {
    this.hold();
  }

  private arm(): void {
    const { clock, heartbeatMs } = this.options;
    const now = clock.monotonic();
    const quiet = now - this.lastAt;
    const wait = Math.max(0, (quiet < heartbeatMs ? heartbeatMs : 2 * heartbeatMs) - quiet);
    this.dueAt = now + wait;
    this.stopTimer = clock.timer(wait, () => {
      this.ring();
    });
  }

  private ring(): void {
    const { clock, heartbeatMs, onQuiet, onDead } = this.options;
    const now = clock.monotonic();
    if (now - this.dueAt > LATE_MS && !this.forgiven) {
      // One more heartbeat for what waits to be read: hidden pages have their timers throttled, and laptops are closed.
      this.forgiven = true;
      this.lastAt = Math.max(this.lastAt, now - heartbeatMs);
    }
    const quiet = now - this.lastAt;
    this.stopTimer = undefined;
    if (quiet >= 2 * heartbeatMs) {
      onDead();
      return;
    }
    this.arm();
    if (quiet >= heartbeatMs) onQuiet?.();
  }
}
