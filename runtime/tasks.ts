import { RubatoError } from "./errors.ts";

/**
 * Owns every promise that nobody awaits.
 *
 * K1 Bounded: `start` refuses when there are `max` at a time. K2 A task removes itself when it ends. K3 A failure is reported once, to `onFailure`, and is never an
 * unhandled rejection, also where the report itself fails. K4 Closing aborts the signal that every task was given.
 */
export interface Tasks {
  /** Takes over a promise that is under way. */
  readonly adopt: (name: string, promise: Promise<unknown>) => void;
  /** Counts work whose promise somebody else holds and which reports its own failures; `leave` once for each `enter`. */
  readonly enter: () => void;
  readonly leave: () => void;
  /** Starts a task. False when the set is full or closed. */
  start(name: string, task: (signal: AbortSignal) => Promise<unknown>): boolean;
  readonly size: number;
  readonly failures: number;
  /** Aborts what runs. Does not wait for it. */
  close(): void;
  /** Resolves when no task is left. */
  idle(): Promise<void>;
}

export function createTasks(options: {
  readonly max: number;
  readonly onFailure: (name: string, error: unknown) => void;
}): Tasks {
  const running = new Set<Promise<void>>();
  let controller: AbortController | undefined;
  let closed = false;
  let failures = 0;
  let entered = 0;
  const left = new Set<() => void>();

  function hold(name: string, promise: Promise<unknown>): void {
    const held: Promise<void> = promise.then(
      () => {
        running.delete(held);
      },
      (error: unknown) => {
        running.delete(held);
        failures++;
        try {
          options.onFailure(name, error);
        } catch {
          // It is counted; there is nobody else to tell.
        }
      },
    );
    running.add(held);
  }

  return {
    adopt: hold,
    enter() {
      entered++;
    },
    leave() {
      entered--;
      if (entered > 0) return;
      for (const wake of left) wake();
      left.clear();
    },
    start(name, task) {
      if (closed || running.size >= options.max) return false;
      controller ??= new AbortController();
      const { signal } = controller;
      hold(
        name,
        (async () => {
          try {
            await task(signal);
          } catch (error) {
            // What a task throws because it was told to stop is no failure.
            if (!signal.aborted) throw error;
          }
        })(),
      );
      return true;
    },
    get size() {
      return running.size + entered;
    },
    get failures() {
      return failures;
    },
    close() {
      closed = true;
      controller?.abort(new RubatoError("closed", "The agent was closed."));
    },
    async idle() {
      while (running.size + entered > 0) {
        await Promise.all(running);
        if (entered === 0) continue;
        await new Promise<void>((resolve) => {
          left.add(resolve);
        });
      }
    },
  };
}
