import { live } from "./person.ts";

/**
 * Waits one beat, or until the signal aborts: on a terminal long enough to be read, without one a turn of the event loop, so that whoever listens
 * has acted before the next token comes.
 */
export function beat(signal: AbortSignal, ms = 60): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    if (!live) {
      setImmediate(resolve);
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
