import { keepLatest } from "./keep-latest.ts";
import { firstSeq, type Event, type Json } from "../machines/events.ts";
import { canonical, hashText } from "../machines/hash.ts";
import { decodeSnapshot, encodeSnapshot, SNAPSHOT_KEY } from "../machines/snapshot.ts";
import type { AgentState } from "../machines/state.ts";
import type { EventLog } from "./log/event-log.ts";

/**
 * States of runs that were folded before, per log: in memory, and in the log's own store where it has one.
 *
 * C1 The log is the truth. A state is used only where the log still holds the two events that it was kept with, the run's first and the state's
 *    own, byte for byte: a run that was deleted and begun anew under the same id, or pruned, has other ones.
 * C2 What is kept in memory are states, which share their storage with each other; at most {@link KEPT} per log, the last used stay.
 */
export interface SnapshotCache {
  /** The newest kept state up to a seq. */
  newest(runId: string, upTo: number): Promise<AgentState | undefined>;
  /** Keeps a state; with `persist` also where other processes find it. `last` is the event that it is the state after. */
  keep(state: AgentState, first: Event, last: Event, persist: boolean): Promise<void>;
}

const KEPT = 200;

interface Kept {
  readonly state: AgentState;
  readonly proof: string;
}

const caches = new WeakMap<EventLog, SnapshotCache>();

/** The cache of a log. It lives as long as the log does. */
export function snapshotCacheOf(log: EventLog): SnapshotCache {
  const known = caches.get(log);
  if (known !== undefined) return known;
  const made = snapshotCache(log);
  caches.set(log, made);
  return made;
}

function snapshotCache(log: EventLog): SnapshotCache {
  const kept = new Map<string, Kept>();

  /** What the log holds now in the two places; undefined where one of them is gone. */
  async function proofAt(runId: string, seq: number): Promise<string | undefined> {
    const [first] = await log.read(runId, { after: 0, limit: 1 });
    const [last] = await log.read(runId, { after: seq - 1, limit: 1 });
    if (first === undefined || last === undefined || last.seq !== seq || firstSeq(last) > seq) return undefined;
    return proofOf(first, last);
  }

  function fromMemory(runId: string, upTo: number): Kept | undefined {
    let best: Kept | undefined;
    for (const one of kept.values()) {
      const { state } = one;
      if (state.runId === runId && state.seq <= upTo && state.seq > (best?.state.seq ?? 0)) best = one;
    }
    return best;
  }

  async function fromStore(runId: string, upTo: number): Promise<Kept | undefined> {
    const stored = await log.snapshots?.newest(runId, upTo, SNAPSHOT_KEY);
    if (stored === undefined || !isProven(stored.snapshot)) return undefined;
    const state = decodeSnapshot(stored.snapshot.state);
    if (state === undefined || state.seq !== stored.seq || state.seq > upTo || state.runId !== runId) return undefined;
    return { state, proof: stored.snapshot.proof };
  }

  function remember(one: Kept): void {
    keepLatest(kept, `${one.state.runId}/${one.state.seq}`, one, KEPT);
  }

  return {
    async newest(runId, upTo) {
      const inMemory = fromMemory(runId, upTo);
      const stored = inMemory?.state.seq === upTo ? undefined : await fromStore(runId, upTo);
      const best = (stored?.state.seq ?? 0) > (inMemory?.state.seq ?? 0) ? stored : inMemory;
      if (best === undefined) return undefined;
      if ((await proofAt(runId, best.state.seq)) === best.proof) {
        remember(best);
        return best.state;
      }
      // It is of another life of this run: so is everything else that is kept of it.
      for (const [key, { state }] of kept) if (state.runId === runId) kept.delete(key);
      return undefined;
    },
    async keep(state, first, last, persist) {
      const proof = proofOf(first, last);
      remember({ state, proof });
      if (persist)
        await log.snapshots?.save(state.runId, state.seq, SNAPSHOT_KEY, { proof, state: encodeSnapshot(state) });
    },
  };
}

function proofOf(first: Event, last: Event): string {
  return hashText(canonical([first, last]));
}

function isProven(snapshot: Json): snapshot is { readonly proof: string; readonly state: Json } {
  return (
    typeof snapshot === "object" &&
    snapshot !== null &&
    "proof" in snapshot &&
    typeof snapshot.proof === "string" &&
    "state" in snapshot
  );
}
