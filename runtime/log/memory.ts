import { firstSeq, isHot, type Event } from "../../machines/events.ts";
import { hashText } from "../../machines/hash.ts";
import type { AppendBatch, EventLog, Holder } from "./event-log.ts";
import { memoryInbox } from "./memory-inbox.ts";
import { tokenEvents } from "./held-tokens.ts";
import { packedEvents, type PackedEvents } from "./packed-events.ts";
import { prunable, type SeqRange } from "./prunable.ts";
import { checkContiguous, checkFollows, checkNewRun, inUse, notOwner, runExists } from "./refusals.ts";
import { MemorySnapshots } from "./snapshot-store.ts";
import { emptySummary, summarize, type OpenSummary } from "./summary.ts";
import { Watchers } from "./watchers.ts";

interface StoredRun {
  epoch: number;
  owned: boolean;
  events: PackedEvents;
  readonly summary: OpenSummary;
  /** Its owner, while that keeps events to itself. */
  holder: Holder | undefined;
}

/** A log that lives and dies with the process. An append is durable at once, as far as anything here is. */
export function memoryLog(): EventLog {
  const runs = new Map<string, StoredRun>();
  const watching = new Watchers();
  // The run that was written to last, which is most often the next one too: looking it up costs as much as storing a token.
  let latestId: string | undefined;
  let latest: StoredRun | undefined;

  function storedRun(runId: string): StoredRun | undefined {
    if (runId !== latestId) {
      latestId = runId;
      latest = runs.get(runId);
    }
    return latest;
  }
  const snapshots = new MemorySnapshots();

  function add(run: StoredRun, events: readonly Event[]): void {
    for (const event of events) {
      run.events.append(event);
      if (!isHot(event)) summarize(run.summary, event);
    }
  }

  function create(runId: string, { epoch, events }: AppendBatch, first: Event): void {
    checkNewRun(runId, first);
    checkContiguous(runId, events);
    const created: StoredRun = {
      epoch,
      owned: true,
      events: packedEvents(),
      summary: emptySummary(runId, first),
      holder: undefined,
    };
    runs.set(runId, created);
    add(created, events);
    watching.wake(runId);
  }

  /** Whoever looks at a run sees all of it. */
  function whole(runId: string): StoredRun | undefined {
    const run = runs.get(runId);
    run?.holder?.flush();
    return run;
  }

  const log: EventLog = {
    durability: "memory",
    append(runId, batch) {
      const { epoch, events } = batch;
      const first = events[0];
      if (first === undefined) return undefined;
      const stored = storedRun(runId);
      // Nearly every batch is this one: a single event that follows.
      if (
        events.length === 1 &&
        stored?.epoch === epoch &&
        stored.owned &&
        first.seq === stored.events.length + 1 &&
        first.type !== "gap"
      ) {
        stored.holder = undefined;
        stored.events.append(first);
        if (!isHot(first)) summarize(stored.summary, first);
        watching.wake(runId);
        return undefined;
      }
      if (stored === undefined) {
        create(runId, batch, first);
        latest = runs.get(runId);
        return undefined;
      }
      if (firstSeq(first) === 1) throw runExists(runId);
      if (epoch !== stored.epoch || !stored.owned) throw notOwner(runId, stored.epoch, epoch);
      checkFollows(runId, stored.events.length, events);
      stored.holder = undefined;
      add(stored, events);
      watching.wake(runId);
      return undefined;
    },
    hold(writer, holder) {
      const stored = storedRun(holder.runId);
      if (stored === undefined || writer.append !== log.append || watching.watched(holder.runId)) return false;
      // One that lost the run would take the place of the owner whose tokens a reader has to ask for.
      if (!stored.owned || stored.epoch !== holder.epoch) return false;
      stored.holder = holder;
      return true;
    },
    keep(runId, epoch, tokens) {
      const stored = storedRun(runId);
      if (stored?.epoch !== epoch || !stored.owned) throw notOwner(runId, stored?.epoch ?? 0, epoch);
      if (tokens.seq !== stored.events.length + 1)
        checkFollows(runId, stored.events.length, tokenEvents(runId, tokens));
      stored.holder = undefined;
      stored.events.appendTokens(runId, tokens);
    },
    read: (runId, { after, limit }) => whole(runId)?.events.read(after, limit) ?? [],
    head(runId) {
      const run = whole(runId);
      return { seq: run?.events.length ?? 0, epoch: run?.epoch ?? 0, owned: run?.owned ?? false };
    },
    claim(runId, { takeover = false } = {}) {
      const run = whole(runId);
      if (run === undefined) return { claimed: false, reason: "unknown_run" };
      if (run.owned && !takeover) return { claimed: false, reason: "owned" };
      run.epoch++;
      run.owned = true;
      watching.wake(runId);
      return { claimed: true, epoch: run.epoch, seq: run.events.length };
    },
    release(runId, epoch) {
      const run = whole(runId);
      if (run?.epoch !== epoch) return;
      run.owned = false;
      watching.wake(runId);
    },
    watch(runId, onChange) {
      whole(runId);
      return watching.watch(runId, onChange);
    },
    list(filter) {
      for (const { holder } of runs.values()) holder?.flush();
      const summaries = [...runs.values()].map(({ summary, events, owned }) => {
        const [last] = events.read(events.length - 1, 1);
        return { ...summary, owned, seq: events.length, updatedAt: last?.timestamp ?? summary.updatedAt };
      });
      return filter?.status === undefined ? summaries : summaries.filter(({ status }) => status === filter.status);
    },
    delete(runId) {
      latestId = undefined;
      latest = undefined;
      whole(runId);
      const deleted = runs.delete(runId);
      snapshots.forget(runId);
      if (deleted) watching.wake(runId);
      return deleted;
    },
    prune(runId) {
      const run = whole(runId);
      if (run === undefined) return 0;
      if (run.owned) throw inUse(runId);
      const all = run.events.read(0, run.events.length);
      const drop = prunable();
      for (const event of all) drop.take(event);
      const ranges = drop.ranges();
      run.events = withGaps(all, ranges);
      return ranges.reduce((count, { from, to }) => count + to - from + 1, 0);
    },
    snapshots,
    inbox: memoryInbox((runId) => runs.get(runId)?.epoch ?? 0),
  };
  return log;
}

function withGaps(events: readonly Event[], ranges: readonly SeqRange[]): PackedEvents {
  const kept = packedEvents();
  let at = 0;
  let dropped: Event[] = [];
  for (const event of events) {
    const range = ranges[at];
    if (range === undefined || event.seq < range.from) {
      kept.append(event);
      continue;
    }
    dropped.push(event);
    if (event.seq < range.to) continue;
    const { seq, timestamp, runId } = event;
    kept.append({ seq, timestamp, runId, type: "gap", data: { ...range, digest: hashText(JSON.stringify(dropped)) } });
    dropped = [];
    at++;
  }
  return kept;
}
