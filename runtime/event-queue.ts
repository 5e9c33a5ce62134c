import { isHot, type Event, type EventOf } from "../machines/events.ts";
import { sizeOf } from "./event-size.ts";
import { merge } from "./merge.ts";

/** What waits, over all queues of one subscriber. */
export interface Load {
  events: number;
  bytes: number;
}

interface Entry {
  /** Of a notice: the last event that was dropped. */
  event: Event;
  /** Of a notice: the seq of the first event that was dropped, else 0. */
  from: number;
  bytes: number;
  /** Events that were merged into it, itself included. */
  parts: number;
  previous: Entry | undefined;
  next: Entry | undefined;
}

/**
 * Events that wait, in order of seq. A list of linked entries: a hot one in the middle can go while the control events around it stay.
 *
 * Q1 `load` is the sum over all queues that share it, after every call.
 * Q2 A notice of dropped events takes no place: there is at most one between two events that wait.
 */
export class EventQueue {
  events = 0;
  bytes = 0;
  /** Events that became part of another one so far. */
  merged = 0;
  private readonly load: Load;
  private first: Entry | undefined;
  private last: Entry | undefined;
  /** The oldest entry that may be hot: none before it is. */
  private oldestHot: Entry | undefined;

  constructor(load: Load) {
    this.load = load;
  }

  get empty(): boolean {
    return this.first === undefined;
  }

  get firstSeq(): number | undefined {
    return this.first?.event.seq;
  }

  push(event: Event, bytes = sizeOf(event)): void {
    this.append(event, bytes);
    this.count(1, bytes);
  }

  /** Puts the event into the last one. False where they are not of one text. */
  mergeIntoLast(event: Event): boolean {
    const { last } = this;
    const merged = last === undefined ? undefined : merge(last.event, event);
    if (last === undefined || merged === undefined) return false;
    this.become(last, merged, 1);
    this.merged++;
    return true;
  }

  /** Merges whatever follows each other in one text. */
  compact(): void {
    for (let entry = this.first; entry !== undefined; entry = entry.next) this.absorb(entry, Number.POSITIVE_INFINITY);
  }

  /** A notice in place of an event that is not taken in. */
  skip(event: Event): void {
    const { last } = this;
    if (last !== undefined && last.from > 0) last.event = event;
    else this.append(event, 0, event.seq);
  }

  /** A notice in place of the oldest hot event. False where none waits. */
  dropOldest(): boolean {
    let entry = this.oldestHot;
    while (entry !== undefined && (entry.from > 0 || !isHot(entry.event))) entry = entry.next;
    this.oldestHot = entry;
    if (entry === undefined) return false;
    const { event, bytes, previous } = entry;
    this.count(-1, -bytes);
    this.oldestHot = entry.next;
    if (previous !== undefined && previous.from > 0) {
      previous.event = event;
      this.unlink(entry);
    } else {
      entry.from = event.seq;
      entry.bytes = 0;
    }
    return true;
  }

  /** The first event, with as many merged into it as follow, at most `parts` in all. */
  take(parts: number): Event | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    if (parts > 1) this.absorb(first, parts);
    this.unlink(first);
    if (first.from > 0) return noticeOf(first.event, first.from);
    this.count(-1, -first.bytes);
    return first.event;
  }

  clear(): void {
    this.first = undefined;
    this.last = undefined;
    this.oldestHot = undefined;
    this.count(-this.events, -this.bytes);
  }

  private append(event: Event, bytes: number, from = 0): void {
    const { last } = this;
    const entry: Entry = { event, from, bytes, parts: 1, previous: last, next: undefined };
    if (last === undefined) this.first = entry;
    else last.next = entry;
    this.last = entry;
    this.oldestHot ??= entry;
  }

  private absorb(entry: Entry, parts: number): void {
    for (let { next } = entry; next !== undefined; { next } = entry) {
      if (entry.parts + next.parts > parts) return;
      const merged = merge(entry.event, next.event);
      if (merged === undefined) return;
      this.unlink(next);
      this.count(-1, -next.bytes);
      this.become(entry, merged, next.parts);
      this.merged++;
    }
  }

  private become(entry: Entry, merged: Event, parts: number): void {
    const bytes = sizeOf(merged);
    this.count(0, bytes - entry.bytes);
    entry.event = merged;
    entry.bytes = bytes;
    entry.parts += parts;
  }

  private unlink(entry: Entry): void {
    const { previous, next } = entry;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.last = previous;
    else next.previous = previous;
    if (this.oldestHot === entry) this.oldestHot = next;
  }

  private count(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
    this.load.events += events;
    this.load.bytes += bytes;
  }
}

/** As a pruned range reads, but that nobody has a digest of it: the log still has what was dropped here. */
function noticeOf({ seq, timestamp, runId }: Event, from: number): EventOf<"gap"> {
  return { seq, timestamp, runId, type: "gap", data: { from, to: seq, digest: "" } };
}
