import type { EffectName } from "../machines/agent.ts";
import type { Draft, Event, EventType, HotEvent } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { Clock } from "./clock.ts";
import type { RubatoError } from "./errors.ts";
import type { EventLog } from "./log/event-log.ts";
import type { Probe } from "./metrics/probe.ts";
import type { Redact } from "./redact.ts";

/**
 * The head of one run's log, owned by this process: the only place where events get their seq.
 *
 * H1 One event after the other: `step()` is called synchronously, in the order of acceptance. A refused event leaves no trace.
 * H2 (R1) What an event asks the world for (a request, a tool) starts when the event is durable. What it asks of the run itself (further
 *    events) or of what is in flight (to stop) happens at once.
 * H3 (P2) Control events are published when they are durable, deltas when they are accepted, everything in order of seq.
 * H4 A commit starts when the previous one ends, with all that was accepted meanwhile. No timer. Where the log asks for it (`afterTurn`), a delta
 *    that comes when none is out waits for the end of the turn of the event loop, or for the next control event, which is never kept waiting:
 *    so a step whose tokens come at once is one commit up to its message and no turn of the loop.
 * H5 An effect or a listener that records something queues behind what is being handled: nothing here is entered twice.
 * H6 When the log or an effect fails, nothing more is accepted, started or published. An append that takes too long has failed.
 * H7 Tokens that nobody can see yet wait for those after them: where nobody listens or reads, and the log asks ({@link EventLog.hold}) before it
 *    shows anything, they are folded, appended and published together the moment anybody looks, or anything else happens. What can be seen is what it
 *    would be without the wait, times included.
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
  /** What the work records is one batch: nothing that follows from it happens before the work is done. */
  atomically<T>(work: () => T): T;
  /** The same for a delta that the caller numbered with {@link nextSeq}. False when it is stale. */
  delta(event: HotEvent): boolean;
  readonly nextSeq: number;
  /** A token of this answer, whose text begins at `offset`. The same as {@link delta}, and it may wait (H7). */
  token(answer: Answering, kind: "text" | "reasoning", text: string, offset: number): boolean;
  /** What waits (H7) happens now, in order, as if it had not waited. Reading anything of the head does it too. */
  flush(): void;
  /** More deltas wait for the log than should: whoever makes them should wait for {@link durable} first (P4). */
  readonly crowded: boolean;
  /** Resolves when the event is durable. Rejects when the log failed before. */
  durable(seq: number): Promise<void>;
  /** Events after a cursor that are published and not yet durable. */
  volatileAfter(cursor: number): readonly Event[];
  /** Calls back once, at the next chance to find something new: an event was published, or the run came to rest. Answers its undo. */
  onProgress(callback: () => void): () => void;
  /** Calls back once, when something more is durable, when the run came to rest or its log failed. Answers its undo. */
  onStored(callback: () => void): () => void;
  /** Reads something in the moment when the run is at rest, which may be now: a moment later it may work again. */
  rest<T>(read: () => T): Promise<T>;
  /** Wakes who waits for something new: from here on it comes from another head. */
  leave(): void;
}

/** What tokens say about where they belong. */
export interface Answering {
  readonly messageId: string;
  readonly attempt: number;
}

export interface HeadOptions {
  readonly runId: string;
  readonly log: EventLog;
  readonly epoch: number;
  /** Where the log stands, all of it durable. */
  readonly state: AgentState;
  /** How long an append may take before the log counts as failed, ms. */
  readonly logTimeoutMs: number;
  readonly clock: Clock;
  /** Where somebody measures this run. */
  readonly probe?: Probe | undefined;
  /** Applied to the texts of every control event before it is stepped. */
  readonly redact: Redact | undefined;
  readonly audience: Audience;
  readonly owner: HeadOwner;
}

/** Who is told what happens. */
export interface Audience {
  publish(event: Event): void;
  /** Called with what has become durable, in order of seq, before it is published; must call nobody. */
  stored(events: readonly Event[]): void;
  /** Somebody is told of such an event when it is published, an observer included. */
  hears(type: EventType): boolean;
  /** So many events happened that nobody had to be told of. */
  passed(count: number): void;
}

/** Who does what the events ask for. */
export interface HeadOwner {
  /** Called at once for effects that concern the run itself, and when `event` is durable for those that touch the world. */
  perform(effect: EffectName, event: Event): void;
  /** The log failed: what is in flight has to stop. */
  onFailure(error: RubatoError): void;
  /** The run came to rest, or left it. */
  onRest(atRest: boolean): void;
}
