import { firstSeq, isHot, type Event } from "../../machines/events.ts";
import { hashText } from "../../machines/hash.ts";
import { checkOption } from "../checks.ts";
import { RubatoError } from "../errors.ts";
import { isRunId, type AppendBatch, type EventLog } from "./event-log.ts";
import { memoryInbox } from "./memory-inbox.ts";
import { packedEvents, type PackedEvents } from "./packed-events.ts";
import { prunable, type SeqRange } from "./prunable.ts";
import { memorySnapshots } from "./snapshot-store.ts";
import { emptySummary, summarize, type OpenSummary } from "./summary.ts";
import { watchers } from "./watchers.ts";

interface StoredRun {
  epoch: number;
  owned: boolean;
  events: PackedEvents;
  readonly summary: OpenSummary;
}

/** A log that lives and dies with the process. An append is durable at once, as far as anything here is. */
export function memoryLog(): EventLog {
  const runs = new Map<string, StoredRun>();
  const watching = watchers();
  const snapshots = memorySnapshots();

  function add(run: StoredRun, events: readonly Event[]): void {
    for (const event of events) {
      run.events.append(event);
      if (!isHot(event)) summarize(run.summary, event);
    }
  }

  function create(runId: string, { epoch, events }: AppendBatch, first: Event): void {
    checkOption("runId", runId, isRunId(runId), "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot");
    if (firstSeq(first) !== 1)
      throw new RubatoError("log", `Run "${runId}" does not exist: its first event must be seq 1.`);
    checkContiguous(runId, events);
    const created: StoredRun = { epoch, owned: true, events: packedEvents(), summary: emptySummary(runId, first) };
    runs.set(runId, created);
    add(created, events);
  }

  return {
    durability: "memory",
    append(runId, batch) {
      const { epoch, events } = batch;
      const [first] = events;
      if (first === undefined) return undefined;
      const stored = runs.get(runId);
      if (stored === undefined) {
        create(runId, batch, first);
        return undefined;
      }
      if (firstSeq(first) === 1) {
        throw new RubatoError("run_exists", `A run "${runId}" exists already. Choose another runId, or open that one.`);
      }
      if (epoch !== stored.epoch) throw notOwner(runId, stored.epoch, epoch);
      if (firstSeq(first) !== stored.events.length + 1) {
        throw new RubatoError(
          "log",
          `Run "${runId}" is at seq ${stored.events.length}; seq ${first.seq} does not follow.`,
        );
      }
      if (events.length > 1) checkContiguous(runId, events);
      add(stored, events);
      watching.wake(runId);
      return undefined;
    },
    read: (runId, { after, limit }) => runs.get(runId)?.events.read(after, limit) ?? [],
    head(runId) {
      const run = runs.get(runId);
      return { seq: run?.events.length ?? 0, epoch: run?.epoch ?? 0, owned: run?.owned ?? false };
    },
    claim(runId, { takeover = false } = {}) {
      const run = runs.get(runId);
      if (run === undefined) return { claimed: false, reason: "unknown_run" };
      if (run.owned && !takeover) return { claimed: false, reason: "owned" };
      run.epoch++;
      run.owned = true;
      watching.wake(runId);
      return { claimed: true, epoch: run.epoch, seq: run.events.length };
    },
    release(runId, epoch) {
      const run = runs.get(runId);
      if (run?.epoch !== epoch) return;
      run.owned = false;
      watching.wake(runId);
    },
    watch: watching.watch,
    list(filter) {
      const summaries = [...runs.values()].map(({ summary, events, owned }) => {
        const [last] = events.read(events.length - 1, 1);
        return { ...summary, owned, seq: events.length, updatedAt: last?.timestamp ?? summary.updatedAt };
      });
      return filter?.status === undefined ? summaries : summaries.filter(({ status }) => status === filter.status);
    },
    delete(runId) {
      const deleted = runs.delete(runId);
      snapshots.forget(runId);
      if (deleted) watching.wake(runId);
      return deleted;
    },
    prune(runId) {
      const run = runs.get(runId);
      if (run === undefined) return 0;
      if (run.owned) throw new RubatoError("owned", `Run "${runId}" is in use. Close the agent that has it first.`);
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

export function notOwner(runId: string, newest: number, epoch: number): RubatoError {
  return new RubatoError(
    "not_owner",
    `Run "${runId}" has a newer owner (epoch ${newest}, this one is ${epoch}). It goes on there.`,
  );
}

function checkContiguous(runId: string, events: readonly Event[]): void {
  let next: number | undefined;
  for (const event of events) {
    if (next !== undefined && firstSeq(event) !== next)
      throw new RubatoError("log", `A batch for run "${runId}" has a gap before seq ${event.seq}.`);
    next = event.seq + 1;
  }
}
