import type { Event } from "../machines/events.ts";
import { isAtRest, type AgentState } from "../machines/state.ts";
import { step } from "../machines/step.ts";
import type { Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { PAGE_BYTES, type EventLog } from "./log/event-log.ts";
import type { ReadableHead } from "./reader.ts";

/** How often a run that somebody waits for is asked whether its owner still lives, ms. */
const LIVENESS_MS = 1_000;
const PAGE = 512;
const NOTHING: readonly Event[] = [];

/**
 * The head of a run that this process does not own: it reads what the owner appends.
 *
 * F1 Everything it tells is durable, in order of seq (P2).
 * F2 It looks only while somebody waits or listens: then at every change that the log announces, and once a second at the owner's life.
 * F3 A run that nobody owns is at rest, wherever its chart stands.
 */
export interface FollowHead extends ReadableHead {
  readonly state: AgentState;
  readonly durableSeq: number;
  /** Whether its owner lived when it was last looked at. */
  readonly owned: boolean;
  /** Somebody waits. */
  readonly awaited: boolean;
  /** Reads what is new. Rejects where the log cannot be read. */
  refresh(): Promise<void>;
  /** Begins to look, or stops, where somebody began to listen or stopped. */
  attend(): void;
  /** Reads something in the moment when the run is at rest, or when this head is closed. */
  rest<T>(read: () => T): Promise<T>;
  /** Wakes all who wait: they find the head that comes after this one. */
  close(): void;
}

export interface FollowOptions {
  readonly runId: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly state: AgentState;
  readonly owned: boolean;
  readonly publish: (event: Event) => void;
  readonly listening: () => boolean;
}

export function followHead(options: FollowOptions): FollowHead {
  return new LogFollower(options);
}

class LogFollower implements FollowHead {
  readonly runId: string;
  state: AgentState;
  owned: boolean;
  failure: RubatoError | undefined;
  private readonly options: FollowOptions;
  private readonly progress = new Set<() => void>();
  private readonly resting = new Set<() => void>();
  private unwatch: (() => void) | undefined;
  private cancelTimer: (() => void) | undefined;
  private reading: Promise<void> | undefined;
  private again = false;
  private closed = false;

  constructor(options: FollowOptions) {
    this.options = options;
    this.runId = options.runId;
    this.state = options.state;
    this.owned = options.owned;
  }

  get durableSeq(): number {
    return this.state.seq;
  }

  get publishedSeq(): number {
    return this.state.seq;
  }

  get atRest(): boolean {
    return this.failure !== undefined || !this.owned || isAtRest(this.state);
  }

  get awaited(): boolean {
    return this.progress.size + this.resting.size > 0;
  }

  private get watching(): boolean {
    return this.awaited || this.options.listening();
  }

  volatileAfter(): readonly Event[] {
    return NOTHING;
  }

  async refresh(): Promise<void> {
    if (this.reading !== undefined) {
      // What is being read may be older than the moment of this call.
      this.again = true;
      return this.reading;
    }
    this.reading = this.read();
    return this.reading;
  }

  private async read(): Promise<void> {
    const { log } = this.options;
    try {
      do {
        this.again = false;
        // First the owner, then its events: one that ended in between has written its last by then.
        const { seq, owned } = await log.head(this.runId);
        if (seq < this.state.seq) throw this.shorter(seq);
        for (;;) {
          const page = await log.read(this.runId, { after: this.state.seq, limit: PAGE, bytes: PAGE_BYTES });
          if (this.closed || page.length === 0) break;
          for (const event of page) this.take(event);
        }
        this.owned = owned;
        if (this.closed) return;
      } while (this.again);
    } finally {
      // In the same moment as the last look: who asks from now on is given a new one.
      this.reading = undefined;
    }
    this.tellRest();
  }

  private shorter(seq: number): RubatoError {
    return new RubatoError(
      "log",
      `The log of run "${this.runId}" ends at seq ${seq}, and ${this.state.seq} events were read from it. Was it deleted?`,
    );
  }

  private take(event: Event): void {
    const result = step(this.state, event);
    if (!result.accepted) {
      throw new RubatoError(
        "log",
        `Run "${this.runId}" cannot be followed: seq ${event.seq} (${event.type}) does not fit its log (${result.reason}).`,
      );
    }
    this.state = result.state;
    this.options.publish(event);
    this.wake(this.progress);
  }

  private tellRest(): void {
    if (!this.atRest) return;
    this.wake(this.resting);
    this.wake(this.progress);
  }

  attend(): void {
    if (this.watching) this.look();
    else this.lookAway();
  }

  onProgress(callback: () => void): () => void {
    this.progress.add(callback);
    this.look();
    return () => {
      this.progress.delete(callback);
      this.lookAway();
    };
  }

  /** The same: what it tells is stored (F1). */
  onStored(callback: () => void): () => void {
    return this.onProgress(callback);
  }

  rest<T>(read: () => T): Promise<T> {
    if (this.atRest || this.closed) return Promise.resolve(read());
    return new Promise((resolve) => {
      this.resting.add(() => {
        resolve(read());
      });
      this.look();
    });
  }

  private look(): void {
    if (this.closed || this.unwatch !== undefined) return;
    const glance = (): void => {
      this.refresh().then(
        () => {
          this.lookAway();
        },
        (error: unknown) => {
          this.fail(error);
        },
      );
    };
    const { clock, log } = this.options;
    const tick = (): void => {
      glance();
      this.cancelTimer = clock.timer(LIVENESS_MS, tick);
    };
    this.unwatch = log.watch(this.runId, glance);
    tick();
  }

  private lookAway(): void {
    if (this.watching && !this.closed) return;
    this.unwatch?.();
    this.unwatch = undefined;
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }

  private fail(error: unknown): void {
    if (this.closed) return;
    this.failure =
      error instanceof RubatoError
        ? error
        : new RubatoError("log", `The log of run "${this.runId}" cannot be read: ${messageOf(error)}`, {
            cause: error,
          });
    this.close();
  }

  private wake(waiters: Set<() => void>): void {
    if (waiters.size === 0) return;
    const waiting = [...waiters];
    waiters.clear();
    for (const callback of waiting) callback();
  }

  close(): void {
    this.closed = true;
    this.lookAway();
    this.wake(this.progress);
    this.wake(this.resting);
  }
}
