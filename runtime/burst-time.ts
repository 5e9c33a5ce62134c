import { nextTick } from "node:process";
import { systemClock } from "./clock.ts";

/** So many looks are answered with one look at the clock. */
const BURST = 8;

let left = 0;
let latest = 0;
let ending = false;

/**
 * Milliseconds since 1970 by the system's clock, for what comes in bursts: looking at the clock costs as much as all the rest of a token. A look is
 * answered with the one before it only where nothing was waited for in between (the same turn of the microtask queue), where two looks before it saw
 * the same millisecond, and for 7 looks at most. So a time is old only by what the process did meanwhile without a pause.
 */
export function burstTime(): number {
  if (left > 0) {
    left--;
    return latest;
  }
  const now = systemClock.now();
  if (now === latest) {
    left = BURST - 1;
    if (!ending) {
      ending = true;
      nextTick(endBurst);
    }
  }
  latest = now;
  return now;
}

/** The microtasks are done: what comes next was waited for. */
function endBurst(): void {
  ending = false;
  left = 0;
}
