interface Watcher {
  readonly runId: string;
  readonly onChange: () => void;
  ended: boolean;
}

/** Callbacks by run, for an adapter that knows itself when something changed. */
export class Watchers {
  /** The first one alone: of many logs at once most have no other. */
  private first: Watcher | undefined;
  private others: Map<string, Set<Watcher>> | undefined;

  watch(runId: string, onChange: () => void): () => void {
    // An object of its own: the same function may watch twice, and each undo ends one of them.
    const watcher: Watcher = { runId, onChange, ended: false };
    if (this.first === undefined) this.first = watcher;
    else {
      this.others ??= new Map();
      const all = this.others.get(runId) ?? new Set();
      this.others.set(runId, all.add(watcher));
    }
    return () => {
      this.end(watcher);
    };
  }

  private end(watcher: Watcher): void {
    watcher.ended = true;
    if (this.first === watcher) this.first = undefined;
    const all = this.others?.get(watcher.runId);
    if (all?.delete(watcher) === true && all.size === 0) this.others?.delete(watcher.runId);
  }

  watched(runId: string): boolean {
    return this.first?.runId === runId || this.others?.has(runId) === true;
  }

  wake(runId: string): void {
    const { first, others } = this;
    if (first?.runId === runId) wakeLater(first);
    const all = others?.get(runId);
    if (all !== undefined) for (const watcher of all) wakeLater(watcher);
  }
}

/** Each on its own: who watches may write, and must not be entered while somebody writes. */
function wakeLater(watcher: Watcher): void {
  queueMicrotask(() => {
    if (!watcher.ended) watcher.onChange();
  });
}
