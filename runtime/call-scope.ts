import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Knows whether a command was issued from inside a tool, however deep in its awaits: such a command must not wait for what the tool itself
 * holds up.
 *
 * On Node 20 an active AsyncLocalStorage makes every promise of the process about twice as dear, so it is switched off while no tool runs.
 */
const scope = new AsyncLocalStorage<string>();
let entered = 0;

/** Runs the function as part of a tool of this run. The scope holds across its awaits until {@link leaveCall}. */
export function enterCall<T>(runId: string, work: () => T): T {
  entered++;
  return scope.run(runId, work);
}

/** To be called once for each {@link enterCall}, when the tool is over. */
export function leaveCall(): void {
  entered--;
  if (entered === 0) scope.disable();
}

/** True when the caller runs inside a tool of this run. */
export function insideCall(runId: string): boolean {
  return entered > 0 && scope.getStore() === runId;
}
