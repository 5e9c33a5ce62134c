import type { Json } from "../../machines/events.ts";
import type { Awaitable } from "./event-log.ts";

/** What was saved for the state after an event. */
export interface StoredSnapshot {
  readonly seq: number;
  readonly snapshot: Json;
}

/**
 * Where a log keeps snapshots of states, if it does: a cache beside the events, which may lose any of them at any time.
 *
 * Contract: `newest` answers what was saved under this key for the greatest seq up to `upTo`. A deleted run has none; a pruned one need not have
 * any. Whoever reads one checks it: a wrong answer costs time, never truth.
 */
export interface SnapshotStore {
  save(runId: string, seq: number, key: string, snapshot: Json): Awaitable<void>;
  newest(runId: string, upTo: number, key: string): Awaitable<StoredSnapshot | undefined>;
}

const KEPT_PER_RUN = 4;

/** Snapshots in memory, the latest few of each run. */
export class MemorySnapshots implements SnapshotStore {
  // Made for the first: most logs are never asked for a state in the middle of a run.
  private runs: Map<string, (StoredSnapshot & { readonly key: string })[]> | undefined;

  save(runId: string, seq: number, key: string, snapshot: Json): void {
    this.runs ??= new Map();
    const others = (this.runs.get(runId) ?? []).filter((kept) => kept.seq !== seq || kept.key !== key);
    this.runs.set(runId, [...others, { seq, key, snapshot }].slice(-KEPT_PER_RUN));
  }

  newest(runId: string, upTo: number, key: string): StoredSnapshot | undefined {
    const fitting = (this.runs?.get(runId) ?? []).filter((kept) => kept.key === key && kept.seq <= upTo);
    return fitting.sort((a, b) => a.seq - b.seq).at(-1);
  }

  forget(runId: string): void {
    this.runs?.delete(runId);
  }
}
