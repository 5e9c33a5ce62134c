import { isCut, type Event, type EventData } from "../../machines/events.ts";
import { isAtRest, type Status } from "../../machines/state.ts";
import type { Clock } from "../clock.ts";
import type { Observed, RunObserver } from "../observe.ts";
import type { SubscriberStats } from "../overflow.ts";
import type { AgentMetrics, Counted, ErrorCount, SubscriberFigures } from "./agent-metrics.ts";
import { Probe } from "./probe.ts";
import { processWatch } from "./process-watch.ts";
import { coveredMs, SlidingCount, SlidingLatency, SLOT_MS } from "./window.ts";

export interface CollectorOptions {
  readonly agent: string;
  readonly clock: Clock;
  /** The runs that the agent holds now. */
  readonly held: () => readonly Observed[];
}

/** What is known of a run beside its figures. */
interface Noted {
  /** Events that were counted. */
  published: number;
  /** When its request went out, by the event's time. */
  requestedAt: number | undefined;
  /** Somebody asked it to stop. */
  asked: boolean;
}

interface ErrorKind {
  readonly source: string;
  readonly class: string;
  readonly severity: string;
  readonly count: SlidingCount;
}

type Failure = Pick<EventData<"error">, "source" | "class" | "code" | "severity">;

/** A program has few kinds of errors; what a model's endpoint calls its own must not fill memory. */
const MOST_KINDS = 200;
/** UTF-16 units of what an error calls itself: it is a label, and stands in every answer from then on. */
const MOST_CHARS = 64;

/**
 * Counts what the runs of one agent do.
 *
 * K1 It looks at control events, and at no token: those are counted by what the run itself counts.
 * K2 While a run works it looks once in five seconds, so that a long answer counts when it is said; the timer ends with the work.
 */
export class Collector implements RunObserver {
  readonly probe: Probe;
  private readonly options: CollectorOptions;
  private readonly clock: Clock;
  private readonly since: number;
  private readonly begun: number;
  private readonly noted = new WeakMap<Observed, Noted>();
  private readonly working = new Set<Observed>();
  private readonly latencies = {
    append: new SlidingLatency(),
    step: new SlidingLatency(),
    publish: new SlidingLatency(),
    interrupt: new SlidingLatency(),
    firstToken: new SlidingLatency(),
  };
  private readonly turns = {
    done: new SlidingCount(),
    interrupted: new SlidingCount(),
    failed: new SlidingCount(),
    cancelled: new SlidingCount(),
  };
  private readonly counts = {
    events: new SlidingCount(),
    requests: new SlidingCount(),
    retries: new SlidingCount(),
    recovered: new SlidingCount(),
    takeovers: new SlidingCount(),
    limits: new SlidingCount(),
    runsStarted: new SlidingCount(),
    input: new SlidingCount(),
    output: new SlidingCount(),
    estimated: new SlidingCount(),
    unknownRequests: new SlidingCount(),
    cost: new SlidingCount(),
  };
  private readonly outcomes = new Map<string, SlidingCount>();
  private readonly errors = new Map<string, ErrorKind>();
  private readonly left = { produced: 0, delivered: 0, merged: 0, dropped: 0, failed: 0 };
  private readonly closeProcess: () => void;
  private cancelLook: (() => void) | undefined;
  private closed = false;

  constructor(options: CollectorOptions) {
    this.options = options;
    this.clock = options.clock;
    this.since = this.clock.now();
    this.begun = this.clock.monotonic();
    this.probe = new Probe(this.clock, (what, ms) => {
      this.latencies[what].record(this.clock.monotonic(), ms);
    });
    this.closeProcess = processWatch.open();
  }

  attached(observed: Observed): void {
    // What it did before is not counted.
    this.noted.set(observed, { published: observed.bus.published, requestedAt: undefined, asked: false });
    observed.bus.onLeaving = (stats) => {
      add(this.left, stats);
    };
  }

