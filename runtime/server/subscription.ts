import type { Clock } from "../clock.ts";
import { isPromiseLike } from "../promise-like.ts";
import type { Chunk } from "./encode.ts";
import type { Connection, ConnectionKind } from "./connections.ts";
import type { RunFeed } from "./feed.ts";
import type { EndReason } from "./protocol.ts";

/** Where a subscription writes to: a response or a socket. */
export interface Sink {
  /** False: no more until {@link Subscription.drained} is called. */
  write(chunk: Chunk): boolean;
  /** A sign of life. False: the client gave none since the last one. */
  beat(): boolean;
  /**
   * Says why it ends, where the format can, and ends. Called once at most. True: what it was given waits for its client, and
   * {@link Subscription.dispose} is called when the line is gone.
   */
  end(reason: EndReason, cursor: number): boolean;
  /** Cuts it. */
  destroy(): void;
}

/** What a subscription reads: chunks, each behind the one before. */
export interface View {
  /** What comes behind a cursor; undefined where there is nothing yet. Rejects or throws where the log cannot be read. */
  next(cursor: number): Chunk | undefined | Promise<Chunk | undefined>;
}

export interface SubscriptionOptions {
  readonly kind: ConnectionKind;
  readonly feed: RunFeed;
  readonly view: View;
  readonly cursor: number;
  readonly sink: Sink;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Also while events go out: the client answers a heartbeat. */
  readonly beatsAlways: boolean;
  readonly maxConnectionMs: number;
  /** The run was cancelled before the cursor. */
  readonly cancelled: boolean;
  /** Called once, however it ended. */
  readonly onDispose: () => void;
  readonly onError: (error: unknown) => void;
  readonly onDelivered: (events: number, bytes: number) => void;
}

/**
 * One client that follows one run.
 *
 * C1 It is handed the next chunk when it has taken the one before, so that what waits for it is never more than a chunk and what its socket holds.
 *    Meanwhile it is nothing but a cursor: it catches up from the log.
 * C2 Every way out (the end, a cut, a stall, a timeout, an error) goes through `dispose`, once: timer, feed and registry are left in that moment.
 * C3 One timer, which is set when it rings and not at every write.
 * C4 A line that ended is cut two heartbeats later if its client has not taken the last of it by then.
 */
export class Subscription implements Connection {
  readonly kind: ConnectionKind;
  readonly runId: string;
  cursor: number;
  private view: View;
  /** How often it went on elsewhere: a filter may be the same as before, and the cursor another one. */
  private moves = 0;
  private readonly options: SubscriptionOptions;
  private state: "idle" | "reading" | "full" | "closed" = "idle";
  private cancelled: boolean;
  /** It ends when everything up to here was delivered. */
  private until = Number.POSITIVE_INFINITY;
  /** It ends when everything that there is was delivered. */
  private ending: EndReason | undefined;
  private readonly leave: () => void;
  private readonly onChange = (): void => {
    this.pump();
  };
  private stopTimer: () => void = () => {};
  private readonly closeAt: number;
  /** Of the last byte, or of the last chunk that was taken while it waits for that. */
  private lastAt: number;
  private beatAt: number;

  constructor(options: SubscriptionOptions) {
    const { feed, view, cursor, clock, cancelled, maxConnectionMs } = options;
    this.options = options;
    this.kind = options.kind;
    this.runId = feed.runId;
    this.view = view;
    this.cursor = cursor;
    this.cancelled = cancelled;
    this.lastAt = clock.monotonic();
    this.beatAt = this.lastAt;
    this.closeAt = this.lastAt + maxConnectionMs;
    this.leave = feed.follow(this.onChange, () => {
      // Whoever comes again is told that there is no such run.
      this.end("log");
    });
    this.arm();
  }

  get closed(): boolean {
    return this.state === "closed";
  }

  /** Hands on what there is. */
  pump(): void {
    while (this.state === "idle") {
      const { changes } = this.options.feed;
      let next: Chunk | undefined | Promise<Chunk | undefined>;
      try {
        next = this.view.next(this.cursor);
      } catch (error) {
        this.fail(error);
        return;
      }
      if (!isPromiseLike(next)) {
        if (!this.take(next, changes)) return;
        continue;
      }
      this.state = "reading";
      const { moves } = this;
      next.then(
        (chunk) => {
          if (this.state !== "reading") return;
          this.state = "idle";
          // Not what was asked for before the filter or the cursor became another one.
          if (moves !== this.moves || this.take(chunk, changes)) this.pump();
        },
        (error: unknown) => {
          this.fail(error);
        },
      );
    }
  }

