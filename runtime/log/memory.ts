import { firstSeq, type Event } from "../../machines/events.ts";
import { hashText } from "../../machines/hash.ts";
import type { Status } from "../../machines/state.ts";
import { RubatoError } from "../errors.ts";
import type {
  AppendBatch,
  Claim,
  ClaimOptions,
  EventLog,
  Holder,
  LogHead,
  ReadRange,
  RunSummary,
} from "./event-log.ts";
import { tokenEvents, type HeldTokens } from "./held-tokens.ts";
import { memoryInbox } from "./memory-inbox.ts";
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
  /** Nobody may ever ask for it. */
  summary: OpenSummary | undefined;
  /** Up to which seq it was made. */
  summed: number;
  /** Its owner, while that keeps events to itself. */
  holder: Holder | undefined;
}

/** What a memory log holds. A class: an agent without a log of its own has one of these, and of many agents at once each would be a dozen closures. */
class MemoryRuns {
  readonly watching = new Watchers();
  readonly snapshots = new MemorySnapshots();
  private readonly runs = new Map<string, StoredRun>();
  // The run that was written to last, which is most often the next one too: looking it up costs as much as storing a token.
  private latestId: string | undefined;
  private latest: StoredRun | undefined;

  private storedRun(runId: string): StoredRun | undefined {
    if (runId !== this.latestId) {
      this.latestId = runId;
      this.latest = this.runs.get(runId);
    }
    return this.latest;
  }

  private create(runId: string, { epoch, events }: AppendBatch, first: Event): void {
    checkNewRun(runId, first);
    checkContiguous(runId, events);
    const created: StoredRun = {
      epoch,
      owned: true,
      events: packedEvents(),
      summary: undefined,
      summed: 0,
      holder: undefined,
    };
    this.runs.set(runId, created);
    this.latest = created;
    add(created, events);
    this.watching.wake(runId);
  }

  /** Whoever looks at a run sees all of it. */
  private whole(runId: string): StoredRun | undefined {
    const run = this.runs.get(runId);
    run?.holder?.flush();
    return run;
  }

  append(runId: string, batch: AppendBatch): undefined {
    const { epoch, events } = batch;
    const first = events[0];
    if (first === undefined) return undefined;
    const stored = this.storedRun(runId);
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
      this.watching.wake(runId);
      return undefined;
    }
    if (stored === undefined) {
      this.create(runId, batch, first);
      return undefined;
    }
    if (firstSeq(first) === 1) throw runExists(runId);
    if (epoch !== stored.epoch || !stored.owned) throw notOwner(runId, stored.epoch, epoch);
    checkFollows(runId, stored.events.length, events);
    stored.holder = undefined;
    add(stored, events);
    this.watching.wake(runId);
    return undefined;
  }

  hold(holder: Holder): boolean {
    const stored = this.storedRun(holder.runId);
    if (stored === undefined || this.watching.watched(holder.runId)) return false;
    // One that lost the run would take the place of the owner whose tokens a reader has to ask for.
    if (!stored.owned || stored.epoch !== holder.epoch) return false;
    stored.holder = holder;
    return true;
  }

  keep(runId: string, epoch: number, tokens: HeldTokens): void {
    const stored = this.storedRun(runId);
    if (stored?.epoch !== epoch || !stored.owned) throw notOwner(runId, stored?.epoch ?? 0, epoch);
    if (tokens.seq !== stored.events.length + 1) checkFollows(runId, stored.events.length, tokenEvents(runId, tokens));
    stored.holder = undefined;
    stored.events.appendTokens(runId, tokens);
  }

  read(runId: string, { after, limit }: ReadRange): readonly Event[] {
    return this.whole(runId)?.events.read(after, limit) ?? [];
  }

  head(runId: string): LogHead {
    const run = this.whole(runId);
    return { seq: run?.events.length ?? 0, epoch: run?.epoch ?? 0, owned: run?.owned ?? false };
  }

  claim(runId: string, { takeover = false }: ClaimOptions = {}): Claim {
    const run = this.whole(runId);
    if (run === undefined) return { claimed: false, reason: "unknown_run" };
    if (run.owned && !takeover) return { claimed: false, reason: "owned" };
    run.epoch++;
    run.owned = true;
    this.watching.wake(runId);
    return { claimed: true, epoch: run.epoch, seq: run.events.length };
  }

  release(runId: string, epoch: number): void {
    const run = this.whole(runId);
    if (run?.epoch !== epoch) return;
    run.owned = false;
    this.watching.wake(runId);
  }

  watch(runId: string, onChange: () => void): () => void {
    this.whole(runId);
    return this.watching.watch(runId, onChange);
  }

  list(filter: { readonly status?: Status } | undefined): readonly RunSummary[] {
    for (const { holder } of this.runs.values()) holder?.flush();
    const summaries = Array.from(this.runs, ([runId, run]) => {
      const { events, owned } = run;
      const summary = summaryOf(runId, run);
      const [last] = events.read(events.length - 1, 1);
      return { ...summary, owned, seq: events.length, updatedAt: last?.timestamp ?? summary.updatedAt };
    });
    return filter?.status === undefined ? summaries : summaries.filter(({ status }) => status === filter.status);
  }

  delete(runId: string): boolean {
    this.whole(runId);
    const deleted = this.runs.delete(runId);
    // Behind the look at all of it, which is a write to it where its owner kept something.
    this.latestId = undefined;
    this.latest = undefined;
    this.snapshots.forget(runId);
    if (deleted) this.watching.wake(runId);
    return deleted;
  }

  prune(runId: string): number {
    const run = this.whole(runId);
    if (run === undefined) return 0;
    if (run.owned) throw inUse(runId);
    const all = run.events.read(0, run.events.length);
    const drop = prunable();
    for (const event of all) drop.take(event);
    const ranges = drop.ranges();
    run.events = withGaps(all, ranges);
    return ranges.reduce((count, { from, to }) => count + to - from + 1, 0);
  }

  /** Without a look at what its owner keeps to itself. */
  epochOf(runId: string): number {
    return this.runs.get(runId)?.epoch ?? 0;
  }
}

