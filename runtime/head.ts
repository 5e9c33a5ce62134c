import type { EffectName } from "../machines/agent.ts";
import { seal } from "../machines/derive.ts";
import type { Draft, Event, HotEvent } from "../machines/events.ts";
import { isHot } from "../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../machines/state.ts";
import { step, stepDelta } from "../machines/step.ts";
import type { Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import type { EventLog } from "./log/event-log.ts";
import { isPromiseLike } from "./promise-like.ts";

/**
 * The head of one run's log, owned by this process: the only place where events get their seq.
 *
 * H1 One event after the other: `step()` is called synchronously, in the order of acceptance. A refused event leaves no trace.
 * H2 (R1) What an event asks the world for (a request, a tool) starts when the event is durable. What it asks of the run itself (further
 *    events) or of what is in flight (to stop) happens at once.
 * H3 (P2) Control events are published when they are durable, deltas when they are accepted, everything in order of seq.
 * H4 A commit starts when the previous one ends, with all that was accepted meanwhile. No timer.
 * H5 An effect or a listener that records something queues behind what is being handled: nothing here is entered twice.
 * H6 When the log or an effect fails, nothing more is accepted, started or published.
 */
export interface Head {
  readonly runId: string;
  readonly state: AgentState;
  /** Seq of the last event that the log holds. */
  readonly durableSeq: number;
  /** Seq of the last event that subscribers were given. */
  readonly publishedSeq: number;
  /** The run needs a person or a program to go on, and all of it is durable; or its log failed. */
  readonly atRest: boolean;
  readonly failure: RubatoError | undefined;
  /**
   * Steps and queues events, in order; the others after the first have it as their cause unless they say otherwise. Answers the seq of the
   * first, or undefined when it was refused; a refused one ends the batch.
   */
  record(drafts: readonly Draft[], cause?: number): number | undefined;
  /** The same for a delta that the caller numbered with {@link nextSeq}. False when it is stale. */
  delta(event: HotEvent): boolean;
  readonly nextSeq: number;
  /** Resolves when the event is durable. Rejects when the log failed before. */
  durable(seq: number): Promise<void>;
  /** Events after a cursor that are published and not yet durable. */
  volatileAfter(cursor: number): readonly Event[];
  /** Calls back once, at the next chance to find something new: an event was published, or the run came to rest. Answers its undo. */
  onProgress(callback: () => void): () => void;
  /** Reads something in the moment when the run is at rest, which may be now: a moment later it may work again. */
  rest<T>(read: () => T): Promise<T>;
}

export interface HeadOptions {
  readonly runId: string;
  readonly log: EventLog;
  readonly epoch: number;
  readonly clock: Clock;
  readonly publish: (event: Event) => void;
  /** Called at once for effects that concern the run itself, and when `event` is durable for those that touch the world. */
  readonly perform: (effect: EffectName, event: Event) => void;
  /** The log failed: what is in flight has to stop. */
  readonly onFailure: (error: RubatoError) => void;
  /** The run came to rest, or left it. */
  readonly onRest: (atRest: boolean) => void;
}

/** Effects that touch the world wait until their event is durable (R1). */
const WAITS: ReadonlySet<EffectName> = new Set<EffectName>(["request", "execute", "schedule_retry"]);

const NOTHING: readonly Event[] = [];

/**
 * A list with one more item. A first item gets an array of just its size: `push` on an empty one makes room for seventeen, and most lists here
 * are one event long.
 */
function added<T>(list: T[], item: T): T[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}

/**
 * Type and data come from one draft, which the compiler cannot follow through the new object; spreading the draft would let it, but makes an
 * object that is larger and slower for the rest of its life in the log.
 */
function isOneEvent(event: Pick<Event, "seq" | "timestamp" | "runId" | "type" | "data">): event is Event {
  return event.seq > 0;
}

interface Todo {
  readonly effect: EffectName;
  readonly event: Event;
}

export function openHead(options: HeadOptions): Head {
  const { runId, log, epoch, clock, publish, perform } = options;
  let state = initialState();
  let pending: Event[] = [];
  let writing: readonly Event[] = NOTHING;
  let unpublished: Event[] = [];
  let effects: Todo[] = [];
  let starts: Todo[] = [];
  let durableSeq = 0;
  let publishedSeq = 0;
  let committing = false;
  let draining = false;
  let publishing = false;
  let rested = false;
  let failure: RubatoError | undefined;
  // Three kinds of waiters, so that none is woken for every token that does not need it.
  const progress = new Set<() => void>();
  const storing = new Set<() => void>();
  const resting = new Set<() => void>();

  function record(drafts: readonly Draft[], cause?: number): number | undefined {
    if (failure !== undefined) return undefined;
    let first: number | undefined;
    for (const draft of drafts) {
      const event = envelope(seal(state, draft), cause ?? first);
      const result = step(state, event);
      if (!result.accepted) break;
      first ??= event.seq;
      state = result.state;
      pending = added(pending, event);
      unpublished = added(unpublished, event);
      for (const effect of result.effects) {
        if (WAITS.has(effect)) starts = added(starts, { effect, event });
        else effects = added(effects, { effect, event });
      }
    }
    drain();
    return first;
  }

  function envelope({ type, data, cause: own }: Draft, batchCause: number | undefined): Event {
    const seq = state.seq + 1;
    const timestamp = clock.now();
    const cause = own ?? batchCause;
    const event =
      cause === undefined ? { seq, timestamp, runId, type, data } : { seq, timestamp, runId, type, data, cause };
    if (isOneEvent(event)) return event;
    throw new TypeError("unreachable: a draft has a type and the data of that type");
  }

  /** The hot path: nothing but the fold, one append and the listeners. */
  function delta(event: HotEvent): boolean {
    if (failure !== undefined) return false;
    const next = stepDelta(state, event);
    if (next === undefined) return false;
    state = next;
    if (pending.length === 0 && !committing && !draining) {
      writing = [event];
      write();
      if (failed()) return false;
    } else pending = added(pending, event);
    if (unpublished.length > 0 || publishing) {
      unpublished = added(unpublished, event);
      return true;
    }
    publishing = true;
    tell(event);
    publishing = false;
    if (unpublished.length > 0) publishReady();
    // A listener recorded something: what follows from it, rest included, could not be seen before it was published.
    if (state !== next) drain();
    return true;
  }

  /** Runs what is due until nothing is: effects on the run first, so that what belongs together is committed together. */
  function drain(): void {
    if (draining) return;
    draining = true;
    do {
      while (effects.length > 0) {
        const due = effects;
        effects = [];
        for (const todo of due) act(todo);
      }
    } while (commit() || effects.length > 0);
    draining = false;
    const still = settledDown();
    if (still !== rested) {
      rested = still;
      options.onRest(still);
    }
    // Also where the run left its rest and came back to it in one go: somebody may have begun to wait in between.
    if (still && resting.size > 0) wake(resting);
    if (still && progress.size > 0) wake(progress);
  }

  /** Hands what is pending to the log. True when it is durable already. */
  function commit(): boolean {
    if (committing || pending.length === 0 || failure !== undefined) return false;
    writing = pending;
    pending = [];
    return write();
  }

  /** Whatever an effect throws is a fault of ours or of an injected part, never of the log; the run ends in a known state all the same. */
  function act({ effect, event }: Todo): void {
    try {
      perform(effect, event);
    } catch (error) {
      fail(new RubatoError("internal", `The effect "${effect}" failed: ${messageOf(error)}`, { cause: error }));
    }
  }

  function write(): boolean {
    let written: undefined | Promise<undefined>;
    try {
      written = log.append(runId, { epoch, events: writing });
    } catch (error) {
      fail(error);
      return false;
    }
    if (written === undefined) {
      stored();
      return true;
    }
    if (!isPromiseLike(written)) {
      fail(new RubatoError("log", "The log answered neither undefined nor a promise."));
      return false;
    }
    committing = true;
    written.then(
      () => {
        committing = false;
        stored();
        drain();
      },
      (error: unknown) => {
        committing = false;
        fail(error);
      },
    );
    return false;
  }

  function stored(): void {
    durableSeq = writing.at(-1)?.seq ?? durableSeq;
    writing = NOTHING;
    if (unpublished.length > 0) publishReady();
    if (storing.size > 0) wake(storing);
    if (starts.length === 0) return;
    const due = starts;
    starts = [];
    for (const todo of due) {
      // What one of them recorded may have made the log fail: then nothing more starts (H6).
      if (failure !== undefined) return;
      if (todo.event.seq <= durableSeq) act(todo);
      else starts.push(todo);
    }
  }

  function publishReady(): void {
    if (publishing) return;
    publishing = true;
    let count = 0;
    for (; count < unpublished.length; count++) {
      const event = unpublished[count];
      if (event === undefined || (event.seq > durableSeq && !isHot(event))) break;
      tell(event);
    }
    unpublished = count === unpublished.length ? [] : unpublished.slice(count);
    publishing = false;
  }

  function tell(event: Event): void {
    publishedSeq = event.seq;
    publish(event);
    if (progress.size > 0) wake(progress);
  }

  function wake(waiters: Set<() => void>): void {
    const waiting = [...waiters];
    waiters.clear();
    for (const callback of waiting) callback();
  }

  function fail(error: unknown): void {
    failure =
      error instanceof RubatoError
        ? error
        : new RubatoError("log", "The log could not store an event.", { cause: error });
    pending = [];
    writing = NOTHING;
    unpublished = [];
    effects = [];
    starts = [];
    options.onFailure(failure);
    if (!rested) {
      rested = true;
      options.onRest(true);
    }
    for (const waiters of [storing, resting, progress]) wake(waiters);
  }

  function failed(): boolean {
    return failure !== undefined;
  }

  function settledDown(): boolean {
    return failure !== undefined || (isAtRest(state) && durableSeq === state.seq && publishedSeq === state.seq);
  }

  return {
    runId,
    get state() {
      return state;
    },
    get durableSeq() {
      return durableSeq;
    },
    get publishedSeq() {
      return publishedSeq;
    },
    get atRest() {
      return !draining && settledDown();
    },
    get failure() {
      return failure;
    },
    get nextSeq() {
      return state.seq + 1;
    },
    record,
    delta,
    async durable(seq) {
      while (durableSeq < seq) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => {
          storing.add(resolve);
        });
      }
    },
    volatileAfter(cursor) {
      if (publishedSeq === durableSeq) return [];
      return [...writing, ...pending].filter((event) => event.seq > cursor && event.seq <= publishedSeq);
    },
    rest: (read) =>
      !draining && settledDown()
        ? Promise.resolve(read())
        : new Promise((resolve) => {
            resting.add(() => {
              resolve(read());
            });
          }),
    onProgress(callback) {
      progress.add(callback);
      return () => {
        progress.delete(callback);
      };
    },
  };
}
