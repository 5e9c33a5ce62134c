import { EventEmitter } from "eventemitter3";
import type { Event, EventType } from "../machines/events.ts";
import type { Clock } from "./clock.ts";
import { Lane } from "./lane.ts";
import type { Mailbox, ReadAfter } from "./mailbox.ts";
import type { Overflow, SubscriberStats } from "./overflow.ts";
import { typesOf, type EventPattern } from "./pattern.ts";
import { Subscriber, type Listener } from "./subscriber.ts";
import { Valve } from "./valve.ts";

/**
 * Tells subscribers what happened in one run.
 *
 * B1 Every subscriber gets every event of its pattern after the moment it subscribed, once, in order (P26), but for what it asked to be merged or
 *    dropped (P27).
 * B2 A subscriber that throws, rejects, hangs or stops reading changes nothing for the run or for another subscriber (R6), unless it chose
 *    `block`. What it threw is counted in `stats()`.
 * B3 A listener that answers a promise gets its next event when that promise is settled. What comes meanwhile waits in its mailbox.
 * B4 In a lane that many runs share nobody starves: who reads on goes to the end of the queue after each page.
 */

export interface BusStats {
  readonly published: number;
  readonly subscribers: readonly SubscriberStats[];
}

export interface Bus {
  /** Calls whoever listens. Never throws. Events come in order of seq. */
  publish(event: Event): void;
  /** So many events happened while nobody listened. */
  passed(count: number): void;
  /** Tells those who hear only what is stored. Events come in order of seq, apart from {@link publish}. Calls nobody. */
  stored(events: readonly Event[]): void;
  /** Without a lane the subscriber has one of its own. */
  subscribe<Pattern extends EventPattern, Policy extends Overflow>(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    lane?: Lane,
  ): () => void;
  /** Fills a mailbox with the events of these types, those that are stored or those that are published. */
  attach(mailbox: Mailbox, options: AttachOptions): () => void;
  /**
   * Calls back with events of these types, and does not count as a listener: with it or without it the log is the same. What it calls must not
   * throw.
   */
  tap(types: readonly EventType[], deliver: (event: Event) => void): () => void;
  /** Events so far. */
  published: number;
  /** Called with the last figures of a subscriber that ends. Set by whoever counts them. */
  onLeaving: ((stats: SubscriberStats) => void) | undefined;
  /** True while a listener runs: a command from inside it must not wait for what the listener itself holds up. */
  delivering: boolean;
  depth: number;
  readAfter(cursor: number, limit: number): ReturnType<ReadAfter>;
  publishedSeq(): number;
  /** Closed while a subscriber holds the run up. */
  readonly valve: Valve;
  /** Somebody listens. */
  listening(): boolean;
  /** Somebody who listens, or a tap, would be called with such an event. */
  hears(type: EventType): boolean;
  stats(): BusStats;
}

export interface AttachOptions {
  readonly types: readonly EventType[] | undefined;
  readonly durable: boolean;
  readonly stats: () => SubscriberStats;
}

/** The run whose events they are. */
export interface BusSource {
  readonly clock: Clock;
  readAfter(cursor: number, limit: number): ReturnType<ReadAfter>;
  publishedSeq(): number;
}

type Channel = EventType | "*";

export function createBus(source: BusSource): Bus {
  return new EventBus(source);
}

class EventBus implements Bus {
  // Fields, not getters: they are read for every event.
  delivering = false;
  depth = 0;
  readonly valve: Valve;
  private readonly source: BusSource;
  onLeaving: ((stats: SubscriberStats) => void) | undefined;
  published = 0;
  // Made for the first subscriber: most runs of many have none.
  private emitter: EventEmitter<Record<Channel, [Event]>> | undefined;
  private subscribers: Set<() => SubscriberStats> | undefined;
  private durable: Set<Mailbox> | undefined;

  constructor(source: BusSource) {
    this.source = source;
    this.valve = new Valve(source.clock);
  }

  readAfter(cursor: number, limit: number): ReturnType<ReadAfter> {
    return this.source.readAfter(cursor, limit);
  }

  publishedSeq(): number {
    return this.source.publishedSeq();
  }

  publish(event: Event): void {
    this.published++;
    const { emitter } = this;
    if (emitter === undefined) return;
    emitter.emit(event.type, event);
    emitter.emit("*", event);
  }

  passed(count: number): void {
    this.published += count;
  }

  stored(events: readonly Event[]): void {
    if (this.durable === undefined) return;
    for (const mailbox of this.durable) mailbox.holdAll(events);
  }

  subscribe<Pattern extends EventPattern, Policy extends Overflow>(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    shared?: Lane,
  ): () => void {
    const lane = shared ?? new Lane();
    const subscriber = new Subscriber(this, pattern, listener, lane);
    const off = this.listen(pattern === "*" ? undefined : typesOf(pattern), subscriber.deliver, () =>
      subscriber.stats(),
    );
    return () => {
      off();
      subscriber.close();
    };
  }

  attach(mailbox: Mailbox, { types, durable, stats }: AttachOptions): () => void {
    if (!durable) {
      return this.listen(
        types,
        (event) => {
          mailbox.hold(event);
        },
        stats,
      );
    }
    this.durable ??= new Set();
    this.durable.add(mailbox);
    this.subscribers ??= new Set();
    this.subscribers.add(stats);
    return () => {
      this.durable?.delete(mailbox);
      if (this.durable?.size === 0) this.durable = undefined;
      if (this.subscribers?.delete(stats) === true) this.onLeaving?.(stats());
    };
  }

  private listen(
    types: readonly EventType[] | undefined,
    deliver: (event: Event) => void,
    stats: () => SubscriberStats,
  ): () => void {
    this.subscribers ??= new Set();
    this.subscribers.add(stats);
    this.emitter ??= new EventEmitter();
    const { emitter } = this;
    const channels: readonly Channel[] = types ?? ["*"];
    for (const channel of channels) emitter.on(channel, deliver);
    return () => {
      if (this.subscribers?.delete(stats) !== true) return;
      for (const channel of channels) emitter.off(channel, deliver);
      this.onLeaving?.(stats());
    };
  }

  tap(types: readonly EventType[], deliver: (event: Event) => void): () => void {
    this.emitter ??= new EventEmitter();
    const { emitter } = this;
    for (const type of types) emitter.on(type, deliver);
    return () => {
      for (const type of types) emitter.off(type, deliver);
    };
  }

  listening(): boolean {
    return this.subscribers !== undefined && this.subscribers.size > 0;
  }

  hears(type: EventType): boolean {
    const { emitter } = this;
    return this.listening() || (emitter !== undefined && emitter.listenerCount(type) > 0);
  }

  stats(): BusStats {
    return { published: this.published, subscribers: [...(this.subscribers ?? [])].map((stats) => stats()) };
  }
}
