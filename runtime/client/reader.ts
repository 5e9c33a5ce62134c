import type { Event, EventType } from "../../machines/events.ts";
import type { RubatoError } from "../errors.ts";
import { sizeOf } from "../event-size.ts";
import type { Follower, Reading } from "./follower.ts";
import type { QueueLimits } from "./options.ts";

export interface ReaderOptions {
  /** Exclusive cursor. */
  readonly from: number;
  readonly types: ReadonlySet<EventType> | undefined;
  readonly follow: boolean;
  readonly limits: QueueLimits;
  /** Through which it reads first. */
  readonly follower: Follower;
  /** One of its own, for when it has to leave. */
  readonly own: () => Follower;
  /** Called once, however it ended. */
  readonly onEnd: (reader: Reader) => void;
}

const END: IteratorResult<Event> = { done: true, value: undefined };

/**
 * One loop over the events of a run.
 *
 * Q1 What waits is bounded by the limits and what one read of the line brings: a full queue stops the line.
 * Q2 Every event behind the cursor once, in order, also where it changes from one stream to another.
 * Q3 Every way out (the run's rest, leaving the loop, an abort, an error) leaves the stream in that moment.
 */
export class Reader implements AsyncIterableIterator<Event>, Reading {
  private readonly options: ReaderOptions;
  private follower: Follower | undefined;
  /** Of the last event that came, wanted or not. */
  private cursor: number;
  private queue: Event[] = [];
  private index = 0;
  private bytes = 0;
  private evicted = false;
  private ended = false;
  private error: RubatoError | undefined;
  private wake: (() => void) | undefined;
  private last: Promise<unknown> = Promise.resolve();

  constructor(options: ReaderOptions) {
    this.options = options;
    this.cursor = options.from;
    this.follower = options.follower;
    options.follower.join(this);
    // There is nothing to come in a run that is over.
    if (options.follower.isOver) this.end(undefined);
  }

  get follow(): boolean {
    return this.options.follow;
  }

  get isOver(): boolean {
    return this.ended;
  }

  get waiting(): number {
    return this.queue.length - this.index;
  }

  get full(): boolean {
    const { limits } = this.options;
    return this.waiting >= limits.events || this.bytes >= limits.bytes;
  }

  get low(): boolean {
    const { limits } = this.options;
    return this.waiting <= limits.events / 2 && this.bytes <= limits.bytes / 2;
  }

  push(event: Event): void {
    if (event.seq <= this.cursor || this.ended) return;
    this.cursor = event.seq;
    const { types } = this.options;
    if (types !== undefined && !types.has(event.type)) return;
    this.queue.push(event);
    this.bytes += sizeOf(event);
    this.wake?.();
  }

  evict(): void {
    this.evicted = true;
    this.follower = undefined;
    this.wake?.();
  }

  end(error: RubatoError | undefined): void {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    this.leave();
    this.wake?.();
  }

  check(): void {
    this.wake?.();
  }

  next(): Promise<IteratorResult<Event>> {
    const pull = this.last.then(
      () => this.take(),
      () => this.take(),
    );
    this.last = pull;
    return pull;
  }

  return(): Promise<IteratorResult<Event>> {
    this.drop();
    return Promise.resolve(END);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends it, with what waits. */
  drop(): void {
    this.queue = [];
    this.index = 0;
    this.bytes = 0;
    this.end(undefined);
  }

  private async take(): Promise<IteratorResult<Event>> {
    for (;;) {
      const event = this.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.error !== undefined) {
        const { error } = this;
        this.error = undefined;
        throw error;
      }
      if (this.ended) return END;
      if (this.evicted) {
        this.evicted = false;
        this.follower = this.options.own();
        this.follower.join(this);
      }
      if (!this.follow && this.follower?.atRest() === true) {
        this.end(undefined);
        continue;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
  }

  private shift(): Event | undefined {
    const event = this.queue[this.index];
    if (event === undefined) return undefined;
    this.index++;
    this.bytes -= sizeOf(event);
    if (this.index === this.queue.length) {
      this.queue = [];
      this.index = 0;
    } else if (this.index === 1_024) {
      this.queue.splice(0, this.index);
      this.index = 0;
    }
    this.follower?.drained();
    return event;
  }

  private leave(): void {
    const { follower } = this;
    this.follower = undefined;
    follower?.leave(this);
    this.options.onEnd(this);
  }
}
