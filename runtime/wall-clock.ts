import type { Clock } from "./clock.ts";
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
    const left = Math.max(0, limits.wallMs - workedMs);
    this.cancel = this.clock.timer(Math.min(left, 2_147_483_647), () => {
      this.cancel = undefined;
      this.head.record([{ type: "deadline", data: { name: "wall_time" } }]);
    });
  }

  rest(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}
