import type { Event, EventOf } from "../machines/events.ts";
import { PAGE, type Lane } from "./lane.ts";
import { Mailbox, type Feed, type MailboxOwner } from "./mailbox.ts";
import type { Overflow, SubscriberStats } from "./overflow.ts";
import { typesOf, type EventFor, type EventPattern } from "./pattern.ts";
import { isPromiseLike } from "./promise-like.ts";

/**
 * May answer a promise: then its next event waits for it. With a policy that drops it also gets the notices of what was dropped: `gap` events,
 * whatever the pattern.
 */
export type Listener<Pattern extends EventPattern = "*", Policy extends Overflow = "catch-up"> = (
  event: Heard<Pattern, Policy>,
) => unknown;

type Heard<Pattern extends EventPattern, Policy extends Overflow> =
  | EventFor<Pattern>
  | (Policy extends "drop-oldest" | "drop-newest" ? EventOf<"gap"> : never);

/** What a subscriber needs of a bus. */
export interface SubscriberHost extends Feed {
  /** Calls of listeners that are not over. */
  depth: number;
  delivering: boolean;
}

/**
 * A listener of one run.
 *
 * S1 While it is called and answers no promise, events are handed to it directly; it has a mailbox only once one came while it was busy.
 */
export class Subscriber<Pattern extends EventPattern, Policy extends Overflow> implements MailboxOwner {
  private closed = false;
  private cursor: number;
  private direct = 0;
  private failed = 0;
  private lastError: unknown;
  private mailbox: Mailbox | undefined;
  private readonly types: ReadonlySet<string>;
  private readonly listener: Listener<Pattern, Policy>;
  private readonly lane: Lane;
  private readonly host: SubscriberHost;
  private readonly pattern: Pattern;

  constructor(host: SubscriberHost, pattern: Pattern, listener: Listener<Pattern, Policy>, lane: Lane) {
    this.host = host;
    this.pattern = pattern;
    this.listener = listener;
    this.lane = lane;
    this.types = new Set<string>(typesOf(pattern));
    this.cursor = host.publishedSeq();
  }

  readonly deliver = (event: Event): void => {
    if (this.closed || event.seq <= this.cursor || !this.hears(event)) return;
    const { lane } = this;
    if (lane.busy || this.mailbox?.pending === true) {
      this.hold(event);
      return;
    }
    this.cursor = event.seq;
    this.direct++;
    lane.busy = true;
    const answer = this.call(event);
    if (answer === undefined) lane.release();
    // A thenable of somebody else's may throw here, or call back twice; a promise of our own does not.
    else Promise.resolve(answer).then(lane.release, this.failAndRelease);
  };

  private readonly failAndRelease = (error: unknown): void => {
    this.fail(error);
    this.lane.release();
  };

  private hears(event: Event): event is Heard<Pattern, Policy> {
    return this.types.has(event.type) || (event.type === "gap" && this.lane.drops);
  }

  /** Calls the listener. Answers the promise to wait for, if it gave one. */
  private call(event: Heard<Pattern, Policy>): PromiseLike<unknown> | undefined {
    const { host } = this;
    host.depth++;
    host.delivering = true;
    try {
      const answer = this.listener(event);
      return isPromiseLike(answer) ? answer : undefined;
    } catch (error) {
      this.fail(error);
      return undefined;
    } finally {
      host.depth--;
      host.delivering = host.depth > 0;
    }
  }

  run(callback: () => void): void {
    const { host } = this;
    host.depth++;
    host.delivering = true;
    try {
      callback();
    } catch (error) {
      this.fail(error);
    } finally {
      host.depth--;
      host.delivering = host.depth > 0;
    }
  }

  private fail(error: unknown): void {
    this.failed++;
    this.lastError = error;
  }

  private hold(event: Event): void {
    const { lane, types } = this;
    // Everything of the pattern before this event was delivered: there is no need to read it again.
    const cursor = event.seq - 1;
    this.mailbox ??= new Mailbox(this.host, lane, { types, owner: this, cursor, begin: cursor });
    this.mailbox.hold(event);
    if (!this.closed) lane.queue(this.turn);
  }

  private readonly turn = (): void => {
    const { lane, mailbox } = this;
    if (this.closed || mailbox === undefined) {
      lane.release();
      return;
    }
    lane.busy = true;
    // Its own promise never rejects: every call and every read is caught inside.
    this.drain(mailbox).then(lane.release, lane.release);
  };

  private async drain(mailbox: Mailbox): Promise<void> {
    for (let count = 1; !this.closed; count++) {
      const event = mailbox.take();
      if (this.closed) return;
      if (event === undefined) {
        if (mailbox.behind && (await this.readOn(mailbox))) continue;
        this.cursor = Math.max(this.cursor, mailbox.cursor);
        return;
      }
      if (!this.hears(event)) continue;
      const answer = this.call(event);
      try {
        if (answer !== undefined) await answer;
      } catch (error) {
        this.fail(error);
      }
      // N2 of the bus: those who wait have their turn after a page.
      if (count % PAGE === 0 && this.lane.contended) {
        this.lane.queue(this.turn);
        return;
      }
    }
  }

  /** False where there is nothing to go on with now. */
  private async readOn(mailbox: Mailbox): Promise<boolean> {
    const seen = this.host.publishedSeq();
    try {
      if ((await mailbox.refill()) > 0) return true;
    } catch (error) {
      // The log cannot be read now: it stays behind, and tries again with the next event.
      this.fail(error);
      return false;
    }
    // What was told and cannot be read any more is lost (deltas that a failed log never stored): asking again would spin.
    return this.host.publishedSeq() > seen;
  }

  stats(): SubscriberStats {
    const { pattern, lane, mailbox, direct, failed, lastError } = this;
    return statsOf({ pattern, lane, mailbox, direct, failed, lastError });
  }

  close(): void {
    this.closed = true;
    this.lane.leave(this.turn);
    this.mailbox?.close();
  }
}

interface Counted extends Pick<SubscriberStats, "pattern" | "failed" | "lastError"> {
  readonly lane: Lane;
  readonly mailbox: Mailbox | undefined;
  /** Events that were delivered without a mailbox. */
  readonly direct: number;
}

export function statsOf({ pattern, lane, mailbox, direct, failed, lastError }: Counted): SubscriberStats {
  const produced = direct + (mailbox?.produced ?? 0);
  const dropped = mailbox?.dropped ?? 0;
  return {
    pattern,
    overflow: lane.overflow,
    level: lane.level,
    queued: mailbox?.queued ?? 0,
    queuedBytes: mailbox?.queuedBytes ?? 0,
    highWater: mailbox?.highWater ?? 0,
    highWaterBytes: mailbox?.highWaterBytes ?? 0,
    produced,
    delivered: direct + (mailbox?.taken ?? 0),
    merged: mailbox?.merged ?? 0,
    dropped,
    dropRate: produced === 0 ? 0 : dropped / produced,
    failed,
    behind: mailbox?.behind ?? false,
    lastError,
  };
}