  /** True: look for more. */
  private take(chunk: Chunk | undefined, asOf: number): boolean {
    if (chunk === undefined) {
      if (this.options.feed.changes !== asOf) return true;
      this.endWhereDone();
      return false;
    }
    this.cursor = chunk.to;
    if (chunk.cancelled) this.cancelled = true;
    if (chunk.count === 0) {
      // The filter left everything out: also a long way of that is gone in turns (F4).
      this.options.feed.again(this.onChange);
      return false;
    }
    this.lastAt = this.options.clock.monotonic();
    this.options.onDelivered(chunk.count, chunk.bytes.length);
    if (!this.options.sink.write(chunk)) {
      if (this.state === "idle") this.state = "full";
    } else this.options.feed.again(this.onChange);
    return false;
  }

  private endWhereDone(): void {
    if (this.ending !== undefined) this.end(this.ending);
    else if (this.cancelled) this.end("cancelled");
    else if (this.cursor >= this.until) this.end("rest");
  }

  /** The client has taken what it was given. */
  drained(): void {
    if (this.state !== "full") return;
    this.lastAt = this.options.clock.monotonic();
    this.state = "idle";
    this.pump();
  }

  /** Goes on elsewhere in the run, or with another filter. */
  move(view: View, cursor: number, cancelled: boolean): void {
    this.moves++;
    this.view = view;
    this.cursor = cursor;
    this.cancelled = cancelled;
    this.pump();
  }

  /** The run came to rest there: everything up to it, and then the end. */
  endAt(seq: number): void {
    this.until = seq;
    this.pump();
  }

  /** Everything that there is, and then the end. */
  finish(reason: EndReason): void {
    this.ending = reason;
    // Also what was stored a moment ago and not announced yet.
    this.options.feed.expire();
    this.pump();
  }

  /** Now, wherever it stands: its client comes again from its cursor. */
  end(reason: EndReason): void {
    if (this.state === "closed") return;
    this.dispose();
    const { sink, clock, heartbeatMs } = this.options;
    if (!sink.end(reason, this.cursor)) return;
    this.stopTimer = clock.timer(
      2 * heartbeatMs,
      () => {
        sink.destroy();
      },
      true,
    );
  }

  /** The client is gone. */
  dispose(): void {
    this.stopTimer();
    if (this.state === "closed") return;
    this.state = "closed";
    this.leave();
    this.options.onDispose();
  }

  /** Ends it without a word. */
  destroy(): void {
    if (this.state === "closed") return;
    this.dispose();
    this.options.sink.destroy();
  }

  private fail(error: unknown): void {
    if (this.state === "closed") return;
    this.options.onError(error);
    this.end("log");
  }

  private arm(): void {
    const { clock, heartbeatMs, beatsAlways } = this.options;
    const now = clock.monotonic();
    const since = beatsAlways ? this.beatAt : this.lastAt;
    const due = Math.min(since + heartbeatMs, this.closeAt);
    // A full one is looked at every heartbeat, whenever its last chunk was.
    const wait = due > now ? due - now : heartbeatMs;
    this.stopTimer = clock.timer(wait, () => {
      this.ring();
    });
  }

  private ring(): void {
    const { clock, heartbeatMs, beatsAlways, feed } = this.options;
    const now = clock.monotonic();
    if (now >= this.closeAt) {
      this.end("max_connection");
      return;
    }
    const silent = now - this.lastAt;
    const stalled = this.state === "full" && silent >= 2 * heartbeatMs;
    if (stalled || !this.beat(now, beatsAlways ? now - this.beatAt : silent)) {
      this.destroy();
      return;
    }
    feed.glance(now, heartbeatMs);
    if (this.state !== "closed") this.arm();
  }

  /** False: the client did not answer the last one. */
  private beat(now: number, since: number): boolean {
    const { sink, heartbeatMs, beatsAlways } = this.options;
    if (since < heartbeatMs || (this.state === "full" && !beatsAlways)) return true;
    this.beatAt = now;
    // A full one is silent since its last chunk, whatever it is asked meanwhile.
    if (this.state !== "full") this.lastAt = now;
    return sink.beat();
  }
}
