import type { Event, EventType } from "../machines/events.ts";
import type { EventLog } from "./log/event-log.ts";
import { missing, readPublished, type ReadableHead, type ReadOptions } from "./reader.ts";

export interface BatchOptions extends ReadOptions {
  /**
   * Only what is stored: what other processes and machines may be told (P2). Default false: tokens come as soon as they are accepted, as a
   * listener in this process gets them.
   */
  readonly durable?: boolean;
  /** Ends the reading, also while it waits. */
  readonly signal?: AbortSignal;
}

/**
 * Events in arrays, at the pace of whoever reads: it has nothing but a cursor, and the events that came meanwhile are its next batch. Never an
 * empty one.
 */
export function readBatches(
  head: ReadableHead,
  log: EventLog,
  options: BatchOptions = {},
): AsyncIterableIterator<readonly Event[]> {
  return new Batches(head, log, options);
}

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

class Batches implements AsyncIterableIterator<readonly Event[]> {
  private readonly head: ReadableHead;
  private readonly log: EventLog;
  private readonly wanted: ReadonlySet<EventType> | undefined;
  private readonly durable: boolean;
  private readonly follow: boolean;
  private readonly signal: AbortSignal | undefined;
  private cursor: number;
  private closed = false;
  private wake: (() => void) | undefined;
  private lastPull: Promise<unknown> | undefined;

  constructor(head: ReadableHead, log: EventLog, options: BatchOptions) {
    const { from = 0, types, follow = false, durable = false, signal } = options;
    this.head = head;
    this.log = log;
    this.wanted = types === undefined ? undefined : new Set(types);
    this.durable = durable;
    this.follow = follow;
    this.cursor = from;
    this.signal = signal;
    if (signal?.aborted === true) this.closed = true;
    else signal?.addEventListener("abort", this.close, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Pulls that are asked for at the same time are answered one after the other, as a generator does. */
  next(): Promise<IteratorResult<readonly Event[]>> {
    const { lastPull } = this;
    const pull = lastPull === undefined ? this.take() : lastPull.then(this.take, this.take);
    this.lastPull = pull;
    const forget = (): void => {
      if (this.lastPull === pull) this.lastPull = undefined;
    };
    pull.then(forget, forget);
    return pull;
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.close();
    return Promise.resolve(END);
  }

  private readonly close = (): void => {
    this.closed = true;
    this.signal?.removeEventListener("abort", this.close);
    this.wake?.();
  };

  private readonly take = async (): Promise<IteratorResult<readonly Event[]>> => {
    const { head } = this;
    while (!this.closed) {
      const stored = head.durableSeq;
      const page = this.durable && this.cursor >= stored ? [] : await readPublished(head, this.log, this.cursor);
      const last = page.at(-1);
      if (last !== undefined) {
        this.cursor = last.seq;
        const { wanted } = this;
        const batch = wanted === undefined ? page : page.filter(({ type }) => wanted.has(type));
        if (batch.length > 0 && !this.closed) return { done: false, value: batch };
        continue;
      }
      if (this.cursor < stored) throw missing(head.runId, this.cursor, stored);
      if (this.cursor < head.durableSeq) continue;
      if (head.failure !== undefined) break;
      if (!this.durable && this.cursor < head.publishedSeq) continue;
      if (head.atRest && !this.follow) {
        await head.refresh?.();
        if (this.cursor < head.publishedSeq || !head.atRest) continue;
        break;
      }
      await this.news();
    }
    this.close();
    return END;
  };

  private news(): Promise<void> {
    return new Promise((resolve) => {
      const forget = this.durable ? this.head.onStored(resolve) : this.head.onProgress(resolve);
      this.wake = () => {
        forget();
        resolve();
      };
    });
  }
}