  event(event: Event, observed: Observed): void {
    const now = this.clock.monotonic();
    const noted = this.noted.get(observed);
    if (noted === undefined) return;
    this.countEvents(observed, noted, now);
    // What is recorded of a run at rest (a late result, a note) begins no work: nothing would ever end it.
    if (!isAtRest(observed.run.state)) this.work(observed);
    this.count(event, noted, now);
  }

  rested(observed: Observed): void {
    this.working.delete(observed);
    const noted = this.noted.get(observed);
    const now = this.clock.monotonic();
    if (noted !== undefined) this.countEvents(observed, noted, now);
    const failure = observed.failure();
    // What cannot be recorded is no event.
    if (failure !== undefined) this.countError({ source: "log", code: failure.code, severity: "critical" }, now);
  }

  private count(event: Event, noted: Noted, now: number): void {
    const { counts, turns } = this;
    switch (event.type) {
      case "run_start":
        counts.runsStarted.add(now, 1);
        return;
      case "owner":
        if (event.data.recoveries > 0) counts.takeovers.add(now, 1);
        return;
      case "thinking":
        counts.requests.add(now, 1);
        noted.requestedAt = event.timestamp;
        return;
      case "token_stream":
      case "tool_call_delta":
        if (noted.requestedAt !== undefined) this.latencies.firstToken.record(now, event.timestamp - noted.requestedAt);
        noted.requestedAt = undefined;
        return;
      case "message":
        this.countMessage(event.data, now);
        return;
      case "tool_result":
        if (event.data.late !== true) countIn(this.outcomes, event.data.outcome, now);
        return;
      case "interrupt":
        noted.asked = true;
        return;
      case "interrupted":
        turns.interrupted.add(now, 1);
        if (noted.asked) this.latencies.interrupt.record(now, event.data.latencyMs);
        noted.asked = false;
        return;
      case "retry":
        counts.retries.add(now, 1);
        this.spend(event.data, now);
        return;
      case "error":
        this.countError(event.data, now);
        return;
      case "limit":
        counts.limits.add(now, 1);
        return;
      case "done":
      case "failed":
      case "cancelled":
        turns[event.type].add(now, 1);
        noted.asked = false;
        return;
      default:
    }
  }

  private countMessage(data: EventData<"message">, now: number): void {
    const { counts } = this;
    const { usage, attempt } = data;
    if (usage === "unknown") counts.unknownRequests.add(now, 1);
    else {
      counts.input.add(now, usage.inputTokens);
      counts.output.add(now, usage.outputTokens);
    }
    this.spend(data, now);
    if (attempt > 1 && !isCut(data)) counts.recovered.add(now, 1);
  }

  private spend({ estimate, cost }: Pick<EventData<"retry">, "estimate" | "cost">, now: number): void {
    if (estimate !== undefined) this.counts.estimated.add(now, estimate.inputTokens + estimate.outputTokens);
    if (cost !== undefined) this.counts.cost.add(now, cost);
  }

  private countError({ source, class: said, code, severity }: Failure, now: number): void {
    const called = labelOf(said ?? code);
    const known = this.errors.get(`${source} ${called} ${severity}`);
    const kind = known === undefined && this.errors.size >= MOST_KINDS ? "other" : called;
    const key = `${source} ${kind} ${severity}`;
    const entry = this.errors.get(key) ?? { source, class: kind, severity, count: new SlidingCount() };
    this.errors.set(key, entry);
    entry.count.add(now, 1);
  }

  private countEvents({ bus }: Observed, noted: Noted, now: number): void {
    const { published } = bus;
    if (published > noted.published) this.counts.events.add(now, published - noted.published);
    noted.published = published;
  }

  private work(observed: Observed): void {
    if (this.closed) return;
    this.working.add(observed);
    this.cancelLook ??= this.clock.timer(SLOT_MS, this.look, true);
  }

  /** K2 */
  private readonly look = (): void => {
    this.cancelLook = undefined;
    this.countAll();
    if (this.working.size > 0 && !this.closed) this.cancelLook = this.clock.timer(SLOT_MS, this.look, true);
  };