function add(run: StoredRun, events: readonly Event[]): void {
  for (const event of events) run.events.append(event);
}

function summaryOf(runId: string, run: StoredRun): OpenSummary {
  const { events } = run;
  run.summary ??= emptySummary(runId, events.read(0, 1)[0] ?? { timestamp: 0, seq: 0 });
  for (const event of events.readSettled(run.summed)) summarize(run.summary, event);
  run.summed = events.length;
  return run.summary;
}

/** Where the functions below, which all memory logs share, find what a log holds: in what they are called on, which may be a copy (`{ ...log }`). */
const RUNS = Symbol("runs");

interface MemoryLog extends EventLog {
  readonly [RUNS]: MemoryRuns;
}

/** Whoever takes a function off a log calls it on something else, or on nothing. */
function runsOf(log: Partial<MemoryLog> | undefined): MemoryRuns {
  const runs = log?.[RUNS];
  if (runs !== undefined) return runs;
  throw new RubatoError(
    "invalid_option",
    "A function of a memory log was called without it. Call it on the log, or on a copy: { ...log, append }.",
  );
}

function append(this: MemoryLog, runId: string, batch: AppendBatch) {
  return runsOf(this).append(runId, batch);
}

function hold(this: MemoryLog, writer: EventLog, holder: Holder) {
  return writer.append === append && runsOf(this).hold(holder);
}

function keep(this: MemoryLog, runId: string, epoch: number, tokens: HeldTokens) {
  runsOf(this).keep(runId, epoch, tokens);
}

function read(this: MemoryLog, runId: string, range: ReadRange) {
  return runsOf(this).read(runId, range);
}

function head(this: MemoryLog, runId: string) {
  return runsOf(this).head(runId);
}

function claim(this: MemoryLog, runId: string, options?: ClaimOptions) {
  return runsOf(this).claim(runId, options);
}

function release(this: MemoryLog, runId: string, epoch: number) {
  runsOf(this).release(runId, epoch);
}

function watch(this: MemoryLog, runId: string, onChange: () => void) {
  return runsOf(this).watch(runId, onChange);
}

function list(this: MemoryLog, filter?: { readonly status?: Status }) {
  return runsOf(this).list(filter);
}

function forget(this: MemoryLog, runId: string) {
  return runsOf(this).delete(runId);
}

function prune(this: MemoryLog, runId: string) {
  return runsOf(this).prune(runId);
}

/** A log that lives and dies with the process. An append is durable at once, as far as anything here is. Its functions are to be called on it, or on a copy of it. */
export function memoryLog(): EventLog {
  const runs = new MemoryRuns();
  const log: MemoryLog = {
    [RUNS]: runs,
    durability: "memory",
    append,
    hold,
    keep,
    read,
    head,
    claim,
    release,
    watch,
    list,
    delete: forget,
    prune,
    snapshots: runs.snapshots,
    inbox: memoryInbox(runs),
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
