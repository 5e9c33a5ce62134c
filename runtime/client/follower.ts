import type { Event } from "../../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../../machines/state.ts";
import { RubatoError } from "../errors.ts";
import { foldLogged } from "../fold.ts";
import type { Settings } from "./options.ts";
import { EventStream } from "./stream.ts";

/** What follows a run through somebody else's stream. */
export interface Reading {
  /** It goes on at the run's rest. */
  readonly follow: boolean;
  readonly full: boolean;
  /** Few enough wait that more may come. */
  readonly low: boolean;
  push(event: Event): void;
  /** No more comes through this stream while others use it: it goes on with one of its own. */
  evict(): void;
  /** Nothing more comes. */
  end(error: RubatoError | undefined): void;
  /** Looks whether it waits at the run's rest. */
  check(): void;
}

/** Where the log of a run stands, as the server says. */
export interface Head {
  readonly seq: number;
  readonly owned: boolean;
}

export interface FollowerOptions {
  readonly settings: Settings;
  readonly runId: string;
  readonly name: string;
  readonly head: (signal: AbortSignal) => Promise<Head>;
  /** After events, and after every change of the connection. */
  readonly onChange: () => void;
}

/**
 * One stream of a run, the state that it folds to, and who reads along.
 *
 * F1 The stream is open while somebody follows, and no longer. The state stays, and the next one goes on behind it.
 * F2 Events are not kept: they go into the state, and to those who read.
 * F3 A reader that is full stops the stream, unless others follow it as well: then it has to leave (P28).
 */
export class Follower {
  state: AgentState = initialState();
  error: RubatoError | undefined;
  /** Of the newest event: from its time to when it came, by both clocks, ms. */
  lagMs = 0;
  readonly stream: EventStream;
  private readonly options: FollowerOptions;
  private readonly readers = new Set<Reading>();
  private watchers = 0;
  /** Where the log stood when the server was asked. */
  private known: Head | undefined;
  private asking: AbortController | undefined;
  private askedAt = -1;
  private askAgain = false;
  private restsAt = -1;
  private expected = 0;

  constructor(options: FollowerOptions) {
    const { settings, runId, name, onChange } = options;
    this.options = options;
    this.stream = new EventStream(settings, runId, name, {
      onEvents: (events) => {
        this.take(events);
      },
      onChange: () => {
        // A sign of life or a new line: what was asked before may be answered otherwise now.
        this.askAgain = true;
        this.checkAll();
        onChange();
      },
      onEnd: (error) => {
        this.error = error;
        this.forget();
        const readers = [...this.readers];
        this.readers.clear();
        for (const reader of readers) reader.end(error);
        onChange();
      },
    });
  }

  /** Nothing comes any more. */
  get isOver(): boolean {
    return this.stream.status === "closed";
  }

  join(reader: Reading): void {
    this.readers.add(reader);
    // Since it was asked, somebody may have said something.
    this.forget();
    this.follow();
    this.balance();
    this.checkAll();
  }

  leave(reader: Reading): void {
    if (!this.readers.delete(reader)) return;
    this.drained();
    this.rest();
  }

  /** Somebody watches the state. Answers the undo. */
  watch(): () => void {
    let watching = true;
    this.watchers++;
    this.follow();
    this.balance();
    return () => {
      if (!watching) return;
      watching = false;
      this.watchers--;
      this.rest();
    };
  }

  /** A reader has taken something. */
  drained(): void {
    for (const reader of this.readers) if (!reader.low) return;
    this.stream.resume();
  }

  /** For good. */
  close(): void {
    this.stream.stop("closed");
    this.forget();
    const readers = [...this.readers];
    this.readers.clear();
    for (const reader of readers) reader.end(undefined);
  }

  private follow(): void {
    if (!this.stream.isUp) this.error = undefined;
    this.stream.open();
  }

  private rest(): void {
    if (this.readers.size === 0 && this.watchers === 0 && this.stream.isUp) {
      this.stream.stop("idle");
      this.forget();
      this.options.onChange();
    }
  }

  /** F3 */
  private balance(): void {
    for (const reader of this.readers) {
      if (!reader.full) continue;
      if (this.readers.size + this.watchers === 1) {
        this.stream.pause();
        return;
      }
      this.readers.delete(reader);
      reader.evict();
    }
    this.drained();
  }

  private take(events: readonly Event[]): void {
    for (const event of events) {
      this.state = foldLogged(this.state, event);
      for (const reader of this.readers) reader.push(event);
    }
    const last = events.at(-1);
    if (last !== undefined) this.lagMs = Math.max(0, this.options.settings.clock.now() - last.timestamp);
    this.balance();
    // Also those who want nothing of what came wait for the rest.
    this.checkAll();
    this.options.onChange();
  }

  /** The log reaches at least there, as a receipt says: the run does not rest before it. */
  expect(seq: number): void {
    this.expected = Math.max(this.expected, seq);
    // The server can be reached again.
    if (this.stream.status === "failed" && this.watchers > 0) this.follow();
  }

  /**
   * For a reader that has everything that came: whether the run rests there. What looks like a rest in the middle of a log is none, and a run whose
   * process died looks as if it worked: the server knows. It is asked at first, at every rest, and with each sign of life that is no event.
   */
  atRest(): boolean {
    const { seq } = this.state;
    if (seq < this.expected) return false;
    if (seq === this.restsAt) return true;
    if (this.stream.status !== "open" || this.asking !== undefined) return false;
    const { known } = this;
    const isNew = this.askedAt !== seq;
    const leftBehind = known !== undefined && !known.owned && known.seq === seq;
    if (this.askAgain || (isNew && (known === undefined || leftBehind || isAtRest(this.state)))) this.ask();
    return false;
  }

  private ask(): void {
    const asking = new AbortController();
    this.asking = asking;
    this.askAgain = false;
    this.askedAt = this.state.seq;
    this.options.head(asking.signal).then(
      (head) => {
        if (this.asking !== asking) return;
        this.asking = undefined;
        this.known = head;
        const { state } = this;
        if (head.seq === state.seq && (isAtRest(state) || !head.owned)) this.restsAt = head.seq;
        this.checkAll();
      },
      (error: unknown) => {
        if (this.asking !== asking) return;
        this.asking = undefined;
        // A broken line: it is asked again with the next sign of life. Whoever may not ask can never know.
        if (!(error instanceof RubatoError) || PASSING.has(error.code)) return;
        for (const reader of this.readers) if (!reader.follow) reader.end(error);
      },
    );
  }

  /** What was known may not be true any more. */
  private forget(): void {
    this.asking?.abort();
    this.asking = undefined;
    this.known = undefined;
    this.restsAt = -1;
    this.askedAt = -1;
  }

  private checkAll(): void {
    for (const reader of this.readers) reader.check();
  }
}

const PASSING: ReadonlySet<string> = new Set(["disconnected", "aborted", "refused", "closing", "log", "internal"]);
