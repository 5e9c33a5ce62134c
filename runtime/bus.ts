import { EventEmitter } from "eventemitter3";
import { EVENT_TYPES, type Event, type EventOf, type EventType } from "../machines/events.ts";
import { checkOption } from "./checks.ts";
import { isPromiseLike } from "./promise-like.ts";

/**
 * Tells subscribers what happened in one run.
 *
 * B1 Every subscriber gets every event of its pattern after the moment it subscribed, once, in order (P26).
 * B2 A subscriber that throws, rejects, hangs or stops reading changes nothing for the run or for another subscriber (R6). What it threw is
 *    counted in `stats()`.
 * B3 A listener that answers a promise gets its next event when that promise is settled. Meanwhile nothing is queued for it: it keeps its
 *    cursor and reads on from the run's own events, so a slow one costs no memory.
 * B4 In a lane that many runs share nobody starves: who reads on goes to the end of the queue after each page.
 */

/** An event type, a prefix such as `tool_*`, or `*`. */
export type EventPattern = EventType | "*" | Prefixes<EventType>;
type Prefixes<Type extends string> = Type extends `${infer Head}_${string}` ? `${Head}_*` : never;

/** The events that a pattern lets through. */
export type EventFor<Pattern extends EventPattern> = Pattern extends "*"
  ? Event
  : Pattern extends `${infer Head}_*`
    ? Extract<Event, { type: `${Head}_${string}` }>
    : Pattern extends EventType
      ? EventOf<Pattern>
      : never;

/** May answer a promise: then its next event waits for it. */
export type Listener<Pattern extends EventPattern = "*"> = (event: EventFor<Pattern>) => unknown;

export interface SubscriberStats {
  readonly pattern: string;
  readonly delivered: number;
  /** Calls that threw or rejected. */
  readonly failed: number;
  /** The listener is slow and reads on from its own cursor. */
  readonly behind: boolean;
  readonly lastError: unknown;
}

export interface BusStats {
  readonly published: number;
  readonly subscribers: readonly SubscriberStats[];
}

/** What a subscriber that fell behind reads on from: published events after a cursor, none when it has caught up. */
export type ReadAfter = (cursor: number) => readonly Event[] | Promise<readonly Event[]>;

/**
 * One at a time: the listener of one subscription, also where it listens to many runs. `waiting` holds the subscribers that fell behind
 * because it was busy.
 */
export interface Lane {
  busy: boolean;
  readonly waiting: Set<() => void>;
}

export function createLane(): Lane {
  return { busy: false, waiting: new Set() };
}

export interface Bus {
  /** Calls whoever listens. Never throws. Events come in order of seq. */
  readonly publish: (event: Event) => void;
  subscribe<Pattern extends EventPattern>(pattern: Pattern, listener: Listener<Pattern>, lane?: Lane): () => void;
  /** True while a listener runs: a command from inside it must not wait for what the listener itself holds up. */
  readonly delivering: boolean;
  /** Somebody listens. */
  listening(): boolean;
  stats(): BusStats;
}

/** Every type that a pattern names. Unknown patterns name none. */
export function typesOf(pattern: string): readonly EventType[] {
  if (pattern === "*") return EVENT_TYPES;
  if (!pattern.endsWith("_*")) return EVENT_TYPES.filter((type) => type === pattern);
  const prefix = pattern.slice(0, -1);
  return EVENT_TYPES.filter((type) => type.startsWith(prefix));
}

/** For what is called with a pattern: throws when it names no event type. */
export function checkPattern(pattern: string): void {
  checkOption("pattern", pattern, typesOf(pattern).length > 0, 'an event type, a prefix such as "tool_*", or "*"');
}

function admits<Pattern extends EventPattern>(types: ReadonlySet<string>, event: Event): event is EventFor<Pattern> {
  return types.has(event.type);
}