  private countAll(): void {
    const now = this.clock.monotonic();
    for (const observed of this.working) {
      // What waits with the head counts as well.
      observed.run.stats();
      const noted = this.noted.get(observed);
      if (noted !== undefined) this.countEvents(observed, noted, now);
    }
  }

  read(): AgentMetrics {
    this.countAll();
    const now = this.clock.monotonic();
    const { counts, turns, latencies } = this;
    const windowMs = Math.min(coveredMs(now), Math.max(0, now - this.begun));
    const counted = (count: SlidingCount): Counted => ({
      total: rounded(count.total),
      recent: rounded(count.recent(now)),
    });
    const subscribers: SubscriberFigures[] = [];
    const delivery = { ...this.left };
    const runs: Partial<Record<Status, number>> = {};
    for (const observed of this.options.held()) {
      const { run, bus } = observed;
      for (const { lastError: _error, ...stats } of bus.stats().subscribers) {
        subscribers.push({ runId: run.id, ...stats });
        add(delivery, stats);
      }
      if (!observed.owns()) continue;
      const { status } = run.state;
      runs[status] = (runs[status] ?? 0) + 1;
    }
    const events = counted(counts.events);
    const failed = turns.failed.recent(now);
    const done = turns.done.recent(now);
    const recovered = counts.recovered.recent(now);
    return {
      agent: this.options.agent,
      since: this.since,
      at: this.clock.now(),
      windowMs: Math.round(windowMs),
      events: { ...events, perSecond: windowMs > 0 ? rounded(events.recent / (windowMs / 1_000)) : 0 },
      latency: {
        append: latencies.append.read(now),
        step: latencies.step.read(now),
        publish: latencies.publish.read(now),
        interrupt: latencies.interrupt.read(now),
        firstToken: latencies.firstToken.read(now),
      },
      subscribers,
      delivery,
      errors: [...this.errors.values()].map(({ count, ...kind }): ErrorCount => ({ ...kind, ...counted(count) })),
      turns: {
        done: counted(turns.done),
        interrupted: counted(turns.interrupted),
        failed: counted(turns.failed),
        cancelled: counted(turns.cancelled),
      },
      failureRate: done + failed === 0 ? 0 : rounded(failed / (done + failed)),
      recoveryRate: recovered + failed === 0 ? 1 : rounded(recovered / (recovered + failed)),
      requests: counted(counts.requests),
      retries: counted(counts.retries),
      recovered: counted(counts.recovered),
      takeovers: counted(counts.takeovers),
      limits: counted(counts.limits),
      toolCalls: Object.fromEntries([...this.outcomes].map(([outcome, count]) => [outcome, counted(count)])),
      runs,
      runsStarted: counted(counts.runsStarted),
      tokens: {
        input: counted(counts.input),
        output: counted(counts.output),
        estimated: counted(counts.estimated),
        unknownRequests: counted(counts.unknownRequests),
      },
      cost: counted(counts.cost),
      process: processWatch.read(),
    };
  }

  close(): void {
    this.closed = true;
    this.working.clear();
    this.cancelLook?.();
    this.cancelLook = undefined;
    this.closeProcess();
  }
}

/** A code may be foreign: of any length, and of any characters. */
function labelOf(code: string): string {
  const short = code.length <= MOST_CHARS ? code : `${code.slice(0, MOST_CHARS - 3)}...`;
  return short.toWellFormed().replace(/\p{Cc}/gu, "?");
}

function countIn(counts: Map<string, SlidingCount>, key: string, now: number): void {
  const count = counts.get(key) ?? new SlidingCount();
  counts.set(key, count);
  count.add(now, 1);
}

type Delivery = Record<"produced" | "delivered" | "merged" | "dropped" | "failed", number>;

function add(sum: Delivery, stats: Pick<SubscriberStats, keyof Delivery>): void {
  sum.produced += stats.produced;
  sum.delivered += stats.delivered;
  sum.merged += stats.merged;
  sum.dropped += stats.dropped;
  sum.failed += stats.failed;
}

/** Sums of fractions end in noise. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
