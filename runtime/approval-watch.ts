import { isExpired } from "../machines/command.ts";
import type { Draft } from "../machines/events.ts";
import { LONGEST_TIMER_MS, type Clock } from "./clock.ts";
import type { Head } from "./head.ts";

/**
 * Ends the wait for people who do not answer: what expired is rejected, by the clock.
 *
 * A1 One quiet timer, for the call that expires first: a run that waits keeps no process alive. Where no process has the run nothing happens until one
 *    has; an approval that comes too late is refused all the same.
 */
export class ApprovalWatch {
  private readonly head: Head;
  private readonly clock: Clock;
  private cancel: (() => void) | undefined;

  constructor(head: Head, clock: Clock) {
    this.head = head;
    this.clock = clock;
  }

  /** Looks at the calls that wait now: rejects what expired, and comes back for the others. */
  look(): void {
    this.stop();
    const now = this.clock.now();
    let next = Number.POSITIVE_INFINITY;
    const drafts: Draft[] = [];
    for (const call of this.head.state.pendingApprovals) {
      const { callId, approval } = call;
      if (isExpired(call, now)) {
        drafts.push(
          { type: "deadline", data: { name: "approval", callId } },
          { type: "approval", data: { callId, decision: "reject", by: "clock", reason: "Nobody answered in time." } },
        );
      } else next = Math.min(next, approval?.expiresAt ?? Number.POSITIVE_INFINITY);
    }
    if (drafts.length > 0) this.head.record(drafts);
    if (next === Number.POSITIVE_INFINITY || this.head.failure !== undefined) return;
    this.cancel = this.clock.timer(Math.min(LONGEST_TIMER_MS, Math.max(1, next - now)), () => this.look(), true);
  }

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}
