import type { RubatoError } from "./errors.ts";
import type { Load } from "./event-queue.ts";
import type { Level, Overflow, SubscriberStats, SubscribeOptions } from "./overflow.ts";
import type { Blocker, Valve } from "./valve.ts";

/**
 * One subscriber: what its mailboxes share, also where it listens to many runs.
 *
 * N1 One call at a time; who waits for its turn is called in order.
 * N2 The bounds hold for all its mailboxes together. Control events may take as much again.
 * N3 While it blocks, every run that has told it something since is held up. What ends it lets all of them go on.
 */

const EVENTS = 1_000;
const BYTES = 1_048_576;
const BLOCK_TIMEOUT_MS = 5_000;
const CONTROL_SHARE = 2;

/** The fill above which a level begins, and below which it ends. */
const RISES = [0, 0.3, 0.7, 0.9];
const FALLS = [0, 0.2, 0.6, 0.8];
const LEVELS: readonly Level[] = ["green", "yellow", "red", "degraded"];
const DEGRADED = 3;

/** Where `onFill` is called, and below which it may be called again. */
const MARKS = [0.5, 0.9];
const MARKS_AGAIN = [0.4, 0.8];

/** Where a run is held up, and where it goes on. */
const BLOCK = 0.8;
const UNBLOCK = 0.3;

/** Events in a group: few where the queue is yellow, many where it is red. */
const FEW = 5;
const MANY = 100;
/** The largest group, and a page of the log. */
export const PAGE = 256;

/** What a lane needs of a mailbox. */
export interface LaneMember {
  readonly valve: Valve;
  /** Calls what the subscriber wants to be told about its queue. */
  alert(callback: (stats: SubscriberStats) => void): void;
  close(): void;
}

export class Lane implements Blocker {
  busy = false;
  /** What it was subscribed with; `block` becomes `catch-up`. */
  overflow: Overflow;
  readonly blockTimeoutMs: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly load: Load = { events: 0, bytes: 0 };
  /** Its mailboxes that read from the log. */
  behind = 0;
  /** Ends the subscription. Set by whoever made it. */
  undo: (error: RubatoError) => void = () => {};
  private readonly options: SubscribeOptions;
  private waiting: Set<() => void> | undefined;
  /** Those that hold something: a run that has nothing to tell is not kept alive by who listens to it. */
  private members: Set<LaneMember> | undefined;
  private stopped: Set<Valve> | undefined;
  private blocking = false;
  private rank = 0;
  private marks = 0;

  constructor(options: SubscribeOptions = {}) {
    const { queue = {}, overflow = "catch-up", blockTimeoutMs = BLOCK_TIMEOUT_MS } = options;
    this.options = options;
    this.overflow = overflow;
    this.blockTimeoutMs = blockTimeoutMs;
    this.maxEvents = queue.events ?? EVENTS;
    this.maxBytes = queue.bytes ?? BYTES;
  }

  get level(): Level {
    return LEVELS[this.rank] ?? "degraded";
  }

  get drops(): boolean {
    return this.overflow === "drop-oldest" || this.overflow === "drop-newest";
  }

  /** Room for one more. An event that is larger than all the room there is has its place where nothing else waits. */
  fits(bytes: number): boolean {
    const { events, bytes: held } = this.load;
    return events === 0 || (events < this.maxEvents && held + bytes <= this.maxBytes);
  }

  fitsControl(bytes: number): boolean {
    const { events, bytes: held } = this.load;
    return events === 0 || (events < CONTROL_SHARE * this.maxEvents && held + bytes <= CONTROL_SHARE * this.maxBytes);
  }

  /** Room for the text of one more, as part of another event. */
  fitsText(bytes: number): boolean {
    return this.load.bytes + bytes <= this.maxBytes;
  }

  /** How many events are delivered together. */
  get group(): number {
    const { fill } = this;
    if (fill < 0.3) return 1;
    if (fill <= 0.7) return FEW;
    return fill <= 0.9 ? MANY : PAGE;
  }

  private get fill(): number {
    return Math.max(this.load.events / this.maxEvents, this.load.bytes / this.maxBytes);
  }

  /** To be called back when nobody else of this lane is at work: at once, or later. */
  queue(turn: () => void): void {
    this.waiting ??= new Set();
    this.waiting.add(turn);
    if (!this.busy) this.release();
  }

  /** Somebody else waits for a turn. */
  get contended(): boolean {
    return this.waiting !== undefined && this.waiting.size > 0;
  }

  leave(turn: () => void): void {
    this.waiting?.delete(turn);
  }

  readonly release = (): void => {
    this.busy = false;
    if (this.waiting === undefined || this.waiting.size === 0) return;
    const [next] = this.waiting;
    if (next === undefined) return;
    this.waiting.delete(next);
    next();
  };

  enter(member: LaneMember): void {
    this.members ??= new Set();
    this.members.add(member);
  }

  exit(member: LaneMember): void {
    this.members?.delete(member);
  }

  /** Something came to this mailbox. */
  filled(member: LaneMember): void {
    const { fill } = this;
    if (this.overflow === "block") this.block(fill, member.valve);
    let { rank } = this;
    // Yellow begins at its bound, the others above theirs.
    while (rank < DEGRADED && (fill > bound(RISES, rank + 1) || (rank === 0 && fill === bound(RISES, 1)))) rank++;
    this.become(this.behind > 0 ? DEGRADED : rank, member);
    while (fill >= bound(MARKS, this.marks)) {
      const percent = this.marks === 0 ? 50 : 90;
      this.marks++;
      const { onFill } = this.options;
      if (onFill !== undefined) member.alert((stats) => onFill(percent, stats));
    }
  }

  /** Something was taken from this mailbox, or it reads from the log: that fills no queue with what comes. */
  drained(member: LaneMember): void {
    const { fill } = this;
    if (this.blocking && fill <= UNBLOCK) this.unblock();
    while (this.marks > 0 && fill < bound(MARKS_AGAIN, this.marks - 1)) this.marks--;
    if (this.behind > 0) return;
    let { rank } = this;
    while (rank > 0 && fill < bound(FALLS, rank)) rank--;
    this.become(rank, member);
  }

  private become(rank: number, member: LaneMember): void {
    if (rank === this.rank) return;
    this.rank = rank;
    const { onLevel } = this.options;
    const { level } = this;
    if (onLevel !== undefined) member.alert((stats) => onLevel(level, stats));
  }

  /** Also where it blocks already: this run may be another one. */
  private block(fill: number, valve: Valve): void {
    this.blocking ||= fill >= BLOCK;
    if (!this.blocking) return;
    this.stopped ??= new Set();
    this.stopped.add(valve);
    valve.close(this);
  }

  private unblock(): void {
    this.blocking = false;
    const { stopped } = this;
    if (stopped === undefined) return;
    this.stopped = undefined;
    for (const valve of stopped) valve.open(this);
  }

  giveUp(): void {
    this.overflow = "catch-up";
    this.unblock();
  }

  /** The policy `disconnect`. */
  disconnect(error: RubatoError, member: LaneMember): void {
    this.undo(error);
    const { onDisconnect } = this.options;
    if (onDisconnect !== undefined) member.alert(() => onDisconnect(error));
  }

  /** Frees what is held, and who is held up. */
  close(): void {
    this.waiting = undefined;
    const { members } = this;
    this.members = undefined;
    if (members !== undefined) for (const member of members) member.close();
    this.unblock();
  }
}

function bound(bounds: readonly number[], index: number): number {
  return bounds[index] ?? Number.POSITIVE_INFINITY;
}
