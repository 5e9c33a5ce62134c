/** Callbacks by run, for an adapter that knows itself when something changed. */
export interface Watchers {
  readonly watch: (runId: string, onChange: () => void) => () => void;
  readonly wake: (runId: string) => void;
  readonly watched: (runId: string) => boolean;
}

export function watchers(): Watchers {
  // Made for the first: of many logs at once most are watched by nobody.
  let byRun: Map<string, Set<() => void>> | undefined;
  return {
    watch(runId, onChange) {
      // A wrapper of its own: the same function may watch twice, and each undo ends one of them.
      const watcher = (): void => {
        onChange();
      };
      byRun ??= new Map();
      const all = byRun.get(runId) ?? new Set();
      byRun.set(runId, all.add(watcher));
      return () => {
        all.delete(watcher);
        if (all.size === 0 && byRun?.get(runId) === all) byRun.delete(runId);
      };
    },
    watched: (runId) => byRun?.has(runId) === true,
    wake(runId) {
      const all = byRun?.get(runId);
      // Later, and each on its own: who watches may write, and must not be entered while somebody writes.
      if (all !== undefined) for (const watcher of all) queueMicrotask(() => all.has(watcher) && watcher());
    },
  };
}
