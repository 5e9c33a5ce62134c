import { LONGEST_TIMER_MS, type Clock } from "./clock.ts";
import type { Head } from "./head.ts";

/** Says when the time is up that a run may work, where it has such a limit. Its rests do not count. */
export class WallClock {
  private readonly head: Head;
  private readonly clock: Clock;
  private cancel: (() => void) | undefined;

  constructor(head: Head, clock: Clock) {
    this.head = head;
    this.clock = clock;
  }

  /** The run works, or went on: sees to it that the end is told. */
  work(): void {
    const { limits, workedMs, timeUp } = this.head.state.core.control;
    if (limits?.wallMs === undefined || timeUp || this.cancel !== undefined || this.head.atRest) return;
    this.ringAt(limits.wallMs, limits.wallMs - workedMs);
  }

  private ringAt(wallMs: number, left: number): void {
    const ms = Math.min(Math.max(0, left), LONGEST_TIMER_MS);
    this.cancel = this.clock.timer(ms, () => {
      this.cancel = undefined;
      const { limits } = this.head.state.core.control;
      if (limits?.wallMs === undefined) return;
      // The limit may have been raised meanwhile, without a rest, and no timer holds as long as a limit may be.
      const more = limits.wallMs - wallMs + left - ms;
      if (more > 0) this.ringAt(limits.wallMs, more);
      else this.head.record([{ type: "deadline", data: { name: "wall_time" } }]);
    });
  }

  rest(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}
