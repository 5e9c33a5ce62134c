import { EVENT_TYPES, isHot, type Event, type EventType } from "../machines/events.ts";
import type { Bus } from "./bus.ts";
import type { RubatoError } from "./errors.ts";
import { isPromiseLike } from "./promise-like.ts";
import type { Run } from "./run.ts";

/**
 * Sees what happens in all runs of an agent, as far as this process owns them: every control event once it is durable, each run in its order, and of
 * each answer the first delta. It costs nothing per token, and is no listener: a run with observers stores what it stores without.
 *
 * Called synchronously: it holds the run up while it works. What it throws, or rejects with where it is asynchronous, changes nothing, for the run or
 * for other observers.
 */
export interface AgentObserver {
  event(event: Event, run: Run): void;
  /**
   * The run came to rest because it can record nothing more, which no event can say: its log failed (`log`), another process has it (`not_owner`), its
   * id was taken (`run_exists`).
   */
  failed?(error: RubatoError, run: Run): void;
}

/** What an observer sees of a run. */
export interface Observed {
  readonly run: Run;
  readonly bus: Pick<Bus, "tap" | "stats" | "published" | "onLeaving">;
  owns(): boolean;
  failure(): RubatoError | undefined;
}

/** An observer of ours, which sees more of a run than its public face. */
export interface RunObserver {
  event(event: Event, observed: Observed): void;
  /** The run is seen from here on. */
  attached?(observed: Observed): void;
  /** The run came to rest, or its log failed. */
  rested?(observed: Observed): void;
}

/** What an asynchronous callback rejects with concerns nobody else either; unheard, it would end the process. */
export function settle(answered: unknown): void {
  if (isPromiseLike(answered)) answered.then(undefined, () => {});
}

/** An observer that a program gave. */
export function runObserver(observer: AgentObserver): RunObserver {
  return {
    event(event, { run }) {
      settle(observer.event(event, run));
    },
    rested(observed) {
      const error = observed.failure();
      if (error !== undefined) settle(observer.failed?.(error, observed.run));
    },
  };
}

const HOT: readonly EventType[] = ["token_stream", "tool_call_delta"];
const CONTROL: readonly EventType[] = EVENT_TYPES.filter((type) => type !== "tool_progress" && !HOT.includes(type));

/** Everybody who observes the runs of one agent. With nobody there, no run is touched. */
export class Observers {
  private readonly observers = new Set<RunObserver>();
  /** Weakly: to be observed must not keep a run alive. */
  private readonly watches = new WeakMap<Observed, Watch>();

  /** To be called for every run that the agent holds, also again. */
  attach(observed: Observed): void {
    if (this.observers.size === 0 || this.isWatched(observed)) return;
    this.watches.set(observed, new Watch(observed, this.observers));
    for (const observer of this.observers) quietly(() => observer.attached?.(observed));
  }

  rested(observed: Observed): void {
    for (const observer of this.observers) quietly(() => observer.rested?.(observed));
  }

  /** `held`: the runs that the agent holds, now and when it ends. */
  add(observer: RunObserver, held: () => readonly Observed[]): () => void {
    // Those that are watched only now are told to it by `attach`.
    for (const observed of held()) if (this.isWatched(observed)) quietly(() => observer.attached?.(observed));
    this.observers.add(observer);
    for (const observed of held()) this.attach(observed);
    return () => {
      if (!this.observers.delete(observer) || this.observers.size > 0) return;
      // A watch of a run that the agent let go ends by itself.
      for (const observed of held()) this.watches.get(observed)?.end();
    };
  }

  private isWatched(observed: Observed): boolean {
    return this.watches.get(observed)?.live === true;
  }
}

/**
 * One run, watched for all observers.
 *
 * V1 Deltas are heard from a request on until the first one of its answer; between, no token calls anything here.
 */
class Watch {
  live = true;
  private readonly observed: Observed;
  private readonly observers: ReadonlySet<RunObserver>;
  private readonly untap: () => void;
  private unawait: (() => void) | undefined;

  constructor(observed: Observed, observers: ReadonlySet<RunObserver>) {
    this.observed = observed;
    this.observers = observers;
    this.untap = observed.bus.tap(CONTROL, this.see);
  }

  private readonly see = (event: Event): void => {
    if (this.observers.size === 0) {
      this.end();
      return;
    }
    if (isHot(event)) this.stopAwaiting();
    else if (event.type === "thinking") this.unawait ??= this.observed.bus.tap(HOT, this.see);
    // What another process does is for that process to tell.
    if (!this.observed.owns()) return;
    for (const observer of this.observers) quietly(() => observer.event(event, this.observed));
  };

  private stopAwaiting(): void {
    this.unawait?.();
    this.unawait = undefined;
  }

  end(): void {
    this.live = false;
    this.stopAwaiting();
    this.untap();
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // It concerns nobody but the observer.
  }
}
