import { isHot, type Event } from "../machines/events.ts";
import { RubatoError } from "./errors.ts";
import { EventQueue } from "./event-queue.ts";
import { sizeOf } from "./event-size.ts";
import { PAGE, type Lane, type LaneMember } from "./lane.ts";
import type { SubscriberStats } from "./overflow.ts";
import { isPromiseLike } from "./promise-like.ts";
import type { Valve } from "./valve.ts";

/** Published events after a cursor, oldest first: at least one where there is one, and about `limit` at most. */
export type ReadAfter = (cursor: number, limit: number) => readonly Event[] | Promise<readonly Event[]>;

/** Where a mailbox's events come from. */
export interface Feed {
  readonly readAfter: ReadAfter;
  /** Seq of the last event that was told, before or while it is told. */
  readonly publishedSeq: () => number;
  readonly valve: Valve;
}

/** Whose mailbox it is. */
export interface MailboxOwner {
  stats(): SubscriberStats;
  /** Runs a callback of the subscriber's. Never throws. */
  run(callback: () => void): void;
}

/**
 * What waits for one subscriber of one run.
 *
 * X1 Every event of its types after its cursor is given once, in order, is merged into one that is, or is named by the `gap` in its place
 *    (I17, P26).
 * X2 At most the lane's bounds wait; of control events as much again. What has no place stays in the log, and is read from there in pages
 *    when the queue is empty (`behind`).
 * X3 While it is behind nothing is queued, so that nothing is told out of its order.
 */
export class Mailbox implements LaneMember {
  readonly valve: Valve;
  behind = false;
  produced = 0;
  /** Events that were taken. */
  taken = 0;
  dropped = 0;
  highWater = 0;
  highWaterBytes = 0;
  /** What came until here was given, is in the queue, or was dropped. */
  cursor: number;
  private closed = false;
  /** It is behind because its queue was full, and not because it began there. */
  private overflowed = false;
  /** Full of control events: the hot ones that come now are dropped also where they are read from the log. */
  private shedding = false;
  /** What came from the log is delivered in large groups. */
  private readUntil = 0;
  /** What was told before there was a mailbox. */
  private readonly begin: number;
  private readonly feed: Feed;
  private readonly lane: Lane;
  private readonly types: ReadonlySet<string>;
  private readonly owner: MailboxOwner;
  private readonly queue: EventQueue;

  /** Begins behind where more was told than the cursor says: then it reads until `begin` first. */
  constructor(
    feed: Feed,
    lane: Lane,
    {
      types,
      owner,
      cursor,
      begin,
    }: Pick<Mailbox, "cursor"> & {
      readonly types: ReadonlySet<string>;
      readonly owner: MailboxOwner;
      readonly begin: number;
    },
  ) {
    this.feed = feed;
    this.lane = lane;
    this.types = types;
    this.owner = owner;
    this.cursor = cursor;
    this.begin = begin;
    this.valve = feed.valve;
    this.queue = new EventQueue(lane.load);
    if (cursor < begin) this.fallBehind(cursor);
  }

  /** Something waits: what comes now must wait behind it. */
  get pending(): boolean {
    return this.behind || !this.queue.empty;
  }

  get queued(): number {
    return this.queue.events;
  }

  get queuedBytes(): number {
    return this.queue.bytes;
  }

  get merged(): number {
    return this.queue.merged;
  }

  alert(callback: (stats: SubscriberStats) => void): void {
    const stats = this.owner.stats();
    this.owner.run(() => {
      callback(stats);
    });
  }

  /** An event of its types was told. */
  hold(event: Event): void {
    if (this.closed || event.seq <= this.begin || (!this.behind && event.seq <= this.cursor)) return;
    this.produced++;
    this.lane.enter(this);
    if (!this.behind) this.accept(event);
    if (this.closed) return;
    const { queue } = this;
    if (queue.events > this.highWater) this.highWater = queue.events;
    if (queue.bytes > this.highWaterBytes) this.highWaterBytes = queue.bytes;
    this.lane.filled(this);
  }

  /**
   * Events that were stored together. More than a queue holds at a time overflow it without anybody being slow: they are read from the log, where
   * nothing waits before them.
   */
  holdAll(events: readonly Event[]): void {
    const [first] = events;
    if (first === undefined || this.closed) return;
    if (!this.pending && first.seq > this.cursor && events.length > this.lane.maxEvents) this.fallBehind(first.seq - 1);
    for (const event of events) if (this.types.has(event.type)) this.hold(event);
  }