export function createBus(readAfter: ReadAfter): Bus {
  // Made for the first subscriber: most runs of many have none.
  let emitter: EventEmitter<Record<EventType | "*", [Event]>> | undefined;
  let subscribers: Set<() => SubscriberStats> | undefined;
  let published = 0;
  let publishedSeq = 0;
  let depth = 0;

  function subscribe<Pattern extends EventPattern>(
    pattern: Pattern,
    listener: Listener<Pattern>,
    lane: Lane = createLane(),
  ): () => void {
    const types = new Set<string>(typesOf(pattern));
    let cursor = publishedSeq;
    let behind = false;
    let closed = false;
    let delivered = 0;
    let failed = 0;
    let lastError: unknown;

    const fail = (error: unknown): void => {
      failed++;
      lastError = error;
    };
    const release = (): void => {
      lane.busy = false;
      if (lane.waiting.size === 0) return;
      const [next] = lane.waiting;
      if (next === undefined) return;
      lane.waiting.delete(next);
      next();
    };
    /** Calls the listener. Answers the promise to wait for, if it gave one. */
    const call = (event: EventFor<Pattern>): PromiseLike<unknown> | undefined => {
      delivered++;
      depth++;
      bus.delivering = true;
      try {
        const answer = listener(event);
        return isPromiseLike(answer) ? answer : undefined;
      } catch (error) {
        fail(error);
        return undefined;
      } finally {
        depth--;
        bus.delivering = depth > 0;
      }
    };
    const fallBehind = (event: Event): void => {
      behind = true;
      // Everything of the pattern before this event was delivered: no need to read it again.
      cursor = event.seq - 1;
      lane.waiting.add(catchUp);
    };
    const catchUp = (): void => {
      if (closed) {
        release();
        return;
      }
      lane.busy = true;
      // Its own promise never rejects: every listener call and every read is caught inside.
      readOn().then(release, release);
    };
    const readOn = async (): Promise<void> => {
      while (!closed) {
        const seen = publishedSeq;
        let page: readonly Event[];
        try {
          page = await readAfter(cursor);
        } catch (error) {
          // The log cannot be read now: stay behind, and try again with the next event.
          fail(error);
          return;
        }
        if (page.length === 0) {
          if (publishedSeq > seen) continue;
          // What was published and cannot be read any more is lost (deltas that a failed log never stored): asking again would spin.
          behind = cursor < publishedSeq;
          return;
        }
        for (const event of page) {
          if (closed) return;
          cursor = event.seq;
          if (!admits<Pattern>(types, event)) continue;
          try {
            await call(event);
          } catch (error) {
            fail(error);
          }
        }
        if (lane.waiting.size > 0) {
          lane.waiting.add(catchUp);
          return;
        }
      }
    };
    const deliver = (event: Event): void => {
      if (closed || event.seq <= cursor || !admits<Pattern>(types, event)) return;
      if (behind || lane.busy) {
        if (!behind) fallBehind(event);
        else if (!lane.busy) catchUp();
        return;
      }
      cursor = event.seq;
      lane.busy = true;
      const answer = call(event);
      if (answer === undefined) release();
      else {
        // A thenable of somebody else's may throw here, or call back twice; a promise of our own does not.
        Promise.resolve(answer).then(release, (error: unknown) => {
          fail(error);
          release();
        });
      }
    };

    const stats = (): SubscriberStats => ({ pattern, delivered, failed, behind, lastError });
    subscribers ??= new Set();
    subscribers.add(stats);
    const channels: readonly (EventType | "*")[] = pattern === "*" ? ["*"] : typesOf(pattern);
    emitter ??= new EventEmitter();
    for (const channel of channels) emitter.on(channel, deliver);
    return () => {
      if (closed) return;
      closed = true;
      subscribers?.delete(stats);
      lane.waiting.delete(catchUp);
      for (const channel of channels) emitter?.off(channel, deliver);
    };
  }

  // Fields, not getters: an object literal with a getter has a hidden class of its own each time, and every call of it is then a slow one.
  const bus: Bus & { delivering: boolean } = {
    publish(event) {
      published++;
      publishedSeq = event.seq;
      if (emitter === undefined) return;
      emitter.emit(event.type, event);
      emitter.emit("*", event);
    },
    subscribe,
    delivering: false,
    listening: () => subscribers !== undefined && subscribers.size > 0,
    stats: () => ({ published, subscribers: [...(subscribers ?? [])].map((stats) => stats()) }),
  };
  return bus;
}
