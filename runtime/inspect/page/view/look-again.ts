import { systemClock, type Clock } from "../../../clock.ts";

/**
 * Looks every so often, until the answered function is called. One look at a time: the next one is `ms` behind the end of the one before, so that an answer
 * that takes long (a server that is away) has nobody ask beside it. What a look throws or rejects with is its own affair.
 */
export function lookAgain(
  look: () => Promise<unknown>,
  ms: number,
  clock: Pick<Clock, "timer"> = systemClock,
): () => void {
  let over = false;
  let cancel = (): void => {};
  const arm = (): void => {
    if (!over) cancel = clock.timer(ms, again);
  };
  const again = (): void => {
    new Promise<unknown>((resolve) => {
      resolve(look());
    }).then(arm, arm);
  };
  arm();
  return () => {
    over = true;
    cancel();
  };
}
