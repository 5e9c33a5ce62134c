/** Callbacks by run, for an adapter that knows itself when something changed. */
export class Watchers {
  // Made for the first: of many logs at once most are watched by nobody.
  private byRun: Map<string, Set<() => void>> | undefined;

  watch(runId: string, onChange: () => void): () => void {
    // A wrapper of its own: the same function may watch twice, and each undo ends one of them.
    const watcher = (): void => {
      onChange();
    };
    this.byRun ??= new Map();
    const all = this.byRun.get(runId) ?? new Set();
    this.byRun.set(runId, all.add(watcher));
    return () => {
      all.delete(watcher);
      if (all.size === 0 && this.byRun?.get(runId) === all) this.byRun.delete(runId);
    };
  }

  watched(runId: string): boolean {
    return this.byRun?.has(runId) === true;
  }

  wake(runId: string): void {
    const all = this.byRun?.get(runId);
    // Later, and each on its own: who watches may write, and must not be entered while somebody writes.
    if (all !== undefined) for (const watcher of all) queueMicrotask(() => all.has(watcher) && watcher());
  }
}
