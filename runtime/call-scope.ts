import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Knows whether a command was issued from inside a tool, however deep in its awaits: such a command must not wait for what the tool itself
 * holds up.
 *
 * On Node 20 an active AsyncLocalStorage makes every promise of the process about twice as dear, so it is switched off while no tool runs.
 */
interface Scope {
  readonly runId: string;
  /** The tool that this one runs inside of, where a tool runs an agent of its own. */
  readonly outer: Scope | undefined;
}

const scope = new AsyncLocalStorage<Scope>();
let entered = 0;

/** Runs the function as part of a tool of this run. The scope holds across its awaits until {@link leaveCall}. */
export function enterCall<T>(runId: string, work: () => T): T {
  const outer = entered > 0 ? scope.getStore() : undefined;
  entered++;
  return scope.run({ runId, outer }, work);
}

/** To be called once for each {@link enterCall}, when the tool is over. */
export function leaveCall(): void {
  entered--;
  if (entered === 0) scope.disable();
}

/** True when the caller runs inside a tool of this run, or inside a run that such a tool waits for. */
export function insideCall(runId: string): boolean {
  if (entered === 0) return false;
  for (let at = scope.getStore(); at !== undefined; at = at.outer) {
    if (at.runId === runId) return true;
  }
  return false;
}
