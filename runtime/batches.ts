import { EVENT_TYPES, type Event, type EventType } from "../machines/events.ts";
import type { Bus } from "./bus.ts";
import { checkKeys, checkOption } from "./checks.ts";
import type { RubatoError } from "./errors.ts";
import { Lane } from "./lane.ts";
import type { EventLog } from "./log/event-log.ts";
import { Mailbox, type MailboxOwner } from "./mailbox.ts";
import { checkQueueOptions, type QueueOptions, type SubscriberStats } from "./overflow.ts";
import { checkReadOptions, missing, readStored, type ReadableHead, type ReadOptions } from "./reader.ts";
import { statsOf } from "./subscriber.ts";

export interface BatchOptions extends ReadOptions, QueueOptions {
  /**
   * Only what is stored: what other processes and machines may be told (P2). Default false: tokens come as soon as they are accepted, as a
   * listener in this process gets them.
   */
  readonly durable?: boolean;
  /** Ends the reading, also while it waits. */
  readonly signal?: AbortSignal;
}

const KEYS = [
  "from",
  "types",
  "follow",
  "durable",
  "signal",
  "queue",
  "overflow",
  "blockTimeoutMs",
  "onLevel",
  "onFill",
];

/** Throws {@link RubatoError} `invalid_option`. */
export function checkBatchOptions(options: BatchOptions = {}): BatchOptions {
  checkKeys("batches", options, KEYS);
  checkReadOptions(options);
  checkQueueOptions(options);
  const { signal } = options;
  checkOption("signal", signal, signal === undefined || signal instanceof AbortSignal, "an AbortSignal");
  return options;
}

export interface BatchParts {
  readonly head: ReadableHead;
  readonly log: EventLog;
  readonly bus: Bus;
  /** It began to listen. */
  readonly onListening: () => void;
  /** It stopped. */
  readonly onLeaving: () => void;
}

/**
 * Events in arrays of 1 to 256. What was told before comes from the log, in pages; from then on what comes while the last batch is handled waits in a
 * mailbox, in groups that grow with what waits.
 */
export function readBatches(parts: BatchParts, options: BatchOptions = {}): AsyncIterableIterator<readonly Event[]> {
  return new Batches(parts, options);
}

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

class Batches implements AsyncIterableIterator<readonly Event[]>, MailboxOwner {
  private readonly parts: BatchParts;
  private readonly options: BatchOptions;
  private readonly durable: boolean;
  private readonly lane: Lane;
  private mailbox: Mailbox | undefined;
  private detach: (() => void) | undefined;
  private closed = false;
  private error: RubatoError | undefined;
  private wake: (() => void) | undefined;
  private lastPull: Promise<unknown> | undefined;
  private failed = 0;
  private lastError: unknown;

  constructor(parts: BatchParts, options: BatchOptions) {
    this.parts = parts;
    this.options = options;
    this.durable = options.durable === true;
    this.lane = new Lane(options);
    this.lane.undo = (error) => {
      this.error = error;
      this.close();
    };
    const { signal } = options;
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
    this.error = undefined;
    return Promise.resolve(END);
  }

  private readonly close = (): void => {
    if (this.closed) return;
    this.closed = true;
    this.options.signal?.removeEventListener("abort", this.close);
    this.detach?.();
    this.lane.close();
    this.mailbox?.close();
    this.wake?.();
    if (this.detach !== undefined) this.parts.onLeaving();
  };

  /** At the first pull: who never reads costs nothing, and holds nobody up. */
  private join(): Mailbox {
    const { head, log, bus, onListening } = this.parts;
    const { from = 0, types } = this.options;
    const wanted: readonly EventType[] = types === undefined ? EVENT_TYPES : [...new Set(types)];
    const publishedSeq = this.durable ? () => head.durableSeq : () => bus.publishedSeq();
    const feed = {
      valve: bus.valve,
      publishedSeq,
      readAfter: (after: number, limit: number) =>
        this.durable ? readStored(head, log, after, limit) : bus.readAfter(after, limit),
    };
    const begin = Math.max(from, publishedSeq());
    const mailbox = new Mailbox(feed, this.lane, { types: new Set<string>(wanted), owner: this, cursor: from, begin });
    this.mailbox = mailbox;
    this.detach = bus.attach(mailbox, {
      types: types === undefined ? undefined : wanted,
      durable: this.durable,
      stats: () => this.stats(),
    });
    onListening();
    return mailbox;
  }

  private readonly take = async (): Promise<IteratorResult<readonly Event[]>> => {
    const { head } = this.parts;
    while (!this.closed) {
      const mailbox = this.mailbox ?? this.join();
      const batch = mailbox.takeGroup();
      if (this.isClosed()) break;
      if (batch.length > 0) return { done: false, value: batch };
      if (mailbox.behind) {
        const stored = head.durableSeq;
        if ((await this.readOn(mailbox)) > 0) continue;
        if (mailbox.cursor < stored) throw missing(head.runId, mailbox.cursor, stored);
        if (mailbox.cursor < head.durableSeq) continue;
        // Deltas that were told and that the failed log never stored are gone: they are not waited for.
        if (head.failure === undefined && mailbox.behind && !this.durable) continue;
      }
      if (head.failure !== undefined) break;
      if (head.atRest && this.options.follow !== true) {
        await head.refresh?.();
        if (mailbox.pending || !head.atRest) continue;
        break;
      }
      await this.news();
    }
    const { error } = this;
    this.close();
    this.error = undefined;
    if (error !== undefined) throw error;
    return END;
  };

  private async readOn(mailbox: Mailbox): Promise<number> {
    try {
      return await mailbox.refill();
    } catch (error) {
      this.failed++;
      this.lastError = error;
      throw error;
    }
  }

  /** Whoever is called while a group is taken may end the reading. */
  private isClosed(): boolean {
    return this.closed;
  }

  private news(): Promise<void> {
    const { head } = this.parts;
    return new Promise((resolve) => {
      const forget = this.durable ? head.onStored(resolve) : head.onProgress(resolve);
      this.wake = () => {
        forget();
        resolve();
      };
    });
  }

  run(callback: () => void): void {
    // What is stored is told in the middle of the head's work, where nobody may call it: then after it.
    if (this.durable) queueMicrotask(() => this.call(callback));
    else this.call(callback);
  }

  private call(callback: () => void): void {
    const { bus } = this.parts;
    bus.depth++;
    bus.delivering = true;
    try {
      callback();
    } catch (error) {
      this.failed++;
      this.lastError = error;
    } finally {
      bus.depth--;
      bus.delivering = bus.depth > 0;
    }
  }

  stats(): SubscriberStats {
    const { lane, mailbox, failed, lastError } = this;
    const pattern = this.options.types?.join(",") ?? "*";
    return statsOf({ pattern, lane, mailbox, direct: 0, failed, lastError });
  }
}