  private accept(event: Event): void {
    const { lane, queue } = this;
    const bytes = sizeOf(event);
    const hot = isHot(event);
    if (!lane.fits(bytes)) this.makeRoom(bytes);
    if (lane.fits(bytes) || (!hot && lane.fitsControl(bytes))) {
      queue.push(event, bytes);
    } else if (lane.overflow === "disconnect") {
      this.disconnect();
    } else if (hot && lane.drops) {
      this.drop(event);
    } else if (!(lane.overflow === "coalesce" && lane.fitsText(bytes) && queue.mergeIntoLast(event))) {
      this.shedding = lane.drops;
      this.overflowed = true;
      lane.behind++;
      this.fallBehind(event.seq - 1);
      return;
    }
    this.cursor = event.seq;
  }

  private makeRoom(bytes: number): void {
    const { lane, queue } = this;
    if (lane.overflow === "coalesce") queue.compact();
    if (lane.overflow === "drop-oldest") while (!lane.fits(bytes) && queue.dropOldest()) this.dropped++;
  }

  private drop(event: Event): void {
    this.queue.skip(event);
    this.dropped++;
  }

  private disconnect(): void {
    const { queue, cursor } = this;
    const at = queue.firstSeq === undefined ? cursor : queue.firstSeq - 1;
    const message = `The subscriber is too slow: ${queue.events} events (${queue.bytes} bytes) wait for it, and its queue is full. Read on from seq ${at}, with a larger queue or another overflow policy.`;
    this.lane.disconnect(new RubatoError("overflow", message), this);
  }

  private fallBehind(cursor: number): void {
    this.cursor = cursor;
    this.behind = true;
    this.lane.enter(this);
  }

  private catchUp(): void {
    this.behind = false;
    this.shedding = false;
    if (this.overflowed) this.lane.behind--;
    this.overflowed = false;
  }

  /** The next event to deliver. Undefined when the queue is empty: then it may be {@link behind}. */
  take(): Event | undefined {
    const event = this.next(this.lane.overflow === "coalesce" ? this.group : 1);
    if (event !== undefined) this.noted();
    return event;
  }

  /** The next group. None when the queue is empty. */
  takeGroup(): Event[] {
    const group: Event[] = [];
    const coalesces = this.lane.overflow === "coalesce";
    for (let room = this.group; room > 0;) {
      const { merged } = this.queue;
      const event = this.next(coalesces ? room : 1);
      if (event === undefined) break;
      group.push(event);
      room -= 1 + this.queue.merged - merged;
    }
    if (group.length > 0) this.noted();
    return group;
  }

  private next(parts: number): Event | undefined {
    const before = this.queue.events;
    const { merged } = this.queue;
    const event = this.queue.take(parts);
    // A notice of what was dropped has no place in the queue, and is none of the events.
    if (before > this.queue.events + this.queue.merged - merged) this.taken++;
    return event;
  }

  private get group(): number {
    const { firstSeq } = this.queue;
    return firstSeq !== undefined && firstSeq <= this.readUntil ? PAGE : this.lane.group;
  }

  private noted(): void {
    if (this.closed) return;
    if (!this.pending) this.lane.exit(this);
    this.lane.drained(this);
  }

  /**
   * Reads the next page of what has no place in the queue; to be called when that is empty. Answers how many events it read. None: there is no
   * more, unless something was told while it read.
   */
  async refill(): Promise<number> {
    // Not more than the queue may hold. A page that is there at once is taken in at once: what is told after it comes after it.
    const page = this.feed.readAfter(this.cursor, Math.min(PAGE, this.lane.maxEvents));
    return isPromiseLike(page) ? this.load(await page) : this.load(page);
  }

  private load(page: readonly Event[]): number {
    let read = 0;
    let pushed = 0;
    for (const event of page) {
      if (this.closed) return read;
      if (this.types.has(event.type)) {
        if (this.shedding && isHot(event)) {
          this.drop(event);
        } else {
          const bytes = sizeOf(event);
          if (pushed > 0 && !this.lane.fits(bytes)) break;
          this.queue.push(event, bytes);
          pushed++;
        }
        if (event.seq <= this.begin) this.produced++;
      }
      this.cursor = event.seq;
      this.readUntil = event.seq;
      read++;
    }
    if (this.cursor >= this.feed.publishedSeq()) this.catchUp();
    this.noted();
    return read;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.catchUp();
    this.queue.clear();
    this.lane.exit(this);
  }
}
