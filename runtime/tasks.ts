import { RubatoError } from "./errors.ts";

/**
 * Owns every promise that nobody awaits.
 *
 * K1 Bounded: `start` refuses when there are `max` at a time. K2 A task removes itself when it ends. K3 A failure is reported once, to the owner, and is never an
 * unhandled rejection, also where the report itself fails. K4 Closing aborts the signal that every task was given.
 */
export interface Tasks {
  /** Takes over a promise that is under way. */
  adopt(name: string, promise: Promise<unknown>): void;
  /** Counts work whose promise somebody else holds and which reports its own failures; `leave` once for each `enter`. */
  enter(): void;
  leave(): void;
  /** Starts a task. False when the set is full or closed. */
  start(name: string, task: (signal: AbortSignal) => Promise<unknown>): boolean;
  readonly size: number;
  readonly failures: number;
  /** Aborts what runs. Does not wait for it. */
  close(): void;
  /** Resolves when no task is left. */
  idle(): Promise<void>;
}

/** Who is told of a failure. */
export interface TasksOwner {
  taskFailed(name: string, error: unknown): void;
}

/** `max`: how many may be started that are not over. */
export function createTasks(max: number, owner: TasksOwner): Tasks {
  return new OwnedTasks(max, owner);
}

/** A class whose sets are made when needed: every run has one of these, and most own nothing. */
class OwnedTasks implements Tasks {
  failures = 0;
  private readonly max: number;
  private readonly owner: TasksOwner;
  private entered = 0;
  private closed = false;
  private running: Set<Promise<void>> | undefined;
  private left: Set<() => void> | undefined;
  private controller: AbortController | undefined;

  constructor(max: number, owner: TasksOwner) {
    this.max = max;
    this.owner = owner;
  }

  get size(): number {
    return (this.running?.size ?? 0) + this.entered;
  }

  adopt(name: string, promise: Promise<unknown>): void {
    this.running ??= new Set();
    const { running } = this;
    const held: Promise<void> = promise.then(
      () => {
        running.delete(held);
      },
      (error: unknown) => {
        running.delete(held);
        this.fail(name, error);
      },
    );
    running.add(held);
  }

  private fail(name: string, error: unknown): void {
    this.failures++;
    try {
      this.owner.taskFailed(name, error);
    } catch {
      // It is counted; there is nobody else to tell.
    }
  }

  enter(): void {
    this.entered++;
  }

  leave(): void {
    this.entered--;
    if (this.entered > 0 || this.left === undefined) return;
    const waiting = this.left;
    this.left = undefined;
    for (const wake of waiting) wake();
  }

  start(name: string, task: (signal: AbortSignal) => Promise<unknown>): boolean {
    if (this.closed || (this.running?.size ?? 0) >= this.max) return false;
    this.controller ??= new AbortController();
    this.adopt(name, untilStopped(task, this.controller.signal));
    return true;
  }

  close(): void {
    this.closed = true;
    this.controller?.abort(new RubatoError("closed", "The agent was closed."));
  }

  async idle(): Promise<void> {
    while (this.size > 0) {
      if (this.running !== undefined) await Promise.all(this.running);
      if (this.entered === 0) continue;
      await new Promise<void>((resolve) => {
        this.left ??= new Set();
        this.left.add(resolve);
      });
    }
  }
}

/** What a task throws because it was told to stop is no failure. */
async function untilStopped(task: (signal: AbortSignal) => Promise<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await task(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
