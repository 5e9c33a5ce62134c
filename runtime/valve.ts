import type { Clock } from "./clock.ts";

/** Somebody who asks that nothing more is made for a while. */
export interface Blocker {
  /** How long it may hold up one piece of work, ms. */
  readonly blockTimeoutMs: number;
  /** It has held it up for so long. */
  giveUp(): void;
}

/**
 * Holds up whoever makes hot events while a subscriber of the policy `block` is behind.
 *
 * V1 A timer runs only while somebody is held up, so that the time of a blocker counts from there, and none is left when nobody waits.
 */
export class Valve {
  /** Somebody blocks. Before more is made, {@link wait}. */
  closed = false;
  private readonly clock: Clock;
  /** With the function that cancels its timer, where one runs. */
  private blockers: Map<Blocker, (() => void) | undefined> | undefined;
  private waiting: Set<() => void> | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  close(blocker: Blocker): void {
    this.blockers ??= new Map();
    if (this.blockers.has(blocker)) return;
    this.closed = true;
    this.blockers.set(blocker, undefined);
    if (this.waiting !== undefined && this.waiting.size > 0) this.time(blocker);
  }

  open(blocker: Blocker): void {
    const { blockers } = this;
    if (blockers === undefined) return;
    blockers.get(blocker)?.();
    blockers.delete(blocker);
    if (blockers.size > 0 || !this.closed) return;
    this.closed = false;
    const { waiting } = this;
    this.waiting = undefined;
    if (waiting !== undefined) for (const goOn of waiting) goOn();
  }

  /** Calls back once, when nobody blocks any more. Answers its undo. */
  wait(goOn: () => void): () => void {
    this.waiting ??= new Set();
    this.waiting.add(goOn);
    for (const [blocker, cancel] of this.blockers ?? []) if (cancel === undefined) this.time(blocker);
    return () => {
      this.waiting?.delete(goOn);
      if (this.waiting !== undefined && this.waiting.size > 0) return;
      for (const [blocker, cancel] of this.blockers ?? []) {
        cancel?.();
        this.blockers?.set(blocker, undefined);
      }
    };
  }

  private time(blocker: Blocker): void {
    const cancel = this.clock.timer(blocker.blockTimeoutMs, () => {
      this.blockers?.set(blocker, undefined);
      blocker.giveUp();
    });
    this.blockers?.set(blocker, cancel);
  }
}
